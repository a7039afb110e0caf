"""`soundprompt predict`: a user's video in, the same video out with what sounds in it painted."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from soundprompt.files import publish, publish_folder
from soundprompt.prediction.listener import Listener
from soundprompt.prediction.moments import REST, ROUNDING, Moment, expected, moments, timed
from soundprompt.prediction.overlay import Overlay
from soundprompt.prediction.request import COLUMNS, Request, mask_marks
from soundprompt.prediction.runs import TrainedRun
from soundprompt.prediction.video_in import Source, Track, open_source
from soundprompt.prediction.video_out import Writer, writing
from soundprompt.progress import Progress


@dataclass(frozen=True)
class Answer:
    """What a model says about a moment. mask: (H, W) bool at the picture's size.

    inside, overall: mean probability in the mask (None when it is empty) and in the whole picture.
    """

    number: int
    begin: float
    mask: np.ndarray
    inside: float | None
    overall: float


def predict(request: Request, run: TrainedRun) -> int:
    """Writes the video, its folder of masks and its table, each whole or not at all; returns how many moments.

    Pictures, sound and masks pass through memory a few seconds at a time, however long the video is.
    Raises InputError for input that cannot be used, naming the remedy.
    """
    source = open_source(request.video, request.audio)
    listener = Listener(run, request.device)
    with publish_folder(request.masks) as masks, publish(request.table) as table, publish(request.out) as out:
        span = (request.start, request.end)
        with writing(out, source.look, Track.of(source.sound), *span) as writer:
            painter = _Painter(request, source, writer, masks)
            until = painter.paint(_answers(request, source, listener))
        _write_table(table, painter.answered, until, request.threshold)
    return len(painter.answered)


# --------------------------------------------------------------------------------- asking
def _answers(request: Request, source: Source, listener: Listener) -> Iterator[Answer]:
    """Asks about each moment, a few at once."""
    asked = moments(source.pictures(request.start), request.start, request.end, request.every)
    for group in _groups(asked, listener.together):
        pictures = [moment.shown.pixels() for moment in group]
        audio = listener.embed([source.sound.window(moment.begin) for moment in group])
        for moment, probability in zip(group, listener.probabilities(pictures, audio), strict=True):
            mask = probability > request.threshold
            inside = float(probability[mask].mean()) if mask.any() else None
            overall = float(probability.mean())
            yield Answer(moment.number, moment.begin, mask.cpu().numpy(), inside, overall)


def _groups(items: Iterable[Moment], size: int) -> Iterator[list[Moment]]:
    group: list[Moment] = []
    for item in items:
        group.append(item)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


# -------------------------------------------------------------------------------- painting
class _Painter:
    """Walks through the video a second time, just behind the answers, and lays each on the pictures it is for."""

    def __init__(self, request: Request, source: Source, writer: Writer, masks: Path):
        self.request, self.source, self.writer, self.masks = request, source, writer, masks
        self.answered: list[list] = []  # number, begin, area, probability inside and overall
        total = expected(source.length, request.start, request.end, request.every)
        self.progress = Progress(f"predicting {request.video.name}", total)
        self.overlay: Overlay | None = None

    def paint(self, answers: Iterator[Answer]) -> float:
        """Writes pictures and masks; returns when the pictures end, seconds of the source."""
        start, until = self.request.start, 0.0
        coming = next(answers)
        for time, until, shown in timed(self.source.pictures(start), start, self.request.end):
            while coming is not None and (self.overlay is None or coming.begin <= time + ROUNDING):
                coming = self._take(coming, answers)
            self.writer.write(time - start, self.overlay.paint(shown.pixels()))
            while coming is not None and coming.begin < until - REST:  # stays on screen into the next moment
                begin, coming = coming.begin, self._take(coming, answers)
                self.writer.write(begin - start, self.overlay.paint(shown.pixels()))
        foreign = self.source.sound.path != self.source.path
        self.writer.finish(until - start if foreign else None)
        self._compare(until)
        return until

    def _compare(self, until: float) -> None:
        """Ends the progress where the pictures did; says so when that is well before what the header promised."""
        if self.progress.done < self.progress.total:
            self.progress.total = self.progress.done
            self.progress.advance(steps=0)
        promised = min(self.source.length, self.request.end or self.source.length)
        if until < promised - 1:
            name = self.request.video
            print(f"{name}: its pictures end at {until:.2f} s, not at {promised:.2f} s: is it whole?", file=sys.stderr)

    def _take(self, answer: Answer, answers: Iterator[Answer]) -> Answer | None:
        """Makes an answer the one to paint, keeps its mask and row; returns the next."""
        self.overlay = Overlay(answer.mask)
        mask = Image.fromarray(np.where(answer.mask, 255, 0).astype(np.uint8))
        mask.save(self.masks / f"{answer.number:05d}.png", pnginfo=mask_marks())
        area = float(answer.mask.mean())
        self.answered.append([answer.number, answer.begin, area, answer.inside, answer.overall])
        self.progress.advance(f"{100 * area:.1f} % of the picture sounds")
        return next(answers, None)


def _write_table(path: Path, answered: list[list], until: float, threshold: float) -> None:
    """Columns as COLUMNS; a moment ends where the next begins, the last with the video."""
    ends = [row[1] for row in answered[1:]] + [until]
    with open(path, "w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(COLUMNS)
        for (number, begin, area, inside, overall), end in zip(answered, ends, strict=True):
            shares = ["" if value is None else f"{value:.6f}" for value in (area, inside, overall)]
            rows.writerow([number, f"{begin:.3f}", f"{end:.3f}", *shares, f"{threshold:g}"])
