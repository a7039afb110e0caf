"""The released GAVS at a tiny size: a SAM whose weights follow from their names, and what the release made of it.

released_gavs.npz holds three pictures with masks (the last is empty), their sounds, and numbers that the code of the
official GAVS repository (commit 753b23b) computed from them, in float32 on one CPU. Of large tensors it holds every
97th number (`sampled`).
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from torch import Tensor, nn

from soundprompt import models
from soundprompt import params as p
from soundprompt.features.frames import Batch
from soundprompt.foundation.mini_sam import modeling
from soundprompt.foundation.sam import FrozenSam
from soundprompt.models import Segmenter

FIGURES = Path(__file__).with_name("released_gavs.npz")
FIRST = 1  # block with the first adapter
SIDE, GRID, WIDTH = 128, 8, 256


def figures() -> dict[str, np.ndarray]:
    """All that the file holds."""
    with np.load(FIGURES) as content:
        return dict(content)


def sampled(tensor: Tensor) -> np.ndarray:
    """Every 97th number of a tensor."""
    return tensor.detach().flatten()[::97].numpy()


def named_weight(name: str, shape: tuple[int, ...]) -> Tensor:
    """The weight that goes by a name."""
    z = np.random.RandomState(crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("gaussian_matrix"):
        return torch.from_numpy(z)
    if "rel_pos" in name or "pos_embed" in name:
        return torch.from_numpy(0.1 * z)
    if z.ndim == 1:
        return torch.from_numpy(1 + 0.1 * z if name.endswith("weight") else 0.05 * z)
    return torch.from_numpy(z / np.float32(z[0].size) ** 0.5)


def sam() -> FrozenSam:
    """SAM of 4 blocks of width 64, windows of 3 in every other one, F_V of 256, a decoder of 2 x 256."""
    made = modeling.Sam(
        image_encoder=modeling.ImageEncoderViT(
            img_size=SIDE,
            patch_size=SIDE // GRID,
            embed_dim=64,
            depth=4,
            num_heads=4,
            out_chans=WIDTH,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=3,
            global_attn_indexes=(1, 3),
        ),
        prompt_encoder=modeling.PromptEncoder(WIDTH, (GRID, GRID), (SIDE, SIDE), mask_in_chans=16),
        mask_decoder=modeling.MaskDecoder(
            transformer_dim=WIDTH,
            transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=WIDTH, num_heads=8, mlp_dim=128),
        ),
    )
    _name_weights(made)
    return FrozenSam(made, "tiny", "named")


def build(settings: p.Model, frozen: FrozenSam) -> Segmenter:
    """GAVS on it, the weights of its own parts named too."""
    model = models.build(settings, frozen, 0)
    _name_weights(model, parts=("adapter", "cola", "sap"))  # what is SAM's came with it
    return model


@torch.no_grad()
def _name_weights(module: nn.Module, parts: tuple[str, ...] = ("",)) -> None:
    for name, weight in module.state_dict().items():
        if any(part in name for part in parts):
            weight.copy_(named_weight(name, tuple(weight.shape)))


def batch(frozen: FrozenSam, given: dict[str, np.ndarray], sound: np.ndarray, *, bgr: bool, first: int) -> Batch:
    """The three frames as models take them, with these sounds (3, 128)."""
    pictures = [given[f"rgb{i}"] for i in range(3)]
    sizes = [picture.shape[:2] for picture in pictures]
    return Batch(
        visual=frozen.prefix(frozen.preprocess(pictures, bgr), [first])[first],
        audio=torch.from_numpy(sound),
        valid=frozen.valid_cells(sizes),
        sizes=sizes,
        masks=[torch.from_numpy(given[f"mask{i}"]) for i in range(3)],
        targets=None,
        target_valid=torch.ones((3, 1, 4 * GRID, 4 * GRID), dtype=torch.bool),
        clips=["clip"] * 3,
        videos=["video"] * 3,
        classes=["class"] * 3,
    )
