"""SAM's pre-training: deterministic, resumable to the bit, and it learns."""

import numpy as np
import pytest
import torch

from soundprompt import params, provenance
from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.foundation import pictures, pretrain_sam, process, prompting, quality, resume
from soundprompt.foundation import sam as foundation_sam
from soundprompt.foundation.geometry import overlap
from soundprompt.layout import Layout

SCENE = params.Scene(size=64)
LAYOUT = Layout("t")


class Killed(BaseException):
    """Stands for the end of the process."""


def view(prompts="concept", **changes):
    small = {"image_size": 64, "pictures": 12, "steps": 20, "pictures_per_step": 2, "masks_per_picture": 2}
    return params.PretrainView(study="t", model=params.Sam(prompts=prompts, **{**small, **changes}), scene=SCENE)


@pytest.fixture
def quick_quality(monkeypatch):
    """Measures on fewer pictures: these tests are not about quality."""
    monkeypatch.setattr(quality, "PICTURES", 8)
    monkeypatch.setattr(quality, "PROBE_PICTURES", 60)


def test_killed_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, quick_quality):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    pretrain_sam.run(view(), LAYOUT)
    whole = LAYOUT.foundation("sam").read_bytes()

    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    target, key = LAYOUT.foundation("sam"), provenance.key("pretrain/sam", view(), 0, {})
    trainer = pretrain_sam.Trainer(view())

    def keep_and_die():
        resume.save(target, key, trainer.state())
        if trainer.step == 14:
            raise Killed

    with pytest.raises(Killed), process.single_thread():  # as `run` does
        trainer.train(keep_and_die, every=7)
    assert not target.exists()
    pretrain_sam.run(view(), LAYOUT)
    assert target.read_bytes() == whole
    assert read_json(LAYOUT.foundation_quality("sam"))["provenance"]["resumed_at"] == 14
    assert sorted(path.name for path in target.parent.iterdir()) == ["sam.json", "sam.safetensors"]


def test_what_is_written(tmp_path, monkeypatch, quick_quality):
    monkeypatch.chdir(tmp_path)
    pretrain_sam.run(view("points", steps=2), LAYOUT)
    frozen = foundation_sam.load(LAYOUT.foundation("sam"))
    assert frozen.image_size == 64
    written = read_json(LAYOUT.foundation_quality("sam"))
    assert written["provenance"]["weights"] == frozen.digest
    assert written["quality"]["iou"]["concept"] is None
    assert 0 <= written["quality"]["iou"]["point"]["mean"] <= 1
    assert written["quality"]["probes"]["hue"]["new level"] is None, "the new hue cannot be known from seen classes"


def test_damaged_or_foreign_state_is_not_used(tmp_path, capsys):
    target = tmp_path / "sam.safetensors"
    resume.save(target, "key", {"step": 3})
    assert resume.load(target, "key") == {"step": 3}
    assert resume.load(target, "other") is None
    path = resume.place(target)
    path.write_bytes(path.read_bytes()[:50])
    assert resume.load(target, "key") is None
    assert "damaged" in capsys.readouterr().err


@pytest.mark.parametrize("side", [32, 96])
def test_another_input_size_sees_the_same_pictures_resized(side, tmp_path, monkeypatch, quick_quality):
    """Points and masks stay on their objects, and quality is measured at the pictures' own size."""
    drawn, resized = pictures.pool(0, 6, SCENE), pictures.pool(0, 6, SCENE, side)
    for picture, small in zip(drawn, resized, strict=True):
        assert small.image.shape == (side, side, 3) and small.masks.shape[1:] == (side, side)
        shares = picture.masks.mean(axis=(1, 2)), small.masks.mean(axis=(1, 2))
        assert np.allclose(*shares, atol=0.02)
    monkeypatch.chdir(tmp_path)
    pretrain_sam.run(view(image_size=side, steps=2), LAYOUT)
    frozen = foundation_sam.load(LAYOUT.foundation("sam"))
    assert frozen.image_size == side
    picture = next(iter(drawn))
    xy, _ = prompting.point(np.random.default_rng(0), picture.masks[0])
    placed = prompting.collect([(xy, np.array([1, -1]))], side / SCENE.size)
    assert np.allclose(placed.xy[0, 0], xy[0] * side / SCENE.size)


