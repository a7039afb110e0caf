"""Which methods have converged, by what training wrote down of its own validation; tests decide nothing here.

A method has converged on a setting when, in the mean over its seeds,

- validation at the chosen step is above that of a mask of everything, which needs no training; and
- it does not end while still rising: where the last step is the best, the last interval between validations brought
  no more than `RISING` of the score.

With one that has not, nothing is compared: whether a method loses or was merely stopped, its scores cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soundprompt import records
from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.layout import Layout
from soundprompt.params import Setting, beside, model_of
from soundprompt.report import names

RISING = 0.1  # share of the score; the curves of the mini study gain less than a hundredth of it there


@dataclass(frozen=True)
class Training:
    """Of one run, or the mean over runs: validation mIoU at the chosen step, that of a mask of everything on the same
    frames, and what the last interval brought where the last step is the chosen one (else 0)."""

    validation: float
    floor: float
    gain: float

    @property
    def doubt(self) -> str:
        """Why it does not count as converged; '' where it does."""
        reached = f"validation mIoU {self.validation:.3f}"
        if not self.validation > self.floor:  # NaN is not above it
            return f"has not converged: {reached}, a mask of everything {self.floor:.3f}"
        if self.gain > RISING * self.validation:
            return f"has not converged: {reached}, {self.gain:.3f} of it since the validation before the last"
        return ""


def doubt(layout: Layout, setting: str, spec: Setting, method: str, seeds: Iterable[int]) -> str:
    """'has not converged: validation mIoU 0.000, ...'; '' for a method that has, a floor, and runs that are not there.

    setting: its name, such as v1s or points/v1s; spec: that setting. A borrowed model is judged where it was
    trained.
    """
    if names.is_floor(method):
        return ""
    origin = beside(setting, spec.model_of) if spec.model_of else setting
    folders = [layout.run(origin, model_of(method), seed) for seed in seeds]
    runs = [read(folder) for folder in folders if (folder / "provenance.json").exists()]
    if not runs:
        return ""
    means = (sum(getattr(run, name) for run in runs) / len(runs) for name in ("validation", "floor", "gain"))
    return Training(*means).doubt


def read(folder: Path) -> Training:
    """What training left in a run's folder. Raises InputError when it is damaged or incomplete."""
    path = folder / "provenance.json"
    try:
        result = read_json(path)["result"]
        validation, best, steps = result["validation"], result["best_step"], result["steps"]
        floor = result["validation_floor"]
    except (KeyError, TypeError) as error:
        what = f"does not say how validation went ({error})"
        raise InputError(what, path=path, remedy="delete it and run `soundprompt train` again") from error
    return Training(validation, floor, _gain(folder / "metrics.csv") if best == steps else 0.0)


def _gain(path: Path) -> float:
    """What the last interval between validations brought; 0 where there was one validation only."""
    records.check(path)
    try:
        scores = pd.read_csv(path, usecols=["validation"])["validation"].dropna()
    except (OSError, ValueError) as error:
        remedy = "delete the run's provenance.json and run `soundprompt train` again"
        raise InputError(f"cannot be read ({error})", path=path, remedy=remedy) from error
    return float(scores.iloc[-1] - scores.iloc[-2]) if len(scores) > 1 else 0.0
