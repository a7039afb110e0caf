"""Pictures, masks and sounds from disk, checked at the border.

Every reader raises InputError with the file and a remedy when the file is missing, unreadable,
cut short or empty.
"""

from __future__ import annotations

import io
import logging
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from soundprompt.data import pixels
from soundprompt.errors import InputError, first_line
from soundprompt.files import digest_bytes

if TYPE_CHECKING:
    import soundfile  # else loaded with the first sound: trainings read none, and share this module for pictures

RATE = 16000
"""Samples per second of every sound inside the project."""

_ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 lie on their side
_log = logging.getLogger(__name__)
_warned: set[tuple[int, int]] = set()


# -------------------------------------------------------------------------------- pictures
def read_image(path: Path | str, digest: str | None = None) -> np.ndarray:
    """Picture as (H, W, 3) uint8, RGB, upright (an EXIF orientation is applied).

    digest: sha256 that the file must have, by the frame table; so too below.
    """
    return np.asarray(pixels.rgb(ImageOps.exif_transpose(_decoded(path, read_bytes(path, digest))), path))


def read_mask(path: Path | str, size: tuple[int, int] | None = None, digest: str | None = None) -> np.ndarray:
    """Mask as (H, W) bool: True where its object is (AVSBench colours each class); `pixels.object_of` says how.

    size: (H, W) that the mask must have, that of its image.
    """
    content = read_bytes(path, digest)
    mask = pixels.object_of(_decoded(path, content), content, path)
    _check_size(path, mask.shape, size)
    return mask


def read_objects(path: Path | str, size: tuple[int, int] | None = None) -> np.ndarray:
    """Map of objects as (H, W) uint8: 0 is background, i is object i.

    size: (H, W) that the map must have, that of its image.
    """
    picture = _decoded(path, read_bytes(path))
    if picture.mode not in ("L", "P"):
        raise InputError(f"has mode {picture.mode}", path=path, remedy="store an 8-bit picture with one channel")
    objects = np.asarray(picture)
    _check_size(path, objects.shape, size)
    return objects


@dataclass(frozen=True)
class Picture:
    """What the frame table keeps of a picture: sha256 of its bytes, upright width and height."""

    digest: str
    width: int
    height: int


def inspect_picture(path: Path | str) -> Picture:
    """Digest and size of a picture without decoding its pixels, where its end marker shows that it is whole."""
    content = read_bytes(path)
    # another format, or bytes after the end marker: only decoding tells
    picture = _opened(path, content) if _ends_well(content) else _decoded(path, content)
    width, height = picture.size
    # a PNG's orientation can stand behind its pixels, and Pillow decodes them to look for it
    may_turn = picture.format != "PNG" or b"eXIf" in content
    if may_turn and picture.getexif().get(_ORIENTATION, 1) >= 5:
        width, height = height, width
    return Picture(digest_bytes(content), width, height)


def read_bytes(path: Path | str, digest: str | None = None) -> bytes:
    """A file of the dataset. Raises InputError when it is missing, empty, or has another sha256 than `digest`."""
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="restore the file, or run the stage that makes it") from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", path=path, remedy="check the file and its mode"
        ) from error
    if not content:
        raise InputError("is empty (0 bytes)", path=path, remedy="restore the file from its source")
    if digest is not None and digest_bytes(content) != digest:
        raise InputError("changed since the frame tables were made", path=path, remedy=_back(Path(path)))
    return content


def _back(path: Path) -> str:
    """How a file gets the bytes again that the frame table knows; files of the generated world can be made anew."""
    rows = [folder.parent / f"world-{part.name}.csv" for part in path.parents for folder in (part, part.parent)]
    made = next((file for file in rows if file.exists()), None)
    restore = f"delete {made} and type the same command again" if made else "restore the file from its source"
    return f"{restore}; if it was changed on purpose, delete the frame tables and run: soundprompt tables"


def _opened(path: Path | str, content: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"not a readable picture ({first_line(error)})", path=path, remedy=_RESTORE) from error


def _decoded(path: Path | str, content: bytes) -> Image.Image:
    picture = _opened(path, content)
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError, struct.error) as error:
        raise InputError(f"picture cut short or damaged ({first_line(error)})", path=path, remedy=_RESTORE) from error
    return picture


