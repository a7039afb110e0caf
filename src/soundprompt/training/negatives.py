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


def given(batch: Batch, sounds: Mapping[int, int], frames: Frames) -> Batch:
    """The batch with other sounds at some places, and nothing to find there, in masks and targets where it has them.

    sounds: place in the batch -> number of the sound (`Sampler.negatives`), of `frames`.
    """
    if not sounds:
        return batch
    places = list(sounds)
    negative = torch.zeros(len(batch.sizes), dtype=torch.bool)
    negative[places] = True
    audio = batch.audio.clone()
    audio[places] = frames.sounds(list(sounds.values())).to(audio.device)
    masks, targets = batch.masks, batch.targets
    if masks is not None:
        masks = [torch.zeros_like(mask) if place in sounds else mask for place, mask in enumerate(masks)]
    if targets is not None:
        targets = targets.clone()
        targets[places] = 0
    return replace(batch, audio=audio, targets=targets, masks=masks, negative=negative)
