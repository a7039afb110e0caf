"""Prompts and views of pre-training agree with SAM's own code and with geometry."""

import numpy as np
import pytest
import torch

from soundprompt.foundation import pictures, prompting
from soundprompt.foundation.sam import build
from soundprompt.params import Scene


@pytest.fixture(scope="module")
def sam():
    torch.manual_seed(0)
    return build("mini", 128).eval()


@pytest.fixture(scope="module")
def mask():
    mask = np.zeros((128, 128), bool)
    mask[20:50, 60:100] = True
    return mask


def test_point_and_box(mask):
    rng = np.random.default_rng(0)
    points = np.array([prompting.point(rng, mask)[0][0] for _ in range(300)])
    assert mask[points[:, 1].astype(int), points[:, 0].astype(int)].all()
    assert np.abs(points.mean(axis=0) - (79.5, 34.5)).max() < 2, "points are drawn evenly, order x, y"
    corners, labels = prompting.box(mask)
    assert corners.tolist() == [[60, 20], [99, 49]]
    assert labels.tolist() == [prompting.CORNER_FIRST, prompting.CORNER_SECOND]


def test_training_prompts_are_what_they_say(mask):
    rng = np.random.default_rng(1)
    drawn = [prompting.training_prompt(rng, mask) for _ in range(600)]
    boxes = [labels[0] == prompting.CORNER_FIRST for _, labels in drawn]
    assert 0.22 < np.mean(boxes) < 0.38
    for xy, labels in drawn:
        for (x, y), label in zip(xy, labels, strict=True):
            if label in (prompting.FOREGROUND, prompting.BACKGROUND):
                assert mask[int(y), int(x)] == (label == prompting.FOREGROUND)


@torch.no_grad()
def test_tokens_are_the_prompt_encoders(sam, mask):
    rng = np.random.default_rng(2)
    point, box = prompting.point(rng, mask), prompting.box(mask)
    tokens = prompting.embed(sam.prompt_encoder, prompting.collect([point, box]))
    coordinates, labels = torch.from_numpy(point[0][:1])[None], torch.ones(1, 1)
    of_point, _ = sam.prompt_encoder(points=(coordinates, labels), boxes=None, masks=None)
    of_box, _ = sam.prompt_encoder(points=None, boxes=torch.from_numpy(box[0]).reshape(1, 4), masks=None)
    assert torch.allclose(tokens[0], of_point[0], atol=1e-6)
    assert torch.allclose(tokens[1], of_box[0], atol=1e-6)


@torch.no_grad()
def test_decoder_equals_the_packages(sam):
    features, tokens = torch.randn(3, 128, 8, 8), torch.randn(3, 2, 128)
    logits, scores = prompting.decode(sam, features, tokens)
    for row in range(3):
        expected, expected_scores = sam.mask_decoder.predict_masks(
            features[row : row + 1],
            sam.prompt_encoder.get_dense_pe(),
            tokens[row : row + 1],
            sam.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand(1, -1, 8, 8),
        )
        assert torch.allclose(logits[row], expected[0], atol=1e-4)
        assert torch.allclose(scores[row], expected_scores[0], atol=1e-4)


def test_mask_pool_averages_inside():
    features = torch.zeros(1, 2, 8, 8)
    features[0, 0, 2, 3], features[0, 1] = 5.0, 1.0
    mask = torch.zeros(1, 1, 32, 32)
    mask[0, 0, 8:12, 12:16] = 1
    assert torch.allclose(prompting.mask_pool(features, mask), torch.tensor([[5.0, 1.0]]))


def test_small_masks_follow_their_views():
    picture = next(filter(None, (pictures.draw(0, pictures.HELD_OUT, index, Scene()) for index in range(9))))
    views = [pictures.View(mirrored, quarters) for mirrored in (False, True) for quarters in range(4)]
    seen = set()
    whole = pictures.shrink(picture.masks, 4)[:, 0].numpy()
    assert whole.shape[1:] == (32, 32) and np.isclose(whole.sum() * 16, picture.masks.sum())
    for view in views:
        turned = np.stack([view.of(mask) for mask in picture.masks])
        small = np.stack([view.of(each) for each in whole])
        assert np.array_equal(pictures.shrink(turned, 4)[:, 0].numpy(), small)
        seen.add(turned.tobytes())
    assert len(seen) == 8


def test_pool_is_stateless():
    first, second = pictures.pool(3, 4, Scene()), pictures.pool(3, 6, Scene())
    assert all(np.array_equal(a.image, b.image) for a, b in zip(first, second, strict=False))
    other = pictures.draw(3, pictures.HELD_OUT, 0, Scene())
    assert other is None or not np.array_equal(other.image, first[0].image)
