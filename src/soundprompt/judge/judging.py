"""Judging methods: a pass over each one's masks, then every convention that applies, and the differences between
them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from soundprompt.data import avsbench
from soundprompt.errors import InputError
from soundprompt.judge import binary, boxes, conventions, measured, negatives, reading, semantic
from soundprompt.judge.conventions import Convention
from soundprompt.judge.sums import interval
from soundprompt.judge.truth import Frame, Truth
from soundprompt.progress import Progress

SHOWN = 10  # frames and files named in a message
KINDS = negatives.KINDS


@dataclass(frozen=True)
class Method:
    """A folder of masks, and folders of the same frames under sounds that nothing in them makes, by kind."""

    folder: Path
    negatives: dict[str, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """values: what numbers mean (`reading.MEANINGS` or auto); empty: a missing or unreadable frame counts as an empty
    mask; first: number of the first frame in the files; confidences: csv of pairs' confidences; constants: Max,
    Max10, MaxQ3; protocol: by name."""

    values: str = "auto"
    empty: bool = False
    first: int | None = None
    confidences: dict[str, float] | None = None
    constants: tuple[float, float, float] = negatives.CONSTANTS["ezvsl"]
    protocol: str | None = None


@dataclass(frozen=True)
class Row:
    """One figure of one method. part: all, or the clips it is of; low, high: 95 % interval over source videos."""

    method: str
    part: str
    convention: Convention
    value: float
    low: float
    high: float
    caution: str

    @property
    def printed(self) -> float:
        digits = self.convention.digits
        return self.value if digits is None else round(self.value, digits)


@dataclass(frozen=True)
class Difference:
    """First minus second method by one convention, with its paired 95 % interval over source videos."""

    first: str
    second: str
    convention: Convention
    value: float
    low: float
    high: float


@dataclass
class Judgement:
    """All figures, what is to be known about the input, and the frames that were missing, surplus or unreadable."""

    dataset: str
    protocol: str | None
    methods: list[str]
    clips: int
    frames: int
    videos: int
    rows: list[Row] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    frame_lists: dict[str, dict[str, list[str]]] = field(default_factory=dict)


def judge(methods: Sequence[Method], truth: Truth, options: Options) -> Judgement:
    """Every convention on every method. Raises InputError for masks that cannot be judged, naming them."""
    names = _names([method.folder for method in methods])
    videos = len({clip.video for clip in truth.clips})
    result = Judgement(truth.dataset, options.protocol, names, len(truth.clips), len(truth.frames), videos)
    if truth.lacking:
        examples = ", ".join(truth.lacking[:SHOWN])
        result.notes.append(f"the dataset's folder lacks {len(truth.lacking)} clips of the test, such as {examples}")
    figures: list[dict[str, np.ndarray]] = []
    for name, method in zip(names, methods, strict=True):
        judged = _Pass(name, method, truth, options, result)
        judged.run()
        figures.append(judged.drawn)
    values = {(row.method, row.convention.name): row for row in result.rows if row.part == "all"}
    for (i, first), (j, second) in combinations(enumerate(names), 2):
        for name in figures[i]:
            if name in figures[j]:
                one, two = values[first, name], values[second, name]
                ends = interval(figures[i][name] - figures[j][name])
                result.differences.append(Difference(first, second, one.convention, one.value - two.value, *ends))
    return result


def _names(folders: Sequence[Path]) -> list[str]:
    """Of the methods: their folders' names, or paths where these are not different."""
    short = [folder.resolve().name for folder in folders]
    return short if len(set(short)) == len(short) else [str(folder) for folder in folders]


