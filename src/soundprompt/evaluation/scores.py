"""Score rows: one for each frame or clip and metric, from which every table is computed.

| metric                | one row for each                       | value                                        |
|-----------------------|----------------------------------------|----------------------------------------------|
| miou, miou_04         | labelled frame                         | IoU at the headline threshold, at 0.4        |
| hit_rate, wrong_rate  | labelled frame with something to find  | 0 or 1                                       |
| iou_in_hits           | frame that is a hit                    | IoU at the headline threshold                |
| area                  | labelled frame                         | share of its pixels that are on              |
| alarm                 | labelled frame                         | 1 if that exceeds `alarm_area`, else 0       |
| f_score_clip          | clip                                   | F of the frames in one call; frame is -1     |
| f_score_batch2, ...4  | group of 2 or 4 clips                  | likewise                                     |
| f_score               | one of these, by `evaluation.f_group`  | likewise                                     |
| ciou, ciou_float64    | clip with boxes                        | overlap, cut at the median; frame is -1      |
| ciou_fixed            | clip with boxes                        | overlap of the mask; frame is -1             |

With a sound that nothing in the frame makes (`predict`: silence, ambient, off_screen) the true mask is empty:
`area` is then the rate of falsely found pixels and `alarm` of falsely alarmed frames. The other metrics still
compare with the mask of the frame's own sound, as they do for a mismatched one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundprompt import finite
from soundprompt import params as p
from soundprompt.evaluation import metrics
from soundprompt.files import publish

CLIP_COLUMNS = ["clip", "video", "class_name", "kind", "n_sources"]
COLUMNS = ["selection", "method", "seed", *CLIP_COLUMNS, "frame", "metric", "value"]
TYPES = {"seed": "int32", "n_sources": "int32", "frame": "int32", "value": "float64"}
WHOLE_CLIP = -1
RELEASED_THRESHOLD = 0.4
# Clips of a test batch, in which the published programs take one F: 1 in COMBO and CAVP (and GAVS), 2 in AVSegFormer on
# S4 and MS3, 4 in AVSBench (and AVSegFormer on AVSS).
CLIPS_PER_CALL = {"clip": 1, "batch2": 2, "batch4": 4}


@dataclass(frozen=True)
class Conventions:
    """How masks and boxes are judged."""

    evaluation: p.Evaluation
    box_crop: str = "full_frame"


class Tally:
    """What was measured of n answers; an answer is a probability map for a frame."""

    def __init__(self, n: int, conventions: Conventions):
        self.conventions = conventions
        self.iou, self.iou_04, self.area = (np.full(n, np.nan) for _ in range(3))
        self.ciou, self.ciou_float64, self.ciou_fixed = (np.full(n, np.nan) for _ in range(3))
        self.curves = np.zeros((n, metrics.N_THRESHOLDS))
        self.sounding = np.zeros(n, bool)

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
            probability = torch.stack([probabilities[i] for i in same]).flatten(1)
            target = torch.stack([masks[i] for i in same]).flatten(1)
            curves, sounding = metrics.probability_f_curves(probability, target)
            self.curves[places], self.sounding[places] = curves.cpu().numpy(), sounding.cpu().numpy()
            threshold = self.conventions.evaluation.threshold
            self.iou[places] = metrics.probability_iou(probability, target, threshold).cpu().numpy()
            self.iou_04[places] = metrics.probability_iou(probability, target, RELEASED_THRESHOLD).cpu().numpy()
            self.area[places] = metrics.probability_area(probability, threshold).cpu().numpy()

    def add_boxes(self, number: int, probability: Tensor, boxes: Sequence[Sequence[float]]) -> None:
        """probability: (H, W). With `box_crop: reference` only its central square is stretched over the boxes."""
        if self.conventions.box_crop == "reference":
            probability = central_square(probability)
        heat = probability.cpu()
        self.ciou[number] = metrics.ciou(heat, boxes)
        self.ciou_float64[number] = metrics.ciou(heat, boxes, torch.float64)
        self.ciou_fixed[number] = metrics.fixed_ciou(heat, boxes, self.conventions.evaluation.threshold)

    def rows(self, numbers: np.ndarray, frames: pd.DataFrame, **names: object) -> pd.DataFrame:
        """Score rows of one selection.

        numbers: for each row of `frames` (of the frame table) its answer. names: selection, method, seed.
        """
        labelled = ~np.isnan(self.iou[numbers])
        masks, boxed = numbers[labelled], numbers[~np.isnan(self.ciou[numbers])]
        parts = []
        if len(masks):
            parts += [*self._frame_rows(masks, frames[labelled]), *self._call_rows(masks, frames[labelled])]
        if len(boxed):
            parts += self._box_rows(boxed, frames[~np.isnan(self.ciou[numbers])])
        if not parts:
            return pd.DataFrame(columns=COLUMNS)
        rows = pd.concat(parts, ignore_index=True).assign(**names)
        return rows[COLUMNS].astype(TYPES)

    def _frame_rows(self, numbers: np.ndarray, frames: pd.DataFrame) -> list[pd.DataFrame]:
        evaluation = self.conventions.evaluation
        iou, sounding = self.iou[numbers], self.sounding[numbers]
        hit, wrong, inside = metrics.object_choice(
            torch.from_numpy(iou), torch.from_numpy(sounding), evaluation.hit_iou, evaluation.wrong_iou
        )
        about, judged = frames[[*CLIP_COLUMNS, "frame"]], frames.loc[sounding, [*CLIP_COLUMNS, "frame"]]
        return [
            about.assign(metric="miou", value=iou),
            about.assign(metric="miou_04", value=self.iou_04[numbers]),
            judged.assign(metric="hit_rate", value=hit.numpy()),
            judged.assign(metric="wrong_rate", value=wrong.numpy()),
            judged[hit.numpy() > 0].assign(metric="iou_in_hits", value=inside.numpy()),
            about.assign(metric="area", value=self.area[numbers]),
            about.assign(metric="alarm", value=(self.area[numbers] > evaluation.alarm_area).astype(float)),
        ]

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
            first.assign(metric=name, value=[measured[numbers[rows]].mean() for rows in members])
            for name, measured in (
                ("ciou", self.ciou),
                ("ciou_float64", self.ciou_float64),
                ("ciou_fixed", self.ciou_fixed),
            )
        ]


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
