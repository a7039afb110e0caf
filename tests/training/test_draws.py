"""A seed means the same on every device: what training draws comes from the CPU, wherever the tensors lie.

No GPU is needed to see that: torch's meta device computes shapes alone and has no random numbers of its own, so that
whatever was drawn on the device would leave the CPU's generator where it was.
"""

from __future__ import annotations

import pytest
import torch

from soundprompt.draws import Attention, Dropout, DropPath, normal_like, one_of
from soundprompt.training import run
from soundprompt.training.losses import triplet_loss

FUSION = {"architecture": "sam_fusion", "cola": {"enabled": False}, "triplet": {"weight": 0}}
MODELS = {
    "triplet": {},
    "one clip and a spare frame": {"schedule": {"clips_per_step": 1}},
    "additive": {"sap": {"noise": "gaussian_additive"}},
    "replaced": {"sap": {"noise": "gaussian_replace", "visual_cue": False}, "triplet": {"weight": 0}},
    "wide": {"sap": {"noise": "gaussian_additive", "joint_dim": 256}},
    "negatives": {"schedule": {"negatives": 0.5, "clips_per_step": 4}},
    "presence": {"schedule": {"negatives": 0.5, "clips_per_step": 4}, "presence": {"enabled": True}},
    "fusion": FUSION,
}


def drawn_in_a_step(trainer, device):
    """State of the CPU's generator after the loss of step 1, with model and batch on a device."""
    batch, spare = trainer.sample(1)
    trainer.model.to(device)
    torch.manual_seed(trainer.sampler.torch_seed(1))
    trainer.loss(batch.to(device), spare and spare.to(device))
    return torch.get_rng_state()


@pytest.mark.parametrize("name", MODELS)
def test_a_step_draws_the_same_numbers_from_the_cpu_on_another_device(tiny, view, name):
    settings = view(**MODELS[name])
    data = run.PackData(settings, tiny)
    states = [drawn_in_a_step(run.Run(settings, 0, tiny, data).trainer(), device) for device in ("cpu", "meta")]
    assert torch.equal(*states)
    torch.manual_seed(run.Run(settings, 0, tiny, data).trainer().sampler.torch_seed(1))
    assert torch.equal(states[0], torch.get_rng_state()) == (name == "fusion"), "all others draw something"


def test_draws_are_those_of_torch_on_the_cpu():
    """So that runs on the CPU keep the numbers that they had when torch drew in place."""
    x = torch.randn(3, 128)
    allowed = torch.rand(40, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    allowed[:, 3] = True
    torch.manual_seed(1)
    expected = torch.randn_like(x), torch.multinomial(allowed.float(), 1)[:, 0]
    torch.manual_seed(1)
    assert torch.equal(normal_like(x), expected[0]) and torch.equal(one_of(allowed), expected[1])
    torch.manual_seed(1)
    low = normal_like(x.bfloat16())
    assert low.dtype == torch.bfloat16 and torch.equal(low, expected[0].bfloat16())
    assert normal_like(x.to("meta")).device.type == "meta"


def test_the_triplet_draws_from_allowed_negatives_alone():
    sound = torch.eye(5)
    cue = torch.eye(5).roll(1, 0)  # frame i's cue is the sound of frame i - 1
    negatives = torch.zeros(5, 5, dtype=torch.bool)
    negatives[torch.arange(5), torch.arange(5).roll(-1)] = True  # and its only negative frame i + 1, the nearest
    loss, active = triplet_loss(cue, sound, negatives, 0.3)
    assert loss.item() == pytest.approx(1.3) and active.item() == 1


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_drops_its_share_anew_each_time_and_keeps_the_mean(share):
    torch.manual_seed(0)
    dropout, x = Dropout(share), torch.ones(200, 500, requires_grad=True)
    first, second = dropout(x), dropout(x)
    for out in (first, second):
        off = out == 0
        assert off.float().mean().item() == pytest.approx(share, abs=0.005)
        assert torch.equal(out[~off], torch.full_like(out[~off], 1 / (1 - share)))
        for rows in (off[:-1] & off[1:], off[:, :-1] & off[:, 1:]):  # neighbours know nothing of each other
            assert rows.float().mean().item() == pytest.approx(share**2, abs=0.005)
    assert ((first == 0) & (second == 0)).float().mean().item() == pytest.approx(share**2, abs=0.005)
    first.sum().backward()
    assert torch.equal(x.grad, first.detach())
    assert torch.equal(dropout.eval()(x), x)


def test_drop_path_drops_whole_samples():
    torch.manual_seed(0)
    path, x, states = DropPath(0.3), torch.ones(2000, 2, 3), []
    out = path(x)
    assert ((out == 0).flatten(1).all(1) | (out == 1 / 0.7).flatten(1).all(1)).all()
    assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(path.eval()(x), x)
    for device in ("cpu", "meta"):
        torch.manual_seed(1)
        path.train()(x.to(device))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_dropout_draws_one_number_wherever_it_is_computed():
    states = []
    for device in ("cpu", "meta"):
        torch.manual_seed(3)
        assert Dropout(0.2)(torch.ones(4, 6, device=device)).shape == (4, 6)
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    torch.manual_seed(3)
    again = Dropout(0.2)(torch.ones(4, 6))
    torch.manual_seed(3)
    assert torch.equal(again, Dropout(0.2)(torch.ones(4, 6)))


@pytest.mark.parametrize("bias", [True, False])
def test_attention_is_that_of_torch_and_draws_from_the_cpu(bias):
    torch.manual_seed(0)
    ours = Attention(8, 2, 0.3, bias=bias)
    theirs = torch.nn.MultiheadAttention(8, 2, 0.3, bias=bias, batch_first=True).eval()
    theirs.load_state_dict(ours.state_dict())
    query, key, value = torch.randn(3, 5, 8), torch.randn(3, 7, 8), torch.randn(3, 7, 8)
    expected = theirs(query, key, value, need_weights=False)[0]
    torch.testing.assert_close(ours.eval()(query, key, value), expected)
    states, outs = [], []
    for device in ("cpu", "meta"):
        torch.manual_seed(3)
        outs.append(ours.to(device).train()(*(x.to(device) for x in (query, key, value))))
        states.append(torch.get_rng_state())
    assert torch.equal(*states) and outs[1].shape == expected.shape
    ours = Attention(8, 2, 1e-9, bias=bias).train()  # nothing is dropped, by the long way
    ours.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(ours(query, key, value), expected)
    assert not torch.allclose(outs[0], expected)
