"""The score by which training chooses its best step: mean IoU at the frames' original size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from soundprompt import finite
from soundprompt.foundation.geometry import overlap
from soundprompt.registry import Metric
from soundprompt.training.losses import Restore
from soundprompt.training.team import Team

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch, Frames

REMEDY = "look at these clips, or lower schedule.learning_rate"


@torch.no_grad()
def mean_iou(
    predict: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    restore: Restore,
    team: Team = Team(),
    threshold: float = 0.5,
    label: str = "validation",
) -> float:
    """Mean of `frame_iou` over all frames of the batches, which must have masks.

    predict: gives a batch's logits (B, 1, n, n). restore: `FrozenSam.restore`. team: processes that have a part of the
    batches each. threshold: as in `frame_iou`. label: names run and step in messages.
    Raises InputError, in every process, when logits are not finite.
    """
    total, count, unsound, clips = 0.0, 0, 0.0, ()
    for batch in batches:
        logits = predict(batch).float()
        if not finite.everywhere(logits):
            unsound, clips = logits, batch.clips
            break
        pictures = restore(logits, [tuple(mask.shape) for mask in batch.masks])
        total += sum(
            float(frame_iou(picture, mask, threshold)) for picture, mask in zip(pictures, batch.masks, strict=True)
        )
        count += len(pictures)
    total, count, unsound_anywhere = team.total([total, count, bool(clips)])
    if unsound_anywhere:
        finite.check(unsound if clips else math.nan, f"{label}: logits are", clips=clips, remedy=REMEDY)
    return total / count


def of_everything(validation: Mapping[str, Frames]) -> float:
    """What a mask of everything would score, which needs no training: the mean over selections, as for a model."""
    shares = [
        sum(float(mask.float().mean()) for mask in frames.masks(range(len(frames)))) / len(frames)
        for frames in validation.values()
    ]
    return sum(shares) / len(shares)


def frame_iou(logits: Tensor, mask: Tensor, threshold: float = 0.5) -> Tensor:
    """IoU of the pixels with probability above `threshold` and a bool mask, both (H, W).

    For an empty mask: the share of pixels rightly left empty, as in AVSBench's metric.
    """
    on = logits > math.log(threshold / (1 - threshold))
    if not mask.any():
        return (~on).float().mean()
    return overlap(on, mask)


REGISTERED = Metric(
    name="validation",
    stage="validation",
    label="mIoU, validation",
    meaning="mIoU on the validation frames at the best step of training; no test.",
)
