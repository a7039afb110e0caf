"""How long the steps of a study take on a machine: measured here, or by `make bench-gpu`."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from soundprompt.errors import InputError
from soundprompt.files import write_text
from soundprompt.params import Model

RESULTS = Path("benchmarks/results")  # what `make bench-gpu` wrote, a file for each card
LIKE = {"score": "validation", "examine": "validation"}  # kind -> what stands for it where it was not measured


@dataclass(frozen=True)
class Figure:
    """What one thing costs.

    kind: encode (a picture), sound (a second of it), step (of training), validation, score (a frame each), table (a
    frame that is read), pretrain (a step). model: `family` of a model, or a foundation model's architecture.
    size: side of the encoder's input, pixels. frames: that a step shows to the model. waiting: share of the time in
    which the model waits, for data or for what else is not its own work. unit: of value. source: how it was measured.
    `make bench-gpu` adds kinds that no plan reads (ceiling, agreement, resume).
    """

    card: str
    kind: str
    model: str
    size: int
    frames: int
    value: float
    unit: str
    waiting: float
    source: str


@dataclass(frozen=True)
class Estimate:
    """seconds; waiting: as in `Figure`. taken_from: in words, where it is not a figure of the thing itself."""

    seconds: float
    waiting: float
    taken_from: str = ""


class Figures:
    """All figures of one machine."""

    def __init__(self, rows: Iterable[Figure]):
        self.rows = list(rows)
        self.card = self.rows[0].card if self.rows else ""

    def of(self, kind: str, model: str, size: int, frames: int = 1) -> Estimate | None:
        """What it takes; None where nothing like it was measured.

        Between two measured numbers of frames a step grows evenly. At another input size the model's own work goes with
        its pixels, and what it waits for stays; another model takes what GAVS does. Both are said.
        """
        for name in (kind, LIKE.get(kind)):
            for like in (model, "gavs") if kind in ("step", "validation", "score", "examine") else (model,):
                same = [row for row in self.rows if (row.kind, row.model) == (name, like)]
                if same:
                    taken = [like] if like != model else []
                    side = size if like == model else same[0].size
                    return _sized(same, side, frames, taken + ([str(name)] if name != kind else []))
        return None


def _sized(rows: list[Figure], size: int, frames: int, taken: list[str]) -> Estimate:
    nearest = min((row.size for row in rows), key=lambda side: abs(side - size))
    if nearest != size:
        taken = [*taken, f"{nearest} pixels"]
    rows = sorted((row for row in rows if row.size == nearest), key=lambda row: row.frames)
    waits = _along([(row.frames, row.value * row.waiting) for row in rows], frames)
    works = _along([(row.frames, row.value * (1 - row.waiting)) for row in rows], frames)
    works *= (size / nearest) ** 2 if nearest else 1.0
    return Estimate(waits + works, waits / (waits + works), ", ".join(taken))


def _along(points: list[tuple[int, float]], frames: int) -> float:
    """Seconds for a number of frames, on the line through the first and the last point; one point: in proportion."""
    (low, least), (high, most) = points[0], points[-1]
    if low == high or frames <= low:
        return least * frames / low
    return least + (most - least) * (frames - low) / (high - low)


def family(model: Model) -> str:
    """By what figures of models are told apart: the architecture; GAVS without adapters in its encoder is audio_sam."""
    return "audio_sam" if model.architecture == "gavs" and model.tap is None else model.architecture


def named(gpu: str) -> Figures:
    """What `make bench-gpu` wrote on a GPU of this name."""
    written = RESULTS / f"{gpu}.csv"
    if not written.exists():
        known = sorted(path.stem for path in RESULTS.glob("*.csv"))
        raise InputError(
            f"--gpu: '{gpu}' is not one of {', '.join(known)}" if known else f"--gpu: {RESULTS} has no figures",
            remedy="run make bench-gpu on it, which writes its figures; or leave --gpu out to measure this machine",
        )
    return read(written)


def read(path: Path) -> Figures:
    """What `write` wrote. Raises InputError that names the row."""
    kinds = {"size": int, "frames": int, "value": float, "waiting": float}
    found = []
    with open(path, newline="", encoding="utf-8") as stream:
        for number, row in enumerate(csv.DictReader(stream), 2):
            try:
                found.append(Figure(**{f.name: kinds.get(f.name, str)(row[f.name]) for f in fields(Figure)}))
            except (KeyError, TypeError, ValueError) as error:
                remedy = "run make bench-gpu again, or take the file from version control"
                raise InputError(f"line {number} holds no figure ({error})", path=path, remedy=remedy) from error
    return Figures(found)


def write(path: Path, rows: Iterable[Figure]) -> None:
    """As csv, a row for each figure; values to four digits."""
    lines = [",".join(field.name for field in fields(Figure))]
    for row in rows:
        values = asdict(row) | {"value": f"{row.value:.4g}", "waiting": f"{row.waiting:.3g}"}
        lines.append(",".join(f'"{value}"' if "," in str(value) else str(value) for value in values.values()))
    write_text(path, "\n".join(lines) + "\n")
