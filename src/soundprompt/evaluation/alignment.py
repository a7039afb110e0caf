"""How well a trained model's visual cue agrees with the sound, in the space that they share.

| metric           | one row for each                       | value                                               |
|------------------|----------------------------------------|-----------------------------------------------------|
| retrieval        | frame with sounding and silent regions | 1 if the region nearest to the sound sounds, else 0 |
| retrieval_chance | the same frames                        | share of its regions that sound: what guessing gets |
| margin_kept      | frame                                  | 1 if the triplet's condition holds, else 0          |
| modality_gap     | frame                                  | its part of the distance between the two clouds     |

Regions are the objects of a frame, silent ones included, where the dataset knows them; an object sounds when most
of what is visible of it lies in the mask, which tells those that sound in this second. Where it does not (all real
data) there are two: the mask and the rest of the frame.

The triplet's condition: the frame's sound is nearer to its own cue than to the cue of a frame of a clip of another
class by at least the training's margin, cosine similarity. Every model is judged with the sound as anchor.

The modality gap (Liang et al. 2022, arXiv 2203.02053) is the length of the difference between the mean unit
vector of all sounds and that of all cues of a selection. The part of a frame is the projection of its own
difference on the direction of that one: the mean of the parts is exactly the gap.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from soundprompt import finite
from soundprompt.data import media
from soundprompt.evaluation import predict
from soundprompt.evaluation.scores import CLIP_COLUMNS
from soundprompt.files import digest_bytes
from soundprompt.registry import Metric

if TYPE_CHECKING:  # these load SAM's package
    from soundprompt.features.frames import Batch, Frames
    from soundprompt.foundation.sam import FrozenSam
    from soundprompt.models import Segmenter


def sample(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` frames of each selection, in their order; index 0, 1, 2, ...

    Which ones, only their names decide: they are spread over the selection, and selections that overlap share them.
    """
    drawn = frame_names(rows).map(lambda name: int(digest_bytes(name.encode())[:12], 16))
    places = drawn.groupby(rows["selection"], sort=False).rank(method="first")
    return rows[places <= count].reset_index(drop=True)


def frame_names(rows: pd.DataFrame) -> pd.Series:
    """'v2/clip/3' of each row of a frame table."""
    return rows["dataset"] + "/" + rows["clip"] + "/" + rows["frame"].astype(str)


# ------------------------------------------------------------------------------------ regions
def regions(row: Any, mask: Tensor) -> tuple[Tensor, Tensor] | None:
    """What can be pointed at in a frame: n maps (n, H, W) float32 of 0 and 1, and which of them sound, (n,) bool.

    row: of the frame table; mask: (H, W) bool. None when all of them sound, or none does.
    """
    if isinstance(row.objects, str):
        objects = torch.tensor(media.read_objects(row.objects, (row.height, row.width)))
        maps = objects == torch.arange(1, max(int(objects.max()), 1) + 1)[:, None, None]
    else:
        maps = torch.stack([mask, ~mask])
    maps = maps[maps.any(2).any(1)]  # hidden objects are not there
    sounding = (maps & mask).sum((1, 2)) * 2 > maps.sum((1, 2))
    return (maps.float(), sounding) if sounding.any() and not sounding.all() else None


