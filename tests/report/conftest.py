"""A small study's artifacts, made once, and the current folder set to them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import artifacts


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """A folder with all but the report: scores, table and plots of the experiment on unseen classes."""
    folder, before = tmp_path_factory.mktemp("study"), Path.cwd()
    os.chdir(folder)
    try:
        params = artifacts.small_study("table_v3")
        artifacts.tabulate(params, artifacts.make(params, clips=4))
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def study(made, tmp_path, monkeypatch):
    """(params, layout) of that study in a copy that a test may spoil."""
    shutil.copytree(made, tmp_path / "study", copy_function=os.link)
    monkeypatch.chdir(tmp_path / "study")
    params = artifacts.small_study("table_v3")
    return params, artifacts.Layout(params.study)
