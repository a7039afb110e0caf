"""Training from the cache and training without one are the same training, in float32."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from handful import CHANGES, STUDY, soundprompt, write_project
from torch import nn

from soundprompt import params as p
from soundprompt.data import media
from soundprompt.features import extract
from soundprompt.features.frames import Frames
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import sam as sam_models
from soundprompt.layout import Layout
from soundprompt.training import run

pytestmark = pytest.mark.slow

# Relative. Both sum in different orders, and every step builds on the one before; six digits of the loss agree.
TOLERANCE = {"loss": 1e-5, "mask": 1e-5, "triplet": 1e-4, "gradient": 1e-3}


class Live(Frames):
    """Frames that hand out the pictures themselves, (B, 3, S, S), in place of cached features."""

    def complete(self, read, device="cpu", **wanted):
        images = [media.read_image(self.rows["image"][i]) for i in read.indices.tolist()]
        return replace(super().complete(read, device, **wanted), visual=self.encoder.preprocess(images))


class WholeEncoder(nn.Module):
    """The package's own image encoder from the picture on, with a model's adapters behind its MLPs.

    It is written the way the released code is: nothing split off, nothing cached, nothing fused.
    """

    def __init__(self, sam: sam_models.FrozenSam, tail: nn.Module):
        super().__init__()
        self.encoder = copy.deepcopy(sam.sam.image_encoder).requires_grad_(False)
        for index, adapted in tail.blocks.items():
            block = self.encoder.blocks[int(index)]
            block.norm1, block.norm2 = adapted.norm1, adapted.norm2
            block.mlp = Widened(block.mlp, adapted.adapter)

    def forward(self, pixels):
        return self.encoder(pixels).permute(0, 2, 3, 1)


class Widened(nn.Module):
    """MLP and adapter: m + adapter(m)."""

    def __init__(self, mlp: nn.Module, adapter: nn.Module):
        super().__init__()
        self.mlp, self.adapter = mlp, adapter

    def forward(self, x):
        m = self.mlp(x)
        return m + self.adapter(m)


def curve(trainer, steps: int) -> list[dict[str, float]]:
    """Loss, its parts and the gradient's norm of each step."""
    return [{name: row[name] for name in TOLERANCE} for row in (trainer.advance() for _ in range(steps))]


def both_curves(layout: Layout, view: p.TrainView, steps: int) -> tuple[list, list]:
    """(from the cache, without it)."""
    data = run.PackData(view, layout)
    cached = run.Run(view, 0, layout, data).trainer()
    live = run.Run(view, 0, layout, data).trainer()
    live.train = Live(data.train.rows, layout, view.model.visual.tune_from, data.encoder)
    live.model.encoder = WholeEncoder(data.encoder, live.model.encoder)
    assert {id(weight) for weight in live.model.trained_parameters().values()} == set(map(id, live.parameters.values()))
    return curve(cached, steps), curve(live, steps)


def assert_same(cached: list, live: list) -> None:
    for step, (one, other) in enumerate(zip(cached, live, strict=True), start=1):
        for name, tolerance in TOLERANCE.items():
            assert one[name] == pytest.approx(other[name], rel=tolerance), f"step {step}: {name}"


def train_view(steps: int = 20) -> p.TrainView:
    view = p.train_view(p.load(STUDY), "v1s", "gavs")
    schedule = view.model.schedule.model_copy(update={"steps": steps})
    return view.model_copy(update={"model": view.model.model_copy(update={"schedule": schedule})})


def test_vit_b(handful_files, tmp_path, monkeypatch):
    for name in ("params.yaml", "experiments", "studies", "data", "weights"):
        (tmp_path / name).symlink_to(handful_files / name)
    monkeypatch.chdir(tmp_path)
    layout, view = Layout(STUDY), p.features_view(p.load(STUDY))
    exact = view.model_copy(update={"features": view.features.model_copy(update={"dtype": "float32"})})
    soundprompt("features", "--step", "plan")
    soundprompt("features", "--step", "audio")
    for shard in range(2):
        extract.run_shard(shard, exact, layout)
    cached, live = both_curves(layout, train_view(), steps=2)
    assert_same(cached, live)


def test_many_steps_of_the_mini_sam(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = write_project(tmp_path, mini_changes())
    torch.manual_seed(0)
    study = p.load(STUDY)
    sam = sam_models.build("mini", 128)
    for name, weight in sam.named_parameters():
        if "pos" in name:
            nn.init.normal_(weight, std=0.3)
    sam_models.save(sam, study.foundation.sam, layout.foundation("sam"))
    audio_models.save(audio_models.MiniVggish(), study.foundation.audio, layout.foundation("audio"))
    soundprompt("tables", "--dataset", "v1s")
    soundprompt("features")
    cached, live = both_curves(layout, train_view(), steps=20)
    assert cached[-1]["loss"] < 0.99 * cached[0]["loss"], "no training, nothing shown"
    assert_same(cached, live)


def mini_changes() -> dict:
    """The overlay with the mini models and a float32 cache."""
    changes = {
        "foundation": {
            "sam": {"source": "train", "architecture": "mini", "checkpoint": None, "image_size": 128},
            "audio": {"source": "train", "architecture": "mini_vggish", "checkpoint": None},
        },
        "features": {"dtype": "float32"},
        "models": {"gavs": {"visual": {"tune_from": 2}}},
    }
    return p.merge(CHANGES, changes)
