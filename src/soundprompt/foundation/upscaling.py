"""The end of SAM's mask decoder, from the grid of F_V to that of masks, computed with channels last.

Each of its transposed convolutions has kernel = stride = 2, so it is one matrix product that gives each cell its 2 x 2
children. These are put in their places once, at the end, when only the masks are left.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def factor(upscaling: nn.Sequential) -> int:
    """How many times finer the grid of masks is than that of F_V."""
    return 2 ** sum(isinstance(layer, nn.ConvTranspose2d) for layer in upscaling)


def draw(upscaling: nn.Sequential, image: Tensor, kernels: Tensor, grid: tuple[int, int]) -> Tensor:
    """Logits of k masks (B, k, n, n), n the `factor` times the grid.

    upscaling: SAM's `output_upscaling`. image: (B, h * w, C). kernels: (B, k, C'), what the networks of the mask tokens
    multiply the upscaled channels by. grid: h and w.
    """
    cells = image
    for layer in upscaling:
        if isinstance(layer, nn.ConvTranspose2d):
            cells = split(layer, cells)
        elif isinstance(layer, nn.GELU):
            cells = layer(cells)
        else:
            cells = norm_channels(layer, cells)
    doublings = cells.ndim - image.ndim
    logits = cells.flatten(1, -2) @ kernels.mT
    frames = image.shape[0]  # not len(): a graph that is exported keeps it open
    logits = logits.view(frames, *grid, *(2, 2) * doublings, -1)
    rows, columns = (range(first, 3 + 2 * doublings, 2) for first in (3, 4))
    places = logits.permute(0, -1, 1, *rows, 2, *columns)
    return places.reshape(frames, -1, *(side * 2**doublings for side in grid))


def split(up: nn.ConvTranspose2d, x: Tensor) -> Tensor:
    """(..., C) to (..., 4, C'): the 2 x 2 children of each cell, row by row."""
    weight = up.weight.permute(2, 3, 1, 0).flatten(0, 2)
    return F.linear(x, weight, up.bias.repeat(4)).unflatten(-1, (4, -1))


def norm_channels(norm: nn.Module, x: Tensor) -> Tensor:
    """SAM's LayerNorm2d on a tensor with channels last: one fused call instead of eight."""
    return F.layer_norm(x, (x.shape[-1],), norm.weight, norm.bias, norm.eps)
