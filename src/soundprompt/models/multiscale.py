"""What the two fusion baselines share: an image encoder of four scales, tuned from pixels, and their small parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.draws import DropPath
from soundprompt.errors import InputError
from soundprompt.models.segmenter import Segmenter

if TYPE_CHECKING:
    from soundprompt.foundation.pyramid import FrozenPyramid


class PyramidSegmenter(Segmenter):
    """A model that runs a private copy of the pyramid on pixels, and trains it unless `pyramid.tune` is 'none'."""

    def __init__(self, model: p.Model, pyramid: FrozenPyramid):
        super().__init__(model, pyramid, seed=0)  # of an encoder's own end, which is not needed here
        self.encoder = pyramid.copy().requires_grad_(model.pyramid.tune == "all")
        if model.pyramid.drop_path:
            leave_out(self.encoder, model.pyramid.drop_path)

    def encode(self, visual: Tensor) -> list[Tensor]:
        """Pixels (B, 3, S, S) to maps (B, C_i, S / stride_i, S / stride_i), finest first."""
        return self.encoder(visual)

    def rows(self, features: list[Tensor], which: Sequence[int]) -> list[Tensor]:
        return [scale[which] for scale in features]


def leave_out(encoder: nn.Module, share: float) -> None:
    """In training, a sample goes past a block's halves with a chance that grows from block to block up to `share`.

    As the published programs build PVT-v2. Raises InputError for another encoder.
    """
    blocks = getattr(encoder, "blocks", [])
    if not blocks:
        raise InputError(f"pyramid.drop_path: {share} is for PVT-v2, not for this encoder", remedy="set it to 0")
    for number, block in enumerate(blocks):
        chance = share * number / (len(blocks) - 1)
        block.drop_path1, block.drop_path2 = DropPath(chance), DropPath(chance)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Bilinear, to the height and width of `like`."""
    return F.interpolate(x, like.shape[2:], mode="bilinear", align_corners=False)


class Drawing(nn.Module):
    """Features (B, C, h, w) to logits (B, 1, scale * h, scale * w): both published heads, but for the last bias."""

    def __init__(self, width: int, channels: tuple[int, int], scale: int, *, bias: bool):
        super().__init__()
        wide, narrow = channels
        self.wide = nn.Conv2d(width, wide, 3, padding=1)
        self.scale = scale
        self.narrow = nn.Conv2d(wide, narrow, 3, padding=1)
        self.last = nn.Conv2d(narrow, 1, 1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        x = self.wide(x)
        if self.scale > 1:
            x = F.interpolate(x, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return self.last(F.relu(self.narrow(x)))
