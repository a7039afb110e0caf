"""What the foundation models are worth on pictures and sounds that pre-training never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from soundprompt.data.world import pretraining
from soundprompt.foundation import pictures, probes, prompting
from soundprompt.foundation.audio import FrozenAudio
from soundprompt.foundation.geometry import overlap
from soundprompt.foundation.pictures import Picture, View
from soundprompt.foundation.sam import FrozenSam, count_parameters
from soundprompt.params import Scene

PICTURES, PROBE_PICTURES, PROBE_SOUNDS = 400, 600, 900
BATCH = 50
MIRROR = View(mirrored=True, quarters=0)


@torch.no_grad()
def measure_sam(frozen: FrozenSam, concept: prompting.Concept | None, scene: Scene, seed: int) -> dict:
    """Mask IoU by prompt on held-out pictures, and attribute probes of F_V.

    concept: the module that makes concept tokens; None for an arm without them. Returns a JSON-able dict: for each
    of point, box, concept the mean IoU at the picture's own size, its standard error over pictures and the
    number of pictures; and `probes`, accuracies of linear probes of mask-pooled F_V.
    """
    asked = held_out(scene, seed)
    scores: dict[str, list[Tensor]] = {"point": [], "box": [], "concept": []}
    for start in range(0, len(asked), BATCH):
        batch = asked[start : start + BATCH]
        masks = np.stack([each.mask for each in batch])
        features = frozen.prefix(frozen.preprocess([each.picture.image for each in batch]), [None])[None]
        scale = frozen.image_size / scene.size
        by_point = prompting.collect([each.point for each in batch], scale)
        by_box = prompting.collect([prompting.box(mask) for mask in masks], scale)
        tokens = {
            "point": prompting.embed(frozen.sam.prompt_encoder, by_point),
            "box": prompting.embed(frozen.sam.prompt_encoder, by_box),
        }
        if concept is not None:
            tokens["concept"] = _concept_tokens(frozen, concept, batch)
        for name, each in tokens.items():
            scores[name].append(_iou(frozen, features, each, masks))
    return {
        "parameters": count_parameters(frozen.sam),
        "iou": {name: _summary(torch.cat(parts)) if parts else None for name, parts in scores.items()},
        "probes": probe_sam(frozen, scene, seed),
    }


@dataclass(frozen=True)
class PointedPicture:
    """A held-out picture, the number of the object asked for, and a point in that as `prompting.point` gives it.

    index: of the picture in its stream.
    """

    index: int
    picture: Picture
    number: int
    point: tuple[np.ndarray, np.ndarray]

    @property
    def mask(self) -> np.ndarray:
        """The object, bool (S, S)."""
        return self.picture.masks[self.number]


def held_out(scene: Scene, seed: int) -> list[PointedPicture]:
    """Pictures that pre-training never saw, each with one of its objects to find: always the same for a seed."""
    drawn = {index: pictures.draw(seed, pictures.HELD_OUT, index, scene) for index in range(PICTURES)}
    usable = {index: picture for index, picture in drawn.items() if picture is not None}
    rng = np.random.default_rng([seed, pictures.HELD_OUT])
    chosen = {index: int(rng.integers(len(picture.masks))) for index, picture in usable.items()}
    return [
        PointedPicture(index, picture, chosen[index], prompting.point(rng, picture.masks[chosen[index]]))
        for index, picture in usable.items()
    ]


def _concept_tokens(frozen: FrozenSam, concept: prompting.Concept, batch: list[PointedPicture]) -> Tensor:
    """Tokens of what each object looks like in the mirrored picture."""
    mirrored = [np.ascontiguousarray(MIRROR.of(each.picture.image)) for each in batch]
    masks = np.stack([MIRROR.of(each.mask) for each in batch])
    features = frozen.prefix(frozen.preprocess(mirrored), [None])[None]
    looks = prompting.mask_pool(features, torch.from_numpy(masks)[:, None].float())
    return concept.tokens(looks, frozen.sam.prompt_encoder)


def _iou(frozen: FrozenSam, features: Tensor, tokens: Tensor, masks: np.ndarray) -> Tensor:
    """IoU of the single mask with bool masks (N, H, W), at their size."""
    logits, _ = prompting.decode(frozen.sam, features, tokens)
    restored = frozen.restore(logits[:, :1], [mask.shape for mask in masks])
    return overlap(torch.stack(restored) > 0, torch.from_numpy(masks))


def _summary(values: Tensor) -> dict[str, float]:
    error = values.std().item() / len(values) ** 0.5
    return {"mean": values.mean().item(), "standard_error": error, "pictures": len(values)}


@torch.no_grad()
def probe_sam(frozen: FrozenSam, scene: Scene, seed: int) -> dict:
    """Linear probes of F_V averaged over an object's mask: hue, stripes and outline. Half of the pictures fit."""
    features, labels, fit = [], [], []
    for start in range(0, PROBE_PICTURES, BATCH):
        drawn = [
            pretraining.probe_picture(np.random.default_rng([seed, pictures.PROBES, index]), scene)
            for index in range(start, min(start + BATCH, PROBE_PICTURES))
        ]
        maps = frozen.prefix(frozen.preprocess([image for image, _, _ in drawn]), [None])[None]
        for row, (_, masks, levels) in enumerate(drawn):
            visible = [number for number, mask in enumerate(masks) if mask.sum() > 60]
            whole = torch.from_numpy(np.stack([masks[number] for number in visible])).float()[:, None]
            of_objects = maps[row].expand(len(visible), -1, -1, -1)
            features.append(prompting.mask_pool(of_objects, whole))
            labels.append(torch.from_numpy(levels[visible]))
            fit += [start + row < PROBE_PICTURES // 2] * len(visible)
    return _probe(torch.cat(features), torch.cat(labels), torch.tensor(fit), scene, ("hue", "texture", "shape"))


@torch.no_grad()
def measure_audio(frozen: FrozenAudio, scene: Scene, seed: int) -> dict:
    """Linear probes of the embedding of one second of sound: pitch, modulation and timbre. Half of the sounds fit."""
    drawn = [
        pretraining.probe_sound(np.random.default_rng([seed, pictures.PROBES, index]), scene)
        for index in range(PROBE_SOUNDS)
    ]
    embeddings = frozen.embed(torch.cat([frozen.examples(wave)[:1] for wave, _ in drawn]))
    labels = torch.from_numpy(np.stack([levels for _, levels in drawn]))
    fit = torch.arange(PROBE_SOUNDS) < PROBE_SOUNDS // 2
    found = _probe(embeddings, labels, fit, scene, ("pitch", "modulation", "timbre"))
    return {"parameters": count_parameters(frozen.module), "probes": found}


def _probe(features: Tensor, labels: Tensor, fit: Tensor, scene: Scene, names: tuple[str, ...]) -> dict:
    kind_of = probes.class_kinds(scene.levels)
    kinds = [kind_of[tuple(row)] for row in labels.tolist()]
    return probes.accuracies(features, labels, kinds, fit, names)
