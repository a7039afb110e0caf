"""The presence score: what it says about a frame, and that it leaves the drawing to the drawing."""

from __future__ import annotations

import pytest
import torch
from random_models import batch_of, model_of

from soundprompt import models
from soundprompt import params as p

KINDS = {"gavs": {}, "sam_fusion": {"architecture": "sam_fusion", "decoder": "full"}}
SCORED = {"presence": {"enabled": True}, "schedule": {"negatives": 0.3}}


@pytest.fixture(params=KINDS)
def scored(sam, request):
    """A model with a presence score, and a batch for it."""
    model = models.build(model_of(**KINDS[request.param], **SCORED), sam, 0)
    return model, batch_of(sam, model.tap)


def test_a_pixel_is_as_probable_as_the_less_probable_of_mask_and_presence(scored):
    model, batch = scored
    answer = model(batch)
    presence, drawn = answer.presence[:, None, None, None], answer.drawn
    assert torch.equal(answer.logits, torch.where(drawn < presence, drawn, presence.expand_as(drawn)))
    assert 0 < (answer.logits == drawn).float().mean() < 1, "each of the two has a say in this batch"


def test_the_score_hears_the_sound_and_sees_the_picture_and_not_its_padding(scored):
    model, batch = scored
    before = model(batch).presence
    batch.audio = batch.audio.flip(0)
    assert (model(batch).presence - before)[[0, 2]].abs().min() > 1e-4
    features, audio, drawn = model.encode(batch.visual), model.hear(batch.audio), model(batch).drawn
    state = features.flatten(1, 2).mean(1)
    score = model.presence(state, features, drawn, audio, batch.valid)
    elsewhere = model.presence(state, features + 5 * ~batch.valid[..., None], drawn, audio, batch.valid)
    torch.testing.assert_close(score, elsewhere)
    assert (model.presence(state, features + 1, drawn, audio, batch.valid) - score).abs().min() > 1e-4


def test_what_is_drawn_learns_nothing_from_how_it_is_judged(scored):
    """By way of the mask; the decoder's own attention, of which the token takes part, may."""
    model, batch = scored
    features = model.encode(batch.visual).detach()
    drawn = torch.randn(3, 1, *(model(batch).drawn.shape[2:]), requires_grad=True)
    state = torch.randn(3, features.shape[-1], requires_grad=True)
    model.presence(state, features, drawn, batch.audio, batch.valid).sum().backward()
    assert drawn.grad is None and state.grad.abs().min() > 0
    assert all(weight.grad is not None for name, weight in model.presence.named_parameters() if name != "token")


def test_without_it_the_model_starts_with_the_same_weights(sam):
    """So that what a score costs or gains is not a matter of the draw."""
    plain, scored = (models.build(model_of(**more), sam, 0) for more in ({}, SCORED))
    there = scored.state_dict()
    assert all(torch.equal(weight, there[name]) for name, weight in plain.state_dict().items())
    assert {name.partition(".")[0] for name in there.keys() - plain.state_dict().keys()} == {"presence"}


REFUSED = {
    "without negatives": {"schedule": {"negatives": 0}},
    "another decoder": {"architecture": "sam_fusion", "fusion": {"decoder": "scratch"}},
    "another architecture": {"architecture": "avsbench_tpavi", "visual": {"tune_from": None}},
}


@pytest.mark.parametrize("case", REFUSED)
def test_where_it_cannot_be_it_is_refused(case):
    plain = {"cola": {"enabled": False}, "triplet": {"weight": 0}}
    with pytest.raises(ValueError, match="a presence score needs gavs or sam_fusion"):
        p.Model.model_validate(p.merge({**plain, **SCORED}, REFUSED[case]))
    p.Model.model_validate({**plain, **SCORED})
