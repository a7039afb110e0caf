"""What tuning leaves of SAM's own skill: it is shown a point of an object and draws the object's mask.

A model's mask decoder, with ColA and whatever trained in it, behind its own image encoder gets what SAM gets: the
two tokens that SAM's prompt encoder makes of one point. Beside it the same is asked of SAM as it was before any
training on sound. IoU of mask 0 at threshold 0.5, at the picture's own size.

Pictures: those that the mini SAM's pre-training held back, with the same points as in its own report
(`foundation/quality.py`), under the selection `foundation/held_out`. The released SAM's are not at hand; with it the
frames of the setting's first test selection stand for them, each pointed at in one pixel of its mask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from soundprompt import finite
from soundprompt import params as p
from soundprompt.evaluation import alignment, predict
from soundprompt.evaluation.scores import CLIP_COLUMNS, WHOLE_CLIP
from soundprompt.files import digest_bytes
from soundprompt.foundation.geometry import overlap
from soundprompt.registry import Metric

if TYPE_CHECKING:  # these load SAM's package
    from soundprompt.features.frames import Frames
    from soundprompt.foundation.sam import FrozenSam
    from soundprompt.models import Segmenter

HELD_OUT = "foundation/held_out"
BATCH = 50


@dataclass
class Pointed:
    """B pictures, each with a point in one of its objects.

    about: one row for each with selection, `scores.CLIP_COLUMNS` and frame. visual: (B, ...) float32 at the
    models' tap. tokens: (B, 2, C). masks: (H, W) bool each, the objects.
    """

    about: pd.DataFrame
    visual: Tensor
    tokens: Tensor
    masks: list[Tensor]


@dataclass
class Drawer:
    """The end of an image encoder (None: the pictures come as F_V) and a mask decoder."""

    encoder: nn.Module | None
    decoder: nn.Module

    @classmethod
    def of(cls, model: Segmenter) -> Drawer:
        """Those of a trained model that draws with SAM's decoder."""
        return cls(model.encoder, model.decoder)

    @classmethod
    def untouched(cls, sam: FrozenSam, visual: p.Visual) -> Drawer:
        """SAM's own, behind the same tap: adapters at zero do nothing."""
        from soundprompt.models.adapters import EncoderTail
        from soundprompt.models.decoder import MaskDecoder

        zero = visual.model_copy(update={"zero_init": True})
        return cls(None if visual.tune_from is None else EncoderTail(sam, zero, 0), MaskDecoder(sam))

    def to(self, device: torch.device | str) -> Drawer:
        """Moves both, and makes them ready to be asked; returns self."""
        for module in filter(None, (self.encoder, self.decoder)):
            module.to(device).eval()
        return self

    def draw(self, visual: Tensor, tokens: Tensor) -> Tensor:
        """Logits (B, 1, 4h, 4w)."""
        features = visual.permute(0, 2, 3, 1) if self.encoder is None else self.encoder(visual)
        return self.decoder(features, tokens)


# ----------------------------------------------------------------------------------- pictures
def held_out_pictures(held_out: p.HeldOut, sam: FrozenSam, tap: int | None, *, bgr: bool = False) -> Iterator[Pointed]:
    """The pictures and points of the foundation's own report; bgr: colours in the order that the model knows."""
    from soundprompt.foundation import quality

    asked = quality.held_out(held_out.scene, held_out.seed)
    for start in range(0, len(asked), BATCH):
        some = asked[start : start + BATCH]
        names = [f"picture-{each.index:03d}" for each in some]
        about = pd.DataFrame({"selection": HELD_OUT, "clip": names, "video": names, "class_name": "", "kind": ""})
        yield Pointed(
            about=about.assign(n_sources=-1, frame=WHOLE_CLIP),
            visual=sam.prefix(sam.preprocess([each.picture.image for each in some], bgr), [tap])[tap],
            tokens=_tokens(sam, [each.point for each in some], [each.mask.shape for each in some]),
            masks=[torch.from_numpy(each.mask) for each in some],
        )


