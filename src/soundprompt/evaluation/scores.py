"""Score rows: one for each frame or clip and metric, from which every table is computed.

The metrics are those of `measures.py` and of other packages. One of masks has a row for each labelled frame that
counts; an F-score one for each call of 1, 2 or 4 clips, filed under the first of them; one of boxes a row for each
clip. The last two are of no single frame: it is -1.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundprompt import finite, registry
from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.evaluation import metrics
from soundprompt.evaluation.measures import Answers
from soundprompt.files import publish

CLIP_COLUMNS = ["clip", "video", "class_name", "kind", "n_sources"]
COLUMNS = ["selection", "method", "seed", *CLIP_COLUMNS, "frame", "metric", "value"]
TYPES = {"seed": "int32", "n_sources": "int32", "frame": "int32", "value": "float64"}
WHOLE_CLIP = -1
# Clips of a test batch, in which the published programs take one F: 1 in COMBO and CAVP (and GAVS), 2 in AVSegFormer on
# S4 and MS3, 4 in AVSBench (and AVSegFormer on AVSS).
CLIPS_PER_CALL = {"clip": 1, "batch2": 2, "batch4": 4}


@dataclass(frozen=True)
class Conventions:
    """How masks and boxes are judged. metrics: those of other packages that are measured too."""

    evaluation: p.Evaluation
    box_crop: str = "full_frame"
    metrics: tuple[str, ...] = ()

    def functions(self, of: Literal["masks", "boxes"]) -> dict[str, Callable]:
        """What judges masks, or boxes, by the name of the metric."""
        found = {}
        for metric in registry.metrics().values():
            if metric.code and metric.of == of and (metric.built_in or metric.name in self.metrics):
                found[metric.name] = getattr(importlib.import_module(metric.module), metric.code)
        return found


class Tally:
    """What was measured of n answers; an answer is a probability map for a frame."""

    def __init__(self, n: int, conventions: Conventions):
        self.conventions = conventions
        self.of_masks, self.of_boxes = conventions.functions("masks"), conventions.functions("boxes")
        self.values = {name: np.full(n, np.nan) for name in (*self.of_masks, *self.of_boxes)}
        self.curves = np.zeros((n, metrics.N_THRESHOLDS))
        self.sounding, self.labelled, self.boxed = (np.zeros(n, bool) for _ in range(3))

    def add(
        self,
        numbers: Sequence[int],
        probabilities: Sequence[Tensor],
        masks: Sequence[Tensor] | None,
        boxes: Sequence[Sequence[Sequence[float]] | None],
    ) -> None:
        """Measures frames by their masks and by their boxes, whichever there are.

        numbers: (b,), places of the frames. probabilities: b maps, (height, width) each. masks: b masks of the same
        sizes, or None where frames have none. boxes: of each frame its boxes, or None.
        """
        if masks is not None:
            self.add_masks(numbers, probabilities, masks)
        for number, probability, some in zip(numbers, probabilities, boxes, strict=True):
            if some is not None:
                self.add_boxes(number, probability, some)

    def add_masks(self, numbers: Sequence[int], probabilities: Sequence[Tensor], masks: Sequence[Tensor]) -> None:
        """probabilities: (H, W) float32 each, sizes may differ; masks: (H, W) bool each."""
        for size in dict.fromkeys(mask.shape for mask in masks):
            same = [i for i, mask in enumerate(masks) if mask.shape == size]
            places = np.asarray(numbers)[same]
            answers = Answers(
                torch.stack([probabilities[i] for i in same]),
                torch.stack([masks[i] for i in same]),
                self.conventions.evaluation,
            )
            curves, sounding = metrics.f_curves(*answers.pixels)
            self.curves[places], self.sounding[places] = curves.cpu().numpy(), sounding.cpu().numpy()
            self.labelled[places] = True
            for name, measure in self.of_masks.items():
                self.values[name][places] = _of_each(measure(answers), len(same), name)

    def add_boxes(self, number: int, probability: Tensor, boxes: Sequence[Sequence[float]]) -> None:
        """probability: (H, W). With `box_crop: reference` only its central square is stretched over the boxes."""
        if self.conventions.box_crop == "reference":
            probability = central_square(probability)
        heat = probability.cpu()
        self.boxed[number] = True
        for name, measure in self.of_boxes.items():
            self.values[name][number] = measure(heat, boxes, self.conventions.evaluation)

    def rows(self, numbers: np.ndarray, frames: pd.DataFrame, **names: object) -> pd.DataFrame:
        """Score rows of one selection.

        numbers: for each row of `frames` (of the frame table) its answer. names: selection, method, seed.
        """
        labelled, boxed = self.labelled[numbers], self.boxed[numbers]
        parts = []
        if labelled.any():
            parts += self._frame_rows(numbers[labelled], frames[labelled])
            parts += self._call_rows(numbers[labelled], frames[labelled])
        if boxed.any():
            parts += self._box_rows(numbers[boxed], frames[boxed])
        if not parts:
            return pd.DataFrame(columns=COLUMNS)
        rows = pd.concat(parts, ignore_index=True).assign(**names)
        return rows[COLUMNS].astype(TYPES)

    def _frame_rows(self, numbers: np.ndarray, frames: pd.DataFrame) -> list[pd.DataFrame]:
        about = frames[[*CLIP_COLUMNS, "frame"]]
        rows = [about.assign(metric=name, value=self.values[name][numbers]) for name in self.of_masks]
        return [of_metric[of_metric["value"].notna()] for of_metric in rows]

    def _call_rows(self, numbers: np.ndarray, frames: pd.DataFrame) -> list[pd.DataFrame]:
        """F of each call, for every grouping into calls; `f_score` is that of the settings."""
        of_group = {group: self._f_rows(numbers, frames, size) for group, size in CLIPS_PER_CALL.items()}
        named = {f"f_score_{group}": rows for group, rows in of_group.items()}
        named["f_score"] = of_group[self.conventions.evaluation.f_group]
        return [rows.assign(metric=name) for name, rows in named.items()]

    def _f_rows(self, numbers: np.ndarray, frames: pd.DataFrame, size: int) -> pd.DataFrame:
        """F of each `size` clips in the selection's order, filed under the first of them; the last may be fewer."""
        clip_of = pd.factorize(frames["clip"])[0]
        call_of = clip_of // size
        curves, counted = torch.from_numpy(self.curves[numbers]), torch.from_numpy(self.sounding[numbers])
        calls = _members(call_of)
        values = [metrics.best_f(curves[members], counted[members]) for members in map(torch.from_numpy, calls)]
        first = frames[CLIP_COLUMNS].iloc[[members[0] for members in calls]]
        if size > 1:  # clips of several kinds share a call: it belongs to none
            kinds = frames["kind"].groupby(call_of).agg(lambda kind: kind.iloc[0] if kind.nunique() == 1 else "")
            first = first.assign(kind=kinds.to_numpy())
        return first.assign(frame=WHOLE_CLIP, value=values)

    def _box_rows(self, numbers: np.ndarray, frames: pd.DataFrame) -> list[pd.DataFrame]:
        members = _members(pd.factorize(frames["clip"])[0])
        first = frames[CLIP_COLUMNS].iloc[[rows[0] for rows in members]].assign(frame=WHOLE_CLIP)
        return [
            first.assign(metric=name, value=[self.values[name][numbers[rows]].mean() for rows in members])
            for name in self.of_boxes
        ]


