"""The pictures that SAM's pre-training sees: drawn once, kept in memory, shown in ever new views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from soundprompt.data.world import pretraining
from soundprompt.params import Scene
from soundprompt.progress import track

# Streams of random numbers that never meet: default_rng([seed, stream, index]).
TRAINING, HELD_OUT, PROBES, STEPS = 101, 102, 103, 104


@dataclass(frozen=True)
class Picture:
    """image: uint8 (S, S, 3) RGB. masks: bool (objects, S, S)."""

    image: np.ndarray
    masks: np.ndarray


@dataclass(frozen=True)
class View:
    """One of the eight ways to lay a square down: mirrored or not, then turned by quarters, anticlockwise."""

    mirrored: bool
    quarters: int

    def of(self, array: np.ndarray) -> np.ndarray:
        """The view of (S, S, ...)."""
        return np.rot90(array[:, ::-1] if self.mirrored else array, self.quarters)


def draw(seed: int, stream: int, index: int, scene: Scene) -> Picture | None:
    """Picture `index` of a stream; None for the rare one in which no object is visible enough for a mask."""
    image, masks = pretraining.picture(np.random.default_rng([seed, stream, index]), scene)
    if not masks:
        return None
    return Picture(image, np.stack(masks))


def resize(picture: Picture, side: int) -> Picture | None:
    """The picture as an encoder of another input size takes it, (side, side); None if no object is left in it.

    Masks have the pixels of which at least half were theirs.
    """
    if side == len(picture.image):
        return picture
    image = np.asarray(Image.fromarray(picture.image).resize((side, side), Image.Resampling.BILINEAR))
    shares = [
        Image.fromarray(mask.astype(np.float32)).resize((side, side), Image.Resampling.BOX) for mask in picture.masks
    ]
    masks = np.stack([np.asarray(share) >= 0.5 for share in shares])
    masks = masks[masks.any(axis=(1, 2))]
    return Picture(image, masks) if len(masks) else None


def shrink(masks: np.ndarray, cell: int) -> Tensor:
    """The share of each cell of `cell` x `cell` pixels that is a mask's: bool (n, S, S) to float32 (n, 1, h, w)."""
    return F.avg_pool2d(torch.from_numpy(masks)[:, None].float(), cell)


def pool(seed: int, count: int, scene: Scene, side: int | None = None) -> list[Picture]:
    """`count` training pictures, always the same for the same seed, at an encoder's input size (default: as drawn)."""
    drawn = (draw(seed, TRAINING, index, scene) for index in range(count))
    found = [picture for picture in track(drawn, "pictures", count) if picture is not None]
    return found if side is None else [small for picture in found if (small := resize(picture, side)) is not None]
