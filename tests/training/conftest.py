"""A study small enough to train in a second: drawn squares, a mini SAM with random weights, real tables and caches.

The square's colour and the second's embedding go together, so that there is something to learn.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import mask_files
from soundprompt import params as p
from soundprompt.features import background, extract, plan, store
from soundprompt.files import digest_bytes, digest_file
from soundprompt.foundation import sam as sam_models
from soundprompt.layout import Layout

SIZE, FRAMES = 64, 3
COLOURS = {"red": (220, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}
CLIPS = {"v1s/train": 9, "v1s/val": 3, "v2/train": 3, "v2/val": 3}
STUDY = "tiny"
SCHEDULE = {
    "learning_rate": 2e-3,
    "steps": 8,
    "validate_every": 3,
    "warmup": 2,
    "clips_per_step": 2,
    "shot_epochs": 3,
    "loss_size": "decoder",
}
GAVS = {"visual": {"tune_from": 2, "dim": 8}, "cola": {"dim": 8}, "sap": {"hidden": 32}, "schedule": SCHEDULE}
SETTINGS = {
    "v1s": {"train": ["v1s/train"], "validate_on": ["v1s/val", "v2/val"], "test": ["v1s/val"]},
    "shots": {"start_from": "v1s", "train": ["v2/train"], "validate_on": ["v2/val"], "test": ["v2/val"]},
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory) -> Path:
    """The study's files up to the features; only to be copied from or read."""
    root = tmp_path_factory.mktemp("tiny")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        _make(Layout(STUDY))
    return root


@pytest.fixture
def tiny(tiny_files, tmp_path, monkeypatch) -> Layout:
    """The study in a folder of its own, which is the current one; runs go there."""
    for name in ("data", "weights", "features"):
        (tmp_path / name).symlink_to(tiny_files / name)
    monkeypatch.chdir(tmp_path)
    return Layout(STUDY)


@pytest.fixture
def view():
    """Makes a view of the tiny study: view(setting, name, **overrides of the model's settings)."""

    def make(setting: str = "v1s", name: str = "gavs", **model) -> p.TrainView:
        return p.TrainView(
            study=STUDY,
            setting_name=setting,
            setting=SETTINGS[setting],
            model_name=name,
            model=p.merge(GAVS, model),
            data={},
        )

    return make


def _make(layout: Layout) -> None:
    rows = [_clip(selection, number) for selection, count in CLIPS.items() for number in range(count)]
    frames = pd.DataFrame([row for clip in rows for row in clip])
    for _, part in frames.groupby("dataset"):
        mask_files.write_table(part.reset_index(drop=True), layout)
    torch.manual_seed(0)
    settings = p.Sam(image_size=SIZE)
    sam_models.save(sam_models.build("mini", SIZE), settings, layout.foundation("sam"))
    features = p.FeaturesView(
        study=STUDY, tables=("v1s", "v2"), taps=(2, None), features=p.Features(shards=2), bgr=False
    )
    plan.run(features, layout)
    for shard in range(2):
        extract.run_shard(shard, features, layout)
    _write_sounds(frames, layout)


def _clip(selection: str, number: int) -> list[dict]:
    dataset, split = selection.split("/")
    rng = np.random.default_rng([len(selection), number])
    colour = list(COLOURS)[number % 3]
    clip = f"{dataset}_{split}_{number}"
    folder = Path("data") / "pictures" / clip
    folder.mkdir(parents=True)
    (folder / "audio.wav").write_bytes(clip.encode())
    return [_frame(dataset, split, clip, colour, frame, folder, rng) for frame in range(FRAMES)]


def _frame(dataset, split, clip, colour, frame, folder, rng) -> dict:
    picture = rng.integers(90, 130, (SIZE, SIZE, 3)).astype(np.uint8)
    mask = np.zeros((SIZE, SIZE), np.uint8)
    for name, value in COLOURS.items():
        if name == colour or rng.random() < 0.5:
            y, x = rng.integers(0, SIZE - 24, 2)
            picture[y : y + 20, x : x + 20] = value
            mask[y : y + 20, x : x + 20] = 255 * (name == colour)
    image, label = folder / f"{frame}.png", folder / f"{frame}_mask.png"
    Image.fromarray(picture).save(image)
    labelled = frame == 0 or (dataset, split) != ("v1s", "train")
    if labelled:
        Image.fromarray(mask).convert("RGB").save(label)
    return {
        "dataset": dataset,
        "clip": clip,
        "video": clip,
        "class_name": colour,
        "kind": "seen",
        "split": split,
        "frame": frame,
        "second": frame,
        "n_sources": 1,
        "silent": None,
        "image": str(image),
        "audio": str(folder / "audio.wav"),
        "mask": str(label) if labelled else None,
        "objects": None,
        "boxes": None,
        "width": SIZE,
        "height": SIZE,
        "image_digest": digest_file(image),
        "audio_digest": digest_bytes(clip.encode()),
        "mask_digest": digest_file(label) if labelled else None,
    }


def _write_sounds(frames: pd.DataFrame, layout: Layout) -> None:
    """Embeddings by colour, straight into the cache: what a sound encoder would have made of them."""
    rows, values = [], []
    for number, row in enumerate(frames.itertuples()):
        rng = np.random.default_rng([7, list(COLOURS).index(row.class_name)])
        noise = np.random.default_rng([8, number]).normal(0, 0.1, 128)
        rows.append(extract.sound_row(row.audio_digest, row.second))
        values.append(rng.normal(0, 1, 128) + noise)
    for number, row in enumerate(background.ROWS):
        rows.append(row)
        values.append(np.random.default_rng([9, number]).normal(0, 1, 128))
    store.write(
        layout.audio_features, {"dtype": "float32"}, rows, {extract.SOUND: torch.tensor(np.array(values)).float()}
    )
