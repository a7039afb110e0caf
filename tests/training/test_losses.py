from __future__ import annotations

import math

import pytest
import torch

from soundprompt.foundation import sam as sam_models
from soundprompt.training.losses import allowed_negatives, decoder_loss, original_loss, triplet_loss


def bce(probability: float, target: float) -> float:
    return -(target * math.log(probability) + (1 - target) * math.log(1 - probability))


def test_decoder_loss_is_the_mean_over_a_frames_valid_cells():
    probability = torch.tensor([[[[0.9, 0.2], [0.5, 0.5]]], [[[0.6, 0.3], [0.8, 0.1]]]])
    targets = torch.tensor([[[[1.0, 0.25], [0.0, 0.0]]], [[[1.0, 0.0], [1.0, 0.0]]]])
    valid = torch.tensor([[[[True, True], [False, False]]], [[[True, True], [True, True]]]])
    first = (bce(0.9, 1) + bce(0.2, 0.25)) / 2
    second = (bce(0.6, 1) + bce(0.3, 0) + bce(0.8, 1) + bce(0.1, 0)) / 4
    loss = decoder_loss(probability.logit(), targets, valid)
    assert loss.tolist() == pytest.approx([first, second], rel=1e-5)


def test_original_loss_weighs_frames_alike_whatever_their_size():
    torch.manual_seed(0)
    sam = sam_models.FrozenSam(sam_models.build("mini", 64), "mini", "")
    logits = torch.randn(2, 1, 16, 16, requires_grad=True)
    masks = [torch.rand(64, 64) > 0.5, torch.rand(30, 90) > 0.5]
    loss = original_loss(logits, masks, sam.restore).mean()
    pictures = sam.restore(logits, [(64, 64), (30, 90)])
    parts = []
    for picture, mask in zip(pictures, masks, strict=True):
        probability = picture.sigmoid()
        parts.append(-torch.where(mask, probability, 1 - probability).log().mean())
    assert loss.item() == pytest.approx((sum(parts) / 2).item(), rel=1e-5)
    loss.backward()
    assert logits.grad.abs().sum() > 0


def test_negatives_are_of_another_video_and_class_if_there_is_one():
    videos, classes = ["a", "a", "b", "c"], ["dog", "dog", "dog", "cat"]
    expected = [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [1, 1, 1, 0]]
    assert allowed_negatives(videos, classes).int().tolist() == expected
    assert allowed_negatives(["a", "a", "b"], ["dog"] * 3).int().tolist() == [[0, 0, 1], [0, 0, 1], [1, 1, 0]]
    assert not allowed_negatives(["a", "a"], ["dog", "cat"]).any()


@pytest.mark.parametrize("anchor", ["audio", "visual", "both"])
def test_triplet_loss_by_hand(anchor):
    sound = torch.tensor([[2.0, 0.0], [0.8, 0.6]])
    cue = torch.tensor([[1.0, 0.0], [0.0, 3.0]])
    negatives = ~torch.eye(2, dtype=torch.bool)
    cosine = [[1.0, 0.0], [0.8, 0.6]]  # sound i, cue j
    audio = [max(0.0, cosine[i][1 - i] - cosine[i][i] + 0.3) for i in range(2)]
    visual = [max(0.0, cosine[1 - i][i] - cosine[i][i] + 0.3) for i in range(2)]
    wanted = {"audio": audio, "visual": visual, "both": audio + visual}[anchor]
    loss, active = triplet_loss(cue, sound, negatives, 0.3, anchor)
    assert float(loss) == pytest.approx(sum(wanted) / len(wanted), abs=1e-6)
    assert float(active) == pytest.approx(sum(value > 0 for value in wanted) / len(wanted))


def test_triplet_moves_the_cue_towards_its_sound_and_skips_anchors_without_a_negative():
    torch.manual_seed(0)
    cue, sound = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    negatives = torch.tensor([[False, True, False], [True, False, False], [False, False, False]])
    triplet_loss(cue, sound, negatives, 2.0)[0].backward()
    assert cue.grad[:2].abs().sum() > 0 and cue.grad[2].abs().sum() == 0
    closer = torch.cosine_similarity(cue - 0.01 * cue.grad, sound)[:2] > torch.cosine_similarity(cue, sound)[:2]
    assert closer.all()
    loss, active = triplet_loss(cue, sound, torch.zeros(3, 3, dtype=torch.bool), 0.3)
    assert loss.item() == 0 and math.isnan(float(active))
