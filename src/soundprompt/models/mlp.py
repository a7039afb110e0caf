"""The small network by which prompts and scores are made."""

from __future__ import annotations

from torch import nn

from soundprompt.models.seeding import seeded


def mlp(inputs: int, hidden: int, outputs: int, seed: int, part: str) -> nn.Sequential:
    """Linear, ReLU, Linear with torch's default initialisation on the part's own stream."""
    with seeded(seed, part):
        return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))
