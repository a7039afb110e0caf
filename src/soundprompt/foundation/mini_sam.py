"""The mini SAM: the released classes at a small size, with a finer beginning and a finer end.

Tokens of 16 x 16 pixels that come from one linear map, and masks on cells of 4 x 4, are too coarse for the objects of
a picture of 128 pixels. Here convolutions make the tokens, and the decoder doubles its grid once more: masks at half of
the picture's side. All between the two, and with it what a step of every later training costs, is the released design.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundprompt.foundation.packages import submodule

modeling = submodule("segment_anything", "modeling")
LayerNorm2d = submodule("segment_anything", "modeling.common").LayerNorm2d

PATCH = 16  # side of a token, pixels
WIDTH, DEPTH, HEADS, PROMPT_WIDTH = 128, 4, 4, 128
STEM = (24, 48, 96)  # channels at strides 2, 4 and 8
UPSCALING = (48, 24, 16)  # channels after each doubling of the decoder's grid; the last are multiplied to masks


def build(image_size: int) -> modeling.Sam:
    """An untrained mini SAM, initialised from torch's random state."""
    grid, width = image_size // PATCH, PROMPT_WIDTH
    encoder = modeling.ImageEncoderViT(
        img_size=image_size,
        patch_size=PATCH,
        embed_dim=WIDTH,
        depth=DEPTH,
        num_heads=HEADS,
        out_chans=width,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
    )
    encoder.patch_embed = Stem(WIDTH)
    prompts = modeling.PromptEncoder(
        embed_dim=width,
        image_embedding_size=(grid, grid),
        input_image_size=(image_size, image_size),
        mask_in_chans=16,
    )
    decoder = modeling.MaskDecoder(
        transformer_dim=width,
        transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=width, num_heads=8, mlp_dim=512),
        iou_head_hidden_dim=width,
    )
    decoder.output_upscaling = upscaling(width)
    return modeling.Sam(image_encoder=encoder, prompt_encoder=prompts, mask_decoder=decoder)


class Stem(nn.Module):
    """Pictures to tokens: (B, 3, S, S) to (B, S/16, S/16, width), in the place of SAM's patch embedding.

    That embedding, one linear map of each patch, passes on its colours. Added to it is what convolutions see
    of outlines and stripes: one that halves the picture, and two more with a residual block behind each.
    """

    def __init__(self, width: int):
        super().__init__()
        first, second, third = STEM
        self.proj = nn.Conv2d(3, width, PATCH, stride=PATCH)
        self.halve = nn.Conv2d(3, first, 4, stride=2, padding=1)
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(first, second, 2, stride=2),
            Residual(second),
            nn.Conv2d(second, third, 2, stride=2),
            Residual(third),
            nn.Conv2d(third, width, 2, stride=2),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        halved = self.halve(x).contiguous(memory_format=torch.channels_last)  # half of the time of what follows
        seen = self.layers(halved).permute(0, 2, 3, 1)
        return self.proj(x).permute(0, 2, 3, 1) + self.norm(seen)


class Residual(nn.Module):
    """x + two 3 x 3 convolutions of its normalised channels."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(self.norm(x))))


def upscaling(width: int) -> nn.Sequential:
    """SAM's upscaling of the decoder's grid with one more doubling: (B, width, h, w) to (B, 16, 8h, 8w)."""
    first, second, third = UPSCALING
    return nn.Sequential(
        nn.ConvTranspose2d(width, first, kernel_size=2, stride=2),
        LayerNorm2d(first),
        nn.GELU(),
        nn.ConvTranspose2d(first, second, kernel_size=2, stride=2),
        nn.GELU(),
        nn.ConvTranspose2d(second, third, kernel_size=2, stride=2),
        nn.GELU(),
    )
