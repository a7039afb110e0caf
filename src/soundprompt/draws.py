"""Random numbers that training draws: on the CPU, whatever device computes, so that a seed means the same on each.

They come from torch's global CPU generator, which the training loop seeds anew for every step. A device has a
generator of its own with other numbers, so whatever draws in training draws here.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_STEP, _MIX1, _MIX2 = (value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def normal_like(x: Tensor) -> Tensor:
    """Standard normal draws of the shape, type and device of x; drawn in float32 for every type."""
    return torch.randn(x.shape).to(x)


def one_of(allowed: Tensor) -> Tensor:
    """For each row of (n, m) bool, which must hold a True, the column of one of them by chance: (n,) int64, CPU."""
    return torch.multinomial(allowed.cpu().float(), 1)[:, 0]


class Dropping(nn.Module):
    """In training parts of x are 0 with probability `share`, all else is scaled by 1 / (1 - share)."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self.share:
            return x
        return x * self.kept(x) / (1 - self.share)

    @abstractmethod
    def kept(self, x: Tensor) -> Tensor:
        """What is not dropped, bool, of a shape that goes with x."""


class Dropout(Dropping):
    """Each number by itself, as torch's `Dropout`.

    What is dropped would be many numbers to draw and to move. One is drawn, and each place's own is mixed from it and
    the place on the device itself (SplitMix64), in whole numbers, which are the same everywhere.
    """

    def kept(self, x: Tensor) -> Tensor:
        seed = int(torch.randint(2**62, ()))
        mixed = (torch.arange(x.numel(), device=x.device) + seed) * _STEP
        for shift, factor in ((30, _MIX1), (27, _MIX2)):
            mixed = (mixed ^ _shifted(mixed, shift)) * factor
        chance = _shifted(mixed ^ _shifted(mixed, 31), 40)  # 24 bits
        return (chance >= round(self.share * 2**24)).view(x.shape)


class DropPath(Dropping):
    """The whole branch of a sample, x (B, ...): stochastic depth (arXiv 1603.09382)."""

    def kept(self, x: Tensor) -> Tensor:
        kept = (torch.rand(len(x)) >= self.share).to(x.device)
        return kept.view(-1, *[1] * (x.ndim - 1))


class Attention(nn.MultiheadAttention):
    """torch's multi-head attention, batch first, by the same weights; shares of attention are dropped by `Dropout`."""

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, bias: bool = True):
        super().__init__(width, heads, bias=bias, batch_first=True)
        self.drop = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:  # type: ignore[override]  # no options
        """query (B, Q, C), key and value (B, N, C). As query."""
        if not self.training or not self.drop.share:
            return super().forward(query, key, value, need_weights=False)[0]
        biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        q, k, v = (
            F.linear(x, weight, bias).unflatten(2, (self.num_heads, -1)).transpose(1, 2)
            for x, weight, bias in zip((query, key, value), self.in_proj_weight.chunk(3), biases, strict=True)
        )
        shares = (q @ k.mT * self.head_dim**-0.5).softmax(-1)
        return self.out_proj((self.drop(shares) @ v).transpose(1, 2).flatten(2))


def _shifted(x: Tensor, bits: int) -> Tensor:
    """64 bits moved to the right, zeros from the left: torch's own shift repeats the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
