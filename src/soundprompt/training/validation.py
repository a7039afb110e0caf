"""The score by which training chooses its best step: mean IoU at 0.5, at the frames' original size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from soundprompt.training.losses import Restore
from soundprompt.training.team import Team

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch, Frames


@torch.no_grad()
def mean_iou(
    predict: Callable[[Batch], Tensor],
    batches: Iterable[Batch],
    restore: Restore,
    team: Team = Team(),
) -> float:
    """Mean of `frame_iou` over all frames of the batches, which must have masks.

    predict: gives a batch's logits (B, 1, 4h, 4w). restore: `FrozenSam.restore`. team: processes that have a
    part of the batches each.
    """
    total, count = 0.0, 0
    for batch in batches:
        pictures = restore(predict(batch).float(), [tuple(mask.shape) for mask in batch.masks])
        total += sum(float(frame_iou(picture, mask)) for picture, mask in zip(pictures, batch.masks, strict=True))
        count += len(pictures)
    total, count = team.total([total, count])
    return total / count


def of_everything(validation: Mapping[str, Frames]) -> float:
    """What a mask of everything would score, which needs no training: the mean over selections, as for a model."""
    masks = [frames.masks(range(len(frames))) for frames in validation.values()]
    shares = [sum(float(mask.float().mean()) for mask in each) / len(each) for each in masks]
    return sum(shares) / len(shares)


def frame_iou(logits: Tensor, mask: Tensor) -> Tensor:
    """IoU of the pixels with probability above 0.5 and a bool mask, both (H, W).

    For an empty mask: the share of pixels rightly left empty, as in AVSBench's metric.
    """
    on = logits > 0
    if not mask.any():
        return (~on).float().mean()
    return (on & mask).sum() / (on | mask).sum()
