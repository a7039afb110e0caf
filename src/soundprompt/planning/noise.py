"""A project of noise, to measure on: clips in AVSBench's layout, and untrained encoders, as fast as trained ones.

It goes the way of a study, verb by verb, in the current folder; what each verb takes is written down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import torch
from PIL import Image

from soundprompt.data.tables import make_table
from soundprompt.data.world.splits import COLUMNS
from soundprompt.features import extract, plan
from soundprompt.foundation import audio, pyramid, sam
from soundprompt.layout import Layout
from soundprompt.params import FeaturesView, Params, TablesView

STUDY = "noise"
RATE = 16000
SECONDS = {"v1s": 5, "v2": 10}  # a clip's frames; v1s has a mask of the first alone in training
CELL = 16  # noise is drawn at this part of the size, since files of finer noise are no pictures' files


@dataclass(frozen=True)
class Noise:
    """The project. table, encode, sound: seconds of a frame in its table, of a picture, of a second of sound."""

    layout: Layout
    table: float
    encode: float
    sound: float


def make(
    study: Params, clips: int, size: tuple[int, int], different: int, taps: Sequence[int | None], validated: int = 2
) -> Noise:
    """Makes it, for the encoders of a study.

    clips: for training, of v1s and of v2 each; `validated` more of v2 are for validation, four for tests. size: height
    and width of the pictures. different: so many of them are, and are encoded. taps: of SAM's encoder to keep.
    """
    layout, sides = Layout(STUDY), study.foundation
    torch.manual_seed(0)
    sam.save(sam.build(sides.sam.architecture, sides.sam.image_size), sides.sam, layout.foundation("sam"))
    audio.save(audio.build(sides.audio), sides.audio, layout.foundation("audio"))
    if "pyramid" in study.foundations():
        pyramid.save(pyramid.build(sides.pyramid.architecture), sides.pyramid, layout.foundation("pyramid"))
    splits = [("v1s", "train")] * clips + [("v2", "train")] * clips
    splits += [("v2", "val")] * validated + [("v2", "test")] * 4
    rows = [_clip(layout, label, split, number, size, different) for number, (label, split) in enumerate(splits)]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(layout.avsbench / "metadata.csv", index=False)
    frames = sum(SECONDS[label] for label, _ in splits)
    reading = {"source": "avsbench"}
    tables = [TablesView(study=STUDY, dataset=name, data=reading) for name in SECONDS]
    table = sum(_timed(partial(make_table, view, layout)) for view in tables)
    features = {**study.features.model_dump(), "shards": 1}
    view = FeaturesView(study=STUDY, tables=("v1s", "v2"), taps=tuple(taps), features=features, bgr=False)
    plan.run(view, layout)
    pictures = len(plan.read(layout))
    encode = _timed(lambda: extract.run_shard(0, view, layout))
    plan.index(view, layout)
    sound = _timed(lambda: extract.run_audio(view, layout))
    return Noise(layout, table / frames, encode / pictures, sound / frames)


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _clip(layout: Layout, label: str, split: str, number: int, size: tuple[int, int], different: int) -> list[object]:
    """Writes a clip; its row of the metadata. Frame i of all clips together is picture i of those that differ."""
    video, count = f"video{number:06d}"[-11:], SECONDS[label]
    uid = f"{video}_0_{1000 * count}"
    folder = layout.avsbench / label / uid
    for name in ("frames", "labels_rgb"):
        (folder / name).mkdir(parents=True)
    rng = np.random.default_rng(number)
    soundfile.write(folder / "audio.wav", rng.uniform(-0.3, 0.3, count * RATE), RATE)
    for frame in range(count):
        _picture(folder / "frames" / f"{frame}.jpg", size, (10 * number + frame) % different)
        if label != "v1s" or frame == 0:
            _mask(folder / "labels_rgb" / f"{frame}.png", size, rng)
    return [video, uid, 0, 0, "dog" if number % 2 else "cat", split, label]


def _picture(path: Path, size: tuple[int, int], seed: int) -> None:
    height, width = size
    noise = np.random.default_rng(seed).integers(0, 256, (-(-height // CELL), -(-width // CELL), 3), dtype=np.uint8)
    Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC).save(path, quality=95)


def _mask(path: Path, size: tuple[int, int], rng: np.random.Generator) -> None:
    """A box of a quarter of the frame, in a class's colour."""
    height, width = size
    top, left = int(rng.integers(height // 2)), int(rng.integers(width // 2))
    mask = np.zeros((height, width, 3), np.uint8)
    mask[top : top + height // 2, left : left + width // 2] = (128, 0, 0)
    Image.fromarray(mask).save(path)
