"""What is looked at and heard: a video in any container, or pictures that stand for a second each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

import av
import numpy as np
from PIL import Image

from soundprompt.data import media, video
from soundprompt.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
PICTURE_RATE = 10  # pictures per second that a still one is repeated at: players dislike one per second
AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
GAP = 0.05  # time stamps of sound that differ by less are rounding, seconds


@dataclass(frozen=True)
class Shown:
    """A picture on screen. time, lasts: seconds, from the source's start; pixels: gives (H, W, 3) uint8 RGB, upright.

    The pixels are converted when asked for: most pictures are only passed by on the way to a wanted one.
    """

    time: float
    lasts: float
    pixels: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Look:
    """What the output should keep of its source: upright (H, W), pictures a second, pixel shape, colour tags.

    colours: matrix, transfer and primaries as ITU-T H.273 numbers them; 2 is "not said".
    """

    size: tuple[int, int]
    rate: Fraction
    pixel_shape: Fraction = Fraction(1)
    colours: tuple[int, int, int] = (1, 1, 1)


class Source(Protocol):
    """A video file or pictures. length: seconds, as far as known beforehand; sound: the file that holds it."""

    path: Path
    sound: Path
    look: Look
    length: float

    def pictures(self, start: float = 0.0) -> Iterator[Shown]:
        """In the order of showing, from the one on screen at `start` (or somewhat before) to the end."""


def open_source(path: Path, audio: Path | None) -> Source:
    """Raises InputError when the file is no video, or there is no sound to it."""
    still = path.is_dir() or path.suffix.lower() in PICTURES
    if still and audio is None:
        raise InputError("pictures have no sound", path=path, remedy="give their sound with --audio file.wav")
    if audio is not None:
        check_sound(audio)
    return Pictures(path, audio) if still else VideoFile(path, audio)


class VideoFile:
    """A video as the file holds it, turned upright."""

    def __init__(self, path: Path, audio: Path | None = None):
        self.path, self.sound = path, audio or path
        film = video.probe(path)
        if audio is None and not film.has_sound:
            raise InputError("has no sound", path=path, remedy="give a sound file with --audio file.wav")
        self.look = self._look()
        self.length = film.duration if film.duration is not None else _scanned_length(path)

    def pictures(self, start: float = 0.0) -> Iterator[Shown]:
        for time, lasts, picture in video.pictures(self.path, start):
            yield Shown(time, lasts, partial(self._pixels, picture))

    def _look(self) -> Look:
        first = next(video.pictures(self.path, 0.0), None)
        if first is None:
            raise InputError("holds not one whole picture", path=self.path, remedy="restore it from its source")
        with video.opened(self.path) as container:
            stream = container.streams.video[0]
            rate = Fraction(stream.average_rate or stream.guessed_rate or 25).limit_denominator(1001)
            pixel_shape = Fraction(stream.sample_aspect_ratio or 1)
            context = stream.codec_context
            colours = (first[2].colorspace, context.color_trc, context.color_primaries)
        upright = video.upright(first[2]).shape[:2]
        turned = round(first[2].rotation / 90) % 2 == 1
        return Look(upright, rate, 1 / pixel_shape if turned else pixel_shape, tuple(map(int, colours)))

    def _pixels(self, picture: av.VideoFrame) -> np.ndarray:
        pixels = video.upright(picture)
        if pixels.shape[:2] == self.look.size:
            return pixels
        # streams recorded from calls change their size midway; a file has one
        return np.asarray(Image.fromarray(pixels).resize(self.look.size[::-1], Image.Resampling.BILINEAR))


class Pictures:
    """Pictures for a second each, in the order of the numbers in their names; the last stays until the sound ends."""

    def __init__(self, path: Path, audio: Path):
        self.path, self.sound = path, audio
        self.files = sorted((f for f in path.iterdir() if _is_picture(f)), key=_order) if path.is_dir() else [path]
        if not self.files:
            what = f"holds no picture ({', '.join(PICTURES)})"
            raise InputError(what, path=path, remedy="choose the folder with the pictures themselves")
        sizes = {file: (facts.height, facts.width) for file in self.files for facts in [media.inspect_picture(file)]}
        self.look = Look(sizes[self.files[0]], Fraction(PICTURE_RATE))
        for file, size in sizes.items():
            if size != self.look.size:
                (height, width), first = size, self.look.size
                what = f"is {width}x{height} pixels, the first picture {first[1]}x{first[0]}"
                raise InputError(what, path=file, remedy="a video has one size: bring the pictures to it")
        self.length = max(len(self.files), sound_length(audio))
        self._read = lru_cache(maxsize=2)(media.read_image)

    def pictures(self, start: float = 0.0) -> Iterator[Shown]:
        tick = int(start * PICTURE_RATE)
        while tick / PICTURE_RATE < self.length:
            time = tick / PICTURE_RATE
            file = self.files[min(int(time), len(self.files) - 1)]
            yield Shown(time, min(1 / PICTURE_RATE, self.length - time), partial(self._read, file))
            tick += 1


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in PICTURES and not path.name.startswith(".")


def _order(path: Path) -> list[tuple[int, str]]:
    """2.jpg before 10.jpg."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path.name)]


