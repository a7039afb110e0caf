"""What every model shares: features or pixels in, mask logits out, and a list of what it trains."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from soundprompt import params as p
from soundprompt.models.adapters import EncoderTail

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch
    from soundprompt.foundation.encoders import Encoder

AUDIO_DIM = 128  # of VGGish's embedding of a second


@dataclass
class Prediction:
    """What a model says about B frames.

    logits: (B, 1, n, n) on the encoder's square, n its `cells`; sigmoid gives the probability that a pixel sounds.
    cue, sound: (B, d) visual cue and sound of each frame in their joint space, for the triplet loss;
    None in models that do not have them.
    drawn, presence: (B, 1, n, n) and (B,) logits of the mask and of there being one, of which a model with a presence
    score makes `logits` (`models.presence`); training holds each against its own truth. None in other models.
    auxiliary: further logits like `logits` that training holds against the same masks, None in most models.
    penalty: (B,) what training adds to the loss of each frame, None in most models.
    """

    logits: Tensor
    cue: Tensor | None = None
    sound: Tensor | None = None
    drawn: Tensor | None = None
    presence: Tensor | None = None
    auxiliary: Tensor | None = None
    penalty: Tensor | None = None

    def first(self, count: int) -> Prediction:
        """What it says about the first frames."""
        of_each = {field.name: getattr(self, field.name) for field in fields(self)}
        return Prediction(**{name: None if value is None else value[:count] for name, value in of_each.items()})


class Segmenter(nn.Module):
    """A trainable model behind the frozen encoders.

    `tap` says which cached features it reads: the input of that block of SAM's image encoder, or, for
    None, the encoder's output. Frozen weights are private copies, so that several models can be built
    from one foundation without touching it. Subclasses implement `segment`.

    temporal: whether an answer depends on the other frames of its group (`Batch.group`), which must then all be
    in the batch. whole_clips: whether training shows it all frames of a clip, also those without a loss, as
    `Batch.context`. auxiliary_weight: of the loss of `Prediction.auxiliary`, auxiliary_loss: its kind, as
    `params.Schedule.mask_loss`.
    """

    whole_clips = False
    auxiliary_weight, auxiliary_loss = 0.0, "bce"

    def __init__(self, model: p.Model, encoder: Encoder, seed: int):
        super().__init__()
        self.tap: int | Literal["pixels"] | None = model.tap
        self.mute, self.audio_relu, self.temporal = model.mute, model.audio_relu, model.temporal
        self.encoder = EncoderTail(encoder, model.visual, seed) if isinstance(self.tap, int) else None

    def forward(self, batch: Batch) -> Prediction:
        """Reads audio (B, 128), valid (B, h, w) and visual: of its tap, or what `models.frozen_front` makes of that."""
        return self.answer(self.encode(batch.visual), batch.audio, batch.valid, batch.group)

    def answer(self, features: Any, audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        """As `segment`, with audio (B, 128) as it is in a batch."""
        return self.segment(features, self.hear(audio), valid, group)

    def compare(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Cue and sound alone, as `forward` gives them and with the same draws."""
        answer = self(batch)
        return answer.cue, answer.sound

    def hear(self, audio: Tensor) -> Tensor:
        """What this model takes for the sound, of embeddings (B, 128) as the sound encoder gives them."""
        if self.mute:
            return torch.zeros_like(audio)
        return audio.relu() if self.audio_relu else audio

    def encode(self, visual: Tensor) -> Any:
        """What `segment` takes of `Batch.visual`: here F_V with channels last, (B, h, w, C)."""
        return visual.permute(0, 2, 3, 1) if self.encoder is None else self.encoder(visual)

    def rows(self, features: Any, which: Sequence[int]) -> Any:
        """The features of some frames, in this order and as often: one encoding serves many sounds."""
        return features[which]

    @abstractmethod
    def segment(self, features: Any, audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        """features: of `encode`; audio (B, 128) of `hear`; valid (B, h, w) bool, False in padding; group of Batch."""

    def trained_parameters(self) -> dict[str, nn.Parameter]:
        """Exactly the parameters that training may change, by name."""
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}

    def running_statistics(self) -> dict[str, Tensor]:
        """Means and variances that batch normalisations gather in training and use in evaluation, by name."""
        norms = [(name, part) for name, part in self.named_modules() if isinstance(part, nn.BatchNorm2d)]
        kinds = ("running_mean", "running_var")
        return {f"{name}.{kind}": getattr(part, kind) for name, part in norms for kind in kinds}

    def trained_state(self) -> dict[str, Tensor]:
        """All that training changes, by name; a checkpoint holds this."""
        return {**self.trained_parameters(), **self.running_statistics()}

    def parameter_groups(self, schedule: p.Schedule) -> list[dict[str, Any]]:
        """Optimiser groups: 'head', and 'adapters' (all that trains in the image encoder) at its own rate."""
        rates = {"head": schedule.learning_rate, "adapters": schedule.adapter_learning_rate or schedule.learning_rate}
        groups: dict[str, list[nn.Parameter]] = {"head": [], "adapters": []}
        for name, weight in self.trained_parameters().items():
            groups["adapters" if name.startswith("encoder.") else "head"].append(weight)
        return [{"name": name, "params": groups[name], "lr": rates[name]} for name in groups if groups[name]]
