"""What every model shares: cached features in, mask logits out, and a list of what it trains."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from soundprompt import params as p
from soundprompt.models.adapters import EncoderTail

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch
    from soundprompt.foundation.sam import FrozenSam


@dataclass
class Prediction:
    """What a model says about B frames.

    logits: (B, 1, 4h, 4w) on SAM's padded square; sigmoid gives the probability that a pixel sounds.
    cue, sound: (B, d) visual cue and sound of each frame in their joint space, for the triplet loss;
    None in models that do not have them.
    """

    logits: Tensor
    cue: Tensor | None = None
    sound: Tensor | None = None


class Segmenter(nn.Module):
    """A trainable model behind the frozen encoders.

    `tap` says which cached features it reads: the input of that block of SAM's image encoder, or, for
    None, the encoder's output. Frozen weights are private copies, so that several models can be built
    from one foundation without touching it. Subclasses implement `segment`.
    """

    def __init__(self, model: p.Model, sam: FrozenSam, seed: int):
        super().__init__()
        self.tap: int | None = model.visual.tune_from
        self.mute = model.mute
        self.encoder = None if self.tap is None else EncoderTail(sam, model.visual, seed)

    def forward(self, batch: Batch) -> Prediction:
        """Reads visual (B, h, w, D) at a tap or (B, C, h, w), audio (B, 128) and valid (B, h, w)."""
        features = batch.visual.permute(0, 2, 3, 1) if self.encoder is None else self.encoder(batch.visual)
        audio = torch.zeros_like(batch.audio) if self.mute else batch.audio
        return self.segment(features, audio, batch.valid)

    @abstractmethod
    def segment(self, features: Tensor, audio: Tensor, valid: Tensor) -> Prediction:
        """features: F_V with channels last (B, h, w, C); audio (B, 128); valid (B, h, w) bool, False in padding."""

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Exactly the parameters that training may change, by name; a checkpoint holds these."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}

    def parameter_groups(self, schedule: p.Schedule) -> list[dict[str, Any]]:
        """Optimiser groups: 'head', and 'adapters' (all that trains in the image encoder) at its own rate."""
        rates = {"head": schedule.learning_rate, "adapters": schedule.adapter_learning_rate or schedule.learning_rate}
        groups: dict[str, list[nn.Parameter]] = {"head": [], "adapters": []}
        for name, weight in self.trained_parameters().items():
            groups["adapters" if name.startswith("encoder.") else "head"].append(weight)
        return [{"name": name, "params": groups[name], "lr": rates[name]} for name in groups if groups[name]]
