"""Mini encoders with random weights, saved as pre-training saves them."""

from __future__ import annotations

import torch

from soundprompt import params as p
from soundprompt.foundation import audio, sam
from soundprompt.layout import Layout

SIDE = 64


def save_encoders(layout: Layout, seed: int) -> None:
    torch.manual_seed(seed)
    sam.save(sam.build("mini", SIDE), p.Sam(image_size=SIDE), layout.foundation("sam"))
    audio.save(audio.build(p.Audio()), p.Audio(), layout.foundation("audio"))
