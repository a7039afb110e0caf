"""Faults that are really injected. FAULTS_N: how many times each is tried."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
import tiny_study

from soundprompt.layout import Layout


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def n() -> int:
    """How many times each fault is tried: few in `make test`, N in `make faults`."""
    return int(os.environ.get("FAULTS_N", "3"))


@pytest.fixture(scope="session")
def world(tmp_path_factory) -> Path:
    """A folder with the tiny study up to its features, and a run that is trained in name only."""
    root = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        tiny_study.make(Layout(tiny_study.STUDY))
    return root
