"""A tiny project: two labelled clips, one first-frame-only clip, a non-square picture, untrained encoders."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import mask_files
from soundprompt.files import digest_file
from soundprompt.foundation import audio, sam
from soundprompt.foundation.sam import FrozenSam
from soundprompt.layout import Layout
from soundprompt.params import Audio as AudioSettings
from soundprompt.params import FeaturesView
from soundprompt.params import Sam as SamSettings

SIDE = 64


@dataclass
class Project:
    """The tiny project, with the working directory at its root."""

    layout: Layout
    view: FeaturesView

    @property
    def sam(self) -> FrozenSam:
        return sam.load(self.layout.foundation("sam"))

    def remake_sam(self, seed: int) -> None:
        """Another untrained encoder in the place of the first."""
        torch.manual_seed(seed)
        settings = SamSettings(image_size=SIDE)
        model = sam.build("mini", SIDE)
        sam.save(model, settings, self.layout.foundation("sam"))

    def view_with(self, **changes) -> FeaturesView:
        return self.view.model_copy(update=changes)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    layout = Layout("tiny")
    view = FeaturesView(
        study="tiny", tables=("v1s", "v2", "v3"), taps=(2, None), features={"shards": 2, "batch_size": 3}, bgr=False
    )
    project = Project(layout, view)
    project.remake_sam(0)
    save_audio_encoder(layout)
    first_only = clip("v1s", "lone", (SIDE, SIDE), labelled=(0,))
    square, wide = clip("v2", "square", (SIDE, SIDE)), clip("v2", "wide", (36, SIDE))
    mask_files.write_table(pd.DataFrame(first_only), layout)
    mask_files.write_table(pd.DataFrame(square + wide), layout)
    copies = [row | {"dataset": "v3", "split": "unseen"} for row in square]
    mask_files.write_table(pd.DataFrame(copies), layout)
    return project


def save_audio_encoder(layout: Layout) -> None:
    """An untrained sound encoder."""
    torch.manual_seed(0)
    settings = AudioSettings()
    audio.save(audio.build(settings), settings, layout.foundation("audio"))


def clip(dataset: str, name: str, size: tuple[int, int], labelled: tuple[int, ...] = (0, 1, 2)) -> list[dict]:
    """Three frames of (height, width) `size` with noise for picture, mask and sound; rows of the frame table."""
    rng = np.random.default_rng([len(dataset), *name.encode()])
    folder = Path("data/tiny") / dataset / name
    folder.mkdir(parents=True)
    sound = folder / "audio.wav"
    with wave.open(str(sound), "wb") as stream:
        stream.setparams((1, 2, 16000, 0, "NONE", ""))
        loudness = np.repeat([9000, 300, 30], 16000)  # three seconds that sound different
        stream.writeframes((loudness * rng.uniform(-1, 1, 48000)).astype(np.int16).tobytes())
    rows = []
    for frame in range(3):
        image, mask = folder / f"{frame}.png", folder / f"mask{frame}.png"
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(image)
        if frame in labelled:
            Image.fromarray((rng.random(size) < 0.3).astype(np.uint8) * 255).save(mask)
        rows.append(row(dataset, name, frame, image, sound, mask if frame in labelled else None, size))
    return rows


def row(
    dataset: str, name: str, frame: int, image: Path, sound: Path, mask: Path | None, size: tuple[int, int]
) -> dict:
    return {
        "dataset": dataset,
        "clip": name,
        "video": f"video-{name}",
        "class_name": f"class-{name}",
        "kind": "",
        "split": "train",
        "frame": frame,
        "second": 2 - frame,  # not the frame's number, so that a mix-up shows
        "n_sources": 1,
        "silent": None,
        "image": str(image),
        "audio": str(sound),
        "mask": mask and str(mask),
        "objects": None,
        "boxes": None,
        "width": size[1],
        "height": size[0],
        "image_digest": digest_file(image),
        "audio_digest": digest_file(sound),
        "mask_digest": mask and digest_file(mask),
    }
