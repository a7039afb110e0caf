"""Which device computes, and that float32 on it is float32: decided here for every verb."""

from __future__ import annotations

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
