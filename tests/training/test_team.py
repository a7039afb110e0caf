"""Several processes that train one run: the same losses as one process at the same batch."""

import numpy as np
import pandas as pd
import pytest
import torch

from soundprompt.files import read_json
from soundprompt.training.run import train_pack
from soundprompt.training.team import Team

MODELS = {
    "gavs": {"schedule": {"clips_per_step": 3, "frames_per_clip": 1}},
    "one_clip": {"schedule": {"clips_per_step": 1, "frames_per_clip": 1}, "triplet": {"weight": 0}},
    "negatives": {"schedule": {"clips_per_step": 4, "negatives": 0.5}},
    "presence": {"schedule": {"clips_per_step": 4, "negatives": 0.5}, "presence": {"enabled": True}},
}


def train(tiny, view, processes, monkeypatch, folder):
    """Metrics and provenance of a run in a folder of its own."""
    folder.mkdir()
    for name in ("data", "weights", "features"):
        (folder / name).symlink_to((folder.parent / name).resolve())
    monkeypatch.chdir(folder)
    train_pack(view, (0,), tiny, processes)
    run = tiny.run(view.setting_name, view.model_name, 0)
    return pd.read_csv(run / "metrics.csv"), read_json(run / "provenance.json")


@pytest.mark.parametrize("name", MODELS)
def test_two_processes_train_as_one(name, tiny, view, monkeypatch, tmp_path):
    settings = view(name=name, **MODELS[name])
    alone, _ = train(tiny, settings, 1, monkeypatch, tmp_path / "alone")
    together, origin = train(tiny, settings, 2, monkeypatch, tmp_path / "together")
    assert origin["processes"] == 2
    assert list(alone.columns) == list(together.columns)
    for column in alone:
        assert np.allclose(alone[column], together[column], rtol=2e-4, atol=2e-5, equal_nan=True), column
    assert alone["loss"].iloc[-1] != alone["loss"].iloc[0]


def test_a_batch_is_divided_between_groups():
    groups = [7, 7, 7, 2, 2, 9]
    parts = [Team(rank, 2).part(groups) for rank in range(2)]
    assert parts == [slice(0, 5), slice(5, 6)]
    assert Team(2, 3).part([1, 1]) == slice(0, 0)
    assert Team().part(groups) == slice(0, 6)


def test_a_part_of_a_batch_has_everything_of_its_frames(tiny, view):
    from soundprompt.training.run import PackData

    batch = PackData(view(), tiny).train.batch([0, 3, 6])
    part = batch.part(slice(1, 3))
    assert torch.equal(part.visual, batch.visual[1:]) and torch.equal(part.targets, batch.targets[1:])
    assert part.clips == batch.clips[1:] and len(part.masks) == 2 and torch.equal(part.masks[0], batch.masks[1])