def _of_each(values: Tensor, count: int, metric: str) -> np.ndarray:
    """What a metric gives for each of some frames. Raises InputError for anything else."""
    if not isinstance(values, Tensor) or values.shape != (count,):
        got = f"a tensor {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise InputError(
            f"metric '{metric}' gives {got} for {count} frames",
            path=registry.metrics()[metric].module,
            remedy=f"return a tensor of shape ({count},), NaN where a frame does not count",
        )
    return values.cpu().double().numpy()


def _members(group_of: np.ndarray) -> list[np.ndarray]:
    """Positions of each group 0, 1, ..., in order."""
    order = np.argsort(group_of, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(group_of[order])) + 1)


def central_square(picture: Tensor) -> Tensor:
    """The central square of a map (H, W), of the side of its shorter edge.

    The reference loader of VGG-SS shows its models this square but draws the boxes, which are fractions of
    the whole frame, over it: a mismatch, kept for comparison.
    """
    side = min(picture.shape)
    top, left = (round((edge - side) / 2) for edge in picture.shape)
    return picture[top : top + side, left : left + side]


def write(rows: pd.DataFrame, path: Path) -> None:
    """Publishes score rows as parquet, texts as categories (they repeat). Raises InputError for NaN and infinity."""
    for metric, of_metric in rows.groupby("metric", sort=False):
        values, clips = of_metric["value"].to_numpy(float), of_metric["clip"].tolist()
        finite.check(values, f"scores of {metric} are", clips=clips, path=path, remedy="look at these clips")
    texts = ["selection", "method", "clip", "video", "class_name", "kind", "metric"]
    with publish(path) as aside:
        rows[COLUMNS].astype(dict.fromkeys(texts, str)).to_parquet(aside, index=False)
