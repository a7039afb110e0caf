"""Pre-trains the mini pyramid on the pictures of the mini SAM: no sound, no clips, no class labels."""

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
from soundprompt.foundation import making, pictures, pyramid, pyramid_quality
from soundprompt.foundation.pictures import Picture, View
from soundprompt.foundation.pretrain_sam import TARGETS, mask_loss, patch_targets
from soundprompt.foundation.prompting import mask_pool
from soundprompt.layout import Layout

EMBEDDING = 64  # numbers that describe an object's look
TEMPERATURE = 0.1
PATCH = 16  # side of what is hidden, pixels: a cell of the map that must describe it


def run(view: params.PyramidView, layout: Layout) -> None:
    """Pre-trains the mini pyramid (`making.run`)."""

    def finish(trainer: Trainer, target: Path) -> tuple[str, dict[str, Any]]:
        trainer.encoder.eval()
        encoder = pyramid.fold(trainer.encoder)
        pyramid.save(encoder, view.model, target)
        frozen = pyramid.FrozenPyramid(encoder, view.model.architecture, view.model.image_size, digest_file(target))
        return frozen.digest, pyramid_quality.measure(frozen, trainer.heads, view.scene, view.model.seed)

    making.run("pyramid", view, layout, lambda: Trainer(view), finish)


@dataclass(frozen=True)
class Step:
    """One step's data: P pictures in two views each (B = 2P), M objects a picture (N = B M rows).

    images: uint8 (B, 3, S, S). foreground: float32 (B, 1, S, S), 1 where an object is. outline: float32
    (B, 1, S/4, S/4), how much an object ends in a cell. objects: float32 (N, 1, S/4, S/4), masks of the objects to
    compare. hidden: bool (B, 1, S/16, S/16), patches that the encoder does not get to see.
    """

    images: Tensor
    foreground: Tensor
    outline: Tensor
    objects: Tensor
    hidden: Tensor


class Heads(nn.Module):
    """What only pre-training needs: all scales as one map at stride 4, and what is read from it."""

    def __init__(self, widths: tuple[int, ...]):
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, EMBEDDING, 1) for width in widths)
        self.masks = nn.Conv2d(EMBEDDING, 2, 1)
        self.look = nn.Sequential(nn.Linear(EMBEDDING, EMBEDDING), nn.GELU(), nn.Linear(EMBEDDING, EMBEDDING))
        self.rebuild = nn.Conv2d(widths[2], TARGETS, 1)

    def join(self, features: list[Tensor]) -> Tensor:
        """(B, EMBEDDING, S/4, S/4)."""
        joined = None
        for lateral, feature in zip(reversed(self.laterals), reversed(features), strict=True):
            here = lateral(feature)
            joined = here if joined is None else here + F.interpolate(joined, here.shape[2:], mode="bilinear")
        return joined


class Trainer(making.PictureTrainer):
    """The mini pyramid with normalisation, its heads and their optimiser."""

    label = "pyramid"
    shown = "loss {:.2f}, foreground IoU {:.2f}, objects recognised {:.2f}"
    parts = ("encoder", "heads")

    def __init__(self, view: params.PyramidView):
        self.view = view
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(view.model.seed)
            self.encoder = pyramid.MiniPyramid(norms=True)
            self.heads = Heads(pyramid.WIDTHS["mini_pyramid"])
        super().__init__(view.model, [*self.encoder.parameters(), *self.heads.parameters()])

    def pool(self) -> list[Picture]:
        return pictures.pool(self.view.pool_seed, self.view.pictures, self.view.scene, self.settings.image_size)

    def draw(self, pool: list[Picture]) -> Step:
        return draw_step(pool, self.settings, self.step)

    def measure(self, data: Step) -> tuple[Tensor, float, float]:
        """The loss, the foreground's IoU and the share of objects recognised."""
        loss, overlap, recognised = self.loss(data)
        return loss, overlap.item(), recognised.item()

    def loss(self, data: Step) -> tuple[Tensor, Tensor, Tensor]:
        """The sum of all parts, and how well foreground and looks are found.

        Parts: masks of all objects together and of their outlines; the description of hidden patches that the mini
        SAM learns too; and that an object's look in one view is nearer to its look in the other view than to
        those of the step's other objects.
        """
        images = pyramid.normalise(data.images)
        features = self.encoder(images * ~F.interpolate(data.hidden.float(), images.shape[-1]).bool())
        joined = self.heads.join(features)
        foreground, outline = self.heads.masks(joined).split(1, dim=1)
        # As it is measured: what is averaged to cells first cannot be drawn again with an IoU above .96.
        foreground = F.interpolate(foreground, images.shape[-1], mode="bilinear")
        loss = mask_loss(foreground, data.foreground).mean() + mask_loss(outline, data.outline).mean()
        loss = loss + F.smooth_l1_loss(self.heads.rebuild(features[2]), patch_targets(images))
        rows = joined.repeat_interleave(len(data.objects) // len(joined), dim=0)
        looks = F.normalize(self.heads.look(mask_pool(rows, data.objects)), dim=1)
        agreement, recognised = compare(looks, self.settings.objects_per_picture)
        found, truth = foreground.detach() > 0, data.foreground > 0.5
        overlap = (found & truth).sum() / (found | truth).sum().clamp(min=1)
        return loss + 0.5 * agreement, overlap, recognised


def compare(looks: Tensor, each: int) -> tuple[Tensor, Tensor]:
    """Cross-entropy of finding an object's other view among all objects of the step, and how often it is nearest.

    looks: (N, d), unit length; `each` rows for the first view of a picture, then `each` for its second, and so on.
    An object that stands twice in a picture's draw has a twin, and then either of the two is half right.
    """
    first, second = looks.unflatten(0, (-1, 2, each)).unbind(1)
    likeness = first.flatten(0, 1) @ second.flatten(0, 1).T / TEMPERATURE
    own = torch.arange(len(likeness), device=likeness.device)
    loss = F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own)
    return loss / 2, (likeness.detach().argmax(dim=1) == own).float().mean()


def draw_step(pool: list[Picture], settings: params.Pyramid, step: int) -> Step:
    """The data of one step: a function of the seed and the step alone."""
    rng = np.random.default_rng([settings.seed, pictures.STEPS, step])
    images, objects, together, outlines = [], [], [], []
    for _ in range(settings.pictures_per_step):
        picture = pool[rng.integers(len(pool))]
        count, wanted = len(picture.masks), settings.objects_per_picture
        chosen = rng.choice(count, wanted, replace=count < wanted)
        small = pictures.shrink(picture.masks, 4)[:, 0].numpy()
        foreground = picture.masks.any(axis=0)
        outline = (4 * small * (1 - small)).max(axis=0)  # 1 where half of a cell is the object's
        for _ in range(2):
            view = View(bool(rng.random() < 0.5), int(rng.integers(4)))
            images.append(view.of(picture.image))
            together.append(view.of(foreground))
            outlines.append(view.of(outline))
            objects += [view.of(small[number]) for number in chosen]
    side = settings.image_size // PATCH
    shares = rng.uniform(0, 0.25, (len(images), 1, 1, 1))  # of hidden patches, in each picture
    return Step(
        images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2),
        foreground=torch.from_numpy(np.stack(together))[:, None].float(),
        outline=torch.from_numpy(np.stack(outlines))[:, None],
        objects=torch.from_numpy(np.stack(objects))[:, None],
        hidden=torch.from_numpy(rng.random((len(images), 1, side, side)) < shares),
    )
