"""AVSegFormer: queries made of the sound read multi-scale features, then draw on the finest map (arXiv 2307.01146).

Our own code in plain PyTorch, with the layers, initial values and arithmetic of the published program
(vvvb-github/AVSegFormer, PVT-v2); docs/models.md lists what differs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.draws import Attention, Dropout
from soundprompt.models.multiscale import Drawing, PyramidSegmenter, enlarge
from soundprompt.models.seeding import seeded
from soundprompt.models.segmenter import AUDIO_DIM, Prediction
from soundprompt.registry import Architecture

if TYPE_CHECKING:
    from soundprompt.foundation.pyramid import FrozenPyramid

SCALES = 3  # strides 8, 16 and 32 are read as tokens; on stride 4 the mask is drawn


class AvsegFormer(PyramidSegmenter):
    """Pyramid, deformable encoder on strides 8 to 32, queries made of the sound, decoder, mixer on stride 4."""

    auxiliary_loss = "dice"

    def __init__(self, model: p.Model, pyramid: FrozenPyramid, seed: int):
        super().__init__(model, pyramid)
        settings = model.avsegformer
        width = settings.width
        self.auxiliary_weight = settings.auxiliary
        self.stride = model.pyramid.mask_stride
        with seeded(seed, "avsegformer"):
            self.sound = nn.Linear(AUDIO_DIM, width)
            self.project = nn.ModuleList(normed(inputs, width, 1) for inputs in pyramid.widths)
            self.scale_codes = nn.Parameter(torch.randn(SCALES, width))
            self.generator = Generator(settings)
            self.query_codes = nn.Parameter(torch.empty(settings.queries, width))
            self.reading = nn.ModuleList(EncoderLayer(settings) for _ in range(settings.encoder_layers))
            self.asking = nn.ModuleList(DecoderLayer(settings) for _ in range(settings.decoder_layers))
            self.lateral, self.smooth = normed(width, width, 1), normed(width, width, 3)
            self.mixer = Mixer(width, settings.heads)
            self.to_map = to_map(settings)
            self.draw = Drawing(width, settings.head, 4 // self.stride, bias=False)
            self.unused = Unused(settings)
            self.start()

    def start(self) -> None:
        """The published initial values: Xavier's uniform in all matrices but those that deformable attention sets."""
        for name, weight in self.named_parameters():
            if weight.ndim > 1 and not name.startswith(("encoder.", "sound.", "scale_codes")):
                nn.init.xavier_uniform_(weight)
        for layer in self.reading:
            layer.attend.start()

    def segment(self, features: list[Tensor], audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        finest, *coarse = (project(scale) for project, scale in zip(self.project, features, strict=True))
        memory, shapes = self.read(coarse)
        sound = self.sound(audio)[:, None]
        queries = self.generator(sound) + self.query_codes
        for layer in self.asking:
            queries = layer(queries, memory)
        second = memory[:, : shapes[0][0] * shapes[0][1]].transpose(1, 2).unflatten(2, shapes[0])
        fine = F.relu(self.smooth(self.lateral(finest) + enlarge(second, finest)))
        mixed = self.mixer(fine, sound)
        likeness = torch.einsum("bqc,bchw->bqhw", queries, mixed)
        logits = self.draw(mixed + self.to_map(likeness))
        heard = enlarge(mixed.mean(1, keepdim=True), logits) if self.training and self.auxiliary_weight else None
        return Prediction(logits, auxiliary=heard)

    def read(self, coarse: list[Tensor]) -> tuple[Tensor, list[tuple[int, int]]]:
        """Maps (B, C, h_i, w_i) to tokens (B, sum h_i w_i, C) that have read each other, and the maps' shapes."""
        shapes = [(scale.shape[2], scale.shape[3]) for scale in coarse]
        tokens = torch.cat([scale.flatten(2).transpose(1, 2) for scale in coarse], dim=1)
        places = [positions(*shape, tokens.shape[2]).to(tokens) for shape in shapes]
        codes = torch.cat([place + code for place, code in zip(places, self.scale_codes, strict=True)])
        centres = torch.cat([grid_centres(*shape) for shape in shapes]).to(tokens)
        for layer in self.reading:
            tokens = layer(tokens, codes, centres, shapes)
        return tokens, shapes


class Generator(nn.Module):
    """Queries (B, Q, C) made of the sound (B, 1, C): learned ones that attend to each other and to the sound."""

    def __init__(self, settings: p.Avsegformer):
        super().__init__()
        self.queries = nn.Parameter(torch.empty(settings.queries, settings.width))
        self.layers = nn.ModuleList(
            AttentionLayer(settings.width, settings.heads, settings.generator_hidden, bias=False)
            for _ in range(settings.generator_layers)
        )

    def forward(self, sound: Tensor) -> Tensor:
        queries = self.queries.expand(sound.shape[0], -1, -1)
        for layer in self.layers:
            queries = layer(queries, sound)
        return queries


class AttentionLayer(nn.Module):
    """Queries attend to each other and to a memory, then a feed-forward part; LayerNorm behind each residual.

    No positions enter here: the published program leaves them out.
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float = 0.0, *, bias: bool = True):
        super().__init__()
        self.among, self.across = (Attention(width, heads, dropout, bias=bias) for _ in range(2))
        self.feed = feed_forward(width, hidden, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.drop = Dropout(dropout)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """queries (B, Q, C), memory (B, N, C). As queries."""
        queries = self.norm1(queries + self.drop(self.among(queries, queries, queries)))
        queries = self.norm2(queries + self.drop(self.across(queries, memory, memory)))
        return self.norm3(queries + self.drop(self.feed(queries)))


class DecoderLayer(AttentionLayer):
    """A layer of the decoder: its memory are the tokens of all scales."""

    def __init__(self, settings: p.Avsegformer):
        super().__init__(settings.width, settings.heads, settings.hidden, settings.dropout)


class EncoderLayer(nn.Module):
    """Deformable self-attention over all scales, then a feed-forward part, each residual with LayerNorm behind."""

    def __init__(self, settings: p.Avsegformer):
        super().__init__()
        self.attend = DeformableAttention(settings.width, settings.heads, SCALES, settings.points)
        self.feed = feed_forward(settings.width, settings.hidden, settings.dropout)
        self.norm1, self.norm2 = nn.LayerNorm(settings.width), nn.LayerNorm(settings.width)
        self.drop = Dropout(settings.dropout)

    def forward(self, tokens: Tensor, codes: Tensor, centres: Tensor, shapes: list[tuple[int, int]]) -> Tensor:
        tokens = self.norm1(tokens + self.drop(self.attend(tokens + codes, tokens, centres, shapes)))
        return self.norm2(tokens + self.drop(self.feed(tokens)))


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
        self.start()

    def start(self) -> None:
        """Initial values."""
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        rays = torch.stack([angles.cos(), angles.sin()], dim=-1)
        rays = rays / rays.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)
        start = (rays[:, None, None] * steps[:, None]).expand(self.heads, self.scales, self.points, 2)
        for weight in (self.offsets.weight, self.weights.weight, self.weights.bias, self.value.bias, self.out.bias):
            nn.init.zeros_(weight)
        for layer in (self.value, self.out):
            nn.init.xavier_uniform_(layer.weight)
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


class Mixer(nn.Module):
    """Gates the channels of the finest map by what the sound finds in it.

    The sound attends, head by head, to all positions of the map; a sigmoid makes a factor for each channel of what
    it reads there.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width, bias=False), nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width)

    def forward(self, fine: Tensor, sound: Tensor) -> Tensor:
        """fine (B, C, h, w), sound (B, 1, C). As fine."""
        parts = (self.query(sound), *self.key_value(fine.flatten(2).transpose(1, 2)).chunk(2, dim=2))
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(1)
        return fine * torch.sigmoid(self.out(found))[:, :, None, None]


