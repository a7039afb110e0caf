"""What the two fusion baselines share: an image encoder of four scales, tuned from pixels, and their small parts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.models.segmenter import Segmenter

if TYPE_CHECKING:
    from soundprompt.foundation.pyramid import FrozenPyramid

AUDIO_DIM = 128


class PyramidSegmenter(Segmenter):
    """A model that runs a private copy of the pyramid on pixels, and trains it unless `pyramid.tune` is 'none'."""

    def __init__(self, model: p.Model, pyramid: FrozenPyramid):
        super().__init__(model, pyramid, seed=0)  # of an encoder's own end, which is not needed here
        self.encoder = pyramid.copy().requires_grad_(model.pyramid.tune == "all")

    def encode(self, visual: Tensor) -> list[Tensor]:
        """Pixels (B, 3, S, S) to maps (B, C_i, S / stride_i, S / stride_i), finest first."""
        return self.encoder(visual)

    def rows(self, features: list[Tensor], which: Sequence[int]) -> list[Tensor]:
        return [scale[which] for scale in features]

    def train(self, mode: bool = True) -> Self:
        """The encoder stays in evaluation mode: nothing in it depends on the batch or on chance."""
        super().train(mode)
        self.encoder.eval()
        return self


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of `like`."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


def normed(inputs: int, outputs: int) -> nn.Sequential:
    """1 x 1 convolution and GroupNorm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.GroupNorm(math.gcd(8, outputs), outputs))
