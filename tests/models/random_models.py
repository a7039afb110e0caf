"""A small random SAM and batches that look like the feature cache's."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from soundprompt import params as p
from soundprompt.foundation import sam as foundation


def random_sam(architecture: str, image_size: int) -> foundation.FrozenSam:
    """A SAM with random weights, position tables and neck norms included (they start as zeros and ones)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = foundation.build(architecture, image_size)
        for name, weight in model.named_parameters():
            if "pos" in name or (name.startswith("image_encoder.neck.") and weight.ndim == 1):
                torch.nn.init.normal_(weight, std=0.3)
    return foundation.FrozenSam(model, architecture, "random")


def batch_of(sam: foundation.FrozenSam, tap: int | None, n: int = 3, seed: int = 0) -> SimpleNamespace:
    """n frames: an 80 x 128 picture among full squares, so that there is padding."""
    stream = torch.Generator().manual_seed(seed)
    pixels = torch.randn(n, 3, sam.image_size, sam.image_size, generator=stream)
    sizes = [(80, 128) if i == 1 else (128, 128) for i in range(n)]
    return SimpleNamespace(
        visual=sam.prefix(pixels, [tap])[tap],
        audio=torch.randn(n, 128, generator=stream),
        valid=sam.valid_cells(sizes),
        sizes=sizes,
        group=None,
        pixels=pixels,
    )


def model_of(**changes) -> p.Model:
    """gavs of the mini study, with changes; nested settings as dictionaries."""
    base = {"cola": {"dim": 64}, "visual": {"tune_from": 2, "dim": 64}}
    raw = p.merge(base, changes)
    visual_cue = raw.get("sap", {}).get("visual_cue", True) and raw.get("sap", {}).get("audio_token", True)
    if raw.get("architecture") == "sam_fusion":
        raw["cola"] = {"enabled": False}
    if not visual_cue or raw.get("architecture") == "sam_fusion":
        raw["triplet"] = {"weight": 0}
    return p.Model.model_validate(raw)
