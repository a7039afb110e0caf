"""`soundprompt predict`: a user's video in, the same video out with what sounds in it painted."""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from soundprompt.files import publish, publish_folder
from soundprompt.prediction import timeline
from soundprompt.prediction.listener import Listener
from soundprompt.prediction.moments import REST, ROUNDING, Moment, expected, moments, timed
from soundprompt.prediction.overlay import Overlay
from soundprompt.prediction.page import Page
from soundprompt.prediction.request import COLUMNS, SOFTWARE, Request, mask_marks
from soundprompt.prediction.run_lengths import RunLengths
from soundprompt.prediction.runs import TrainedRun
from soundprompt.prediction.video_in import Shown, Source, Track, open_source
from soundprompt.prediction.video_out import Writer, writing
from soundprompt.progress import Progress


@dataclass(frozen=True)
class Answer:
    """What a model says about a moment. probability: (H, W) float32; mask: (H, W) bool, at the picture's size.

    inside, overall: mean probability in the mask (None when it is empty) and in the whole picture.
    """

    number: int
    begin: float
    probability: np.ndarray
    mask: np.ndarray
    inside: float | None
    overall: float


def predict(request: Request, run: TrainedRun) -> list[dict[str, str]]:
    """Writes the video, its folder of masks, its table and what else is asked for, each whole or not at all.

    Pictures, sound and masks pass through memory a few seconds at a time, however long the video is. Returns the rows
    of the table. Raises InputError for input that cannot be used, naming the remedy.
    """
    source = open_source(request.video, request.audio)
    return paint(request, source, Listener(run, request.device))


def paint(request: Request, source: Source, listener: Listener) -> list[dict[str, str]]:
    """The same with a video that is open and a model that is loaded."""
    with ExitStack() as outputs:
        places = {path: outputs.enter_context(publish(path)) for path in request.files}
        masks = outputs.enter_context(publish_folder(request.masks))
        scratch = Path(outputs.enter_context(tempfile.TemporaryDirectory(prefix="soundprompt-")))
        page = Page(scratch, source, request.start, request.end) if request.page else None
        with (
            writing(places[request.out], source.look, Track.of(source.sound), request.start, request.end) as writer,
            page.filming() if page else nullcontext() as film,
        ):
            painter = _Painter(request, source, [writer, *([film] if film else [])], masks, page)
            until = painter.paint(_answers(request, source, listener))
        rows = _rows(painter.answered, until, request.threshold)
        _write_table(places[request.table], rows)
        if request.coco:
            painter.run_lengths.write(places[request.run_lengths])
        if page is not None:
            model = f"{listener.run.view.model_name}, trained on {listener.run.view.setting_name}"
            page.write(places[request.page], until, request.threshold, request.video.name, model)
    return rows


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
            found = (probability.cpu().numpy(), mask.cpu().numpy())
            yield Answer(moment.number, moment.begin, *found, inside, float(probability.mean()))


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

    def __init__(self, request: Request, source: Source, writers: list[Writer], masks: Path, page: Page | None):
        self.request, self.source, self.writers, self.masks, self.page = request, source, writers, masks, page
        self.answered: list[list] = []  # number, begin, area, probability inside and overall
        total = expected(source.length, request.start, request.end, request.every)
        self.progress = Progress(f"predicting {request.video.name}", total)
        self.overlay: Overlay | None = None
        self.run_lengths = RunLengths(request.video, SOFTWARE)
        fits = request.timeline and source.look.size[0] >= timeline.LOWEST
        self.timeline = timeline.Timeline(source.look.size, total) if fits else None

    def paint(self, answers: Iterator[Answer]) -> float:
        """Writes pictures and masks; returns when the pictures end, seconds of the source."""
        start, until = self.request.start, 0.0
        coming = next(answers)
        for time, until, shown in timed(self.source.pictures(start), start, self.request.end):
            while coming is not None and (self.overlay is None or coming.begin <= time + ROUNDING):
                coming = self._take(coming, answers)
            self._write(time, shown)
            while coming is not None and coming.begin < until - REST:  # stays on screen into the next moment
                begin, coming = coming.begin, self._take(coming, answers)
                self._write(begin, shown)
        foreign = self.source.sound.path != self.source.path
        for writer in self.writers:
            writer.finish(until - start if foreign else None)
        self._compare(until)
        return until

    def _write(self, time: float, shown: Shown) -> None:
        pixels = shown.pixels()
        painted = self.overlay.paint(pixels)
        if self.timeline is not None:
            self.timeline.draw(painted, time)
        self.writers[0].write(time - self.request.start, painted)
        if self.page is not None:
            self.page.show(time - self.request.start, pixels)

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
        if self.timeline is not None:
            self.timeline.add(answer.number, area)
        if self.request.coco:
            self.run_lengths.add(answer.number, answer.begin, answer.mask, answer.inside)
        if self.page is not None:
            self.page.add(answer.begin, answer.probability)
        self.progress.advance(f"{100 * area:.1f} % of the picture sounds")
        return next(answers, None)


def _rows(answered: list[list], until: float, threshold: float) -> list[dict[str, str]]:
    """Columns as COLUMNS; a moment ends where the next begins, the last with the video."""
    ends = [row[1] for row in answered[1:]] + [until]
    found = []
    for (number, begin, area, inside, overall), end in zip(answered, ends, strict=True):
        shares = ["" if value is None else f"{value:.6f}" for value in (area, inside, overall)]
        values = [f"{number}", f"{begin:.3f}", f"{end:.3f}", *shares, f"{threshold:g}"]
        found.append(dict(zip(COLUMNS, values, strict=True)))
    return found


def _write_table(path: Path, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
