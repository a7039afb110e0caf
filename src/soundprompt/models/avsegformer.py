"""AVSegFormer: queries made of the sound read multi-scale features, then draw on the finest map (arXiv 2307.01146).

Our implementation from the paper's description, in plain PyTorch; docs/models.md lists where it differs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.models.multiscale import AUDIO_DIM, PyramidSegmenter, enlarge, normed
from soundprompt.models.seeding import seeded
from soundprompt.models.segmenter import Prediction

if TYPE_CHECKING:
    from soundprompt.foundation.pyramid import FrozenPyramid


class AvsegFormer(PyramidSegmenter):
    """Pyramid, deformable encoder on strides 8 to 32, decoder of sound queries, mixer on stride 4."""

    def __init__(self, model: p.Model, pyramid: FrozenPyramid, seed: int):
        super().__init__(model, pyramid)
        settings = model.avsegformer
        width = settings.width
        self.auxiliary_weight = settings.auxiliary
        with seeded(seed, "avsegformer"):
            self.project = nn.ModuleList(normed(inputs, width) for inputs in pyramid.widths)
            self.scale_codes = nn.Parameter(torch.randn(len(pyramid.widths) - 1, width) * 0.02)
            layers = range(settings.encoder_layers)
            self.reading = nn.ModuleList(EncoderLayer(settings, len(pyramid.widths) - 1) for _ in layers)
            self.sound = nn.Sequential(nn.Linear(AUDIO_DIM, width), nn.LayerNorm(width))
            self.queries = nn.Parameter(torch.randn(settings.queries, width) * 0.02)
            self.asking = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
            self.smooth = nn.Conv2d(width, width, 3, padding=1)
            self.mixer = Mixer(width, settings.heads)
            self.auxiliary = nn.Conv2d(width, 1, 1) if settings.auxiliary else None
            self.to_map = nn.Sequential(nn.Conv2d(settings.queries, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1))
            self.head = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, 1, 1))

    def segment(self, features: list[Tensor], audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        finest, *coarse = (project(scale) for project, scale in zip(self.project, features, strict=True))
        memory, codes, shapes = self.read(coarse)
        sound = self.sound(audio)[:, None]
        queries = sound + self.queries
        for layer in self.asking:
            queries = layer(queries, self.queries, memory, codes)
        second = memory[:, : shapes[0][0] * shapes[0][1]].transpose(1, 2).unflatten(2, shapes[0])
        fine = F.relu(self.smooth(finest + enlarge(second, finest)))
        mixed = self.mixer(fine, sound)
        likeness = torch.einsum("bqc,bchw->bqhw", queries, mixed) / math.sqrt(mixed.shape[1])
        logits = self.head(mixed + self.to_map(likeness))
        return Prediction(logits, auxiliary=self.auxiliary(mixed) if self.auxiliary and self.training else None)

    def read(self, coarse: list[Tensor]) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
        """Maps (B, C, h_i, w_i) to tokens (B, sum h_i w_i, C), their positional codes, and the maps' shapes."""
        shapes = [(scale.shape[2], scale.shape[3]) for scale in coarse]
        tokens = torch.cat([scale.flatten(2).transpose(1, 2) for scale in coarse], dim=1)
        places = [positions(*shape, tokens.shape[2]).to(tokens) for shape in shapes]
        codes = torch.cat([place + code for place, code in zip(places, self.scale_codes, strict=True)])
        centres = torch.cat([grid_centres(*shape) for shape in shapes]).to(tokens)
        for layer in self.reading:
            tokens = layer(tokens, codes, centres, shapes)
        return tokens, codes, shapes


