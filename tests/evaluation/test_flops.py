"""Counted arithmetic against what a pencil gives."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from soundprompt.evaluation import flops


@pytest.mark.parametrize(
    ("layer", "shape", "products"),
    [
        (nn.Linear(10, 20), (3, 10), 3 * 10 * 20),
        (nn.Conv2d(3, 8, 3, padding=1), (1, 3, 16, 12), 16 * 12 * 8 * 3 * 9),
        (nn.Conv2d(6, 6, 3, stride=2, padding=1, groups=3), (2, 6, 16, 16), 2 * 8 * 8 * 6 * 2 * 9),
        (nn.ConvTranspose2d(3, 8, 2, stride=2), (1, 3, 16, 16), 16 * 16 * 3 * 8 * 4),
        (nn.LayerNorm(10), (3, 10), 0),
    ],
)
def test_layers(layer, shape, products):
    assert flops.count(lambda: layer(torch.randn(shape))) == 2 * products


def test_a_sum_over_places_is_a_matrix_product():
    places, offsets = torch.randn(1, 2, 4, 5, 8), torch.randn(4, 4, 8)
    assert flops.count(lambda: torch.einsum("bnhwc,hkc->bnhwk", places, offsets)) == 2 * (2 * 4 * 5 * 8 * 4)


@pytest.mark.parametrize(("tokens", "keys"), [(1024, 1024), (7, 4096), (4096, 7)])
def test_fused_attention_counts_as_much_as_the_plain_one(tokens, keys):
    """torch's counter does not know the CPU's fused kernel: it would count nothing."""
    q, k, v = torch.randn(1, 2, tokens, 16), torch.randn(1, 2, keys, 16), torch.randn(1, 2, keys, 16)
    fused = flops.count(lambda: F.scaled_dot_product_attention(q, k, v))
    with sdpa_kernel(SDPBackend.MATH):
        plain = flops.count(lambda: F.scaled_dot_product_attention(q, k, v))
    assert fused == plain == 2 * 2 * (2 * tokens * keys * 16)
