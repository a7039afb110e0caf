"""What is measured of an answer: a function for each metric that `score` writes down, registered below.

With a sound that nothing in the frame makes (`predict`: silence, ambient, off_screen) the true mask is empty: `area` is
then the rate of falsely found pixels and `alarm` of falsely alarmed frames. The other metrics still compare with the
mask of the frame's own sound, as they do for a mismatched one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from soundprompt import params as p
from soundprompt.evaluation import metrics
from soundprompt.registry import Metric

RELEASED_THRESHOLD = 0.4
Boxes = Sequence[Sequence[float]]


@dataclass(frozen=True)
class Answers:
    """Probability maps (N, H, W) float32 for N frames of one size, and the frames' true masks (N, H, W) bool.

    A metric is a function of this to a value for each frame, (N,); NaN where a frame does not count.
    """

    probability: Tensor
    target: Tensor
    settings: p.Evaluation

    @cached_property
    def pixels(self) -> tuple[Tensor, Tensor]:
        """Both as (N, P)."""
        return self.probability.flatten(1), self.target.flatten(1)

    @cached_property
    def iou(self) -> Tensor:
        """IoU at the headline threshold, (N,) float64."""
        probability, target = self.pixels
        return metrics.iou(probability > self.settings.threshold, target)

    @cached_property
    def area(self) -> Tensor:
        """Share of the pixels that are on, (N,) float64."""
        on = self.pixels[0] > self.settings.threshold
        return metrics.row_counts(on) / on.shape[1]

    @cached_property
    def sounding(self) -> Tensor:
        """Frames with something to find, (N,) bool."""
        return self.pixels[1].any(1)


def iou(answers: Answers) -> Tensor:
    """At the headline threshold."""
    return answers.iou


def iou_released(answers: Answers) -> Tensor:
    """At that of the released code."""
    probability, target = answers.pixels
    return metrics.iou(probability > RELEASED_THRESHOLD, target)


def hit(answers: Answers) -> Tensor:
    """Whether the right object is shown: what one mIoU hides."""
    return _where(answers.sounding, answers.iou >= answers.settings.hit_iou)


def wrong(answers: Answers) -> Tensor:
    """Whether another object is shown."""
    return _where(answers.sounding, answers.iou < answers.settings.wrong_iou)


def iou_in_hits(answers: Answers) -> Tensor:
    """Mask quality once the object is right."""
    return _where(answers.sounding & (answers.iou >= answers.settings.hit_iou), answers.iou)


def area(answers: Answers) -> Tensor:
    """Share of the pixels that are on."""
    return answers.area


def alarm(answers: Answers) -> Tensor:
    """Whether that is more than a speck."""
    return (answers.area > answers.settings.alarm_area).double()


def _where(counts: Tensor, values: Tensor) -> Tensor:
    return torch.where(counts, values.double(), torch.nan)


def ciou(heat: Tensor, boxes: Boxes, settings: p.Evaluation) -> float:
    """Overlap of the map's upper half with the boxes, in float32 as the published evaluator has it."""
    return metrics.ciou(heat, boxes)


def ciou_float64(heat: Tensor, boxes: Boxes, settings: p.Evaluation) -> float:
    """The same in float64."""
    return metrics.ciou(heat, boxes, torch.float64)


def ciou_fixed(heat: Tensor, boxes: Boxes, settings: p.Evaluation) -> float:
    """Overlap of the mask at the headline threshold."""
    return metrics.fixed_ciou(heat, boxes, settings.threshold)


# The F-scores have no function here: `scores.Tally` makes them of whole calls.
REGISTERED = (
    Metric(name="miou", code=iou, mean="clips", label="mIoU",
           meaning="Overlap of mask and truth (intersection over union), averaged over frames."),
    Metric(name="miou_04", code=iou_released, mean="clips", label="mIoU at 0.4",
           meaning="mIoU when masks are cut at probability 0.4, as the released code does."),
    Metric(name="f_score", mean="calls", label="F-score",
           meaning="Precision and recall (beta² 0.3) at the best threshold of each clip."),
    Metric(name="f_score_clip", mean="calls", label="F, clip",
           meaning="F-score with the best threshold of each clip, as COMBO and CAVP have it."),
    Metric(name="f_score_batch2", mean="calls", label="F, 2 clips",
           meaning="The same of each two clips, as AVSegFormer has it on S4 and MS3."),
    Metric(name="f_score_batch4", mean="calls", label="F, 4 clips",
           meaning="The same of each four clips, as AVSBench has it."),
    Metric(name="hit_rate", code=hit, label="right object",
           meaning="Share of frames whose IoU is high enough to have found the right object."),
    Metric(name="wrong_rate", code=wrong, label="wrong object",
           meaning="Share of frames whose IoU is so low that another object was taken.", higher_is_better=False),
    Metric(name="iou_in_hits", code=iou_in_hits, some_frames=True, label="IoU in hits",
           meaning="IoU in the frames with the right object: how well masks are drawn."),
    Metric(name="area", code=area, label="area on",
           meaning="Share of the frame's pixels in the mask; of a sound that nothing in it makes, all are false.",
           higher_is_better=False),
    Metric(name="alarm", code=alarm, label="alarms",
           meaning="Share of frames with a mask of more than a hundredth of the picture.", higher_is_better=False),
    Metric(name="ciou", code=ciou, of="boxes", mean="successes", label="cIoU",
           meaning="Share of clips whose consensus IoU with the boxes is 0.5 or more; map cut at its median."),
    Metric(name="auc", rows="ciou", mean="curves", label="AUC",
           meaning="Area under the curve of successes over all cIoU limits; map cut at its median."),
    Metric(name="ciou_float64", code=ciou_float64, of="boxes", mean="successes", label="cIoU, float64",
           meaning="As cIoU, the map cut in float64; the published evaluator works in float32."),
    Metric(name="auc_float64", rows="ciou_float64", mean="curves", label="AUC, float64",
           meaning="As AUC, the map cut in float64; the published evaluator works in float32."),
    Metric(name="ciou_fixed", code=ciou_fixed, of="boxes", mean="successes", label="cIoU, mask",
           meaning="As cIoU, for the mask at probability 0.5."),
    Metric(name="auc_fixed", rows="ciou_fixed", mean="curves", label="AUC, mask",
           meaning="As AUC, for the mask at probability 0.5."),
)  # fmt: skip
