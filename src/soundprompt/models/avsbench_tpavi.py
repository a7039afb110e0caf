"""AVSBench's baseline: sound and picture fused at every scale across the seconds of a clip (arXiv 2207.05042).

Our implementation from the paper's description; docs/models.md lists where it differs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.models.multiscale import AUDIO_DIM, PyramidSegmenter, enlarge
from soundprompt.models.seeding import seeded
from soundprompt.models.segmenter import Prediction

if TYPE_CHECKING:
    from soundprompt.foundation.pyramid import FrozenPyramid


class AvsbenchTpavi(PyramidSegmenter):
    """Pyramid, parallel dilated convolutions, TPAVI at each of the four scales, a decoder from coarse to fine."""

    def __init__(self, model: p.Model, pyramid: FrozenPyramid, seed: int):
        super().__init__(model, pyramid)
        settings = model.tpavi
        with seeded(seed, "tpavi"):
            self.scales = nn.ModuleList(DilatedConvolutions(width, settings) for width in pyramid.widths)
            self.fusions = nn.ModuleList(Tpavi(settings.width) for _ in pyramid.widths)
            self.decoder = TopDown(settings.width, len(pyramid.widths))

    def segment(self, features: list[Tensor], audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        members = torch.arange(len(audio), device=audio.device) if group is None or not self.temporal else group
        clip = torch.unique(members, return_inverse=True)[1]
        fused = [
            fusion(scale(feature), audio, clip)
            for scale, fusion, feature in zip(self.scales, self.fusions, features, strict=True)
        ]
        return Prediction(self.decoder(fused))


class DilatedConvolutions(nn.Module):
    """(B, inputs, h, w) to (B, width, h, w): the sum of parallel 3 x 3 convolutions of several dilations."""

    def __init__(self, inputs: int, settings: p.Tpavi):
        super().__init__()
        width = settings.width
        self.reduce = nn.Conv2d(inputs, width, 1) if settings.reduce_first else nn.Identity()
        inputs = width if settings.reduce_first else inputs
        self.branches = nn.ModuleList(
            nn.Conv2d(inputs, width, 3, padding=step, dilation=step) for step in settings.dilations
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        return sum(branch(x) for branch in self.branches)


class Tpavi(nn.Module):
    """Dot-product attention of every position of a clip's pictures to the sound at every position; LayerNorm.

    Queries come from the pictures, keys from the sound, which is the same at all positions of a second, values from
    the pictures; the sum over keys is divided by their number, without a softmax. Such attention is linear, so
    that the sum over all T x H x W keys is one matrix a clip: the mean over seconds of key times mean value.

    The result, without its mean over the frame and brought to size 1, is added through channel weights that begin at
    zero. The original has a batch normalisation with zero weights there; its statistics would make an answer depend on
    the batch it is given in. Without any norm the sound stays a whisper for hundreds of steps; without taking the mean
    away, what is the same all over a frame fills the norm, since a frame's features differ from place to place far
    less than from zero.
    """

    def __init__(self, width: int):
        super().__init__()
        inner = max(width // 2, 1)
        self.sound = nn.Linear(AUDIO_DIM, width)
        self.key = nn.Linear(width, inner)
        self.query, self.value = nn.Conv2d(width, inner, 1, bias=False), nn.Conv2d(width, inner, 1)
        self.out = nn.Conv2d(inner, width, 1, bias=False)  # a bias here or in the query would leave with the mean
        self.scale = nn.Parameter(torch.zeros(width, 1, 1))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, audio: Tensor, clip: Tensor) -> Tensor:
        """x (B, C, h, w), audio (B, 128), clip (B,) int64 from 0: which rows attend to each other. As x."""
        key, value = self.key(self.sound(audio)), self.value(x).mean(dim=(2, 3))
        products = key[:, :, None] * value[:, None]
        count = int(clip.max()) + 1
        sums = products.new_zeros(count, *products.shape[1:]).index_add(0, clip, products)
        frames = torch.bincount(clip, minlength=count).to(sums.dtype)
        mean = (sums / frames[:, None, None])[clip]
        answer = self.out(torch.einsum("bihw,bio->bohw", self.query(x), mean))
        answer = answer - answer.mean(dim=(2, 3), keepdim=True)
        fused = x + self.scale * answer / (answer.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-12).sqrt()
        return self.norm(fused.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class TopDown(nn.Module):
    """Maps of one width, finest first, to logits (B, 1, h, w) of the finest: each enlarged onto the next, convolved."""

    def __init__(self, width: int, scales: int):
        super().__init__()
        self.refine = nn.ModuleList(Residual(width) for _ in range(scales))
        half = max(width // 2, 1)
        self.head = nn.Sequential(nn.Conv2d(width, half, 3, padding=1), nn.ReLU(), nn.Conv2d(half, 1, 1))

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = self.refine[-1](maps[-1])
        for (_, finer), refine in zip(pairwise(reversed(maps)), reversed(self.refine[:-1]), strict=True):
            x = refine(finer + enlarge(x, finer))
        return self.head(x)


class Residual(nn.Module):
    """ReLU and 3 x 3 convolution, added to the input."""

    def __init__(self, width: int):
        super().__init__()
        self.layer = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(F.relu(x))
