"""Whole models: shapes, switches, what trains, what never moves, parameter counts."""

from __future__ import annotations

import pytest
import torch
from random_models import batch_of, model_of, random_sam

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.foundation import pyramid as pyramids
from soundprompt.foundation.pyramid import FrozenPyramid
from soundprompt.models import build

FUSION = {"architecture": "sam_fusion", "decoder": "full"}
MODELS = {
    "gavs": {"visual": {"tune_neck": True}},
    "frozen_encoder": {"visual": {"tune_from": None}},
    "last_block": {"visual": {"tune_from": 3}},
    "no_norms": {"visual": {"tune_norms": False}},
    "audio_sam": {
        "sap": {"visual_cue": False, "noise": "off"}, "cola": {"enabled": False}, "visual": {"tune_from": None},
    },
    "cross_attention": {"decoder": "cross_attention", "cola": {"enabled": False}},
    "full": {"decoder": "full"},
    "joint_256": {"sap": {"joint_dim": 256}},
    "additive": {"sap": {"noise": "additive_learned"}},
    "released_noise": {"sap": {"noise": "gaussian_replace", "visual_cue": False}},
    "small_noise": {"sap": {"noise": "gaussian_additive"}},
    "cue_only": {"sap": {"audio_token": False}},
    "narrow_cola": {"cola": {"dim": 32, "act": "relu"}},
    "fusion": {**FUSION, "visual": {"tune_from": None}},
    "fusion_adapted": FUSION,
    "fusion_scratch": {**FUSION, "fusion": {"decoder": "scratch"}},
}  # fmt: skip


def run_steps(model, batch, steps=3):
    """A few optimiser steps on made-up masks. Returns the names that got a gradient."""
    optimiser = torch.optim.AdamW(model.parameter_groups(p.Schedule(learning_rate=1e-3)))
    target = (torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(6)) > 0.7).float()
    model.train()
    for _ in range(steps):
        found = model(batch)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(found.logits, target)
        if found.cue is not None and found.sound is not None:
            loss = loss - torch.cosine_similarity(found.cue, found.sound).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {name for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("name", MODELS)
def test_frozen_never_moves_and_trained_always_does(sam, name):
    model = build(model_of(**MODELS[name]), sam, 0)
    batch = batch_of(sam, model.tap)
    foundation = {key: value.clone() for key, value in sam.sam.state_dict().items()}
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    reached = run_steps(model, batch)
    after = dict(model.named_parameters())
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert moved == reached == set(model.trained_parameters())
    assert all(torch.equal(value, foundation[key]) for key, value in sam.sam.state_dict().items())
    assert model(batch).logits.shape == (3, 1, 64, 64)


def test_every_switch_changes_the_masks(sam):
    """In training mode, with one global seed, because some noise exists in training only."""
    masks = {}
    for name, changes in MODELS.items():
        model = build(model_of(**changes), sam, 0).train()
        run_steps(model, batch_of(sam, model.tap), steps=1)
        torch.manual_seed(0)
        masks[name] = model(batch_of(sam, model.tap)).logits
    names = list(masks)
    same = [(a, b) for i, a in enumerate(names) for b in names[:i] if (masks[a] - masks[b]).abs().max() < 1e-5]
    assert not same


def test_initial_weights_depend_on_the_seed_alone(sam):
    def weights(seed, **changes):
        return {
            name: value.detach().clone() for name, value in build(model_of(**changes), sam, seed).named_parameters()
        }

    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = weights(0)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(2)
    again, other = weights(0), weights(1)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["sap.project.0.weight"], other["sap.project.0.weight"])
    ablated = weights(0, sap={"visual_cue": False, "noise": "off"})
    assert set(ablated) < set(first)
    assert all(torch.equal(first[name], ablated[name]) for name in ablated)


def test_two_models_of_one_foundation_do_not_share_weights(sam):
    one, two = build(model_of(decoder="full"), sam, 0), build(model_of(decoder="full"), sam, 0)
    batch = batch_of(sam, 2)
    before = two.eval()(batch).logits
    run_steps(one, batch)
    assert torch.equal(two(batch).logits, before)


@pytest.mark.parametrize("name", ["gavs", "fusion", "fusion_scratch"])
def test_a_muted_model_is_deaf(sam, name):
    hearing, muted = (build(model_of(**MODELS[name], mute=mute), sam, 0).eval() for mute in (False, True))
    batch, other = batch_of(sam, hearing.tap), batch_of(sam, hearing.tap)
    other.audio = other.audio + 3
    assert not torch.equal(hearing(batch).logits, hearing(other).logits)
    assert torch.equal(muted(batch).logits, muted(other).logits)
    other.audio = torch.zeros_like(other.audio)
    torch.testing.assert_close(hearing(other).logits, muted(batch).logits)


