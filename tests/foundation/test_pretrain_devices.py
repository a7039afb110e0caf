"""Pre-training on another device than the processor.

No GPU is needed: torch's meta device computes shapes alone, and what mixes its tensors with the processor's fails.
"""

from __future__ import annotations

import pytest
import torch

from soundprompt import params
from soundprompt.foundation import making, pretrain_audio, pretrain_pyramid, pretrain_sam

SCENE = params.Scene(size=64)
PICTURES = {"image_size": 64, "steps": 4, "pictures_per_step": 2}
SAM = {"model": params.Sam(pictures=4, masks_per_picture=2, **PICTURES), "scene": SCENE}
PYRAMID = {"model": params.Pyramid(objects_per_picture=2, **PICTURES), "scene": SCENE, "pool_seed": 0, "pictures": 4}


@pytest.mark.parametrize("prompts", ["concept", "points"])
def test_sam(prompts):
    view = {**SAM, "model": SAM["model"].model_copy(update={"prompts": prompts})}
    learns_there(pretrain_sam.Trainer(params.PretrainView(study="t", **view)))


def test_the_pyramid():
    learns_there(pretrain_pyramid.Trainer(params.PyramidView(study="t", **PYRAMID)))


def move(trainer):
    """Parameters that go to a GPU stay the same objects; those that go to meta do not, and are looked up again."""
    making.move(trainer, "meta")
    trainer.trained = [weight for part in trainer.parts for weight in getattr(trainer, part).parameters()]


def learns_there(trainer):
    """A step's loss and gradients, from data that are drawn as in training."""
    pool = trainer.pool()
    move(trainer)
    loss, *_ = trainer.loss(making.moved(trainer.draw(pool), trainer.trained[0].device))
    loss.backward()
    assert loss.device.type == "meta"
    assert {weight.grad.device.type for weight in trainer.trained if weight.grad is not None} == {"meta"}


def test_the_sound_encoder():
    view = params.PretrainView(study="t", model=params.Audio(sounds=64, epochs=1), scene=SCENE)
    trainer, seen = pretrain_audio.Trainer(view), []
    trainer.update = lambda examples, tags, rate: seen.append(trainer.head(trainer.encoder(examples)) - tags) or 0.0
    move(trainer)
    trainer.train(lambda: None)
    assert [batch.device.type for batch in seen] == ["meta", "meta"]


def test_it_goes_where_the_gpu_is_and_is_measured_on_the_processor(monkeypatch, tmp_path):
    """`run` with the meta device for a GPU, and a trainer that only says where its weights lie."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(making.devices, "best", lambda: "meta")
    places = []

    class Trainer:
        parts, reached = ("model",), 0

        def __init__(self):
            self.model = torch.nn.Linear(2, 2)

        @property
        def trained(self):
            return []

        def train(self, keep):
            places.append(self.model.weight.device.type)
            self.model = torch.nn.Linear(2, 2)  # what lies on meta has no values to bring back

    def finish(trainer, target):
        places.append(trainer.model.weight.device.type)
        target.parent.mkdir(parents=True)
        target.write_bytes(b"weights")
        return "digest", {}

    view = params.PretrainView(study="t", **SAM)
    making.run("sam", view, view.layout, Trainer, finish)
    assert places == ["meta", "cpu"]
