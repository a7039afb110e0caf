"""The command line as a fixture, and the reference data folder where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_sets import Answer


@pytest.fixture(scope="session")
def reference_data() -> Path:
    beside = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
    folder = Path(os.environ.get("SOUNDPROMPT_REFERENCE_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no reference data folder (SOUNDPROMPT_REFERENCE_DATA)")
    return folder


@pytest.fixture
def judge(tmp_path) -> Callable[..., Answer]:
    """Runs `soundprompt judge` as a user does."""

    def call(*arguments: object, out: Path = tmp_path / "judged") -> Answer:
        command = [sys.executable, "-m", "soundprompt", "judge", *map(str, arguments), "--out", str(out)]
        return Answer(subprocess.run(command, capture_output=True, text=True), out)

    return call
