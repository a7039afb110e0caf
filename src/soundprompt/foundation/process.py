"""How a pre-training process uses its machine: one thread, and memory that it keeps."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # names of glibc's mallopt


@contextmanager
def single_thread() -> Iterator[None]:
    """Runs torch on one thread, so that results do not depend on the number of cores; restores the setting."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Tells glibc to keep freed tensors' memory for the next ones, for the rest of the process.

    Otherwise every large tensor is mapped from the kernel, zeroed page by page and unmapped again, which costs
    up to a tenth of a training step. Does nothing on other C libraries.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 1 << 30)
        mallopt(_M_TRIM_THRESHOLD, (1 << 31) - 1)
