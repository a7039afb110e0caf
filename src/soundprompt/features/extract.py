"""Runs the frozen encoders once over every different picture and every different sound."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundprompt import devices, finite
from soundprompt.data import media
from soundprompt.errors import InputError
from soundprompt.features import background, plan, store
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import sam as sam_models
from soundprompt.foundation.audio import FrozenAudio
from soundprompt.foundation.sam import FrozenSam
from soundprompt.layout import Layout
from soundprompt.params import FeaturesView
from soundprompt.progress import Progress

# Raise these by one when a picture or a sound is prepared differently from the same bytes: every cache
# made before is then refused, with its remedy.
TRANSFORMS = {"visual": "longest side, PIL bilinear, padded right and below; 1", "audio": "VGGish log-mel; 1"}
SHARD_LIMIT = 4 * 2**30  # a shard is put together in memory, bytes
SOUND = "embedding"


def tap_name(tap: int | None) -> str:
    """Name of a tap's tensor: 'block2' is the input of block 2, 'output' the encoder's output."""
    return "output" if tap is None else f"block{tap}"


def visual_recipe(sam: FrozenSam, bgr: bool) -> dict[str, Any]:
    """What determines the visual features of a picture, except how they are rounded."""
    return {"encoder": sam.digest, "image_size": sam.image_size, "transform": TRANSFORMS["visual"], "bgr": bgr}


def audio_recipe(encoder: FrozenAudio) -> dict[str, Any]:
    """What determines the embeddings of sounds; a run's provenance holds its digest as 'audio features'."""
    made = {"encoder": encoder.digest, "transform": TRANSFORMS["audio"], "dtype": "float32"}
    return made | {"background": background.RECIPE}


def run_shard(shard: int, view: FeaturesView, layout: Layout) -> None:
    """Writes `layout.visual_shard(shard)`: a tensor per tap, a row per picture, row ids are image digests.

    A shard that is whole and was made from the same pictures by the same encoder is kept; a damaged one is
    made anew. Raises InputError for a picture that is missing, unreadable or not the one that was planned.
    """
    sam = sam_models.load(layout.foundation("sam")).to(devices.best())
    pictures = plan.read(layout).query("shard == @shard").sort_values("row")
    recipe = visual_recipe(sam, view.bgr) | {"dtype": view.features.dtype}
    names, digests = [tap_name(tap) for tap in view.taps], pictures["image_digest"].tolist()
    path = layout.visual_shard(shard)
    if not _kept(path, recipe, digests, names):
        store.write(path, recipe, digests, _encode_pictures(sam, pictures["image"], digests, view))


def run_audio(view: FeaturesView, layout: Layout) -> None:
    """Writes `layout.audio_features`: (rows, 128) float32; row ids are 'audio digest/second', seconds from 0.

    Behind them stand the sounds that belong to no clip, under the names of `background.ROWS`. Kept when whole and
    made from the same sounds by the same encoder. Raises InputError for a sound that is missing, unreadable or not
    the one of the frame table.
    """
    encoder = audio_models.load(layout.foundation("audio")).to(devices.best())
    sounds = plan.sounds(view.tables, layout)
    recipe = audio_recipe(encoder)
    path = layout.audio_features
    if _audio_kept(path, recipe, sounds["audio_digest"]):
        return
    rows: list[str] = []
    embeddings: list[Tensor] = []
    for digest, seconds in _encode_sounds(encoder, sounds):
        rows += [sound_row(digest, second) for second in range(len(seconds))]
        embeddings.append(seconds)
    foreign = [encoder.embed(encoder.examples(wave)) for wave in background.recordings()]
    remedy = "delete it and run: soundprompt pretrain --model audio"
    where = layout.foundation("audio")
    finite.check(torch.cat(foreign), "what it makes of silence and room noise is", path=where, remedy=remedy)
    embeddings += foreign
    rows += background.ROWS
    store.write(path, recipe, rows, {SOUND: torch.cat(embeddings)})