# ----------------------------------------------------------------------------------- sound
def check_sound(path: Path) -> None:
    """Raises InputError when the file holds no sound."""
    with video.opened(path) as container:
        if not container.streams.audio:
            raise InputError("--audio: has no sound", path=path, remedy="give a sound file, such as a wav")


def sound_length(path: Path) -> float:
    """Seconds, by the container or else by its packets."""
    with video.opened(path) as container:
        duration = container.duration
    return _scanned_length(path) if duration is None else duration / av.time_base


def _scanned_length(path: Path) -> float:
    """End of the last packet, for containers without a duration, such as what browsers record; reads the file once."""
    last = 0.0
    with video.opened(path) as container:
        origin = video.origin_of(container)
        for packet in container.demux():
            if packet.pts is not None:
                last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base) - origin)
    return last


@dataclass(frozen=True)
class Track:
    """Sound to be written. rate: samples a second, one that AAC knows; layout: mono or stereo."""

    path: Path
    rate: int
    layout: str

    @classmethod
    def of(cls, path: Path) -> Track:
        """More than two channels become stereo, rates unknown to AAC 48 kHz."""
        with video.opened(path) as container:
            stream = container.streams.audio[0]
            rate = stream.rate if stream.rate in AAC_RATES else 48000
            return cls(path, rate, "mono" if stream.channels == 1 else "stereo")

    def blocks(self, start: float = 0.0, end: float | None = None) -> Iterator[np.ndarray]:
        """(channels, n) float32 without a break from `start` on; silence where the track begins late or has gaps."""
        written, limit = 0, None if end is None else round((end - start) * self.rate)
        for time, block in self._decoded(start):
            gap = round((time - start) * self.rate) - written
            if gap > GAP * self.rate or (gap > 0 and not written):
                for length in self._pieces(gap if limit is None else min(gap, limit - written)):
                    yield np.zeros((len(block), length), np.float32)
                    written += length
            elif gap < 0 and not written:  # seeking lands before `start`
                block = block[:, -gap:]
            block = block if limit is None else block[:, : limit - written]
            if block.shape[1]:
                yield block
                written += block.shape[1]
            if limit is not None and written >= limit:
                return

    def _pieces(self, length: int) -> Iterator[int]:
        """A second each: a gap may be longer than memory."""
        for begin in range(0, length, self.rate):
            yield min(self.rate, length - begin)

    def _decoded(self, start: float) -> Iterator[tuple[float, np.ndarray]]:
        with video.opened(self.path) as container:
            stream, origin = container.streams.audio[0], video.origin_of(container)
            if start > 0:
                container.seek(int((start + origin) * av.time_base), backward=True)
            convert = av.AudioResampler(format="fltp", layout=self.layout, rate=self.rate)
            time = start
            for frame in container.decode(stream):
                time = time if frame.time is None else frame.time - origin
                for part in convert.resample(frame):
                    yield time, part.to_ndarray()
                    time += part.samples / self.rate
            for part in convert.resample(None):
                yield time, part.to_ndarray()