def frame_pictures(frames: Frames) -> Iterator[Pointed]:
    """The frames in which something sounds as pictures, each with a pixel of its mask that its name decides."""
    from soundprompt.foundation import prompting

    rows, size = frames.rows, max(1, min(BATCH, 2**14 // frames.encoder.grid**2))
    supervised = frames.supervised.tolist()
    pictures = [i for i, mask in zip(supervised, frames.masks(supervised), strict=True) if mask.any()]
    asked = [pictures[start : start + size] for start in range(0, len(pictures), size)]
    for indices, batch in zip(asked, frames.batches(asked), strict=True):
        about, masks = rows.iloc[indices].reset_index(drop=True), batch.masks
        seeds = [int(digest_bytes(name.encode())[:12], 16) for name in alignment.frame_names(about)]
        points = [prompting.point(np.random.default_rng(s), mask.numpy()) for s, mask in zip(seeds, masks, strict=True)]
        tokens = _tokens(frames.encoder, points, batch.sizes)
        yield Pointed(about[["selection", *CLIP_COLUMNS, "frame"]], batch.visual, tokens, masks)


def _tokens(sam: FrozenSam, points: list, sizes: list[tuple[int, int]]) -> Tensor:
    """What SAM's prompt encoder makes of points given in pixels of pictures of these (height, width)."""
    from soundprompt.foundation import prompting

    prompts = prompting.collect(points)
    scales = [[resized / own for resized, own in zip(sam.resized(size), size, strict=True)][::-1] for size in sizes]
    resized = replace(prompts, xy=prompts.xy * np.array(scales, np.float32)[:, None])
    return prompting.embed(sam.sam.prompt_encoder, resized)


# -------------------------------------------------------------------------------------- asking
@torch.inference_mode()
def measure(
    trained: Mapping[int, Drawer],
    untouched: Drawer,
    pictures: Iterator[Pointed],
    sam: FrozenSam,
    device: str,
    label: str = "model",
) -> dict[int, pd.DataFrame]:
    """seed -> rows with selection, `scores.CLIP_COLUMNS`, frame, metric (knowledge, knowledge_untouched) and value.

    Empty where no picture has anything to point at. label: names the trained in messages. Raises InputError for an
    answer that is not finite.
    """
    found: dict[int, list[pd.DataFrame]] = {seed: [] for seed in trained}
    for drawer in (untouched, *trained.values()):
        drawer.to(device)
    for some in pictures:
        before = some.about.assign(metric="knowledge_untouched", value=_iou("SAM", untouched, some, sam, device))
        for seed, drawer in trained.items():
            overlaps = _iou(f"{label} seed {seed}", drawer, some, sam, device)
            now = some.about.assign(metric="knowledge", value=overlaps)
            found[seed] += [now, before]
    return {seed: pd.concat(parts, ignore_index=True) if parts else pd.DataFrame() for seed, parts in found.items()}


def _iou(run: str, drawer: Drawer, some: Pointed, sam: FrozenSam, device: str) -> list[float]:
    logits = drawer.draw(some.visual.to(device), some.tokens.to(device)).float()
    clips = some.about["clip"].tolist()
    finite.check(logits, f"{run}: logits for a point are", clips=clips, remedy=predict.RETRAIN)
    maps = sam.restore(logits, [tuple(mask.shape) for mask in some.masks])
    return [float(overlap(each.cpu() > 0, mask)) for each, mask in zip(maps, some.masks, strict=True)]


REGISTERED = (
    Metric(name="knowledge", stage="examine", measures="knowledge", mean="clips", label="knowledge kept",
           meaning="IoU of the masks that the tuned decoder draws for one point, on pictures without sound."),
    Metric(name="knowledge_untouched", stage="examine", measures="knowledge", mean="clips", higher_is_better=None,
           label="untouched", meaning="The same by the decoder that nobody tuned."),
)  # fmt: skip
