"""A study small enough to score in a second: drawn squares, an untrained mini SAM, untrained checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

import mask_files
from soundprompt import models
from soundprompt import params as p
from soundprompt.features import background, extract, plan, store
from soundprompt.files import digest_bytes, digest_file, write_json
from soundprompt.foundation import sam as sam_models
from soundprompt.layout import Layout
from soundprompt.training import checkpoint

SIDE, WIDE, FRAMES = 64, 40, 3
CLASSES = ("dog", "cat", "dog_cat", "hen")
STUDY = "tiny"
GAVS = {"visual": {"tune_from": 2, "dim": 8}, "cola": {"dim": 8}, "sap": {"hidden": 32}}
SETTINGS = {
    "v1s": {"train": ["v1s/test"], "validate_on": ["v1s/test"], "test": ["v1s/test"]},
    "v3": {"train": ["v1s/test"], "validate_on": ["v1s/test"], "test": ["v3/unseen", "v3/1_shot_test"]},
    "vggss": {"model_of": "v1s", "test": ["vggss/test"]},
}


def put_checkpoint(view: p.ScoreView, seed: int, layout: Layout, setting: str, fill: float | None = None) -> Path:
    """An untrained model where training would have left a trained one; `fill`: all its trained numbers."""
    sam = sam_models.load(layout.foundation("sam"))
    model = models.build(view.model, sam, seed)
    path = layout.run(setting, "gavs", seed) / "checkpoint.safetensors"
    trained = model.trained_parameters()
    if fill is not None:
        trained = {name: torch.full_like(weight, fill) for name, weight in trained.items()}
    digest = checkpoint.save(trained, path, {})
    write_json(layout.trained(setting, "gavs", str(seed)), {"runs": {str(seed): {"checkpoint": digest}}})
    return path


def make(layout: Layout) -> None:
    v1s = [row for number in range(6) for row in _clip("v1s", "test", number)]
    mask_files.write_table(pd.DataFrame(v1s), layout)
    v2 = [row for number in range(6) for row in _clip("v2", "test", number)]
    v3 = [row | {"dataset": "v3", "split": "unseen"} for row in v2]
    v3 += [row | {"dataset": "v3", "split": "1_shot_test"} for row in v2[FRAMES:]]
    mask_files.write_table(pd.DataFrame(v3), layout)
    vggss = [row for number in range(4) for row in _clip("vggss", "test", number)[:1]]
    boxes = {"mask": None, "mask_digest": None, "objects": None, "boxes": [[0.1, 0.2, 0.7, 0.8]]}
    mask_files.write_table(pd.DataFrame([row | boxes for row in vggss]), layout)
    torch.manual_seed(0)
    sam_models.save(sam_models.build("mini", SIDE), p.Sam(image_size=SIDE), layout.foundation("sam"))
    tables, features = ("v1s", "v3", "vggss"), p.Features(shards=1)
    view = p.FeaturesView(study=STUDY, tables=tables, taps=(2, None), features=features, bgr=False)
    plan.run(view, layout)
    extract.run_shard(0, view, layout)
    _write_sounds(pd.DataFrame(v1s + v2 + vggss), layout)


def _clip(dataset: str, split: str, number: int) -> list[dict]:
    clip = f"{dataset}_{number}"
    folder = Path("data") / "pictures" / clip
    folder.mkdir(parents=True)
    (folder / "audio.wav").write_bytes(clip.encode())
    rng = np.random.default_rng([len(dataset), number])
    size = (WIDE, SIDE) if number % 2 else (SIDE, SIDE)
    return [_frame(dataset, split, clip, CLASSES[number % 4], frame, folder, size, rng) for frame in range(FRAMES)]


def _frame(dataset, split, clip, class_name, frame, folder, size, rng) -> dict:
    objects = np.zeros(size, np.uint8)
    for index in (2, 1):  # the second never sounds; the first is off in the last frame of every clip
        y, x = rng.integers(0, size[0] - 20), rng.integers(0, size[1] - 20)
        objects[y : y + 16, x : x + 16] = index
    sounding = (objects == 1) & (frame < FRAMES - 1)
    paths = {name: folder / f"{frame}_{name}.png" for name in ("image", "mask", "objects")}
    Image.fromarray(rng.integers(0, 255, (*size, 3)).astype(np.uint8)).save(paths["image"])
    Image.fromarray((sounding * 255).astype(np.uint8)).convert("RGB").save(paths["mask"])
    Image.fromarray(objects).save(paths["objects"])
    return {
        "dataset": dataset,
        "clip": clip,
        "video": clip,
        "class_name": class_name,
        "kind": "new level" if class_name == "hen" else "seen",
        "split": split,
        "frame": frame,
        "second": frame,
        "n_sources": 1 + class_name.count("_"),
        "silent": None,
        **{name: str(path) for name, path in paths.items()},
        "audio": str(folder / "audio.wav"),
        "boxes": None,
        "width": size[1],
        "height": size[0],
        "image_digest": digest_file(paths["image"]),
        "audio_digest": digest_bytes(clip.encode()),
        "mask_digest": digest_file(paths["mask"]),
    }


def _write_sounds(frames: pd.DataFrame, layout: Layout) -> None:
    """Random embeddings straight into the cache: what a sound encoder would have made of them."""
    sounds = frames.drop_duplicates(["audio_digest", "second"])
    rows = [
        extract.sound_row(digest, second) for digest, second in zip(sounds.audio_digest, sounds.second, strict=True)
    ]
    rows += background.ROWS
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(len(rows), 128))).float()
    store.write(layout.audio_features, {"dtype": "float32"}, rows, {extract.SOUND: values})
