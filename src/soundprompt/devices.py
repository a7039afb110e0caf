"""Which device computes, that float32 on it is float32, and whether it repeats itself: decided here for every verb."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def best() -> str:
    """'cuda' where there is a GPU, else 'cpu'; float32 is kept from here on."""
    keep_float32()
    return "cuda" if torch.cuda.is_available() else "cpu"


def keep_float32() -> None:
    """Turns TF32 off for this process: matrix products and convolutions in float32 keep its 23 bits of fraction.

    With TF32 a GPU rounds their inputs to ten, which torch leaves on for convolutions. What is meant to be coarse and
    fast says so: `schedule.precision: bfloat16`.
    """
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def repeatable(wanted: bool) -> Iterator[None]:
    """While it lasts a GPU takes kernels that repeat themselves bit by bit, where torch has them, if that is wanted.

    cuBLAS gets a workspace of its own for that, which it reads when it is first used in a process. Attention keeps off
    the kernel whose gradients add up in any order; the others take more memory. What has no such kernel runs all the
    same, and torch warns by its name. docs/cluster.md says what this promises.
    """
    if not wanted:
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    attention = torch.backends.cuda.mem_efficient_sdp_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cuda.enable_mem_efficient_sdp(attention)
