"""Pre-trains the mini SAM on class-agnostic pictures, with SAM's own kinds of prompts.

What departs from the released SAM is listed in docs/foundation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundprompt import params
from soundprompt.files import digest_file
from soundprompt.foundation import making, pictures, prompting, quality, upscaling
from soundprompt.foundation import sam as foundation_sam
from soundprompt.foundation.geometry import overlap
from soundprompt.foundation.mini_sam import PATCH
from soundprompt.foundation.pictures import Picture, View
from soundprompt.layout import Layout


def run(view: params.PretrainView, layout: Layout) -> None:
    """Pre-trains the mini SAM (`making.run`)."""

    def finish(trainer: Trainer, target: Path) -> tuple[str, dict[str, Any]]:
        foundation_sam.save(trainer.sam, view.model, target)
        frozen = foundation_sam.FrozenSam(trainer.sam, "mini", digest_file(target))
        concept = trainer.concept if view.model.prompts == "concept" else None
        return frozen.digest, quality.measure_sam(frozen, concept, view.scene, view.model.seed)

    making.run("sam", view, layout, lambda: Trainer(view), finish)


@dataclass(frozen=True)
class Step:
    """One step's data: P pictures in two views each (B = 2P), M masks a picture (N = B M rows).

    images: float32 (B, 3, S, S), normalised. prompts: N. masks: float32 (N, 1, n, n), on the decoder's grid of masks.
    hidden: bool (B, 1, h, w), patches that the encoder does not get to see.
    by_concept: bool (N,), rows prompted by a concept.
    """

    images: Tensor
    prompts: prompting.Prompts
    masks: Tensor
    hidden: Tensor
    by_concept: Tensor


class Trainer(making.PictureTrainer):
    """The mini SAM, the two heads that only pre-training needs, and their optimiser."""

    shown = "loss {:.2f}, IoU by point or box {:.2f}, by concept {:.2f}"
    parts = ("sam", "concept", "rebuild")

    def __init__(self, view: params.PretrainView):
        settings, self.scene = view.model, view.scene
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.sam = foundation_sam.build("mini", settings.image_size)
            width = self.sam.prompt_encoder.embed_dim
            self.concept = prompting.Concept(width)
            self.rebuild = nn.Conv2d(width, TARGETS, 1)
        # Mask prompts are not used: their weights stay as they were drawn.
        named = [(n, p) for n, p in self.sam.named_parameters() if "mask_downscaling" not in n]
        trained = [p for _, p in named] + [*self.concept.parameters(), *self.rebuild.parameters()]
        super().__init__(settings, trained, betas=(0.9, 0.98))
        self.label = f"SAM, {settings.prompts}"

    def pool(self) -> list[Picture]:
        return pictures.pool(self.settings.seed, self.settings.pictures, self.scene, self.settings.image_size)

    def draw(self, pool: list[Picture]) -> Step:
        return draw_step(pool, self.settings, self.step, self.sam)

    def measure(self, data: Step) -> tuple[Tensor, float, float]:
        """The loss, and the mean IoU of the masks by point or box, and by concept."""
        loss, found = self.loss(data)
        return loss, mean(found[~data.by_concept]), mean(found[data.by_concept])

    def loss(self, data: Step) -> tuple[Tensor, Tensor]:
        """The sum of all parts, and the IoU of each row's single mask (N,).

        Parts: the single mask; half the best of the three masks where the prompt is one point, which may mean
        several things; the IoU that SAM predicts for its masks; the features of hidden patches.
        """
        visible = data.images * ~F.interpolate(data.hidden.float(), data.images.shape[-1]).bool()
        features = self.sam.image_encoder(visible)
        each = len(data.masks) // len(features)
        rows = features.repeat_interleave(each, dim=0)
        tokens = prompting.embed(self.sam.prompt_encoder, data.prompts)
        if self.settings.prompts == "concept":
            # What the same object looks like in the picture's other view.
            looks = prompting.mask_pool(rows, data.masks).unflatten(0, (-1, 2, each)).flip(1).flatten(0, 2)
            concepts = self.concept.tokens(looks, self.sam.prompt_encoder)
            tokens = torch.where(data.by_concept[:, None, None], concepts, tokens)
        logits, predicted = prompting.decode(self.sam, rows, tokens)
        of_mask = mask_loss(logits, data.masks)
        ambiguous = torch.from_numpy(data.prompts.labels[:, 1] == prompting.NOT_A_POINT).to(of_mask.device)
        found = overlap(logits.detach() > 0, data.masks > 0.5)
        loss = of_mask[:, 0].mean() + 0.5 * (of_mask[:, 1:].amin(dim=1) * ambiguous).mean()
        loss = loss + 0.2 * F.mse_loss(predicted, found)
        loss = loss + F.smooth_l1_loss(self.rebuild(features), patch_targets(data.images))
        return loss, found[:, 0]


# ---------------------------------------------------------------------------------- data
def draw_step(pool: list[Picture], settings: params.Sam, step: int, sam: nn.Module) -> Step:
    """The data of one step: a function of the seed and the step alone."""
    rng = np.random.default_rng([settings.seed, pictures.STEPS, step])
    images, prompts, masks = [], [], []
    for _ in range(settings.pictures_per_step):
        picture = pool[rng.integers(len(pool))]
        count = len(picture.masks)
        chosen = rng.choice(count, settings.masks_per_picture, replace=count < settings.masks_per_picture)
        for _ in range(2):
            view = View(bool(rng.random() < 0.5), int(rng.integers(4)))
            images.append(view.of(picture.image))
            for number in chosen:
                prompts.append(prompting.training_prompt(rng, view.of(picture.masks[number])))
                masks.append(view.of(picture.masks[number]))
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).to(sam.device)
    grid, cell = sam.prompt_encoder.image_embedding_size, PATCH // upscaling.factor(sam.mask_decoder.output_upscaling)
    shares = rng.uniform(0, 0.25, (len(images), 1, 1, 1))  # of hidden patches, in each picture
    concept_share = 0.5 if settings.prompts == "concept" else 0.0
    return Step(
        images=sam.preprocess(pixels).contiguous(),
        prompts=prompting.collect(prompts),
        masks=pictures.shrink(np.stack(masks), cell),
        hidden=torch.from_numpy(rng.random((len(images), 1, *grid)) < shares),
        by_concept=torch.from_numpy(rng.random(len(masks)) < concept_share),
    )


# -------------------------------------------------------------------------------- losses
def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """5 BCE + dice of each mask: logits (N, k, H, W), masks (N, 1, H, W) in 0..1; (N, k)."""
    masks = masks.expand_as(logits)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean(dim=(2, 3))
    shares = logits.sigmoid()
    overlap = (shares * masks).sum(dim=(2, 3))
    dice = 1 - (2 * overlap + 1) / (shares.sum(dim=(2, 3)) + masks.sum(dim=(2, 3)) + 1)
    return 5 * cross_entropy + dice


TARGETS = 96  # numbers that describe a patch, below


def patch_targets(images: Tensor) -> Tensor:
    """What a hidden patch is to be described by, (B, 96, h, w), each channel with mean 0 and sd 1 in the batch.

    images: (B, 3, S, S), normalised. Mean colours of 4 x 4 cells (48 numbers), and on 2 x 2 cells the log energy
    of brightness changes in four directions at three scales (48 numbers): hue, outline and stripes.
    """
    grid = images.shape[-1] // PATCH
    parts = [F.pixel_unshuffle(F.adaptive_avg_pool2d(images, 4 * grid), 4)]
    brightness = images.mean(dim=1, keepdim=True)
    for scale in (1, 2, 4):
        level = F.avg_pool2d(brightness, scale)
        changes = (
            level[..., :, 1:] - level[..., :, :-1],
            level[..., 1:, :] - level[..., :-1, :],
            level[..., 1:, 1:] - level[..., :-1, :-1],
            level[..., 1:, :-1] - level[..., :-1, 1:],
        )
        energy = torch.cat([F.adaptive_avg_pool2d(change.abs(), 2 * grid) for change in changes], dim=1)
        parts.append(F.pixel_unshuffle(torch.log1p(4 * energy), 2))
    targets = torch.cat(parts, dim=1)
    middle, spread = targets.mean(dim=(0, 2, 3), keepdim=True), targets.std(dim=(0, 2, 3), keepdim=True)
    return (targets - middle) / (spread + 1e-3)


def mean(values: Tensor) -> float:
    """The mean, 0 of nothing."""
    return values.mean().item() if len(values) else 0.0
