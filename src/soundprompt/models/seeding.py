"""Initial weights that depend on the seed and the part's name, and on nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, part: str) -> Iterator[None]:
    """Runs the block on a random stream of its own and gives torch's global CPU stream back untouched.

    Each part of a model has its own stream, so that two models that share a part (an ablation and the
    full model) start with the same weights in it.
    """
    stream = int.from_bytes(hashlib.sha256(f"{seed}/{part}".encode()).digest()[:8], "big") >> 1
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream)  # of the CPU alone, where weights are drawn
        yield
