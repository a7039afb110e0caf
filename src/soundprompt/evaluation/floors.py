"""Methods that learn nothing: what a result must beat before it means anything."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from soundprompt.data import media


def all_positive(row: Any) -> Tensor:
    """Everything sounds: ones, (height, width) float32."""
    return torch.ones(row.height, row.width)


def centre_disc(row: Any) -> Tensor:
    """A disc of half the area in the middle (in a frame that is not square, the ellipse with its proportions)."""
    # x and y from -1 to 1 over the frame: an ellipse of radius r covers pi r^2 of 4
    y, x = ((torch.arange(edge) + 0.5) * 2 / edge - 1 for edge in (row.height, row.width))
    return (x[None] ** 2 + y[:, None] ** 2 <= 2 / math.pi).float()


def all_objects(row: Any) -> Tensor | None:
    """Every object, silent ones too; None where the dataset does not say where they are.

    What a perfect segmenter that cannot hear would answer.
    """
    if not isinstance(row.objects, str):
        return None
    return torch.from_numpy(media.read_objects(row.objects, (row.height, row.width)) > 0).float()


# name -> mask of one frame (a row of the frame table), 1.0 where it sounds
FLOORS: dict[str, Callable[[Any], Tensor | None]] = {
    "all_positive": all_positive,
    "all_objects": all_objects,
    "centre_disc": centre_disc,
}