class _Pass:
    """One method: finds its files, measures each frame, and adds its rows to the judgement."""

    def __init__(self, name: str, method: Method, truth: Truth, options: Options, result: Judgement):
        self.name, self.method, self.truth, self.options, self.result = name, method, truth, options, result
        self.keys = [truth.key(frame) for frame in truth.frames]
        self.drawn: dict[str, np.ndarray] = {}

    def run(self) -> None:
        if self.truth.kind == "masks":
            self._masks()
        else:
            self._boxes()

    # ---- files
    def _open(self, folder: Path, label: str) -> tuple[reading.Folder, reading.Reader]:
        """The files of a folder and their reader; notes what is missing, surplus and assumed."""
        found = reading.look(folder, self.keys, self.options.first)
        if found.missing and not self.options.empty:
            raise InputError(
                f"no mask for {len(found.missing)} of {len(self.keys)} frames: {_shown(found.missing)}",
                path=folder,
                remedy=self._remedy(found),
            )
        form = reading.form_of(list(found.files.values()), self.options.values, maps=self.truth.kind == "boxes")
        lists = {"missing": [_name(key) for key in found.missing], "surplus": [str(file) for file in found.surplus]}
        self.result.frame_lists[label] = lists
        if form.note:
            self.result.notes.append(f"{label}: {form.note}")
        if found.missing:
            self.result.notes.append(f"{label}: {len(found.missing)} frames are missing and count as empty masks")
        if found.surplus:
            files = ", ".join(str(file.relative_to(folder)) for file in found.surplus[:SHOWN])
            self.result.notes.append(
                f"{label}: {len(found.surplus)} files belong to no frame of the test, such as {files}"
            )
        return found, reading.Reader(form)

    def _remedy(self, found: reading.Folder) -> str:
        numbers = [int(number) for _, number in self.keys if number.isdigit()]
        remedy = "add them, or give --missing empty to count them as empty masks"
        for first in (0, 1):
            if numbers and first != min(numbers):
                other = reading.look(found.path, self.keys, first)
                if len(other.missing) < len(found.missing):
                    return f"give --first {first} if your frames are numbered from {first}; else {remedy}"
        return remedy

    def _each(
        self, folder: Path, label: str, add: Callable[[Frame, reading.Reader, Path | None], None]
    ) -> reading.Reader:
        """Calls `add` for each frame with its file, None where it counts as empty. Lists what cannot be read."""
        found, reader = self._open(folder, label)
        progress = Progress(f"judging {label}", len(self.keys))
        broken: list[reading.Unreadable] = []
        for frame, key in zip(self.truth.frames, self.keys, strict=True):
            try:
                add(frame, reader, found.files.get(key))
            except reading.Unreadable as error:
                broken.append(error)
                add(frame, reader, None)
            progress.advance()
        self._say_of(broken, folder, label)
        for (given, wanted), count in reader.resized.items():
            sizes = f"{given[1]}x{given[0]} to {wanted[1]}x{wanted[0]}"
            self.result.notes.append(
                f"{label}: {count} masks resized from {sizes}; the programs of these figures resize none"
            )
        return reader

    def _say_of(self, broken: list[reading.Unreadable], folder: Path, label: str) -> None:
        self.result.frame_lists[label]["unreadable"] = [f"{one.path}: {one.what}" for one in broken]
        if not broken:
            return
        files = "\n".join(f"  {one.path}: {one.what}" for one in broken[:SHOWN])
        if not self.options.empty:
            remedy = "write them again, or give --missing empty to count them as empty masks"
            raise InputError(f"{len(broken)} masks cannot be read:\n{files}", path=folder, remedy=remedy)
        self.result.notes.append(f"{label}: {len(broken)} masks cannot be read and count as empty")

    # ---- masks
    def _masks(self) -> None:
        masks, labels, between = measured.MaskTally(), measured.LabelTally(), []

        def add(frame: Frame, reader: reading.Reader, file: Path | None) -> None:
            if frame.annotated:
                true = self.truth.read(frame.source)
                masks.add(frame.clip, _answer(reader, file, true.shape), true)
                between.append(bool(((true > 0) & (true < 1)).any()))
            if self.truth.labels and reader.form.has_labels:
                _add_labels(labels, frame, reader, file, self.truth.labels(frame.source))

        self._each(self.method.folder, self.name, add)
        if any(between):
            what = f"{sum(between)} frames of the truth hold values between 0 and 1"
            self.result.notes.append(f"{self.name}: {what}, as AVSBench's loader reads these files")
        if self.options.protocol == "open-vocabulary" and not labels.clip_of:
            what = "--protocol: open-vocabulary is about classes, and these masks have none"
            raise InputError(what, path=self.method.folder, remedy="give label maps, or leave --protocol out")
        m = masks.measured(self.truth.clips)
        self._rows(conventions.MASKS, m)
        if labels.clip_of:
            self._rows(conventions.LABELS, labels.measured(self.truth.clips))
        self._parts([c for c in conventions.MASKS if c.name in conventions.BROKEN_DOWN], m)
        for kind, folder in self.method.negatives.items():
            self._negative_masks(kind, folder)

    def _negative_masks(self, kind: str, folder: Path) -> None:
        tally = measured.MaskTally()

        def add(frame: Frame, reader: reading.Reader, file: Path | None) -> None:
            if frame.annotated:
                true = self.truth.read(frame.source)
                tally.add(frame.clip, _answer(reader, file, true.shape), true)

        self._each(folder, f"{self.name}, {kind}", add)
        self._rows(_under(kind, conventions.NEGATIVE_MASKS), tally.measured(self.truth.clips))

    # ---- boxes
    def _boxes(self) -> None:
        tally, pictures = measured.BoxTally(), []
        others = {kind: self._open(folder, f"{self.name}, {kind}") for kind, folder in self.method.negatives.items()}

        def add(frame: Frame, reader: reading.Reader, file: Path | None) -> None:
            true = self.truth.read(frame.source)
            heat = _heat(reader, file)
            tally.add(heat, true, self._confidence(frame))
            if others:
                key = self.truth.key(frame)
                maps = {kind: _heat(other, found.files.get(key)) for kind, (found, other) in others.items()}
                pictures.append(negatives.measure(heat, maps, true, self.options.constants))

        self._each(self.method.folder, self.name, add)
        m = tally.measured(self.truth.clips)
        pairs = len(self.truth.silent)
        sounding = np.arange(len(m.clips)) < len(m.clips) - pairs
        self._rows(conventions.BOXES, m.only(sounding) if pairs else m)
        if pairs:
            self._rows(conventions.PAIRS, m)
        if others:
            of = measured.NegativeBoxes(self.truth.clips, pictures)
            self._rows(conventions.negative_boxes(tuple(others)), of)
        self._parts([c for c in conventions.BOXES if c.name in ("ciou_vggss", "auc_vggss")], m.only(sounding))

    def _confidence(self, frame: Frame) -> float | None:
        if self.options.confidences is None:
            return None
        clip, number = self.truth.key(frame)
        for name in (f"{clip}/{number}", clip):
            if name in self.options.confidences:
                return self.options.confidences[name]
        raise InputError(f"--confidences: none for {clip}/{number}", remedy="give one for each map, or leave it out")

    # ---- rows
    def _rows(self, of: Sequence[Convention], m: Any, part: str = "all") -> None:
        for convention in of:
            figure = convention.of(m)
            value, ends = figure.value(), (np.nan, np.nan)
            if m.videos > 1:
                drawn = figure.drawn()
                ends = interval(drawn)
                if part == "all":
                    self.drawn[convention.name] = drawn
            self.result.rows.append(Row(self.name, part, convention, value, *ends, convention.caution(m)))

    def _parts(self, of: Sequence[Convention], m: Any) -> None:
        """By number of sources, by class, and by base and novel classes where the protocol has them."""
        parts: dict[str, np.ndarray] = {}
        numbers = np.array([clip.n_sources for clip in m.clips])
        for number in sorted(set(numbers[numbers >= 0].tolist())):
            parts[f"sources: {number}"] = numbers == number
        classes = [set(avsbench.sources(clip.class_name)) - {""} for clip in m.clips]
        for name in sorted(set().union(*classes)):
            parts[f"class: {name}"] = np.array([name in here for here in classes])
        for part, wanted in parts.items():
            self._rows(of, m.only(wanted), part)


