"""A video in any container -> frames and sound at AVSBench's times, and clips in its folder layout.

Second s of a clip shows the picture at s + 15/16 s (the last of 16 samples of that second). Times
count from the container's own start, so that pictures and sound stay together when one of them
begins later. VGGish examples are 0.96 s long, so example i drifts from second i; clips of up to
about 10 s, as in AVSBench, keep the drift below half a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from soundprompt.data.media import RATE, to_mono_16k
from soundprompt.errors import InputError
from soundprompt.files import publish, publish_folder

FRAME_TIME = 15 / 16
"""When, within its second, a frame is taken."""

_ROUNDING = 1e-3  # containers round time stamps, Matroska to milliseconds
_TOLERANCE = 0.1  # a second that lacks this much of its end still counts: 4.9 s make 5 frames
_JPEG_QUALITY = 95


@dataclass(frozen=True)
class Film:
    """What a video file holds, from its headers.

    duration: seconds, None where the container does not say.
    """

    duration: float | None
    has_sound: bool
    width: int
    height: int


def probe(path: Path | str) -> Film:
    """Reads the headers. Raises InputError when it is not a video."""
    with opened(path) as container:
        stream = _picture_stream(container, path)
        duration = None if container.duration is None else container.duration / av.time_base
        return Film(duration, bool(container.streams.audio), stream.width, stream.height)


def frames(path: Path | str, start: float = 0.0, end: float | None = None) -> Iterator[np.ndarray]:
    """One (H, W, 3) uint8 RGB picture, upright, for each whole second from `start` to `end` (seconds).

    The picture on screen at start + s + 15/16, whatever the frame rate. Ends where the video does
    (by its pictures, not by its header). Streams: one picture is held at a time.
    """
    if start < 0 or (end is not None and end <= start):
        raise InputError(f"no time between {start} and {end} s", path=path, remedy="choose 0 <= start < end")
    seconds = math.inf if end is None else int(end - start + _TOLERANCE)
    shown, began, until, second = None, 0.0, 0.0, 0
    for time, lasts, picture in pictures(path, start):
        while shown is not None and second < seconds and time > start + second + FRAME_TIME + _ROUNDING:
            yield upright(shown)
            second += 1
        if second >= seconds:
            return
        # the first picture also stands for what comes before it; a last one without duration lasts as its forerunner
        shown, until = picture, time + (lasts if shown is None else max(lasts, min(time - began, 1.0)))
        began = time
    while shown is not None and second < seconds and until >= start + second + 1 - _TOLERANCE:
        yield upright(shown)
        second += 1


def sound(path: Path | str, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """Sound from `start` to `end` (seconds) as (n,) float32 at 16 kHz mono; gaps are silent.

    Raises InputError when the file has no sound.
    """
    wave = heard(path, start, end)
    if not len(wave):
        raise InputError(f"has no sound from {start} s on", path=path, remedy="choose an earlier start")
    return wave


def heard(path: Path | str, start: float = 0.0, end: float | None = None) -> np.ndarray:
    """As `sound`, but shorter, down to no samples at all, where the track ends before `end`."""
    with opened(path) as container:
        if not container.streams.audio:
            raise InputError("has no audio track", path=path, remedy="choose a video with sound")
        stream = container.streams.audio[0]
        origin = origin_of(container)
        if start > 0:
            container.seek(int((start + origin) * av.time_base), backward=True)
        pieces, rate = _sound_pieces(container, stream, origin, end, path)
    return to_mono_16k(_join(pieces, rate, start, end), rate)


def to_clip(path: Path | str, folder: Path | str, start: float = 0.0, end: float | None = None) -> int:
    """Writes frames/{0..}.jpg and audio.wav of a video into `folder`, as an AVSBench clip; returns its seconds.

    The sound is as long as the pictures: padded with silence or cut. The folder appears whole or not at all.
    Raises InputError when the video has no sound, or is shorter than a second or than `end`.
    """
    wave = sound(path, start, end)
    with publish_folder(folder) as aside:
        (aside / "frames").mkdir()
        count = 0
        for picture in frames(path, start, end):
            Image.fromarray(picture).save(aside / "frames" / f"{count}.jpg", quality=_JPEG_QUALITY)
            count += 1
        wanted = None if end is None else int(end - start + _TOLERANCE)
        if count == 0 or (wanted and count < wanted):
            what = f"ends after {count} whole seconds from {start} s on"
            remedy = f"it lacks {wanted - count} of {wanted}; choose an earlier end" if wanted else "use a longer video"
            raise InputError(what, path=path, remedy=remedy)
        _write_wav(aside / "audio.wav", _fit(wave, count * RATE))
    return count


def to_vggss(path: Path | str, root: Path | str, file: str, start: float = 0.0, end: float | None = None) -> None:
    """Writes the middle picture and the sound of a clip as VGG-SS frames/{file}.jpg and audio/{file}.wav."""
    wave = sound(path, start, end)
    middle = start + len(wave) / RATE / 2
    shown = None
    for time, _, picture in pictures(path, max(start, middle - 1)):
        if shown is not None and time > middle + _ROUNDING:
            break
        shown = picture
    if shown is None:
        raise InputError(f"has no picture at {middle:.2f} s", path=path, remedy="use a video that is whole")
    root = Path(root)
    with publish(root / "frames" / f"{file}.jpg") as aside:
        Image.fromarray(upright(shown)).save(aside, quality=_JPEG_QUALITY)
    with publish(root / "audio" / f"{file}.wav") as aside:
        _write_wav(aside, wave)


# ------------------------------------------------------------------------------- decoding
@contextmanager
def opened(path: Path | str) -> Iterator[av.container.InputContainer]:
    """An open container; what ffmpeg says inside the block becomes an InputError."""
    try:
        if Path(path).stat().st_size == 0:
            raise InputError("is empty (0 bytes)", path=path, remedy="restore the video from its source")
        with av.open(str(path)) as container:
            yield container
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="check the path of the video") from error
    except (av.FFmpegError, OSError) as error:
        what = f"not a readable video, or damaged ({error.strerror})"
        raise InputError(what, path=path, remedy="play it in a media player; restore it from its source") from error


def _picture_stream(container: av.container.InputContainer, path: Path | str) -> av.VideoStream:
    if not container.streams.video:
        raise InputError("has no pictures", path=path, remedy="choose a file with a video track")
    return container.streams.video[0]


def origin_of(container: av.container.InputContainer) -> float:
    """Time stamp at which the container starts, seconds; transport streams rarely start at 0."""
    return (container.start_time or 0) / av.time_base


def pictures(path: Path | str, start: float) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """(time, duration, picture) in the order of showing; begins at the key frame before `start`."""
    with opened(path) as container:
        stream = _picture_stream(container, path)
        stream.thread_type = "AUTO"
        origin, rate = origin_of(container), float(stream.average_rate or stream.guessed_rate or 25)
        if start > 0:
            container.seek(int((start + origin) * av.time_base), backward=True)
        time = -1 / rate
        for picture in container.decode(stream):
            # containers without time stamps: the next frame of a steady rate
            time = time + 1 / rate if picture.time is None else picture.time - origin
            lasts = picture.duration * float(picture.time_base) if picture.duration else 1 / rate
            yield time, lasts, picture


def upright(picture: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned as the container's display matrix asks (phones film sideways)."""
    pixels = picture.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(pixels, round(picture.rotation / 90) % 4))


