"""The tiny study as fixtures: its files are made once, each test runs in a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiny_study import GAVS, SETTINGS, STUDY, make

from soundprompt import params as p
from soundprompt.layout import Layout


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory) -> Path:
    """The study's files up to the features; only to be read."""
    root = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        make(Layout(STUDY))
    return root


@pytest.fixture
def tiny(tiny_files, tmp_path, monkeypatch) -> Layout:
    """The study in a folder of its own, which is the current one; runs go there."""
    for name in ("data", "weights", "features"):
        (tmp_path / name).symlink_to(tiny_files / name)
    monkeypatch.chdir(tmp_path)
    return Layout(STUDY)


@pytest.fixture
def score_view():
    """Makes a view: score_view(setting, probes, evaluation=..., data=..., **overrides of the model)."""

    def view(setting="v1s", probes=("own",), evaluation=None, data=None, **model) -> p.ScoreView:
        return p.ScoreView(
            study=STUDY,
            setting_name=setting,
            setting=SETTINGS[setting],
            model_name="gavs",
            model=p.merge(GAVS, model),
            data=data or {},
            evaluation=evaluation or {},
            probes=probes,
        )

    return view
