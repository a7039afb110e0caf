"""What the mini pyramid is worth on pictures that pre-training never saw: those by which the mini SAM is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from soundprompt.data.world import pretraining
from soundprompt.foundation import pictures, probes
from soundprompt.foundation.geometry import overlap
from soundprompt.foundation.prompting import mask_pool
from soundprompt.foundation.pyramid import FrozenPyramid
from soundprompt.foundation.quality import BATCH, PICTURES, PROBE_PICTURES
from soundprompt.params import Scene

if TYPE_CHECKING:
    from soundprompt.foundation.pretrain_pyramid import Heads


@torch.no_grad()
def measure(frozen: FrozenPyramid, heads: Heads, scene: Scene, seed: int) -> dict:
    """Foreground IoU on held-out pictures, and attribute probes of the four maps. JSON-able.

    heads: those of pre-training, which know what a foreground is; they are thrown away after this.
    """
    return {
        "parameters": sum(weight.numel() for weight in frozen.encoder.parameters()),
        "iou": {"foreground": foreground_iou(frozen, heads, scene, seed)},
        "probes": probe(frozen, scene, seed),
    }


def foreground_iou(frozen: FrozenPyramid, heads: Heads, scene: Scene, seed: int) -> dict[str, float]:
    """Mean IoU of all objects together, at the pictures' own size, with its standard error over pictures."""
    drawn = [pictures.draw(seed, pictures.HELD_OUT, index, scene) for index in range(PICTURES)]
    usable = [picture for picture in drawn if picture is not None]
    scores = []
    for start in range(0, len(usable), BATCH):
        batch = usable[start : start + BATCH]
        features = frozen.features(frozen.preprocess([picture.image for picture in batch]))
        logits = heads.masks(heads.join(features))[:, :1]
        truth = torch.from_numpy(np.stack([picture.masks.any(axis=0) for picture in batch]))
        found = torch.stack(frozen.restore(logits, [tuple(mask.shape) for mask in truth])) > 0
        scores.append(overlap(found, truth))
    values = torch.cat(scores)
    error = values.std().item() / len(values) ** 0.5
    return {"mean": values.mean().item(), "standard_error": error, "pictures": len(values)}


@torch.no_grad()
def probe(frozen: FrozenPyramid, scene: Scene, seed: int) -> dict:
    """Linear probes of the maps averaged over an object's mask, all scales side by side: hue, stripes and outline.

    The pictures, and which half of them fits, are those by which the mini SAM is probed.
    """
    features, labels, fit = [], [], []
    for start in range(0, PROBE_PICTURES, BATCH):
        drawn = [
            pretraining.probe_picture(np.random.default_rng([seed, pictures.PROBES, index]), scene)
            for index in range(start, min(start + BATCH, PROBE_PICTURES))
        ]
        maps = frozen.features(frozen.preprocess([image for image, _, _ in drawn]))
        for row, (_, masks, levels) in enumerate(drawn):
            visible = [number for number, mask in enumerate(masks) if mask.sum() > 60]
            whole = torch.from_numpy(np.stack([masks[number] for number in visible])).float()[:, None]
            features.append(_looks([scale[row] for scale in maps], whole))
            labels.append(torch.from_numpy(levels[visible]))
            fit += [start + row < PROBE_PICTURES // 2] * len(visible)
    levels, kind_of = torch.cat(labels), probes.class_kinds(scene.levels)
    kinds = [kind_of[tuple(each)] for each in levels.tolist()]
    return probes.accuracies(torch.cat(features), levels, kinds, torch.tensor(fit), ("hue", "texture", "shape"))


def _looks(maps: list[Tensor], masks: Tensor) -> Tensor:
    """Means of four maps (C, h, w) of one picture over masks (n, 1, H, W): (n, sum of C)."""
    return torch.cat([mask_pool(scale.expand(len(masks), -1, -1, -1), masks) for scale in maps], dim=1)
