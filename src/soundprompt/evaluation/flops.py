"""Counts the arithmetic of a call: matrix products and convolutions, a multiplication with its addition as two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils import flop_counter


def count(call: Callable[[], Any]) -> int:
    """Floating point operations of the matrix products, convolutions and attention that `call` runs through torch.

    Everything else (softmax, norms, activations, resizing, what NumPy does) is not counted: it is little. Without
    its own entry torch's counter would take fused attention on the CPU, by far the largest part at 64 x 64 tokens,
    for nothing.
    """
    fused = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    with torch.no_grad(), flop_counter.FlopCounterMode(display=False, custom_mapping=fused) as counter:
        call()
    return counter.get_total_flops()


def _attention(query: torch.Size, key: torch.Size, value: torch.Size, *rest: Any, **named: Any) -> int:
    """Of shapes (B, heads, n, c), (B, heads, m, c), (B, heads, m, d): q.k and the weighted sum of v."""
    return flop_counter.sdpa_flop_count(query, key, value)
