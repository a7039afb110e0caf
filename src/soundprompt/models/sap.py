"""SAP, the semantic-aware audio prompt: what SAM's decoder is told about the sound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from soundprompt import params as p
from soundprompt.draws import normal_like
from soundprompt.models.mlp import mlp
from soundprompt.models.seeding import seeded
from soundprompt.models.segmenter import AUDIO_DIM

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam

NOISE_SCALE = 0.02  # standard deviation of the learned noise at the start


class SemanticAudioPrompt(nn.Module):
    """Stacks visual cue, learned noise and sound as tokens F_A' and projects each to the decoder's width.

    cue = MLP_v(mean of F_V) in the space of the sound, so that the two can be compared (triplet loss);
    prompts = MLP_p(tokens). Order as in the overview figure of arXiv 2309.07929: cue, noise, sound. The
    released code has MLP_p and the sound token only.

    noise: 'token' a learned vector as a token of its own; 'additive_learned' sound + learned vector;
    'gaussian_additive' sound + noise_scale * its deviation * normal draws, in training; 'gaussian_replace'
    those draws at scale 1 instead of the sound, in training, as the released code does; 'off'.
    Draws are made by `soundprompt.draws`.
    """

    def __init__(self, sam: FrozenSam, sap: p.Sap, seed: int):
        super().__init__()
        self.settings, joint = sap, sap.joint_dim
        self.cue = mlp(sam.prompt_dim, sap.hidden, joint, seed, "sap.cue") if sap.visual_cue else None
        lifts = sap.audio_token and joint != AUDIO_DIM
        self.sound = mlp(AUDIO_DIM, sap.hidden, joint, seed, "sap.sound") if lifts else None
        self.noise = None
        if sap.noise in ("token", "additive_learned"):
            with seeded(seed, "sap.noise"):
                self.noise = nn.Parameter(NOISE_SCALE * torch.randn(joint))
        self.project = mlp(joint, sap.hidden, sam.prompt_dim, seed, "sap.project")

    def forward(self, features: Tensor, audio: Tensor, valid: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """features (B, h, w, C), audio (B, 128), valid (B, h, w) to prompts (B, n, C), cue and sound (B, joint)."""
        cue = self.cue(self.pooled(features, valid)) if self.cue is not None else None
        sound = self.sound(audio) if self.sound is not None else audio
        tokens = [cue] if cue is not None else []
        if self.settings.noise == "token":
            tokens.append(self.noise.expand(audio.shape[0], -1))
        if self.settings.audio_token:
            tokens.append(self.disturbed(sound))
        prompts = self.project(torch.stack(tokens, 1))
        return prompts, cue, sound if self.settings.audio_token else None

    def pooled(self, features: Tensor, valid: Tensor) -> Tensor:
        """Mean of F_V over the cells that hold picture, (B, C); over all cells without gap_valid_only."""
        if not self.settings.gap_valid_only:
            return features.mean((1, 2))
        weight = valid.to(features.dtype).flatten(1)
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1)
        return (weight[:, None] @ features.flatten(1, 2))[:, 0]

    def disturbed(self, sound: Tensor) -> Tensor:
        """The sound token (B, joint) with the chosen noise; the draws are made in training only."""
        if self.settings.noise == "additive_learned":
            return sound + self.noise
        if not self.training or not self.settings.noise.startswith("gaussian"):
            return sound
        noise = normal_like(sound) * sound.std(1, keepdim=True)
        return noise if self.settings.noise == "gaussian_replace" else sound + self.settings.noise_scale * noise
