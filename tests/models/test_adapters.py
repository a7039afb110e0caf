"""The adapted tail of the encoder."""

from __future__ import annotations

import pytest
import torch
from random_models import batch_of, random_sam

from soundprompt import params as p
from soundprompt.foundation import mini_sam, vit
from soundprompt.models import adapters
from soundprompt.models.adapters import EncoderTail


def visual(**changes) -> p.Visual:
    return p.Visual(**{"tune_from": 2, "dim": 16, **changes})


@pytest.mark.parametrize("tap", [0, 2, 3])
def test_zero_adapters_from_the_cache_equal_the_whole_encoder(sam, tap):
    batch = batch_of(sam, tap)
    ours = EncoderTail(sam, visual(tune_from=tap, zero_init=True), 0)(batch.visual)
    theirs = sam.prefix(batch.pixels, [None])[None].permute(0, 2, 3, 1)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=2e-5)


def test_windows_and_fused_attention_equal_the_package(monkeypatch):
    """The released layout: windows of 14 that do not divide the grid, then global attention."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = mini_sam.modeling.ImageEncoderViT(
            320, embed_dim=32, depth=2, num_heads=2, out_chans=16, use_rel_pos=True, window_size=14,
            global_attn_indexes=(1,),
        )  # fmt: skip
        for name, weight in encoder.named_parameters():
            if "rel_pos" in name:
                torch.nn.init.normal_(weight)
    stub = type("Sam", (), {"sam": type("Inner", (), {"image_encoder": encoder}), "grid": 20, "dim": 32})
    tail = EncoderTail(stub, p.Visual(tune_from=0, zero_init=True), 0)
    tokens = torch.randn(2, 20, 20, 32)
    expected = tokens
    for block in encoder.blocks:
        expected = block(expected)
    expected = encoder.neck(expected.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(tail(tokens), expected, rtol=1e-4, atol=2e-5)
    monkeypatch.setattr(vit, "BLOCKWISE_FROM", 1)
    torch.testing.assert_close(tail(tokens), expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("tap", [0, 2, 3])
def test_the_tail_goes_on_from_its_frozen_front(sam, tap):
    """Values, and the gradients of all that trains, are those of the whole tail."""
    batch = batch_of(sam, tap)
    tail = EncoderTail(sam, visual(tune_from=tap), 0)
    ready = adapters.front(sam, tap)(batch.visual)
    assert ready.shape == (*batch.visual.shape[:3], 2 * sam.dim) and not ready.requires_grad
    found = []
    for x in (batch.visual, ready):
        tail.zero_grad()
        out = tail(x)
        out.square().sum().backward()
        found.append([out, *(weight.grad for weight in tail.parameters() if weight.requires_grad)])
    for whole, split in zip(*found, strict=True):
        torch.testing.assert_close(split, whole, rtol=1e-5, atol=1e-6)


def test_the_frozen_front_computes_on_the_models_device(sam):
    """On torch's meta device, which computes shapes alone: only the way back to the processor fails."""
    tokens = torch.randn(1, sam.grid, sam.grid, sam.dim)
    with pytest.raises(NotImplementedError, match="copy out of meta"):
        adapters.front(sam, 2, "meta")(tokens)
    assert {weight.device.type for weight in sam.sam.parameters()} == {"cpu"}
    assert adapters.front(sam, 2, "meta")(tokens.to("meta")).shape == (1, sam.grid, sam.grid, 2 * sam.dim)


def test_trained_parts(sam):
    def trained(**changes):
        tail = EncoderTail(sam, visual(**changes), 0)
        return {name.rpartition(".")[0] for name, weight in tail.named_parameters() if weight.requires_grad}

    adapter = {f"blocks.{i}.adapter.{j}" for i in (2, 3) for j in (0, 2)}
    norms = {"blocks.3.norm1", "blocks.3.norm2"}
    assert trained() == adapter | norms
    assert trained(tune_norms=False) == adapter
    assert trained(tune_neck=True) == adapter | norms | {"neck.1", "neck.3"}


def test_default_adapters_start_by_disturbing_sam(sam):
    """As in the released code; zero_init is the switch against it."""
    batch = batch_of(sam, 2)
    plain, ours = (EncoderTail(sam, visual(zero_init=zero), 0)(batch.visual) for zero in (True, False))
    assert (plain - ours).abs().max() > 1e-3


def test_smaller_input_size():
    small = random_sam("mini", 64)
    batch = batch_of(small, 2)
    assert EncoderTail(small, visual(), 0)(batch.visual).shape == (3, 4, 4, small.prompt_dim)
