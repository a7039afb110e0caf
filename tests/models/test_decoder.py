"""The batched decoder against the package's own."""

from __future__ import annotations

import pytest
import torch
from random_models import batch_of

from soundprompt import params as p
from soundprompt.models.decoder import MaskDecoder


def package_masks(sam, features, prompts):
    """Mask 0 of each frame by the package, one frame at a time; features (B, C, h, w)."""
    masks = []
    for image, tokens in zip(features, prompts, strict=True):
        found, _ = sam.sam.mask_decoder.predict_masks(image[None], sam.image_pe, tokens[None], dense(sam))
        masks.append(found[:, :1])
    return torch.cat(masks)


def dense(sam):
    return sam.no_mask.expand(1, -1, sam.grid, sam.grid)


@pytest.mark.parametrize("n_tokens", [0, 1, 3])
def test_equals_predict_masks_image_by_image(sam, n_tokens):
    features = batch_of(sam, None, n=4).visual
    prompts = torch.randn(4, n_tokens, sam.prompt_dim, generator=torch.Generator().manual_seed(2))
    ours = MaskDecoder(sam)(features.permute(0, 2, 3, 1), prompts)
    theirs = package_masks(sam, features, prompts)
    assert ours.shape == (4, 1, sam.cells, sam.cells)
    assert theirs.std() > 1e-2
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_point_prompt_behind_zero_cola_is_the_untouched_sam(sam):
    features = batch_of(sam, None, n=3).visual
    points = torch.tensor([[[10.0, 20.0]], [[64.0, 64.0]], [[100.0, 30.0]]])
    prompts, no_mask = sam.sam.prompt_encoder(points=(points, torch.ones(3, 1)), boxes=None, masks=None)
    ours = MaskDecoder(sam, cola=p.Cola(zero_init=True))(features.permute(0, 2, 3, 1), prompts)
    for i in range(3):
        logits, _ = sam.sam.mask_decoder(features[i : i + 1], sam.image_pe, prompts[i : i + 1], no_mask[:1], False)
        torch.testing.assert_close(ours[i : i + 1], logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("trained", ["frozen", "cross_attention", "full"])
def test_what_trains_also_gets_a_gradient(sam, trained):
    decoder = MaskDecoder(sam, trained)
    features = batch_of(sam, None).visual.permute(0, 2, 3, 1).requires_grad_()
    prompts = torch.randn(3, 2, sam.prompt_dim, requires_grad=True)
    decoder(features, prompts).square().mean().backward()
    moved = {name for name, weight in decoder.named_parameters() if weight.grad is not None}
    assert moved == {name for name, weight in decoder.named_parameters() if weight.requires_grad}
    assert prompts.grad.abs().max() > 0 and features.grad.abs().max() > 0
    kinds = {"frozen": set(), "cross_attention": {"transformer"}}
    every = {"transformer", "iou_token", "mask_tokens", "upscaling", "hypernetwork"}
    assert {name.partition(".")[0] for name in moved} == kinds.get(trained, every)


def test_cola_placements_differ_and_each_counts(sam):
    features = batch_of(sam, None).visual.permute(0, 2, 3, 1)
    prompts = torch.randn(3, 2, sam.prompt_dim, generator=torch.Generator().manual_seed(3))
    changes = [{}, {"placement": "attention"}, {"placement": "parallel"}, {"residual": False}, {"act": "relu"}]
    changes += [{"dim": 32}, {"enabled": False}]
    masks = [MaskDecoder(sam, cola=p.Cola(**change))(features, prompts) for change in changes]
    for i in range(len(masks)):
        for j in range(i):
            assert (masks[i] - masks[j]).abs().max() > 1e-4, (changes[i], changes[j])


def test_zero_cola_changes_nothing_in_any_place(sam):
    features = batch_of(sam, None).visual.permute(0, 2, 3, 1)
    prompts = torch.randn(3, 2, sam.prompt_dim)
    plain = MaskDecoder(sam)(features, prompts)
    for placement in ("mlp", "attention", "parallel"):
        adapted = MaskDecoder(sam, cola=p.Cola(zero_init=True, placement=placement))(features, prompts)
        assert torch.equal(adapted, plain)
