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
from soundprompt.foundation.vit import ViTBlock
from soundprompt.models.seeding import seeded

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam


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
    block = copy.deepcopy(sam.blocks[first]).to(device)

    @torch.no_grad()
    def before_the_adapter(x: Tensor) -> Tensor:
        return torch.cat(block(x.to(device)), -1).to(x.device)

    return before_the_adapter


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