def sound_row(audio_digest: str, second: int) -> str:
    """Row id of one second of a sound."""
    return f"{audio_digest}/{second}"


# ------------------------------------------------------------------------------ pictures
def _encode_pictures(
    sam: FrozenSam, images: Sequence[str], digests: Sequence[str], view: FeaturesView
) -> dict[str, Tensor]:
    dtype = getattr(torch, view.features.dtype)
    shapes = {tap: _tap_shape(sam, tap) for tap in view.taps}
    _check_size(len(digests), shapes.values(), dtype)
    found = {tap: torch.empty((len(digests), *shape), dtype=dtype) for tap, shape in shapes.items()}
    progress = Progress("pictures", len(digests))
    for start, batch in _batches(list(zip(images, digests, strict=True)), view.features.batch_size):
        pixels = sam.preprocess([_picture(path, digest) for path, digest in batch], bgr=view.bgr)
        for tap, values in sam.prefix(pixels, view.taps).items():
            rounded = values.to(dtype).cpu()
            for (path, _), of_picture in zip(batch, rounded, strict=True):
                what = f"its activations at {tap_name(tap)}, as {view.features.dtype}, are"
                finite.check(
                    of_picture, what, path=path, remedy="look at the picture, or set features.dtype to float32"
                )
            found[tap][start : start + len(batch)] = rounded
        progress.advance(steps=len(batch))
    return {tap_name(tap): values for tap, values in found.items()}


def _tap_shape(sam: FrozenSam, tap: int | None) -> tuple[int, int, int]:
    return (sam.prompt_dim, sam.grid, sam.grid) if tap is None else (sam.grid, sam.grid, sam.dim)


def _check_size(pictures: int, shapes: Iterable[tuple[int, ...]], dtype: torch.dtype) -> None:
    size = pictures * sum(int(np.prod(shape)) for shape in shapes) * dtype.itemsize
    if size > SHARD_LIMIT:
        what = f"features.shards: a shard would take {size / 2**30:.1f} GiB of memory, at most {SHARD_LIMIT >> 30} are"
        raise InputError(f"{what} allowed", remedy=f"multiply features.shards by {-(-size // SHARD_LIMIT)}")


def _picture(path: str, digest: str) -> np.ndarray:
    """RGB uint8 (H, W, 3), after a look at whether it is the picture that was planned."""
    return media.read_image(path, digest)


# -------------------------------------------------------------------------------- sounds
def _encode_sounds(encoder: FrozenAudio, sounds: pd.DataFrame) -> Iterator[tuple[str, Tensor]]:
    """Yields (audio digest, (n_seconds, 128) float32) sound by sound."""
    progress = Progress("sounds", len(sounds))
    for path, digest in zip(sounds["audio"], sounds["audio_digest"], strict=True):
        seconds = encoder.embed(encoder.examples(media.read_audio(path, digest)))
        finite.check(seconds, "its embedding is", path=path, remedy="look at the sound file")
        yield digest, seconds
        progress.advance()


def _audio_kept(path: Path, recipe: dict[str, Any], digests: Sequence[str]) -> bool:
    """As `_kept`; how many seconds a sound has is known only from the store itself."""
    try:
        rows = store.Store(path, recipe).rows
    except InputError:
        return False
    same = list(dict.fromkeys(row.partition("/")[0] for row in rows)) == [*digests, *background.KINDS]
    return same and _kept(path, recipe, rows, [SOUND])


# ---------------------------------------------------------------------------------- both
def _kept(path: Path, recipe: dict[str, Any], rows: Sequence[str], names: Sequence[str]) -> bool:
    """Whether the file is already what would be written; then it is marked as up to date."""
    if not store.holds(path, recipe, rows, names):
        return False
    os.utime(path)
    print(f"{path}: whole and up to date, kept", file=sys.stderr)
    return True


def _batches(items: list[Any], size: int) -> Iterator[tuple[int, list[Any]]]:
    for start in range(0, len(items), size):
        yield start, items[start : start + size]