def _under(kind: str, of: Sequence[Convention]) -> list[Convention]:
    """The same conventions named for a kind of sound."""
    return [replace(one, name=f"{kind}_{one.name}", figure=f"{one.figure} {kind}") for one in of]


def _answer(reader: reading.Reader, file: Path | None, size: tuple[int, ...]) -> binary.Answer:
    height, width = size
    if file is None:
        return binary.Answer.of_probabilities(np.zeros((height, width), np.float32))
    return reader.answer(file, (height, width))


def _heat(reader: reading.Reader, file: Path | None) -> np.ndarray:
    return np.zeros((boxes.SIDE, boxes.SIDE), np.float32) if file is None else reader.heat(file)


def _add_labels(
    tally: measured.LabelTally, frame: Frame, reader: reading.Reader, file: Path | None, true: np.ndarray
) -> None:
    """At the truth's size; a map of 224 x 224 is judged there, with truth resized as the 71-class programs resize
    it.
    """
    found = np.zeros_like(true) if file is None else reader.labels(file)
    at_224 = semantic.counts(semantic.prediction_at_224(found), semantic.truth_at_224(true))
    if found.shape != true.shape:
        if found.shape == (semantic.SIDE, semantic.SIDE):
            true = semantic.truth_at_224(true)
        else:
            found = semantic.nearest(found, true.shape)
    tally.add(frame.clip, found, true, at_224, frame.annotated)


def read_confidences(path: Path) -> dict[str, float]:
    """A csv of name and confidence, with a header. Raises InputError."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return {row["name"]: float(row["confidence"]) for row in csv.DictReader(stream)}
    except (OSError, KeyError, ValueError) as error:
        remedy = "expected columns: name,confidence"
        raise InputError(f"not a table of confidences ({error})", path=path, remedy=remedy) from error


def _name(key: reading.Key) -> str:
    return "/".join(key)


def _shown(keys: Sequence[reading.Key]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(map(_name, keys[:SHOWN])) + more
