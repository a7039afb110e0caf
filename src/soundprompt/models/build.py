"""From settings to a model."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.models.adapters import front
from soundprompt.models.segmenter import Segmenter

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from soundprompt.foundation.encoders import Encoder


def build(model: p.Model, encoder: Encoder, seed: int) -> Segmenter:
    """The model that `model` describes, on the foundation's device, initialised by `seed` alone.

    `encoder` is what `model.reads` names (`foundation.encoders.load`). It is only read; weights are copied. Raises
    InputError when tune_from names no block of this encoder.
    """
    first = model.visual.tune_from
    if first is not None and first >= encoder.depth:
        raise InputError(
            f"visual.tune_from: {first} is not a block of this encoder, whose blocks are 0 to {encoder.depth - 1}",
            remedy="name an earlier block, or null for an encoder without adapters",
        )
    device = encoder.image_pe.device if model.reads == "sam" else encoder.device
    architecture = model.registered
    # loaded here alone, so that no model's results depend on the file of another
    kind: type[Segmenter] = getattr(importlib.import_module(architecture.module), architecture.code)
    return kind(model, encoder, seed).to(device)


def frozen_front(model: p.Model, encoder: Encoder, device: torch.device | str) -> Callable[[Tensor], Tensor] | None:
    """What every model built from these settings computes first, whatever its seed, and never trains; None if nothing.

    Such models take its result in place of `Batch.visual` as well. device: where it is computed.
    """
    return front(encoder, model.visual.tune_from, device) if isinstance(model.tap, int) else None
