"""The shim makes torchvision importable, and keeps out of the way where it is."""

import subprocess
import sys

import pytest

WORKS = """
from torch import library
operators = library.Library("torchvision", "DEF")
for name in ("nms", "qnms"):
    operators.define(f"{name}(Tensor a, Tensor b, float c) -> Tensor")
from soundprompt.foundation import torchvision_ops
assert not torchvision_ops.declare_missing(), "declared operators that are there"
"""
IMPORTS = """
from soundprompt.foundation import torchvision_ops
torchvision_ops.declare_missing()
from torchvision.transforms.functional import resize
from segment_anything import SamPredictor
assert not torchvision_ops.declare_missing(), "declared twice"
"""
STILL_FAILS = """
from soundprompt.foundation import torchvision_ops
import torch
if not torchvision_ops.declare_missing():
    raise SystemExit(3)
try:
    torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
except NotImplementedError:
    raise SystemExit(0)
raise SystemExit("nms answered without an implementation")
"""


def fresh(code: str) -> subprocess.CompletedProcess:
    """Runs code in its own process: imports cannot be undone in this one."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_segment_anything_imports():
    done = fresh(IMPORTS)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_does_nothing_where_the_operators_exist():
    done = fresh(WORKS)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_declared_operator_still_fails():
    done = fresh(STILL_FAILS)
    if done.returncode == 3:
        pytest.skip("torchvision's operators work here")
    assert done.returncode == 0, done.stderr
