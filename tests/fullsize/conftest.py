"""One project with full-size models for the whole session: making it is what costs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from handful import CHECKPOINTS, STUDY, soundprompt, write_project, write_released

from soundprompt.layout import Layout


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def handful_files(tmp_path_factory) -> Iterator[Path]:
    """The project up to its features, made with the command line; only to be read or linked to."""
    root = tmp_path_factory.mktemp("handful")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        write_project(root)
        write_released(root)
        soundprompt("tables", "--dataset", "v1s")
        soundprompt("pretrain", "--model", "sam")
        soundprompt("pretrain", "--model", "audio")
        for path in CHECKPOINTS.values():
            os.unlink(path)
        soundprompt("features")
    yield root
    shutil.rmtree(root)  # 0.7 GB, which pytest would keep


@pytest.fixture
def handful(handful_files, tmp_path, monkeypatch) -> Layout:
    """The project in a folder of its own, which is the current one; runs and results go there."""
    for name in ("params.yaml", "experiments", "studies", "data", "weights", "features"):
        (tmp_path / name).symlink_to(handful_files / name)
    monkeypatch.chdir(tmp_path)
    return Layout(STUDY)
