"""Prompts for batches in which every mask has its own: points, boxes and concepts, and SAM's decoder on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundprompt.foundation import upscaling

# SAM's labels of a coordinate.
NOT_A_POINT, BACKGROUND, FOREGROUND, CORNER_FIRST, CORNER_SECOND = -1, 0, 1, 2, 3


@dataclass(frozen=True)
class Prompts:
    """Two coordinates for each mask. xy: float32 (N, 2, 2), pixels, order x, y. labels: int64 (N, 2), SAM's."""

    xy: np.ndarray
    labels: np.ndarray


def point(rng: np.random.Generator, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One pixel of the mask (bool (S, S), not empty), drawn evenly, and the placeholder of a second point."""
    rows, columns = np.nonzero(mask)
    chosen = rng.integers(len(rows))
    return np.array([[columns[chosen], rows[chosen]], [0, 0]], np.float32), np.array([FOREGROUND, NOT_A_POINT])


def box(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The tight box of the mask (bool (S, S), not empty): its two corners."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    corners = np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], np.float32)
    return corners, np.array([CORNER_FIRST, CORNER_SECOND])


def training_prompt(rng: np.random.Generator, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Three in ten a jittered box, else a point, one in four with a second point inside or outside the mask."""
    if rng.random() < 0.3:
        corners, labels = box(mask)
        return corners + rng.normal(0, 1.5, (2, 2)).astype(np.float32), labels
    xy, labels = point(rng, mask)
    if rng.random() < 0.25:
        inside = rng.random() < 0.5
        further, _ = point(rng, mask if inside else ~mask)
        xy[1], labels[1] = further[0], FOREGROUND if inside else BACKGROUND
    return xy, labels


def collect(pairs: list[tuple[np.ndarray, np.ndarray]], scale: float = 1.0) -> Prompts:
    """Stacks what `point`, `box` or `training_prompt` return. scale: input size over the size of their picture."""
    xy = np.stack([xy for xy, _ in pairs]) * np.float32(scale)
    return Prompts(xy, np.stack([labels for _, labels in pairs]))


def embed(encoder: nn.Module, prompts: Prompts) -> Tensor:
    """Sparse prompt tokens (N, 2, C): what SAM's PromptEncoder makes of points or a box, for mixed batches."""
    device = encoder.not_a_point_embed.weight.device
    labels, xy = torch.from_numpy(prompts.labels).to(device), torch.from_numpy(prompts.xy).to(device)
    positions = encoder.pe_layer.forward_with_coords(xy + 0.5, encoder.input_image_size)
    positions = positions.masked_fill((labels == NOT_A_POINT)[..., None], 0.0)
    kinds = torch.cat([encoder.not_a_point_embed.weight, *(each.weight for each in encoder.point_embeddings)])
    return positions + kinds[labels + 1]


def decode(sam: nn.Module, embeddings: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """SAM's mask decoder where every row has its own picture and prompt (the package's own takes one picture).

    embeddings: (N, C, h, w). tokens: (N, n, C). Returns the logits of all four masks (N, 4, n, n), the single
    mask first, and the predicted IoU of each (N, 4).
    """
    decoder, encoder = sam.mask_decoder, sam.prompt_encoder
    count = len(embeddings)
    outputs = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
    tokens = torch.cat([outputs.expand(count, -1, -1), tokens], dim=1)
    source = embeddings + encoder.no_mask_embed.weight.reshape(1, -1, 1, 1)
    positions = encoder.get_dense_pe().expand(count, -1, -1, -1)
    tokens, source = decoder.transformer(source, positions, tokens)
    kernels = [mlp(tokens[:, 1 + number]) for number, mlp in enumerate(decoder.output_hypernetworks_mlps)]
    masks = upscaling.draw(decoder.output_upscaling, source, torch.stack(kernels, dim=1), embeddings.shape[2:])
    return masks, decoder.iou_prediction_head(tokens[:, 0])


class Concept(nn.Sequential):
    """What an object looks like as one prompt token: (N, C) mask-pooled F_V to (N, C)."""

    def __init__(self, width: int):
        super().__init__(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def tokens(self, looks: Tensor, encoder: nn.Module) -> Tensor:
        """The concept's token and the placeholder of a second point, (N, 2, C)."""
        padding = encoder.not_a_point_embed.weight.expand(len(looks), -1)
        return torch.stack([self(looks), padding], dim=1)


def mask_pool(features: Tensor, masks: Tensor) -> Tensor:
    """Average of F_V over masks: features (N, C, h, w), masks (N, 1, H, W) in 0..1; (N, C)."""
    weights = F.adaptive_avg_pool2d(masks, features.shape[-1])
    return (features * weights).sum(dim=(2, 3)) / weights.sum(dim=(2, 3)).clamp(min=1e-3)