def _sound_pieces(container, stream, origin: float, end: float | None, path) -> tuple[list, int]:
    """[(time, (n, channels) float32)] up to `end`, and their rate."""
    rate = stream.rate
    to_float = av.AudioResampler(format="fltp", layout=stream.layout, rate=rate)  # same rate: sample format only
    pieces, time = [], 0.0
    for frame in container.decode(stream):
        time = time if frame.time is None else frame.time - origin
        if end is not None and time >= end:
            break
        for part in to_float.resample(frame):
            pieces.append((time, part.to_ndarray().T))
            time += part.samples / rate
    return pieces, rate


def _join(pieces: list, rate: int, start: float, end: float | None) -> np.ndarray:
    """Pieces at their times, mono, from `start` to `end`. Shifts below 50 ms are rounding, not gaps."""
    parts, at = [], round(start * rate)
    for time, piece in pieces:
        mono, begins = piece.mean(axis=1), round(time * rate)
        if begins + len(mono) <= at and not parts:  # before `start`: seeking lands on an earlier packet
            continue
        if not parts or begins > at + 0.05 * rate:
            parts.append(np.zeros(max(begins - at, 0), np.float32))
            mono = mono[max(at - begins, 0) :]
            at = max(begins, at)
        parts.append(mono)
        at += len(mono)
    if not parts:
        return np.zeros(0, np.float32)
    wave = np.concatenate(parts)
    return wave if end is None else wave[: round((end - start) * rate)]


def _fit(wave: np.ndarray, length: int) -> np.ndarray:
    return np.pad(wave[:length], (0, max(length - len(wave), 0)))


def _write_wav(path: Path, wave: np.ndarray) -> None:
    soundfile.write(path, np.clip(wave, -1, 1), RATE, subtype="PCM_16")
