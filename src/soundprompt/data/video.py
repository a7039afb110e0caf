"""A video in any container -> frames and sound at AVSBench's times, and clips in its folder layout.

Second s of a clip shows the picture at s + 15/16 s (the last of 16 samples of that second). Times
count from the container's own start, so that pictures and sound stay together when one of them
begins later. VGGish examples are 0.96 s long, so example i drifts from second i; clips of up to
about 10 s, as in AVSBench, keep the drift below half a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

from soundprompt.data.media import RATE, to_mono_16k
from soundprompt.data.soundtrack import Track
from soundprompt.data.tracks import CONVERT, opened, remark, upright
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
    with opened(path) as media:
        return Film(media.duration, media.has_sound, media.picture.width, media.picture.height)


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
    track = Track.native(path)
    blocks = [block[0] for block in track.blocks(start, end)]
    return to_mono_16k(np.concatenate(blocks), track.rate) if blocks else np.zeros(0, np.float32)


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
def pictures(
    path: Path | str, start: float = 0.0, *, stay: bool = False, still_until: float = 0.0
) -> Iterator[tuple[float, float, av.VideoFrame]]:
    """(time, seconds on screen, picture) in the order of showing; begins at a key frame at or before `start`.

    A picture that stays comes again. The only picture of a file stays until the file ends, and to `still_until`
    (seconds); with `stay` the last of several stays too, as players show it.
    """
    for run_up in (0.0, 10.0, math.inf):  # not every packet that says so is a key frame; then an earlier one is taken
        coming = _pictures(path, start - run_up, stay, still_until)
        first = next(coming, None)
        if start <= 0 or (first is not None and first[0] <= start + _ROUNDING):
            break
    if first is not None:
        yield first
        yield from coming


def _pictures(path: Path | str, start: float, stay: bool, still_until: float) -> Iterator:
    with opened(path) as media:
        track = media.picture
        track.thread_type = "AUTO"
        step = 1 / float(track.average_rate or track.guessed_rate or 25)
        shown, time, lasts, count, stuck = None, -step, 0.0, 0, 0
        for stamp, picture in _with_repeats(media.decoded(track, start)):
            if shown is not None:
                yield time, lasts, shown
            # without time stamps: the next of a steady rate; where they step back the order of showing counts
            stuck += stamp is not None and shown is not None and stamp <= time
            time = time + step if stamp is None else stamp if shown is None else max(stamp, time)
            lasts = picture.duration * float(picture.time_base) if picture.duration else step
            count += picture is not shown
            shown = picture
        if shown is None:
            return
        if stuck > count / 2:
            what = f"{stuck} of its {count} pictures have time stamps that do not go forward"
            raise InputError(what, path=path, remedy=CONVERT)
        only = count == 1 and not media.passed
        end = max(media.end, still_until) if only else media.end if stay else 0.0
        if not only and end > time + lasts + 1:
            what = f"its pictures end at {time + lasts:.2f} s, its sound at {end:.2f} s: the last picture stays"
            remark(path, "stays", what)
        yield time, end - time if end > time + lasts + _TOLERANCE else lasts, shown


def _with_repeats(coming: Iterator) -> Iterator[tuple[float | None, av.VideoFrame]]:
    """(time, picture) as decoded; where a packet said that the picture before stays, that comes again."""
    shown, repeats = None, []
    for time, picture in coming:
        if picture is None:
            repeats.append(time)
            continue
        due = [again for again in repeats if time is None or again < time]
        repeats = repeats[len(due) :]
        yield from ((again, shown) for again in due if shown is not None)
        shown = picture
        yield time, picture
    yield from ((again, shown) for again in repeats if shown is not None)


def _fit(wave: np.ndarray, length: int) -> np.ndarray:
    return np.pad(wave[:length], (0, max(length - len(wave), 0)))


def _write_wav(path: Path, wave: np.ndarray) -> None:
    soundfile.write(path, np.clip(wave, -1, 1), RATE, subtype="PCM_16")
