"""The check of a GPU: agreement with the processor where there is one, a plain word where there is none."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from handful import REPOSITORY

from soundprompt import params
from soundprompt.planning import figures, hours

pytestmark = pytest.mark.slow


def test_gpu_agrees_or_is_said_to_be_missing(tmp_path):
    if torch.cuda.is_available():  # what `make bench-gpu` does, and its figures make a plan
        written = tmp_path / "benchmarks" / "results" / "here.csv"
        answer = bench("--out", str(written))
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "cuda against cpu" in answer.stdout and "step gavs" in answer.stdout
        assert {"step", "validation", "encode", "sound"} <= {row.kind for row in figures.read(written).rows}
    else:
        answer = bench()
        assert answer.returncode == 2 and answer.stdout.startswith("this benchmark needs a GPU")


def test_what_it_writes_makes_a_plan(tmp_path, monkeypatch):
    """The script itself, on the processor and in small."""
    written = tmp_path / figures.RESULTS / "here.csv"
    answer = bench("--device", "cpu", "--size", "tiny", "--out", str(written))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    monkeypatch.chdir(tmp_path)
    study = params.load(REPOSITORY / "studies" / "full.yaml", REPOSITORY / "params.yaml")
    found = hours.plan(study, figures.named("here"))
    taken = {name for kind in found.kinds if kind.rule in ("train", "score") for name in kind.taken_from}
    assert found.longest("train") > 0
    assert taken == {"128 pixels"}, "all five models were measured; a variant has smaller pictures"


def bench(*options):
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "gpu_check.py"), *options]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_the_comparison_itself(monkeypatch):
    """On the processor alone: a step agrees with itself, and what differs is found."""
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    import gpu_check

    one, again, rough = (gpu_check.one_step("cpu", precision) for precision in ("float32", "float32", "bfloat16"))
    assert all(gpu_check.difference(one[name], again[name]) == 0 for name in one)
    assert 0 < gpu_check.difference(rough["loss"], one["loss"]) < gpu_check.ALLOWED["loss in bfloat16"]
    assert gpu_check.difference(rough["gradients"], one["gradients"]) > gpu_check.ALLOWED["gradients"]
