"""When a model is asked, and which picture stands for each time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from soundprompt.data.video import FRAME_TIME
from soundprompt.errors import InputError
from soundprompt.prediction.video_in import Shown

ROUNDING = 1e-3  # containers round time stamps, Matroska to milliseconds
REST = 0.1  # what is left of a video beyond its last prediction and shorter than this belongs to that, seconds


@dataclass(frozen=True)
class Moment:
    """One question: a picture and the sound from `begin` on. number: from 0; begin: seconds of the source."""

    number: int
    begin: float
    shown: Shown


def moments(pictures: Iterable[Shown], start: float, end: float | None, every: float) -> Iterator[Moment]:
    """A moment each `every` seconds from `start`, with the picture on screen 15/16 through its first second.

    As the data sets take their frames; moments closer than a second take it 15/16 of the way to the next. The last
    one, when the video ends before that, takes the last picture. Holds one picture at a time.
    Raises InputError when the video ends before `start`.
    """
    number, until, shown = 0, 0.0, None
    for picture in before(pictures, end):
        wanted = start + number * every + FRAME_TIME * min(every, 1)
        while shown is not None and picture.time > wanted + ROUNDING:
            yield Moment(number, start + number * every, shown)
            number += 1
            wanted += every
        shown, until = picture, picture.time + picture.lasts
    until = until if end is None else min(until, end)
    if shown is None or until <= start:
        what = f"--start: the video ends at {until:.2f} s, before {start:g} s"
        raise InputError(what, remedy="give an earlier --start")
    while number == 0 or start + number * every < until - REST:
        yield Moment(number, start + number * every, shown)
        number += 1


def expected(length: float, start: float, end: float | None, every: float) -> int:
    """How many moments there will be, if the video is as long as its header says."""
    until = length if end is None else min(length, end)
    number = 1
    while start + number * every < until - REST:
        number += 1
    return number


def before(pictures: Iterable[Shown], end: float | None) -> Iterator[Shown]:
    """The pictures that begin before `end`."""
    for picture in pictures:
        if end is not None and picture.time >= end - ROUNDING:
            return
        yield picture


def timed(pictures: Iterable[Shown], start: float, end: float | None) -> Iterator[tuple[float, float, Shown]]:
    """(from, until, picture) for each picture on screen between `start` and `end`, seconds of the source."""
    waiting = None
    for picture in before(pictures, end):
        if waiting is not None and picture.time > start + ROUNDING:
            yield max(waiting.time, start), picture.time, waiting
        waiting = picture
    if waiting is not None:
        until = waiting.time + waiting.lasts
        yield max(waiting.time, start), until if end is None else min(until, end), waiting
