"""Prompt tokens: which there are, what they depend on."""

from __future__ import annotations

import pytest
import torch

from soundprompt import params as p
from soundprompt.models.sap import SemanticAudioPrompt


def inputs(sam, b=3):
    stream = torch.Generator().manual_seed(4)
    features = torch.randn(b, sam.grid, sam.grid, sam.prompt_dim, generator=stream)
    valid = torch.ones(b, sam.grid, sam.grid, dtype=torch.bool)
    valid[1, 5:] = False
    return features, torch.randn(b, 128, generator=stream), valid


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        ({}, 3),
        ({"visual_cue": False}, 2),
        ({"noise": "off"}, 2),
        ({"noise": "additive_learned"}, 2),
        ({"visual_cue": False, "noise": "off"}, 1),
        ({"audio_token": False}, 2),
        ({"joint_dim": 256}, 3),
    ],
)
def test_tokens_and_joint_space(sam, settings, tokens):
    sap = SemanticAudioPrompt(sam, p.Sap(**settings), 0)
    prompts, cue, sound = sap(*inputs(sam))
    assert prompts.shape == (3, tokens, sam.prompt_dim)
    joint = settings.get("joint_dim", 128)
    assert (cue is None) == (settings.get("visual_cue") is False)
    assert cue is None or cue.shape == (3, joint)
    assert (sound is None) == (settings.get("audio_token") is False)
    assert sound is None or sound.shape == (3, joint)


def test_order_is_cue_noise_sound(sam):
    features, audio, valid = inputs(sam)
    sap = SemanticAudioPrompt(sam, p.Sap(), 0)
    before = sap(features, audio, valid)[0]
    changed = torch.stack(
        [
            (sap(features + 1, audio, valid)[0] - before).abs().amax((0, 2)),
            (sap(features, audio + 1, valid)[0] - before).abs().amax((0, 2)),
        ]
    )
    assert (changed > 0).tolist() == [[True, False, False], [False, False, True]]
    assert torch.equal(before[0, 1], before[2, 1])


def test_sizes_of_the_layers(sam):
    sap = SemanticAudioPrompt(sam, p.Sap(), 0)
    assert [tuple(sap.cue[i].weight.shape) for i in (0, 2)] == [(512, sam.prompt_dim), (128, 512)]
    assert [tuple(sap.project[i].weight.shape) for i in (0, 2)] == [(512, 128), (sam.prompt_dim, 512)]
    assert SemanticAudioPrompt(sam, p.Sap(hidden=64), 0).cue[0].out_features == 64


def test_padding_does_not_reach_the_cue(sam):
    features, audio, valid = inputs(sam)
    altered = features.masked_fill(~valid[..., None], 99.0)
    careful, careless = (SemanticAudioPrompt(sam, p.Sap(gap_valid_only=on), 0) for on in (True, False))
    assert torch.equal(careful(features, audio, valid)[1], careful(altered, audio, valid)[1])
    assert not torch.equal(careless(features, audio, valid)[1], careless(altered, audio, valid)[1])
    mean = features[1][valid[1]].mean(0)
    torch.testing.assert_close(careful.pooled(features, valid)[1], mean)


@pytest.mark.parametrize("noise", ["gaussian_additive", "gaussian_replace"])
def test_gaussian_noise_is_for_training_only(sam, noise):
    sap = SemanticAudioPrompt(sam, p.Sap(noise=noise, visual_cue=False), 0)
    given = inputs(sam)
    silent = SemanticAudioPrompt(sam, p.Sap(noise="off", visual_cue=False), 0).eval()
    assert torch.equal(sap.eval()(*given)[0], silent(*given)[0])
    sap.train()
    torch.manual_seed(0)
    first, second = sap(*given)[0], sap(*given)[0]
    torch.manual_seed(0)
    assert torch.equal(first, sap(*given)[0]) and not torch.equal(first, second)


def test_released_noise_keeps_only_the_spread_of_the_sound(sam):
    sap = SemanticAudioPrompt(sam, p.Sap(noise="gaussian_replace"), 0).train()
    sound = 3 + 0.5 * torch.randn(400, 128, generator=torch.Generator().manual_seed(5))
    disturbed = sap.disturbed(sound)
    assert abs(disturbed.mean()) < 0.02 and abs(disturbed.std() - 0.5) < 0.02
    assert not sap.disturbed(torch.zeros(2, 128)).any()
    kind = SemanticAudioPrompt(sam, p.Sap(noise="gaussian_additive", noise_scale=0.1), 0).train()
    assert abs((kind.disturbed(sound) - sound).std() - 0.05) < 0.002


def test_learned_noise_starts_small_and_learns(sam):
    for noise in ("token", "additive_learned"):
        sap = SemanticAudioPrompt(sam, p.Sap(noise=noise), 0)
        assert 0.01 < sap.noise.std() < 0.03
        sap(*inputs(sam))[0].square().sum().backward()
        assert sap.noise.grad.abs().max() > 0
