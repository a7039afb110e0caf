"""The pyramid's pre-training: deterministic, resumable to the bit, on the pictures of the mini SAM, and it learns."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from soundprompt import params, provenance
from soundprompt.files import read_json
from soundprompt.foundation import pictures, pretrain_pyramid, process, pyramid, pyramid_quality, resume
from soundprompt.layout import Layout

SCENE = params.Scene(size=64)
LAYOUT = Layout("t")


class Killed(BaseException):
    """Stands for the end of the process."""


def view(**changes):
    small = {"image_size": 64, "steps": 12, "pictures_per_step": 2, "objects_per_picture": 2}
    model = params.Pyramid(**{**small, **changes})
    return params.PyramidView(study="t", model=model, scene=SCENE, pool_seed=0, pictures=12)


@pytest.fixture
def quick_quality(monkeypatch):
    monkeypatch.setattr(pyramid_quality, "PICTURES", 8)
    monkeypatch.setattr(pyramid_quality, "PROBE_PICTURES", 60)


def test_killed_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, quick_quality):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    pretrain_pyramid.run(view(), LAYOUT)
    whole = LAYOUT.foundation("pyramid").read_bytes()

    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    target, key = LAYOUT.foundation("pyramid"), provenance.key("pretrain/pyramid", view(), 0, {})
    trainer = pretrain_pyramid.Trainer(view())

    def keep_and_die():
        resume.save(target, key, trainer.state())
        if trainer.step == 8:
            raise Killed

    with pytest.raises(Killed), process.single_thread():  # as `run` does
        trainer.train(keep_and_die, every=4)
    pretrain_pyramid.run(view(), LAYOUT)
    assert target.read_bytes() == whole
    written = read_json(LAYOUT.foundation_quality("pyramid"))
    assert written["provenance"]["resumed_at"] == 8
    assert written["provenance"]["weights"] == pyramid.load(target).digest
    assert 0 <= written["quality"]["iou"]["foreground"]["mean"] <= 1
    assert written["quality"]["probes"]["hue"]["new level"] is None, "the new hue cannot be known from seen classes"
    assert sorted(path.name for path in target.parent.iterdir()) == ["pyramid.json", "pyramid.safetensors"]


def test_its_pictures_are_those_of_the_mini_sam():
    study = params.load()
    chosen = params.pretrain_view(study, "pyramid")
    sam = study.foundation.sam
    assert (chosen.pool_seed, chosen.pictures) == (sam.seed, sam.pictures)
    assert chosen.scene == params.pretrain_view(study, "sam").scene


def test_step_data_belong_together():
    pool = pictures.pool(0, 6, SCENE)
    data = pretrain_pyramid.draw_step(pool, view().model, 3)
    assert data.images.shape == (4, 3, 64, 64) and data.objects.shape == (8, 1, 16, 16)
    assert data.hidden.shape == (4, 1, 4, 4)
    each = data.objects.view(4, 2, 16, 16)
    shares = F.avg_pool2d(data.foreground, 4)
    assert (each.amax(dim=1, keepdim=True) <= shares + 1e-6).all(), "objects lie in the foreground"
    assert data.outline[each.amax(dim=1, keepdim=True) == 0.5].min() == 1 if (each == 0.5).any() else True
    areas = data.objects.sum(dim=(1, 2, 3)).view(2, 2, 2)
    assert torch.allclose(areas[:, 0], areas[:, 1]), "both views show the same objects"


def test_looks_are_compared_across_views():
    """Rows of two pictures with two objects: first view, second view, picture by picture."""
    a, b, c, d = torch.eye(4)
    loss, found = pretrain_pyramid.compare(torch.stack([a, b, a, b, c, d, c, d]), each=2)
    assert found == 1 and loss < 1e-3
    loss, found = pretrain_pyramid.compare(torch.stack([a, b, b, a, c, d, c, d]), each=2)
    assert found == 0.5 and loss > 1


@pytest.mark.slow
def test_it_learns():
    trainer = pretrain_pyramid.Trainer(view(steps=60, pictures_per_step=4))
    losses = []
    update = trainer.update
    trainer.update = lambda data: losses.append(update(data)) or losses[-1]
    trainer.train(lambda: None)
    assert np.mean([each[0] for each in losses[-8:]]) < 0.75 * np.mean([each[0] for each in losses[:8]])


def test_another_input_size_sees_the_same_pictures_resized(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pyramid_quality, "PICTURES", 8)
    monkeypatch.setattr(pyramid_quality, "PROBE_PICTURES", 60)
    pretrain_pyramid.run(view(image_size=32, steps=2), LAYOUT)
    frozen = pyramid.load(LAYOUT.foundation("pyramid"))
    assert frozen.image_size == 32 and read_json(LAYOUT.foundation_quality("pyramid"))["quality"]["iou"]
