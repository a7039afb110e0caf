"""A presence score: does anything in the frame make the sound? Not of GAVS; SAM 3 has one (arXiv 2511.16719)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundprompt import params as p
from soundprompt.models.decoder import MaskDecoder
from soundprompt.models.mlp import mlp
from soundprompt.models.seeding import seeded
from soundprompt.models.segmenter import AUDIO_DIM, Prediction

if TYPE_CHECKING:
    from soundprompt.foundation.sam import FrozenSam

TOKEN_SCALE = 0.02  # standard deviation of the learned token at the start


class Presence(nn.Module):
    """Scores a frame by what its own token found in the decoder, and by how what was drawn goes with the sound.

    The token is a further prompt; its last state has met sound and picture as the mask's token has. What was drawn is
    F_V averaged over the mask, brought into one space with the sound. The mask itself gets no gradient from the score.
    """

    def __init__(self, sam: FrozenSam, settings: p.Presence, seed: int):
        super().__init__()
        width, joint, hidden = sam.prompt_dim, settings.joint_dim, settings.hidden
        with seeded(seed, "presence.token"):
            self.token = nn.Parameter(TOKEN_SCALE * torch.randn(width))
        self.look = mlp(width, hidden, joint, seed, "presence.look")
        self.sound = mlp(AUDIO_DIM, hidden, joint, seed, "presence.sound")
        self.score = mlp(width + 3 * joint, hidden, 1, seed, "presence.score")

    def forward(self, state: Tensor, features: Tensor, drawn: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """state (B, C) of the token, F_V (B, h, w, C), logits (B, 1, n, n), audio (B, 128), valid (B, h, w) to (B,)."""
        side = features.shape[1]
        share = F.avg_pool2d(drawn.detach().sigmoid(), drawn.shape[-1] // side).flatten(1) * valid.flatten(1)
        share = share / share.sum(1, keepdim=True).clamp(min=1e-4)
        look, sound = self.look((share[:, None] @ features.flatten(1, 2))[:, 0]), self.sound(audio)
        return self.score(torch.cat([state, look, sound, look * sound], 1))[:, 0]


def answer(
    decoder: MaskDecoder, presence: Presence | None, features: Tensor, prompts: Tensor, audio: Tensor, valid: Tensor
) -> Prediction:
    """What a decoder draws, and of a model with a presence score as much of it as that allows.

    A pixel is then as probable as the less probable of the two, so that the score decides whether there is a mask and
    has no part in its outline. (Their product draws smaller masks where the score is unsure.)
    """
    if presence is None:
        return Prediction(decoder(features, prompts))
    token = presence.token.expand(features.shape[0], 1, -1)
    drawn, states = decoder.read(features, torch.cat([prompts, token], 1), states=1)
    score = presence(states[:, 0], features, drawn, audio, valid)
    return Prediction(torch.minimum(drawn, score[:, None, None, None]), drawn=drawn, presence=score)
