"""Frames in training whose sound nothing in them makes: the right answer is an empty mask.

After AVSBench-Robust (arXiv 2502.00358), which trains with such pairs so that a model learns to draw nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch, Frames


def given(batch: Batch, sounds: Mapping[int, int], frames: Frames, *, masks: bool) -> Batch:
    """The batch with other sounds at some places, and nothing to find there.

    sounds: place in the batch -> number of the sound (`Sampler.negatives`), of `frames`. masks: whether anybody
    will look at the masks; else they are left out, and none is read.
    """
    if not sounds:
        return batch
    places = list(sounds)
    negative = torch.zeros(len(batch.sizes), dtype=torch.bool)
    negative[places] = True
    audio, targets = batch.audio.clone(), batch.targets.clone()
    audio[places] = frames.sounds(list(sounds.values())).to(audio.device)
    targets[places] = 0
    found = [_mask(batch, place, place in sounds) for place in range(len(negative))] if masks else None
    return replace(batch, audio=audio, targets=targets, masks=found, negative=negative)


def _mask(batch: Batch, place: int, empty: bool) -> torch.Tensor:
    if empty:
        return torch.zeros(batch.sizes[place], dtype=torch.bool, device=batch.audio.device)
    return batch.masks[place]
