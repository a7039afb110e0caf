"""How a picture lies on an encoder's square input, and how a mask drawn there comes back to the picture.

Nothing here needs an encoder's weights, so that reports can place masks without loading one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

PADDED = {"sam": True, "pyramid": False}


@dataclass(frozen=True)
class Square:
    """An encoder's input of side S pixels.

    padded: pictures are scaled until their longest side is S, and padded right and below, as SAM does; else they are
    stretched over all of it.
    """

    side: int
    padded: bool

    def resized(self, size: tuple[int, int]) -> tuple[int, int]:
        """Height and width that a picture of this (height, width) has on the square; SAM's rounding."""
        if not self.padded:
            return self.side, self.side
        scale = self.side * 1.0 / max(size)
        height, width = (int(edge * scale + 0.5) for edge in size)
        return height, width

    def restore(self, logits: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Logits on the square at the pictures' own sizes; gradients pass.

        logits: (B, 1, h, w), any grid over the whole square. sizes: original (H, W) of each. Returns B tensors (H, W),
        bilinear. With padding as SAM's `postprocess_masks`: first to S x S, then the padding is cut off, then to H x W.
        """
        of_size = defaultdict(list)
        for row, (height, width) in enumerate(sizes):
            of_size[int(height), int(width)].append(row)
        restored: list[Tensor] = [logits] * len(sizes)
        for size, rows in of_size.items():
            masks = logits[rows]
            if self.padded:
                height, width = self.resized(size)
                masks = _bilinear(masks, (self.side, self.side))[..., :height, :width]
            for row, mask in zip(rows, _bilinear(masks, size)[:, 0], strict=True):
                restored[row] = mask
        return restored


def square(encoder: Literal["sam", "pyramid"], side: int) -> Square:
    """The input of an encoder of this kind."""
    return Square(side, PADDED[encoder])


def overlap(found: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of masks (..., H, W), bool; 0 where both are empty.

    For choosing and for the foundation models' own quality; the published metrics have conventions of their own
    (`evaluation/metrics.py`).
    """
    return (found & truth).sum(dim=(-2, -1)) / (found | truth).sum(dim=(-2, -1)).clamp(min=1)


def _bilinear(x: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(x, size, mode="bilinear", align_corners=False)