def _ends_well(content: bytes) -> bool:
    """Whether a JPEG or PNG ends with its own end marker, which a cut-short one lacks."""
    jpeg = content[:2] == b"\xff\xd8" and content[-2:] == b"\xff\xd9"
    png = content[:8] == b"\x89PNG\r\n\x1a\n" and content[-8:-4] == b"IEND"
    return jpeg or png


def _check_size(path: Path | str, found: tuple[int, ...], wanted: tuple[int, int] | None) -> None:
    if wanted is not None and tuple(found) != tuple(wanted):
        what = f"is {found[1]}x{found[0]} pixels, its image {wanted[1]}x{wanted[0]}"
        raise InputError(what, path=path, remedy="resize it to its image without interpolation, or restore it")


# ---------------------------------------------------------------------------------- sounds
def read_audio(path: Path | str, digest: str | None = None) -> np.ndarray:
    """Sound as (n_samples,) float32 at 16 kHz, full scale at -1 and 1.

    Several channels are averaged and other rates resampled (soxr, HQ); the first file of each
    rate and channel count is named in a warning of the log.
    """
    import soundfile

    sound = _open_sound(path, read_bytes(path, digest))
    with sound:
        if sound.samplerate != RATE or sound.channels != 1:
            _warn_of_conversion(sound.samplerate, sound.channels, path)
        try:
            wave = sound.read(dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise InputError(f"sound damaged ({first_line(error)})", path=path, remedy=_RESTORE) from error
        if len(wave) < sound.frames:
            raise InputError(f"cut short: {len(wave)} of {sound.frames} samples", path=path, remedy=_RESTORE)
        wave = to_mono_16k(wave, sound.samplerate)
    if not np.isfinite(wave).all():
        raise InputError("has samples that are not finite numbers", path=path, remedy=_RESTORE)
    return wave


def to_mono_16k(wave: np.ndarray, rate: int) -> np.ndarray:
    """(n, channels) or (n,) at `rate` -> (m,) float32 at 16 kHz: mean of the channels, soxr HQ."""
    mono = wave if wave.ndim == 1 else wave.mean(axis=1)
    if rate != RATE:
        import soxr

        mono = soxr.resample(mono, rate, RATE, quality="HQ")
    return np.ascontiguousarray(mono, dtype=np.float32)


@dataclass(frozen=True)
class Sound:
    """What the frame table keeps of a sound: sha256 of its bytes and its length in samples at 16 kHz."""

    digest: str
    samples: int


def inspect_sound(path: Path | str) -> Sound:
    """Digest and length of a sound from its header, without decoding it."""
    content = read_bytes(path)
    with _open_sound(path, content) as sound:
        return Sound(digest_bytes(content), round(sound.frames * RATE / sound.samplerate))


def vggish_examples(samples: int) -> int:
    """How many 0.96 s examples VGGish makes of `samples` at 16 kHz: 80,000 -> 5, 160,000 -> 10.

    Spectra of 400 samples every 160, examples of 96 spectra without overlap; a rest is dropped.
    """
    spectra = (samples - 400) // 160 + 1
    return max(spectra // 96, 0)


def _open_sound(path: Path | str, content: bytes) -> soundfile.SoundFile:
    import soundfile

    lacking = _wav_bytes_lacking(content)
    if lacking:
        raise InputError(f"cut short: {lacking} bytes of sound are lacking", path=path, remedy=_RESTORE)
    try:
        sound = soundfile.SoundFile(io.BytesIO(content))
    except (soundfile.SoundFileError, TypeError) as error:
        raise InputError(f"not a readable sound ({first_line(error)})", path=path, remedy=_RESTORE) from error
    if sound.frames == 0:
        raise InputError("has no samples", path=path, remedy="extract the sound again, or leave the clip out")
    return sound


def _wav_bytes_lacking(content: bytes) -> int:
    """Bytes that a WAV's data chunk announces beyond the end of the file; libsndfile would just read less."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return 0
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        if name == b"data":
            unknown = size in (0, 0xFFFFFFFF)  # written to a pipe: the length was not known
            return 0 if unknown else max(at + 8 + size - len(content), 0)
        at += 8 + size + size % 2
    return 0


def _warn_of_conversion(rate: int, channels: int, path: Path | str) -> None:
    """Once for each format: a whole dataset in another format would fill the log."""
    if (rate, channels) not in _warned:
        _warned.add((rate, channels))
        _log.warning("%s: %d Hz, %d channels; such sounds are mixed down and resampled to 16 kHz", path, rate, channels)


_RESTORE = "restore the file from its source, or leave the clip out"