def test_points_arm_has_no_concepts():
    settings = view("points").model
    trainer = pretrain_sam.Trainer(view("points"))
    pool = pictures.pool(0, 6, SCENE)
    assert not any(pretrain_sam.draw_step(pool, settings, step, trainer.sam).by_concept.any() for step in range(5))
    shares = [pretrain_sam.draw_step(pool, view().model, step, trainer.sam).by_concept for step in range(40)]
    assert 0.4 < torch.cat(shares).float().mean() < 0.6


def test_step_data_belong_together():
    trainer = pretrain_sam.Trainer(view())
    data = pretrain_sam.draw_step(pictures.pool(0, 6, SCENE), view().model, 3, trainer.sam)
    assert data.images.shape == (4, 3, 64, 64)
    assert data.masks.shape == (8, 1, 32, 32)
    assert data.hidden.shape == (4, 1, 4, 4)
    for row in range(8):
        x, y = data.prompts.xy[row, 0]
        if data.prompts.labels[row, 0] == 1:
            assert data.masks[row, 0, int(y) // 2, int(x) // 2] > 0
    areas = data.masks.sum(dim=(1, 2, 3)).view(2, 2, 2)
    assert torch.allclose(areas[:, 0], areas[:, 1]), "both views show the same objects"


def test_concepts_come_from_the_other_view():
    """The concept of a row must not change when its own view's mask does."""
    trainer = pretrain_sam.Trainer(view())
    data = pretrain_sam.draw_step(pictures.pool(0, 6, SCENE), view().model, 0, trainer.sam)
    seen = []
    trainer.concept.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0].detach()))
    trainer.loss(data)
    changed = data.masks.clone()
    changed[0] = 1 - changed[0]
    trainer.loss(pretrain_sam.Step(data.images, data.prompts, changed, data.hidden, data.by_concept))
    moved = (seen[0] != seen[1]).any(dim=1)
    assert moved.tolist() == [row == 2 for row in range(8)], "row 2 is the same object in the other view"


def test_losses_by_hand():
    logits = torch.tensor([[[[20.0, 20.0], [-20.0, -20.0]], [[-20.0, -20.0], [20.0, 20.0]]]])
    masks = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    right, wrong = pretrain_sam.mask_loss(logits, masks)[0]
    assert right < 1e-6
    assert torch.isclose(wrong, torch.tensor(5 * 20 + 1 - 1 / 5), rtol=1e-3)
    assert overlap(logits > 0, masks > 0.5)[0].tolist() == [1.0, 0.0]


def test_patch_targets_are_standardised():
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    targets = pretrain_sam.patch_targets(images)
    assert targets.shape == (4, pretrain_sam.TARGETS, 4, 4)
    assert targets.mean(dim=(0, 2, 3)).abs().max() < 1e-4
    assert (targets.std(dim=(0, 2, 3)) - 1).abs().max() < 0.05


@pytest.mark.slow
def test_it_learns():
    trainer = pretrain_sam.Trainer(view(pictures=8, steps=60, pictures_per_step=4))
    losses = []
    update = trainer.update
    trainer.update = lambda data: losses.append(update(data)) or losses[-1]
    trainer.train(lambda: None)
    first, last = np.mean([each[0] for each in losses[:8]]), np.mean([each[0] for each in losses[-8:]])
    assert last < 0.75 * first


def test_a_loss_that_is_not_finite_ends_pre_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = pretrain_sam.Trainer(view("points"))
    with torch.no_grad():
        trainer.sam.mask_decoder.iou_token.weight.fill_(float("nan"))
    with pytest.raises(InputError, match=r"SAM, points: the loss at step 1 is not finite \(NaN\)"):
        trainer.train(lambda: None)


def test_weights_that_are_not_finite_after_the_last_step_are_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    update = pretrain_sam.Trainer.update

    def last_step_explodes(trainer, data):
        found = update(trainer, data)
        if trainer.step == trainer.settings.steps - 1:
            torch.nn.init.constant_(trainer.trained[3], float("inf"))
        return found

    monkeypatch.setattr(pretrain_sam.Trainer, "update", last_step_explodes)
    with pytest.raises(InputError, match="sam: weights after pre-training are not finite"):
        pretrain_sam.run(view("points", steps=2), LAYOUT)
    assert not LAYOUT.foundation("sam").exists()
