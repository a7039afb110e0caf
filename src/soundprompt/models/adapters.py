"""The adapted end of SAM's image encoder, run from the cached input of its first adapted block."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.foundation.upscaling import norm_channels
from soundprompt.models.seeding import seeded

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam

# From this many tokens on, attention is computed without holding the token x token matrix: at 64 x 64
# tokens that matrix alone takes 0.8 GB a frame. On small grids holding it is faster.
FUSED_FROM = 1024


class EncoderTail(nn.Module):
    """Blocks `tune_from`.. and the neck of the image encoder, with an adapter in each block.

    Trained: the adapters; with tune_norms both LayerNorms of the blocks after the first; with tune_neck
    the LayerNorms of the neck. Source: the released code (adapter_v, norms of the blocks after tune_v);
    the overview figure of arXiv 2309.07929 draws the encoder frozen apart from the adapters.
    """

    def __init__(self, sam: FrozenSam, visual: p.Visual, seed: int):
        super().__init__()
        encoder, first = sam.sam.image_encoder, visual.tune_from
        blocks = {str(i): encoder.blocks[i] for i in range(first, len(encoder.blocks))}
        self.blocks = nn.ModuleDict(
            {i: AdaptedBlock(copy.deepcopy(block), sam, visual, seed, int(i)) for i, block in blocks.items()}
        )
        self.neck = copy.deepcopy(encoder.neck)
        self.requires_grad_(False)
        for i, block in self.blocks.items():
            block.adapter.requires_grad_(True)
            if visual.tune_norms and int(i) > first:
                block.norm1.requires_grad_(True)
                block.norm2.requires_grad_(True)
        if visual.tune_neck:
            self.neck[1].requires_grad_(True)
            self.neck[3].requires_grad_(True)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, h, w, D), the input of block tune_from, or (B, h, w, 2D), what `front` makes of it.

        Returns F_V with channels last, (B, h, w, C).
        """
        first, *later = self.blocks.values()
        x = first(x) if x.shape[-1] == first.width else first.adapted(*x.chunk(2, -1))
        for block in later:
            x = block(x)
        narrow, norm1, mix, norm2 = self.neck
        x = norm_channels(norm1, F.linear(x, narrow.weight.flatten(1)))
        return norm_channels(norm2, mix(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1))


def front(sam: FrozenSam, first: int, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """What `EncoderTail` computes before anything that trains: block `first` up to its adapter.

    The function takes the block's input, (B, h, w, D), to x and m of `ViTBlock`, (B, h, w, 2D), which it computes on
    the device and brings back to where the input lies. Whoever sees the same pictures again and again computes it once
    for each (a seventh of a training step of the mini GAVS).
    """
    block = ViTBlock(copy.deepcopy(sam.sam.image_encoder.blocks[first]), sam).to(device)

    @torch.no_grad()
    def before_the_adapter(x: Tensor) -> Tensor:
        return torch.cat(block(x.to(device)), -1).to(x.device)

    return before_the_adapter


class ViTBlock(nn.Module):
    """One ViT block of SAM up to its last sum: x after attention, and m = MLP(norm2(x))."""

    def __init__(self, block: nn.Module, sam: FrozenSam):
        super().__init__()
        self.width = sam.dim
        self.norm1, self.norm2, self.mlp = block.norm1, block.norm2, block.mlp
        self.qkv, self.proj, self.heads = block.attn.qkv, block.attn.proj, block.attn.num_heads
        self.window = block.window_size
        side = self.window or sam.grid
        self.register_buffer("row_offsets", offsets(block.attn.rel_pos_h, side), persistent=False)
        self.register_buffer("column_offsets", offsets(block.attn.rel_pos_w, side), persistent=False)
        self.register_buffer("cells", cell_indicator(side).to(self.row_offsets), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, h, w, D) to x and m, of the same shape each."""
        normed = self.norm1(x)
        x = x + (self.attend_in_windows(normed) if self.window else self.attend(normed))
        return x, self.mlp(self.norm2(x))

    def attend_in_windows(self, x: Tensor) -> Tensor:
        """Attention inside windows, zero-padded right and bottom to whole ones, as SAM does."""
        (b, h, w, d), s = x.shape, self.window
        rows, columns = -(-h // s), -(-w // s)
        x = F.pad(x, (0, 0, 0, columns * s - w, 0, rows * s - h))
        windows = x.view(b, rows, s, columns, s, d).transpose(2, 3).reshape(-1, s, s, d)
        out = self.attend(windows).view(b, rows, columns, s, s, d).transpose(2, 3)
        return out.reshape(b, rows * s, columns * s, d)[:, :h, :w]

    def attend(self, x: Tensor) -> Tensor:
        """Self-attention over h x w tokens with SAM's decomposed relative positions.

        The positional term q.R_row + q.R_column is linear in the key's row and column, so it is carried
        by extra channels: of the query its products with every row and column, of the key one-hot marks.
        """
        b, h, w, d = x.shape
        q, k, v = self.qkv(x).view(b, h * w, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        cells = q.unflatten(2, (h, w))
        row = torch.einsum("bnhwc,hkc->bnhwk", cells, self.row_offsets).flatten(2, 3)
        column = torch.einsum("bnhwc,wkc->bnhwk", cells, self.column_offsets).flatten(2, 3)
        q = torch.cat([q * q.shape[-1] ** -0.5, row, column], -1)
        k = torch.cat([k, self.cells.to(k.dtype).expand(b, self.heads, -1, -1)], -1)
        if h * w < FUSED_FROM:
            out = torch.softmax(q @ k.transpose(-1, -2), -1) @ v
        else:  # the fused kernel wants equal widths
            padded = F.pad(v, (0, q.shape[-1] - v.shape[-1]))
            out = F.scaled_dot_product_attention(q, k, padded, scale=1.0)[..., : v.shape[-1]]
        return self.proj(out.transpose(1, 2).reshape(b, h, w, d))


class AdaptedBlock(ViTBlock):
    """One ViT block of SAM with a bottleneck behind its MLP: x + m + adapter(m)."""

    def __init__(self, block: nn.Module, sam: FrozenSam, visual: p.Visual, seed: int, index: int):
        super().__init__(block, sam)
        with seeded(seed, f"encoder.blocks.{index}.adapter"):
            self.adapter = nn.Sequential(nn.Linear(sam.dim, visual.dim), nn.ReLU(), nn.Linear(visual.dim, sam.dim)).to(
                self.row_offsets.device
            )
        if visual.zero_init:
            nn.init.zeros_(self.adapter[2].weight)
            nn.init.zeros_(self.adapter[2].bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, D) to the same."""
        return self.adapted(*super().forward(x))

    def adapted(self, x: Tensor, m: Tensor) -> Tensor:
        """The end of it: x and m of `ViTBlock`, (B, h, w, D) each, to the block's output."""
        return x + m + self.adapter(m)


def offsets(table: Tensor, side: int) -> Tensor:
    """(2 side - 1, c) position vectors by distance, as (query place, key place, c)."""
    place = torch.arange(side, device=table.device)
    return table.detach()[place[:, None] - place[None] + side - 1]


def cell_indicator(side: int) -> Tensor:
    """(side * side, 2 side): ones where a cell's row and column are."""
    eye = torch.eye(side)
    return torch.cat([eye.repeat_interleave(side, 0), eye.repeat(side, 1)], 1)