class EncoderLayer(nn.Module):
    """Deformable self-attention over all scales, then a feed-forward part, each residual with LayerNorm behind."""

    def __init__(self, settings: p.Avsegformer, scales: int):
        super().__init__()
        self.attend = DeformableAttention(settings.width, settings.heads, scales, settings.points)
        self.feed = feed_forward(settings.width, settings.hidden)
        self.norm1, self.norm2 = nn.LayerNorm(settings.width), nn.LayerNorm(settings.width)

    def forward(self, tokens: Tensor, codes: Tensor, centres: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        tokens = self.norm1(tokens + self.attend(tokens + codes, tokens, centres, shapes))
        return self.norm2(tokens + self.feed(tokens))


class DeformableAttention(nn.Module):
    """Each token reads a few points of every scale, at offsets and with weights that it chooses (arXiv 2010.04159).

    Sampling is bilinear (`grid_sample`), so that no compiled extension is needed; offsets are in cells of the scale
    that is read. At first each head looks in a direction of its own, at growing distance.
    """

    def __init__(self, width: int, heads: int, scales: int, points: int):
        super().__init__()
        self.heads, self.scales, self.points = heads, scales, points
        self.offsets = nn.Linear(width, heads * scales * points * 2)
        self.weights = nn.Linear(width, heads * scales * points)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        angles = torch.arange(heads) * (2 * math.pi / heads)
        rays = torch.stack([angles.cos(), angles.sin()], dim=-1)
        rays = rays / rays.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, points + 1)
        start = (rays[:, None, None] * steps[:, None]).expand(heads, scales, points, 2)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        with torch.no_grad():
            self.offsets.bias.copy_(start.reshape(-1))

    def forward(self, query: Tensor, tokens: Tensor, centres: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        """query, tokens (B, N, C); centres (N, 2), x and y of each token in 0..1; shapes of the scales. (B, N, C)."""
        b, n, c = query.shape
        offsets = self.offsets(query).view(b, n, self.heads, self.scales, self.points, 2)
        weights = self.weights(query).view(b, n, self.heads, -1).softmax(-1)
        weights = weights.view(b, n, self.heads, self.scales, self.points)
        values = self.value(tokens).view(b, n, self.heads, c // self.heads).permute(0, 2, 3, 1).flatten(0, 1)
        read, start = 0, 0
        for scale, (height, width) in enumerate(shapes):
            cells = torch.tensor([width, height], dtype=query.dtype, device=query.device)
            points = centres[:, None, None] + offsets[:, :, :, scale] / cells
            points = (2 * points - 1).permute(0, 2, 1, 3, 4).flatten(0, 1)
            values_here = values[:, :, start : start + height * width].unflatten(2, (height, width))
            found = F.grid_sample(values_here.float(), points.float(), mode="bilinear", align_corners=False)
            share = weights[:, :, :, scale].transpose(1, 2).flatten(0, 1)[:, None]
            read = read + (found * share).sum(-1)
            start += height * width
        return self.out(read.view(b, c, n).transpose(1, 2))


class DecoderLayer(nn.Module):
    """Queries attend to each other and to the picture's tokens, then a feed-forward part; LayerNorm behind each."""

    def __init__(self, settings: p.Avsegformer):
        super().__init__()
        width, heads = settings.width, settings.heads
        self.among = nn.MultiheadAttention(width, heads, batch_first=True)
        self.across = nn.MultiheadAttention(width, heads, batch_first=True)
        self.feed = feed_forward(width, settings.hidden)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))

    def forward(self, queries: Tensor, identity: Tensor, memory: Tensor, codes: Tensor) -> Tensor:
        """queries (B, Q, C), identity (Q, C) what tells them apart, memory (B, N, C), codes (N, C)."""
        asking = queries + identity
        queries = self.norm1(queries + self.among(asking, asking, queries, need_weights=False)[0])
        found = self.across(queries + identity, memory + codes, memory, need_weights=False)[0]
        queries = self.norm2(queries + found)
        return self.norm3(queries + self.feed(queries))


class Mixer(nn.Module):
    """Scales the channels of the finest map by what the sound finds in it.

    The sound attends, head by head, to all positions of the map; what it reads there is one number a channel.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)

    def forward(self, fine: Tensor, sound: Tensor) -> Tensor:
        """fine (B, C, h, w), sound (B, 1, C). As fine."""
        b, c, h, w = fine.shape
        cells = fine.view(b, self.heads, c // self.heads, h * w)
        query = self.query(sound).view(b, self.heads, 1, c // self.heads)
        share = (query @ cells / math.sqrt(c / self.heads)).softmax(-1)
        weights = (share @ cells.transpose(2, 3)).view(b, c, 1, 1)
        return fine + fine * weights


def feed_forward(width: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))


def positions(height: int, width: int, channels: int) -> Tensor:
    """Sines and cosines of row and column, (height * width, channels)."""
    quarter = -(-channels // 4)
    rates = 10000.0 ** (-torch.arange(quarter) / quarter)
    rows = (torch.arange(height) + 0.5)[:, None] / height * 2 * math.pi * rates
    columns = (torch.arange(width) + 0.5)[:, None] / width * 2 * math.pi * rates
    rows = torch.cat([rows.sin(), rows.cos()], dim=1)[:, None].expand(-1, width, -1)
    columns = torch.cat([columns.sin(), columns.cos()], dim=1)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)[:, :channels]


def grid_centres(height: int, width: int) -> Tensor:
    """x and y of the cells' middles, in 0..1, row by row: (height * width, 2)."""
    rows, columns = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
    return torch.stack([columns.repeat(height), rows.repeat_interleave(width)], dim=1)
