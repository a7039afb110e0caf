"""What stands in the cache, and the blocks behind it, are SAM ViT-B to the rounding of fp16."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from handful import random_vit_b

from soundprompt import params as p
from soundprompt.data import media
from soundprompt.features import plan
from soundprompt.features.store import Store
from soundprompt.foundation import sam as sam_models
from soundprompt.models.adapters import EncoderTail

pytestmark = pytest.mark.slow

HALF_STEP = 2.0**-11  # rounding to fp16 changes a number by at most this share of it


def unsplit(sam: sam_models.FrozenSam, pixels: torch.Tensor, block: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The package's own forward pass: what goes into a block, and the encoder's output."""
    seen = []
    hook = sam.sam.image_encoder.blocks[block].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        output = sam.sam.image_encoder(pixels)
    hook.remove()
    return seen[0], output


def test_the_cache_is_the_unsplit_forward(handful):
    sam = sam_models.load(handful.foundation("sam"))
    pictures = plan.read(handful).groupby("shard").head(1)
    assert len(pictures) == 2
    for row in pictures.itertuples():
        cached = Store(handful.visual_shard(row.shard)).read("block9", [row.image_digest])[0].float()
        exact, _ = unsplit(sam, sam.preprocess([media.read_image(row.image)]), 9)
        off = (cached - exact[0]).abs()
        # beside the rounding: a batch of another size may sum in another order
        assert (off <= HALF_STEP * exact[0].abs() + 1e-5 * exact.abs().max()).all()


@pytest.mark.parametrize("size", [256, 512, 1024])
def test_the_blocks_behind_the_cache_are_the_encoders(size):
    """With adapters that add nothing: near the encoder from what the cache holds, in fp16, and exact from float32.

    From 512 pixels on attention runs in its fused form, which 256 pixels do not show.
    """
    released = random_vit_b()
    sam_models.resize_tables(released, size)
    sam = sam_models.FrozenSam(released, "vit_b", "random")
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    found = sam.prefix(sam.preprocess([picture]), [9, None])
    tail = EncoderTail(sam, p.Visual(tune_from=9, zero_init=True), seed=0).eval()
    whole = found[None].permute(0, 2, 3, 1)
    spread = whole.std()
    with torch.no_grad():
        off = (tail(found[9].half().float()) - whole) / spread
        assert off.abs().max() < 20 * HALF_STEP and off.square().mean().sqrt() < HALF_STEP
        if size < 1024:  # a third of a minute there
            assert (tail(found[9]) - whole).abs().max() < 1e-4 * spread
