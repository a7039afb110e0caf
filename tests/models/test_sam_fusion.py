"""Sound mixed into the picture features."""

from __future__ import annotations

import pytest
import torch
from random_models import batch_of, model_of

from soundprompt.models import build
from soundprompt.models.sam_fusion import AudioVisualFusion, ScratchDecoder


def test_equals_attention_with_the_sound_in_every_cell():
    """The short form against TPAVI's long one: T*h*w keys, dot product, mean over keys."""
    torch.manual_seed(0)
    fusion = AudioVisualFusion(16)
    features, audio = torch.randn(2, 3, 3, 16), torch.randn(2, 128)
    cells = features.flatten(1, 2)
    keys = fusion.key(fusion.sound(audio))[:, None].expand(-1, 9, -1)
    attention = fusion.query(cells) @ keys.mT / 9
    expected = fusion.norm(cells + fusion.out(attention @ fusion.value(cells)))
    valid = torch.ones(2, 3, 3, dtype=torch.bool)
    torch.testing.assert_close(fusion(features, audio, valid).flatten(1, 2), expected, rtol=1e-4, atol=1e-5)


def test_padding_does_not_reach_the_picture():
    torch.manual_seed(0)
    fusion = AudioVisualFusion(16)
    features, audio = torch.randn(1, 4, 4, 16), torch.randn(1, 128)
    valid = torch.ones(1, 4, 4, dtype=torch.bool)
    valid[:, 2:] = False
    altered = features.masked_fill(~valid[..., None], 50.0)
    torch.testing.assert_close(fusion(features, audio, valid)[:, :2], fusion(altered, audio, valid)[:, :2])


def test_picture_keeps_its_scale_where_the_sound_says_nothing():
    like = torch.nn.LayerNorm(16)
    torch.nn.init.constant_(like.weight, 0.2)
    fusion = AudioVisualFusion(16, like)
    torch.nn.init.zeros_(fusion.out.weight)
    features = like(torch.randn(1, 3, 3, 16))
    fused = fusion(features, torch.randn(1, 128), torch.ones(1, 3, 3, dtype=torch.bool))
    torch.testing.assert_close(fused, features, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("width", "factor"), [(64, 4), (20, 4), (64, 8), (3, 8)])
def test_scratch_decoder_draws_on_the_grid_of_masks(width, factor):
    assert ScratchDecoder(32, width, factor)(torch.randn(2, 5, 5, 32)).shape == (2, 1, 5 * factor, 5 * factor)


@pytest.mark.parametrize("decoder", ["sam", "scratch"])
def test_every_frame_hears_its_own_second_only(sam, decoder):
    model = build(
        model_of(architecture="sam_fusion", decoder="full", fusion={"decoder": decoder}, visual={"tune_from": None}),
        sam, 0,
    ).eval()  # fmt: skip
    batch = batch_of(sam, None)
    before = model(batch).logits
    batch.audio = batch.audio.clone()
    batch.audio[1] += 5
    changed = (model(batch).logits - before).abs().amax((1, 2, 3))
    assert changed[1] > 1e-3 and changed[0] < 1e-5 and changed[2] < 1e-5