class Unused(nn.Module):
    """What the published head declares and none of its outputs reads, frozen.

    It stems from an earlier loss on the decoder's attention; weight for weight, the heads can so be compared.
    """

    def __init__(self, settings: p.Avsegformer):
        super().__init__()
        width = settings.width
        self.fpn = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(SCALES))
        self.attention_masks = Drawing(width, settings.head, 4, bias=False)
        self.requires_grad_(False)


def normed(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Convolution and GroupNorm, eight channels a group."""
    groups = math.gcd(max(outputs // 8, 1), outputs)
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.GroupNorm(groups, outputs))


def feed_forward(width: int, hidden: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, width))


def to_map(settings: p.Avsegformer) -> nn.Sequential:
    """From the likeness to each query to features, in each cell: (B, Q, h, w) to (B, C, h, w)."""
    sizes = (settings.queries, settings.hidden, settings.hidden, settings.width)
    first, second, third = (nn.Conv2d(sizes[i], sizes[i + 1], 1) for i in range(3))
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


def positions(height: int, width: int, channels: int) -> Tensor:
    """Sines and cosines of row and column, counted from 1, (height * width, channels): DETR's (arXiv 2005.12872).

    channels: a multiple of 4; the first half tells rows apart.
    """
    half = channels // 2
    rates = 10000.0 ** (-2 * torch.arange(half // 2) / half)

    def waves(count: int) -> Tensor:
        angles = torch.arange(1, count + 1)[:, None] * rates
        return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)

    rows, columns = waves(height)[:, None].expand(-1, width, -1), waves(width)[None].expand(height, -1, -1)
    return torch.cat([rows, columns], dim=2).flatten(0, 1)


def grid_centres(height: int, width: int) -> Tensor:
    """x and y of the cells' middles, in 0..1, row by row: (height * width, 2)."""
    rows, columns = (torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width
    return torch.stack([columns.repeat(height), rows.repeat_interleave(width)], dim=1)


REGISTERED = Architecture(name="avsegformer", code=AvsegFormer, title="AVSegFormer", colour="#c2578a", reads="pyramid")
