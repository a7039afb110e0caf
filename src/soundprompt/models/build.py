"""From settings to a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.models.gavs import Gavs
from soundprompt.models.sam_fusion import SamFusion
from soundprompt.models.segmenter import Segmenter

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam

ARCHITECTURES: dict[str, type[Segmenter]] = {"gavs": Gavs, "sam_fusion": SamFusion}


def build(model: p.Model, sam: FrozenSam, seed: int) -> Segmenter:
    """The model that `model` describes, on the foundation's device, initialised by `seed` alone.

    `sam` is only read; frozen weights are copied. Raises InputError when tune_from names no block of
    this encoder.
    """
    first = model.visual.tune_from
    if first is not None and first >= sam.depth:
        raise InputError(
            f"visual.tune_from: {first} is not a block of this encoder, whose blocks are 0 to {sam.depth - 1}",
            remedy="name an earlier block, or null for an encoder without adapters",
        )
    return ARCHITECTURES[model.architecture](model, sam, seed).to(sam.image_pe.device)
