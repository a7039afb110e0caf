"""The check of a GPU: agreement with the processor where there is one, a plain word where there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from handful import REPOSITORY

pytestmark = pytest.mark.slow


def test_gpu_agrees_or_is_said_to_be_missing():
    command = [sys.executable, "benchmarks/gpu_check.py", "--size", "256", "--frames", "2", "--steps", "2"]
    answer = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    if torch.cuda.is_available():
        assert "GPU against CPU" in answer.stdout and "step, bfloat16" in answer.stdout
    else:
        assert answer.stdout.startswith("no GPU")


def test_the_comparison_itself(monkeypatch):
    """On the processor alone: a step agrees with itself, and what differs is found."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import gpu_check

    one, again, rough = (gpu_check.one_step("cpu", precision) for precision in ("float32", "float32", "bfloat16"))
    assert all(gpu_check.difference(one[name], again[name]) == 0 for name in one)
    assert 0 < gpu_check.difference(rough["loss"], one["loss"]) < gpu_check.ALLOWED["loss in bfloat16"]
    assert gpu_check.difference(rough["gradients"], one["gradients"]) > gpu_check.ALLOWED["gradients"]