def cell_shares(maps: Tensor, sam: FrozenSam) -> Tensor:
    """How the weight of each map lies on the grid of F_V: (n, H, W) of 0 and 1 to (n, h, w), each of sum 1."""
    height, width = sam.resized((maps.shape[1], maps.shape[2]))
    resized = F.adaptive_avg_pool2d(maps, (height, width))  # area averages
    padded = F.pad(resized, (0, sam.image_size - width, 0, sam.image_size - height))
    shares = F.avg_pool2d(padded, sam.image_size // sam.grid)
    return shares / shares.sum((1, 2), keepdim=True)


# ---------------------------------------------------------------------------------- comparing
@dataclass
class Compared:
    """What one model makes of n frames.

    sound, cue: (n, d) float32, unit vectors of each frame's own sound and whole picture.
    retrieval, chance: (n,) float64; NaN where there is nothing to choose among.
    """

    sound: np.ndarray
    cue: np.ndarray
    retrieval: np.ndarray
    chance: np.ndarray


@torch.inference_mode()
def compare(
    models: Mapping[int, Segmenter], frames: Frames, device: torch.device | str, label: str = "model"
) -> dict[int, Compared]:
    """Asks every model, which must have a visual cue and a sound token, about every frame.

    models: seed -> model. label: names them in messages. Raises InputError when a model gives numbers that are not
    finite.
    """
    found: dict[int, list[Compared]] = {seed: [] for seed in models}
    order: list[int] = []
    for model in models.values():
        model.to(device).eval()
    for indices, batch, choices in _batches(frames, device):
        order += indices
        for seed, model in models.items():
            part = _compare(model, batch, choices)
            for name, values in (("visual cue", part.cue), ("sound", part.sound)):
                what = f"{label} seed {seed}: {name} is"
                finite.check(values, what, clips=batch.clips, remedy=predict.RETRAIN)
            found[seed].append(part)
    back = np.argsort(order)
    fields = ("sound", "cue", "retrieval", "chance")
    return {
        seed: Compared(*(np.concatenate([getattr(part, name) for part in parts])[back] for name in fields))
        for seed, parts in found.items()
    }


Choice = tuple[Tensor, Tensor] | None  # shares (n, h, w) of each region, and which sound, (n,) bool


def _batches(frames: Frames, device: torch.device | str) -> Iterator[tuple[list[int], Batch, list[Choice]]]:
    rows = list(frames.rows.itertuples())
    asked = predict.batches(frames, range(len(frames)))
    for indices, batch in zip(asked, frames.batches(asked, device), strict=True):
        choices: list[Choice] = []
        for place, index in enumerate(indices):
            known = None if batch.masks is None else regions(rows[index], batch.masks[place].cpu())
            choices.append(known and (cell_shares(known[0], frames.encoder).to(device), known[1].to(device)))
        yield indices, batch, choices


def _compare(model: Segmenter, batch: Batch, choices: Sequence[Choice]) -> Compared:
    sap, features, heard = model.sap, model.encode(batch.visual), model.hear(batch.audio)
    sound = F.normalize(heard if sap.sound is None else sap.sound(heard), dim=1)
    cue = F.normalize(sap.cue(sap.pooled(features, batch.valid)), dim=1)
    retrieval, chance = np.full(len(sound), np.nan), np.full(len(sound), np.nan)
    for place, choice in enumerate(choices):
        if choice is not None:
            shares, sounding = choice
            pooled = shares.flatten(1) @ features[place].flatten(0, 1)
            nearness = F.normalize(sap.cue(pooled), dim=1) @ sound[place]
            # of several that are equally near one would be guessed
            retrieval[place] = float(sounding[nearness == nearness.max()].double().mean())
            chance[place] = float(sounding.double().mean())
    return Compared(sound.cpu().numpy(), cue.cpu().numpy(), retrieval, chance)


# --------------------------------------------------------------------------------------- rows
def rows(found: Compared, frames: pd.DataFrame, numbers: np.ndarray, margin: float) -> pd.DataFrame:
    """Rows of one selection, with `scores.CLIP_COLUMNS`, frame, metric and value.

    frames: the selection's rows of the frame table; numbers: of each its place in `found`. A selection of one
    class alone has no `margin_kept`.
    """
    about = frames[[*CLIP_COLUMNS, "frame"]].reset_index(drop=True)
    retrieval, chance = found.retrieval[numbers], found.chance[numbers]
    chosen = ~np.isnan(retrieval)
    parts = [
        about[chosen].assign(metric="retrieval", value=retrieval[chosen]),
        about[chosen].assign(metric="retrieval_chance", value=chance[chosen]),
        about.assign(metric="modality_gap", value=gap_parts(found.sound[numbers], found.cue[numbers])),
    ]
    if frames["class_name"].nunique() > 1:
        others = predict.heard(frames, numbers, "mismatched")
        parts.append(about.assign(metric="margin_kept", value=kept(found, numbers, others, margin)))
    return pd.concat(parts, ignore_index=True)


def kept(found: Compared, numbers: np.ndarray, others: np.ndarray, margin: float) -> np.ndarray:
    """1.0 where cos(sound, own cue) is at least cos(sound, cue of the other frame) + margin, else 0.0."""
    sound = found.sound[numbers]
    own, other = ((sound * found.cue[of]).sum(1) for of in (numbers, others))
    return (own - other >= margin).astype(float)


def gap_parts(sound: np.ndarray, cue: np.ndarray) -> np.ndarray:
    """Of each frame the projection of sound - cue on the direction of the mean of these, (n,).

    sound, cue: (n, d) unit vectors. The mean of the projections is the length of that mean.
    """
    differences = sound.astype(float) - cue
    mean = differences.mean(0)
    length = np.linalg.norm(mean)
    return differences @ (mean / length) if length > 0 else np.zeros(len(sound))


REGISTERED = (
    Metric(name="retrieval", stage="examine", measures="alignment", label="retrieval",
           meaning="Share of frames in which the object whose visual cue is nearest to the sound is one that sounds."),
    Metric(name="retrieval_chance", stage="examine", measures="alignment", higher_is_better=None,
           label="retrieval, chance", meaning="Retrieval by guessing: the share of a frame's objects that sound."),
    Metric(name="margin_kept", stage="examine", measures="alignment", label="margin kept",
           meaning="Share of frames whose sound is nearer to their own cue than to one of another class, "
                   "by the margin."),
    Metric(name="modality_gap", stage="examine", measures="alignment", higher_is_better=None, label="modality gap",
           meaning="Distance between the mean directions of all sounds and all cues."),
)  # fmt: skip
