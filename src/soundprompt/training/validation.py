"""The score by which training chooses its best step: mean IoU at the frames' original size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from soundprompt.training.losses import Restore
from soundprompt.training.team import Team

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch


@torch.no_grad()
def mean_iou(
    predict: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    restore: Restore,
    team: Team = Team(),
    threshold: float = 0.5,
) -> float:
    """Mean of `frame_iou` over all frames of the batches, which must have masks.

    predict: gives a batch's logits (B, 1, 4h, 4w). restore: `FrozenSam.restore`. team: processes that have a
    part of the batches each. threshold: as in `frame_iou`.
    """
    total, count = 0.0, 0
    for batch in batches:
        pictures = restore(predict(batch).float(), [tuple(mask.shape) for mask in batch.masks])
        total += sum(
            float(frame_iou(picture, mask, threshold)) for picture, mask in zip(pictures, batch.masks, strict=True)
        )
        count += len(pictures)
    total, count = team.total([total, count])
    return total / count


def frame_iou(logits: Tensor, mask: Tensor, threshold: float = 0.5) -> Tensor:
    """IoU of the pixels with probability above `threshold` and a bool mask, both (H, W).

    For an empty mask: the share of pixels rightly left empty, as in AVSBench's metric.
    """
    on = logits > math.log(threshold / (1 - threshold))
    if not mask.any():
        return (~on).float().mean()
    return (on & mask).sum() / (on | mask).sum()
