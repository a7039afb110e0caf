"""What is looked at and heard: a video in any container, or pictures that stand for a second each."""

from __future__ import annotations

import os
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
from soundprompt.data.soundtrack import Track
from soundprompt.data.tracks import length_of, on_its_side, opened, remark, upright
from soundprompt.errors import InputError
from soundprompt.prediction import given

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
PICTURE_RATE = 10  # pictures per second that a still one is repeated at: players dislike one per second


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
    """A video file or pictures. length: seconds, as far as known beforehand; sound: may be another file's."""

    path: Path
    sound: Sound
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
        with opened(audio) as file:
            if not file.has_sound:
                raise InputError("--audio: has no sound", path=audio, remedy="give a sound file, such as a wav")
    return Pictures(path, audio) if still else VideoFile(path, audio)


class VideoFile:
    """A video as the file holds it, turned upright."""

    def __init__(self, path: Path, audio: Path | None = None):
        self.path = path
        film = video.probe(path)
        if audio is None and not film.has_sound:
            raise InputError("has no sound", path=path, remedy="give a sound file with --audio file.wav")
        self.look = self._look()
        self.sound = Sound(audio or path)
        self.length = length_of(path) if film.duration is None else film.duration
        self._stay = {"stay": True} if audio is None else {"still_until": length_of(audio)}

    def pictures(self, start: float = 0.0) -> Iterator[Shown]:
        for time, lasts, picture in video.pictures(self.path, start, **self._stay):
            yield Shown(time, lasts, partial(self._pixels, picture))

    def _look(self) -> Look:
        _, _, first = next(video.pictures(self.path), (0, 0, None))
        if first is None:
            raise InputError("holds not one whole picture", path=self.path, remedy="restore it from its source")
        with opened(self.path) as file:
            stream = file.picture
            rate = Fraction(stream.average_rate or stream.guessed_rate or 25).limit_denominator(1001)
            pixel_shape = Fraction(stream.sample_aspect_ratio or 1)
            context = stream.codec_context
            colours = (first.colorspace, context.color_trc, context.color_primaries)
        if on_its_side(first):
            pixel_shape = 1 / pixel_shape
        return Look(upright(first).shape[:2], rate, pixel_shape, tuple(map(int, colours)))

    def _pixels(self, picture: av.VideoFrame) -> np.ndarray:
        pixels = upright(picture)
        if pixels.shape[:2] == self.look.size:
            return pixels
        # streams recorded from calls change their size midway; a file has one
        return np.asarray(Image.fromarray(pixels).resize(self.look.size[::-1], Image.Resampling.BILINEAR))


class Pictures:
    """Pictures for a second each, in the order of the numbers in their names; the last stays until the sound ends."""

    def __init__(self, path: Path, audio: Path):
        self.path, self.sound = path, Sound(audio)
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
        self.length = max(len(self.files), length_of(audio))
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
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", path.name)]


# ----------------------------------------------------------------------------------- sound
class Sound(os.PathLike):
    """The sound that goes with the pictures; it stands for its file wherever a path is asked for.

    Raises InputError when the file holds no sound that can be decoded.
    """

    def __init__(self, path: Path):
        self.path, self.track = path, Track.native(path)
        if next(self.track.blocks(), None) is None:
            remark(path, "silence", "its sound has no samples: silence is heard")
        self._coming: Iterator[np.ndarray] | None = None
        self._begin, self._first, self._samples = 0.0, 0, np.zeros(0, np.float32)

    def __fspath__(self) -> str:
        return str(self.path)

    def window(self, begin: float) -> np.ndarray:
        """What is heard from `begin` (seconds) on; see `given.window`.

        In the order of time the sound is decoded once, however long it is.
        """
        first = round((begin - self._begin) * self.track.rate)
        if self._coming is None or first < self._first:
            self._begin, self._first, first = begin, 0, 0
            self._coming, self._samples = self.track.blocks(begin), np.zeros(0, np.float32)
        count = self.track.rate  # a second; less is heard
        while self._first + len(self._samples) < first + count:
            block = next(self._coming, None)
            if block is None:
                break
            kept = self._samples[max(first - self._first, 0) :]
            self._first += len(self._samples) - len(kept)
            self._samples = np.concatenate([kept, block[0]])
        return given.window(self._samples[max(first - self._first, 0) :], self.track.rate)
