"""SAM-Fusion: the sound is mixed into SAM's picture features, then decoded without any prompt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import Tensor, nn

from soundprompt import params as p
from soundprompt.models import presence
from soundprompt.models.decoder import MaskDecoder
from soundprompt.models.seeding import seeded
from soundprompt.models.segmenter import AUDIO_DIM, Prediction, Segmenter
from soundprompt.registry import Architecture

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam


class SamFusion(Segmenter):
    """Encoder, fusion, decoder: our reading of the SAM-Fusion rows of arXiv 2309.07929, whose definition we
    could not see.

    decoder 'sam': SAM's own with its default output tokens, tuned as `model.decoder` says;
    'scratch': convolutions that start from random weights.
    """

    def __init__(self, model: p.Model, sam: FrozenSam, seed: int):
        super().__init__(model, sam, seed)
        with seeded(seed, "fusion"):
            self.fusion = AudioVisualFusion(sam.prompt_dim, sam.sam.image_encoder.neck[3])
        if model.fusion.decoder == "sam":
            self.decoder = MaskDecoder(sam, model.decoder, seed=seed)
        else:
            with seeded(seed, "scratch"):
                self.decoder = ScratchDecoder(sam.prompt_dim, model.fusion.width, sam.cells // sam.grid)
        self.presence = presence.Presence(sam, model.presence, seed) if model.presence.enabled else None

    def segment(self, features: Tensor, audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        fused = self.fusion(features, audio, valid)
        if isinstance(self.decoder, ScratchDecoder):
            return Prediction(self.decoder(fused))
        prompts = fused.new_empty(fused.shape[0], 0, fused.shape[-1])
        return presence.answer(self.decoder, self.presence, fused, prompts, audio, valid)


class AudioVisualFusion(nn.Module):
    """Dot-product attention between each cell and the frame's own second of sound, residual, LayerNorm.

    AVSBench's TPAVI (arXiv 2207.05042) with T = 1: pictures ask, sound answers, values are the picture's.
    The sound is the same in all cells, so the sum over keys is (query . sound) x mean of the values. A
    frame sees its own second only: summed over all seconds, as TPAVI does, the model could not follow
    sources that switch on and off.

    The LayerNorm starts with the scale and shift of `like`, the last norm of SAM's neck, so that the decoder
    behind it is at first fed values of the size it knows.
    """

    def __init__(self, width: int, like: nn.Module | None = None):
        super().__init__()
        inner = width // 2
        self.sound = nn.Linear(AUDIO_DIM, width)
        self.query, self.key, self.value = (nn.Linear(width, inner) for _ in range(3))
        self.out = nn.Linear(inner, width, bias=False)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        if like is not None:
            self.norm.load_state_dict(like.state_dict())

    def forward(self, features: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """features (B, h, w, C), audio (B, 128), valid (B, h, w) to features (B, h, w, C)."""
        b, h, w, c = features.shape
        cells = features.reshape(b, h * w, c)
        key = self.key(self.sound(audio))
        agreement = self.query(cells) @ key[:, :, None]
        share = valid.to(cells.dtype).flatten(1)
        share = share / share.sum(1, keepdim=True).clamp(min=1)
        value = self.value(share[:, None] @ cells)  # linear: the mean of the values is the value of the mean
        return self.norm(cells + agreement @ self.out(value)).view(b, h, w, c)


class ScratchDecoder(nn.Module):
    """3 x 3 convolutions with GroupNorm, and as many doublings as SAM's decoder has; the first two halve the width.

    (B, h, w, C) to logits (B, 1, factor h, factor w); factor: a power of two.
    """

    def __init__(self, inputs: int, width: int, factor: int):
        super().__init__()
        layers = [*convolution(inputs, width), *convolution(width, width)]
        for number in range(factor.bit_length() - 1):
            narrower = max(width // 2, 1) if number < 2 else width
            layers += [nn.Upsample(scale_factor=2, mode="bilinear"), *convolution(width, narrower)]
            width = narrower
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 1))

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features.permute(0, 3, 1, 2))


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    """3 x 3 convolution, GroupNorm with up to eight groups, ReLU."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(math.gcd(8, outputs), outputs), nn.ReLU()]


REGISTERED = Architecture(
    name="sam_fusion",
    code=SamFusion,
    title="SAM-Fusion",
    colour="#e0762b",
    sam_decoder={"fusion.decoder": "sam"},
    presence={"fusion.decoder": "sam"},
)
