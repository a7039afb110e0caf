"""Runs the frozen encoders once over every different picture and every different sound."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from soundprompt import devices, finite
from soundprompt.data import media
from soundprompt.errors import InputError
from soundprompt.features import background, encoding, plan, store
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import sam as sam_models
from soundprompt.foundation.audio import FrozenAudio
from soundprompt.foundation.sam import FrozenSam
from soundprompt.layout import Layout
from soundprompt.params import Features, FeaturesView
from soundprompt.progress import Progress

# Raise these by one when a picture or a sound is prepared differently from the same bytes: every cache
# made before is then refused, with its remedy.
TRANSFORMS = {"visual": "longest side, PIL bilinear, padded right and below; 1", "audio": "VGGish log-mel; 1"}
ROUNDING = ("dtype", "precision")  # names of a visual recipe, beside those of `visual_recipe`
SOUND = "embedding"


def tap_name(tap: int | None) -> str:
    """Name of a tap's tensor: 'block2' is the input of block 2, 'output' the encoder's output."""
    return "output" if tap is None else f"block{tap}"


def visual_recipe(sam: FrozenSam, bgr: bool) -> dict[str, Any]:
    """What determines the visual features of a picture, except how they are rounded."""
    return {"encoder": sam.digest, "image_size": sam.image_size, "transform": TRANSFORMS["visual"], "bgr": bgr}


def rounding(features: Features) -> dict[str, str]:
    """How features are rounded, in a recipe's words. It names a precision other than float32, once the only one."""
    named = {"dtype": features.dtype, "precision": features.precision}
    return {name: value for name, value in named.items() if (name, value) != ("precision", "float32")}


def audio_recipe(encoder: FrozenAudio) -> dict[str, Any]:
    """What determines the embeddings of sounds; a run's provenance holds its digest as 'audio features'."""
    made = {"encoder": encoder.digest, "transform": TRANSFORMS["audio"], "dtype": "float32"}
    return made | {"background": background.RECIPE}


def run_shard(shard: int, view: FeaturesView, layout: Layout, threads: int = 0) -> None:
    """Writes `layout.visual_shard(shard)`: a tensor per tap, a row per picture, row ids are image digests.

    A shard that is whole and was made from the same pictures by the same encoder is kept; a damaged one is
    made anew. threads: as in `encoding.encode`. Raises InputError for a picture that is missing, unreadable or not the
    one that was planned.
    """
    sam = sam_models.load(layout.foundation("sam")).to(devices.best())
    pictures = plan.read(layout).query("shard == @shard").sort_values("row")
    recipe = visual_recipe(sam, view.bgr) | rounding(view.features)
    chosen = [encoding.Picture(*row) for row in pictures[["image", "image_digest"]].itertuples(index=False)]
    digests, path = [picture.digest for picture in chosen], layout.visual_shard(shard)
    taps = {tap_name(tap): tap for tap in view.taps}
    if _kept(path, recipe, digests, list(taps)):
        return
    shapes = encoding.shapes(sam, taps, getattr(torch, view.features.dtype), len(chosen))
    longest = None if view.features.precision == "float32" else encoding.notes(dict.fromkeys(taps, 1.0), 0, digests)
    with store.writing(path, recipe, digests, shapes, longest) as writer:
        encoding.encode(sam, taps, chosen, view.features, view.bgr, writer, threads)
    if writer.notes:
        print(f"{path}: {view.features.precision} against float32: {writer.notes}", file=sys.stderr)


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
