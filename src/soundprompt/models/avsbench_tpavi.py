"""AVSBench's baseline: sound and picture fused at every scale across the seconds of a clip (arXiv 2207.05042).

Our own code, with the layers, initial values and arithmetic of the published program (OpenNLPLab/AVSBench, PVT-v2);
docs/models.md lists what differs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.models.multiscale import Drawing, PyramidSegmenter
from soundprompt.models.seeding import seeded
from soundprompt.models.segmenter import AUDIO_DIM, Prediction
from soundprompt.registry import Architecture

if TYPE_CHECKING:
    from soundprompt.foundation.pyramid import FrozenPyramid


class AvsbenchTpavi(PyramidSegmenter):
    """Pyramid, parallel dilated convolutions, TPAVI at each of the four scales, a decoder from coarse to fine."""

    def __init__(self, model: p.Model, pyramid: FrozenPyramid, seed: int):
        super().__init__(model, pyramid)
        settings = model.tpavi
        self.kl, self.whole_clips = settings.kl, self.temporal and settings.whole_clips
        with seeded(seed, "tpavi"):
            self.scales = nn.ModuleList(DilatedConvolutions(width, settings) for width in pyramid.widths)
            self.fusions = nn.ModuleList(Tpavi(settings) for _ in pyramid.widths)
            self.decoder = TopDown(settings, len(pyramid.widths), model.pyramid.mask_stride)

    def segment(self, features: list[Tensor], audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        members = torch.arange(audio.shape[0], device=audio.device) if group is None or not self.temporal else group
        clip = torch.unique(members, return_inverse=True)[1]
        fused = [
            fusion(scale(feature), audio, clip)
            for scale, fusion, feature in zip(self.scales, self.fusions, features, strict=True)
        ]
        logits = self.decoder(fused)
        if not (self.training and self.kl):
            return Prediction(logits)
        stages = [masked_divergence(logits, x, part.sound(audio)) for x, part in zip(fused, self.fusions, strict=True)]
        return Prediction(logits, penalty=self.kl * torch.stack(stages).mean(0))


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
        for branch in self.branches:
            nn.init.normal_(branch.weight, std=0.01)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(x)
        return sum(branch(x) for branch in self.branches)


class Tpavi(nn.Module):
    """Dot-product attention of every position of a clip's pictures to the sound at every position; LayerNorm.

    Queries come from the pictures, keys from the sound, which is the same at all positions of a second, values from
    the pictures; the sum over keys is divided by their number, T x H x W, without a softmax. Such attention is linear,
    so that the sum over all keys is one matrix a clip: the mean over seconds of key times mean value. The norm in
    front of the addition has weight and bias zero at first.

    Norm "frame" brings the answer to size 1 in each frame instead, and asks only with what differs from place to place:
    features differ there far less than from zero, so that otherwise what is the same all over a frame fills a norm.
    """

    def __init__(self, settings: p.Tpavi):
        super().__init__()
        width = settings.width
        inner = max(width // 2, 1)
        self.sound = nn.Linear(AUDIO_DIM, width)
        self.by_place = settings.norm == "frame"
        self.query = nn.Conv2d(width, inner, 1, bias=not self.by_place)  # a bias is the same all over a frame
        self.key, self.value = nn.Linear(width, inner), nn.Conv2d(width, inner, 1)
        self.out = nn.Conv2d(inner, width, 1, bias=not self.by_place)
        self.scale = FrameNorm(width) if self.by_place else nn.BatchNorm2d(width)
        nn.init.zeros_(self.scale.weight)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, audio: Tensor, clip: Tensor) -> Tensor:
        """x (B, C, h, w), audio (B, 128), clip (B,) int64 from 0: which rows attend to each other. As x."""
        fused = x + self.scale(self.out(self.attend(x, audio, clip)))
        return self.norm(fused.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    def attend(self, x: Tensor, audio: Tensor, clip: Tensor) -> Tensor:
        """The attention's answer, (B, C / 2, h, w)."""
        key, value = self.key(self.sound(audio)), self.value(x).mean(dim=(2, 3))
        products = key[:, :, None] * value[:, None]
        count = int(clip.max()) + 1
        sums = products.new_zeros(count, *products.shape[1:]).index_add(0, clip, products)
        frames = torch.bincount(clip, minlength=count).to(sums.dtype)
        mean = (sums / frames[:, None, None])[clip]
        query = self.query(x - x.mean(dim=(2, 3), keepdim=True) if self.by_place else x)
        return torch.einsum("bihw,bio->bohw", query, mean)


class FrameNorm(nn.Module):
    """(B, C, h, w): each frame brought to a mean square of 1, times a weight for each channel."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight[:, None, None] / (x.square().mean(dim=(1, 2, 3), keepdim=True) + 1e-12).sqrt()


class TopDown(nn.Module):
    """Maps of one width, finest first, to logits (B, 1, S / stride, S / stride), coarsest first.

    Each map is added to the enlarged sum of those before it. stride 1, as published: the finest sum is enlarged too,
    and the mask drawn at the input's size; 4: it is drawn on the finest map.
    """

    def __init__(self, settings: p.Tpavi, scales: int, stride: int):
        super().__init__()
        self.paths = nn.ModuleList(Path(settings.width) for _ in range(scales))
        # published without a use: nothing is there to be added to at the coarsest scale
        self.paths[-1].entry.requires_grad_(False)
        self.full = stride == 1
        self.draw = Drawing(settings.width, settings.head, 2 if self.full else 1, bias=True)

    def forward(self, maps: list[Tensor]) -> Tensor:
        x = None
        for level in reversed(range(len(maps))):
            path = self.paths[level]
            x = path.exit(maps[level] if x is None else x + path.entry(maps[level]))
            if level or self.full:
                x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
        return self.draw(x)


class Path(nn.Module):
    """The two residual units of a scale: of its own map, and of the sum."""

    def __init__(self, width: int):
        super().__init__()
        self.entry, self.exit = Residual(width), Residual(width)


class Residual(nn.Module):
    """ReLU and 3 x 3 convolution, twice, added to the first ReLU's result (the published ReLU works in place)."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(x)
        return x + self.second(F.relu(self.first(x)))


def masked_divergence(logits: Tensor, x: Tensor, sound: Tensor) -> Tensor:
    """KL divergence of the sound from what the mask leaves of a fused map, (B,): AVSBench's loss "AVM".

    logits (B, 1, H, W), averaged over the map's cells before the sigmoid; x (B, C, h, w), which the program's decoder
    has put through its ReLU by then; sound (B, C). Softmax over channels makes distributions of both.
    """
    mask = torch.sigmoid(F.adaptive_avg_pool2d(logits, x.shape[2:]))
    looks = (F.relu(x) * mask).mean(dim=(2, 3)).float().log_softmax(-1)
    return F.kl_div(looks, sound.float().log_softmax(-1), reduction="none", log_target=True).sum(-1)


REGISTERED = Architecture(
    name="avsbench_tpavi",
    code=AvsbenchTpavi,
    title="AVSBench (TPAVI)",
    colour="#5a8f3c",
    reads="pyramid",
    temporal={"tpavi.temporal": True},
)
