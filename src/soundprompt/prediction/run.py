"""`soundprompt predict`: a user's video in, the same video out with what sounds in it painted."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from soundprompt import devices, finite, models
from soundprompt.data import video
from soundprompt.errors import InputError
from soundprompt.features import extract
from soundprompt.features.frames import Batch
from soundprompt.files import digest_value, publish, publish_folder, read_json
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import encoders
from soundprompt.foundation.audio import EXAMPLE_SAMPLES
from soundprompt.prediction.moments import REST, ROUNDING, Moment, expected, moments, timed
from soundprompt.prediction.overlay import Overlay
from soundprompt.prediction.request import Request
from soundprompt.prediction.runs import TrainedRun
from soundprompt.prediction.video_in import Source, Track, open_source
from soundprompt.prediction.video_out import Writer, writing
from soundprompt.progress import Progress
from soundprompt.training import checkpoint

COLUMNS = ("second", "start_s", "end_s", "area", "probability_inside", "probability", "threshold")
TOGETHER = 8  # moments asked at once, at most
WINDOW = 5  # moments that a model looks across, if it does: the seconds of most clips it was trained on
EXAMPLE = EXAMPLE_SAMPLES / audio_models.RATE  # sound of a moment, seconds: one example of VGGish


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
class Listener:
    """A trained model with the frozen encoders it was trained on.

    Raises InputError when these are missing, damaged, or not the ones it was trained on.
    """

    def __init__(self, run: TrainedRun, device: str = "cpu"):
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("--device: no CUDA GPU can be used here", remedy="leave --device out to use the CPU")
        devices.keep_float32()
        self.run, self.device = run, torch.device(device)
        self.encoder = encoders.load(run.view.model, run.layout).to(self.device)
        self.audio = audio_models.load(run.layout.foundation("audio")).to(self.device)
        self.model = models.build(run.view.model, self.encoder, run.seed).to(self.device).eval()
        facts = checkpoint.load_into(self.model, run.checkpoint, run.expected)
        self._check_encoders(facts.get(run.view.model.reads))
        most = WINDOW if self.model.temporal else TOGETHER
        self.together = max(1, min(most, 2**14 // self.encoder.grid**2))  # 4 pictures at 1024 pixels

    def _check_encoders(self, visual: str | None) -> None:
        """visual: digest of the image encoder that the checkpoint belongs to. A run without provenance says nothing
        of its sound."""
        origin = self.run.folder / "provenance.json"
        inputs = read_json(origin)["inputs"] if origin.exists() else {}
        recipe = {"encoder": self.audio.digest, "transform": extract.TRANSFORMS["audio"], "dtype": "float32"}
        for name, trained_on, here in (
            (self.run.view.model.reads, visual, self.encoder.digest),
            ("audio", inputs.get("audio features"), digest_value(recipe)),
        ):
            if trained_on not in (None, here):
                path, remedy = self.run.layout.foundation(name), "train the model again, or bring back the weights"
                raise InputError(f"not the weights that {self.run.folder} was trained on", path=path, remedy=remedy)

    @torch.inference_mode()
    def logits(self, pictures: list[np.ndarray], sounds: list[np.ndarray]) -> torch.Tensor:
        """pictures: (H, W, 3) uint8 RGB; sounds: (15600,) float32 at 16 kHz. Returns (B, 1, 4h, 4w) on the encoder's
        square. A model that looks across time takes them for one clip."""
        sizes = [picture.shape[:2] for picture in pictures]
        tap, cells = self.model.tap, self.encoder.cells
        pixels = self.encoder.preprocess(pictures, bgr=self.run.view.data.bgr)
        batch = Batch(
            visual=pixels if tap == "pixels" else self.encoder.prefix(pixels, [tap])[tap].float(),
            audio=self.audio.embed(torch.cat([self.audio.examples(sound) for sound in sounds])).to(self.device),
            valid=self.encoder.valid_cells(sizes).to(self.device),
            sizes=sizes,
            masks=None,
            targets=None,
            target_valid=torch.zeros((len(sizes), 1, cells, cells), dtype=torch.bool),  # for training only
            clips=[],
            videos=[],
            classes=[],
            group=torch.zeros(len(sizes), dtype=torch.int64, device=self.device),
        )
        logits = self.model(batch).logits.float()
        finite.check(logits, "its logits are", path=self.run.folder, remedy="train it again")
        return logits

    @torch.inference_mode()
    def probabilities(self, logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """One picture's logits (1, 4h, 4w) to probabilities (H, W), at its own size."""
        return torch.sigmoid(self.encoder.restore(logits[None], [size])[0])


def _answers(request: Request, source: Source, listener: Listener) -> Iterator[Answer]:
    """Asks about each moment, a few at once."""
    asked = moments(source.pictures(request.start), request.start, request.end, request.every)
    for group in _groups(asked, listener.together):
        pictures = [moment.shown.pixels() for moment in group]
        logits = listener.logits(pictures, [_sound(source.sound, moment.begin) for moment in group])
        for moment, picture, one in zip(group, pictures, logits, strict=True):
            probability = listener.probabilities(one, picture.shape[:2])
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


def _sound(path: Path, begin: float) -> np.ndarray:
    """(15600,) float32 from `begin` on; silence where the sound has ended. Cut for each moment by itself:
    VGGish's examples of a whole clip are 0.96 s apart and would run ahead of the pictures."""
    wave = video.heard(path, begin, begin + EXAMPLE)[:EXAMPLE_SAMPLES]
    return np.pad(wave, (0, EXAMPLE_SAMPLES - len(wave)))


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
        foreign = self.source.sound != self.source.path
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
        Image.fromarray(np.where(answer.mask, 255, 0).astype(np.uint8)).save(self.masks / f"{answer.number:05d}.png")
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
