"""SAM's mask decoder for a batch of frames, each with prompt tokens of its own."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.foundation import upscaling
from soundprompt.models.cola import CorrelationAdapter
from soundprompt.models.seeding import seeded

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam


class MaskDecoder(nn.Module):
    """A private copy of SAM's mask decoder that draws one mask a frame: that of mask token 0.

    Image by image it equals `predict_masks` of the package's decoder, which can only share one picture
    among many prompts. What cannot reach mask 0 is left out: the IoU head and the networks of the other
    masks. Features have channels last.

    trained: 'frozen'; 'cross_attention' (attention between tokens and image, and the norm behind the last
    one); or 'full' (every weight that mask 0 depends on). ColA, if given, always trains.
    """

    def __init__(self, sam: FrozenSam, trained: str = "frozen", cola: p.Cola | None = None, seed: int = 0):
        super().__init__()
        decoder = copy.deepcopy(sam.sam.mask_decoder)
        self.iou_token, self.mask_tokens = decoder.iou_token, decoder.mask_tokens
        self.transformer = decoder.transformer
        self.upscaling = decoder.output_upscaling
        self.hypernetwork = decoder.output_hypernetworks_mlps[0]
        self.requires_grad_(trained == "full")
        if trained == "cross_attention":
            for attention in self.cross_attentions():
                attention.requires_grad_(True)
        self.register_buffer("image_pe", sam.image_pe.detach().flatten(2).mT.clone(), persistent=False)
        self.register_buffer("no_mask", sam.no_mask.detach().reshape(1, 1, -1).clone(), persistent=False)
        self.cola = self.adapters(cola, seed) if cola is not None and cola.enabled else None

    def cross_attentions(self) -> list[nn.Module]:
        """The attention modules between tokens and image, and the norm behind the last."""
        modules = [self.transformer.final_attn_token_to_image, self.transformer.norm_final_attn]
        for layer in self.transformer.layers:
            modules += [layer.cross_attn_token_to_image, layer.cross_attn_image_to_token]
        return modules

    def adapters(self, cola: p.Cola, seed: int) -> nn.ModuleList:
        """One ColA for each two-way block."""
        with seeded(seed, "decoder.cola"):
            made = [CorrelationAdapter(self.no_mask.shape[-1], cola) for _ in self.transformer.layers]
        return nn.ModuleList(made).to(self.no_mask.device)

    def forward(self, features: Tensor, prompts: Tensor) -> Tensor:
        """features: F_V (B, h, w, C); prompts: (B, n, C), n may be 0. Logits (B, 1, N, N), N the `cells` of SAM."""
        return self.read(features, prompts)[0]

    def read(self, features: Tensor, prompts: Tensor, states: int = 0) -> tuple[Tensor, Tensor]:
        """Logits as of `forward`, and the last states of the last prompts, (B, states, C)."""
        b, h, w, c = features.shape
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output_tokens.expand(b, -1, -1), prompts], 1)
        image = features.reshape(b, h * w, c) + self.no_mask
        queries = tokens
        for index, layer in enumerate(self.transformer.layers):
            cola = None if self.cola is None else self.cola[index]
            queries, image = two_way(layer, cola, queries, image, tokens, self.image_pe)
        final = self.transformer.final_attn_token_to_image
        # Mask token 0, and what is read: nobody reads the other tokens' last update. Slices, since a list of places is
        # copied to a GPU, which then waits for it.
        query, asked = (torch.cat([of[:, 1:2], of[:, of.shape[1] - states :]], 1) for of in (queries, tokens))
        query = query + attend(final, query + asked, image + self.image_pe, image)
        query = self.transformer.norm_final_attn(query)
        kernels = self.hypernetwork(query[:, :1])
        return upscaling.draw(self.upscaling, image, kernels, (h, w)), query[:, 1:]


def two_way(
    layer: nn.Module, cola: CorrelationAdapter | None, queries: Tensor, image: Tensor, tokens: Tensor, pe: Tensor
) -> tuple[Tensor, Tensor]:
    """One two-way block of SAM: tokens among themselves, tokens to image, MLP with ColA, image to tokens.

    queries, tokens: (B, n, C), the tokens as they are now and as they came (their positional part);
    image: (B, N, C); pe: (1, N, C). Returns both updated.
    """
    if layer.skip_first_layer_pe:
        queries = layer.norm1(attend(layer.self_attn, queries, queries, queries))
    else:
        q = queries + tokens
        queries = layer.norm1(queries + attend(layer.self_attn, q, q, queries))
    placed = image + pe
    attended = attend(layer.cross_attn_token_to_image, queries + tokens, placed, image)
    if cola is not None and cola.placement == "attention":
        attended = cola(attended)
    queries = layer.norm2(queries + attended)
    hidden = layer.mlp(queries)
    if cola is not None and cola.placement == "mlp":
        hidden = cola(hidden)
    elif cola is not None and cola.placement == "parallel":
        hidden = hidden + cola.correction(queries)
    queries = layer.norm3(queries + hidden)
    image = layer.norm4(image + attend_to_few(layer.cross_attn_image_to_token, placed, queries + tokens, queries))
    return queries, image


def attend(attention: nn.Module, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """SAM's multi-head attention (projections, softmax of q.k / sqrt(c), output projection), fused."""
    heads = attention.num_heads
    q, k, v = (
        project(x).unflatten(-1, (heads, -1)).transpose(1, 2)
        for project, x in ((attention.q_proj, q), (attention.k_proj, k), (attention.v_proj, v))
    )
    return attention.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def attend_to_few(attention: nn.Module, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The same for many queries (B, N, C) and few keys (B, n, C), with less than half the time on a CPU.

    Each key and value is spread to one copy a head, zero outside that head's channels, so that scores and
    sums of all heads are two plain matrix products, and the softmax runs along a strided axis of length n.
    """
    q, k, v = attention.q_proj(q), attention.k_proj(k), attention.v_proj(v)
    heads, n, width = attention.num_heads, k.shape[1], k.shape[2] // attention.num_heads
    own = torch.eye(heads, dtype=k.dtype, device=k.device).repeat_interleave(width, 1)
    k, v = (k[:, :, None] * (own * width**-0.5)).flatten(1, 2), (v[:, :, None] * own).flatten(1, 2)
    scores = (k @ q.mT).view(q.shape[0], n, -1)  # over heads x N in the last axis
    return attention.out_proj(scores.softmax(1).view(q.shape[0], n * heads, -1).mT @ v)
