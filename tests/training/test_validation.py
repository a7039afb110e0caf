from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from soundprompt.training.validation import frame_iou, mean_iou


def test_iou_at_half_and_the_rule_for_empty_masks():
    mask = torch.tensor([[True, True], [False, False]])
    assert float(frame_iou(torch.tensor([[1.0, -1.0], [1.0, 0.0]]), mask)) == pytest.approx(1 / 3)
    assert float(frame_iou(torch.full((2, 2), -1.0), mask)) == 0
    likely = torch.tensor([[-0.3, -0.5], [-0.4, -0.41]])  # probabilities .43, .38, .401, .399
    assert float(frame_iou(likely, mask, 0.4)) == pytest.approx(1 / 3) and float(frame_iou(likely, mask)) == 0
    empty = torch.zeros(2, 2, dtype=torch.bool)
    assert float(frame_iou(torch.tensor([[1.0, -1.0], [-1.0, -1.0]]), empty)) == pytest.approx(0.75)


def test_mean_is_over_frames_not_over_batches():
    mask = torch.ones(2, 2, dtype=torch.bool)
    batches = [SimpleNamespace(masks=[mask] * 3, sign=1.0), SimpleNamespace(masks=[mask], sign=-1.0)]

    def predict(batch):
        return torch.full((len(batch.masks), 1, 2, 2), batch.sign)

    def restore(logits, sizes):
        return list(logits[:, 0])

    assert mean_iou(predict, batches, restore) == 0.75
