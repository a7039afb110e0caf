"""The benchmarks run, at a size where their figures mean nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.mark.parametrize(
    ("call", "printed"),
    [
        ("features.py --frames 20 --batches 1", ["gavs (block2): step", "audio_sam (output): batch"]),
        ("training.py --study full --frames 20 --rounds 1 --models gavs avsbench_tpavi", ["gavs ", "avsbench_tpavi "]),
        ("batches.py --clips 2 --rounds 1 --steps 2 --step 1 --workers 0 1", ["  read, again ", "        1  "]),
        ("intervals.py --repetitions 2", ["   10     60           1.00"]),
        ("judging.py --clips 2", ["10 frames: "]),
        ("listening.py --rounds 1", ["  25 frames a second: ", "from_features 8 at a time: torch "]),
        ("gpu_check.py --device cpu --size tiny", ["step avsegformer", "stopped after step 4", "the same weights"]),
    ],
)
def test_it_prints_its_table(call, printed):
    script, *options = call.split()
    command = [sys.executable, str(FOLDER / script), *options]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    for line in printed:
        assert line in done.stdout
