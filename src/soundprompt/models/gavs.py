"""GAVS: the sound, as a prompt, tells SAM's decoder what to segment (arXiv 2309.07929)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from soundprompt import params as p
from soundprompt.models import presence
from soundprompt.models.decoder import MaskDecoder
from soundprompt.models.sap import SemanticAudioPrompt
from soundprompt.models.segmenter import Prediction, Segmenter
from soundprompt.registry import Architecture

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch
    from soundprompt.foundation.sam import FrozenSam


class Gavs(Segmenter):
    """SAP makes prompt tokens of sound and picture; SAM's decoder with ColA turns them into one mask.

    With cue, noise, ColA and visual adapters off it is Audio-SAM: SAM prompted by the projected sound. A presence score
    is ours (`models.presence`).
    """

    def __init__(self, model: p.Model, sam: FrozenSam, seed: int):
        super().__init__(model, sam, seed)
        self.sap = SemanticAudioPrompt(sam, model.sap, seed)
        self.decoder = MaskDecoder(sam, model.decoder, model.cola, seed)
        self.presence = presence.Presence(sam, model.presence, seed) if model.presence.enabled else None

    def compare(self, batch: Batch) -> tuple[Tensor | None, Tensor | None]:
        """Without drawing a mask."""
        return self.sap(self.encode(batch.visual), self.hear(batch.audio), batch.valid)[1:]

    def segment(self, features: Tensor, audio: Tensor, valid: Tensor, group: Tensor | None = None) -> Prediction:
        prompts, cue, sound = self.sap(features, audio, valid)
        answer = presence.answer(self.decoder, self.presence, features, prompts, audio, valid)
        return replace(answer, cue=cue, sound=sound)


REGISTERED = Architecture(
    name="gavs",
    code=Gavs,
    title="GAVS",
    colour="#2f7de1",
    cola=True,
    hears={"sap.audio_token": True},
    compares={"sap.visual_cue": True, "sap.audio_token": True},
    sam_decoder={},
    presence={},
)