def test_frames_of_a_batch_do_not_mix(sam):
    model = build(model_of(), sam, 0).eval()
    batch = batch_of(sam, 2, n=4)
    together = model(batch).logits
    for i in range(4):
        alone = batch_of(sam, 2, n=4)
        alone.visual, alone.audio, alone.valid = alone.visual[i : i + 1], alone.audio[i : i + 1], alone.valid[i : i + 1]
        torch.testing.assert_close(model(alone).logits[0], together[i], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["gavs", "fusion", "fusion_scratch"])
def test_bfloat16_autocast_stays_close(sam, name):
    model = build(model_of(**MODELS[name]), sam, 0).eval()
    batch = batch_of(sam, model.tap)
    exact = model(batch).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(batch).logits
    assert torch.corrcoef(torch.stack([exact.flatten(), rough.float().flatten()]))[0, 1] > 0.99


def test_groups_and_rates(sam):
    model = build(model_of(visual={"tune_neck": True}), sam, 0)
    schedule = p.Schedule(learning_rate=1e-3, adapter_learning_rate=5e-3)
    groups = {group["name"]: group for group in model.parameter_groups(schedule)}
    assert {name: group["lr"] for name, group in groups.items()} == {"head": 1e-3, "adapters": 5e-3}
    assert sum(len(group["params"]) for group in groups.values()) == len(model.trained_parameters())
    adapters = {id(weight) for weight in groups["adapters"]["params"]}
    named = {id(weight) for name, weight in model.trained_parameters().items() if name.startswith("encoder.")}
    assert adapters == named
    frozen = build(model_of(visual={"tune_from": None}), sam, 0)
    assert [group["name"] for group in frozen.parameter_groups(schedule)] == ["head"]


def test_tune_from_beyond_the_encoder(sam):
    with pytest.raises(InputError, match=r"tune_from: 4 .* 0 to 3"):
        build(model_of(visual={"tune_from": 4}), sam, 0)


def test_all_models_of_the_full_study_build(sam):
    pyramid = FrozenPyramid(pyramids.build("mini_pyramid"), "mini_pyramid", 128, "none")
    raw = p.read_base(overlays=["studies/full.yaml"])
    for settings in p.resolve_models(raw["models"], raw["schedule"]).values():
        model = p.Model.model_validate(settings)
        assert build(model, sam if model.reads == "sam" else pyramid, 0).trained_parameters()


# ------------------------------------------------------------------- the released sizes
@pytest.fixture(scope="module")
def vit_b():
    """ViT-B at 256 pixels: position tables aside, which never train, its weights have the shapes of the full size."""
    return random_sam("vit_b", 256)


def count(parameters) -> int:
    return sum(weight.numel() for weight in parameters)


def test_parameter_counts_of_vit_b(vit_b):
    def trained(**settings):
        return count(build(p.Model.model_validate(settings), vit_b, 0).trained_parameters().values())

    assert trained(visual={"tune_from": 9}) == 1_125_248
    assert trained(visual={"tune_from": 6}) == 1_726_976
    released = {"sap": {"visual_cue": False, "noise": "gaussian_replace"}, "triplet": {"weight": 0}}
    by_block = {0: 2_733_056, 6: 1_529_600, 9: 927_872, 11: 526_720, None: 329_216}
    assert {first: trained(**released, visual={"tune_from": first}) for first in by_block} == by_block
    bare = {**released, "sap": {"visual_cue": False, "noise": "off"}, "cola": {"enabled": False}}
    assert trained(**bare) == 197_376
    assert trained(**bare, decoder="cross_attention") == 197_376 + 659_072
    # Of the decoder's 4,058,340 weights the IoU head (132,612) and three mask networks (3 x 139,808) stay out.
    assert trained(**bare, decoder="full") == 197_376 + 4_058_340 - 132_612 - 3 * 139_808


def test_stock_vit_b_at_full_size():
    sam = random_sam("vit_b", 1024).sam
    assert count(sam.parameters()) == 93_735_472
    assert count(sam.image_encoder.parameters()) == 89_670_912
    assert count(sam.mask_decoder.parameters()) == 4_058_340


def test_vit_b_from_the_cache_equals_the_whole_encoder(vit_b):
    model = build(p.Model(visual=p.Visual(tune_from=9, zero_init=True)), vit_b, 0).eval()
    batch = batch_of(vit_b, 9, n=1)
    with torch.no_grad():
        tail = model.encoder(batch.visual)
    whole = vit_b.prefix(batch.pixels, [None])[None].permute(0, 2, 3, 1)
    torch.testing.assert_close(tail, whole, rtol=1e-3, atol=1e-4)
