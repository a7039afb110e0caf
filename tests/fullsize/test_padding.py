"""Frames that are not square: what is padding takes no part in pooling or loss, and masks come back at their size.

Frames of 320 x 240, 240 x 320 and 300 x 100 pixels, ViT-B at 256: a grid of 16 x 16 cells, a decoder's of 64 x 64.
"""

from __future__ import annotations

import dataclasses

import pytest
import torch

from soundprompt import models
from soundprompt import params as p
from soundprompt.data import frame_table
from soundprompt.features.frames import Batch, Frames
from soundprompt.foundation import sam as sam_models
from soundprompt.training import losses

pytestmark = pytest.mark.slow

# (height, width) of a frame -> rows and columns of the feature grid that show picture
CELLS = {(240, 320): (12, 16), (320, 240): (16, 12), (100, 300): (5, 16)}


@pytest.fixture
def sam(handful) -> sam_models.FrozenSam:
    return sam_models.load(handful.foundation("sam"))


@pytest.fixture
def batch(handful, sam) -> Batch:
    """The first frame of clips of three sizes."""
    rows = frame_table.select(handful, ["v1s/train", "v1s/test"])
    frames = Frames(rows[rows["frame"] == 0].drop_duplicates(["width", "height"]), handful, 9, sam)
    batch = frames.batch(range(3))
    assert sorted(batch.sizes) == sorted(CELLS)
    return batch


def test_batches_say_what_is_picture(batch):
    for valid, target_valid, target, size in zip(
        batch.valid, batch.target_valid, batch.targets, batch.sizes, strict=True
    ):
        rows, columns = CELLS[size]
        assert valid[:rows, :columns].all() and valid.sum() == rows * columns
        ends = [round(64 * edge / max(size)) for edge in size]
        assert target_valid[0, : ends[0], : ends[1]].all() and target_valid.sum() == ends[0] * ends[1]
        assert (target[~target_valid] == 0).all() and target.max() > 0.9


@pytest.mark.parametrize("valid_only", [True, False])
def test_pooling(batch, sam, valid_only):
    model = models.build(p.Model(visual=p.Visual(tune_from=9), sap=p.Sap(gap_valid_only=valid_only)), sam, 0).eval()
    with torch.no_grad():
        features = model.encoder(batch.visual)
        pooled = model.sap.pooled(features, batch.valid)
        by_hand = [
            frame[:rows, :columns].mean((0, 1))
            for frame, (rows, columns) in zip(features, map(CELLS.get, batch.sizes), strict=True)
        ]
        cue = model(batch).cue
        elsewhere = model.sap.cue(model.sap.pooled(features + 5 * ~batch.valid[..., None], batch.valid))
    assert torch.allclose(pooled, torch.stack(by_hand), atol=1e-4) == valid_only
    assert torch.allclose(cue, elsewhere, atol=1e-4) == valid_only, "a cue may not depend on what lies in the padding"


@pytest.mark.parametrize("loss_size", ["decoder", "original"])
def test_losses_do_not_look_at_the_padding(batch, sam, loss_size):
    logits = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    if loss_size == "decoder":
        losses.decoder_loss(logits, batch.targets, batch.target_valid).mean().backward()
    else:
        losses.original_loss(logits, batch.masks, sam.restore).mean().backward()
    for gradient, size in zip(logits.grad[:, 0], batch.sizes, strict=True):
        # SAM's own bilinear enlargement reaches one cell across the edge before it cuts the padding off
        rows, columns = (round(64 * edge / max(size)) + (loss_size == "original") for edge in size)
        assert (gradient[rows:] == 0).all() and (gradient[:, columns:] == 0).all()
        assert (gradient[: rows - 1, : columns - 1] != 0).all()


def test_loss_is_the_mean_over_a_frames_own_pixels(batch, sam):
    """A small frame weighs as much as a large one, and every pixel of a frame the same."""
    logits = torch.randn(3, 1, 64, 64, generator=torch.Generator().manual_seed(1))
    each = [
        losses.original_loss(logits[i : i + 1], [mask], sam.restore) for i, mask in enumerate(batch.masks)
    ]  # one by one
    together = losses.original_loss(logits, batch.masks, sam.restore)
    assert torch.allclose(together, torch.cat(each), rtol=1e-6)
    picture, mask = sam.restore(logits[:1], [batch.sizes[0]])[0], batch.masks[0]
    probability = torch.sigmoid(picture.double())
    by_hand = -torch.where(mask, probability.log(), (1 - probability).log()).mean()
    assert torch.isclose(each[0].double(), by_hand, rtol=1e-5)


def test_masks_come_back_where_they_were(batch, sam):
    """Targets, as if a model had drawn them, are the masks again at each frame's own size."""
    restored = sam.restore(20 * batch.targets - 10, batch.sizes)
    for logits, mask, size in zip(restored, batch.masks, batch.sizes, strict=True):
        assert logits.shape == mask.shape == size
        on = logits > 0
        assert (on & mask).sum() / (on | mask).sum() > 0.9


def test_a_frame_is_the_same_alone_and_in_company(batch, sam):
    """Sizes mix in a batch: each frame's logits are what it gets alone."""
    model = models.build(p.Model(visual=p.Visual(tune_from=9)), sam, 0).eval()
    with torch.no_grad():
        together = model(batch).logits
        for i in range(3):
            alone = dataclasses.replace(
                batch, visual=batch.visual[i : i + 1], audio=batch.audio[i : i + 1], valid=batch.valid[i : i + 1]
            )
            torch.testing.assert_close(model(alone).logits[0], together[i], rtol=1e-4, atol=1e-4)
