"""Datasets and masks on disk, small, in the published layouts; and the answers of the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

HEADER = "vid,uid,s_min,s_sec,a_obj,split,label"


def palette_colour(index: int) -> tuple[int, int, int]:
    """AVSBench's colour of a class: its bits are dealt to red, green and blue, from the top bit down."""
    bits = [[index >> 3 * step + channel & 1 for step in range(3)] for channel in range(3)]
    return tuple(sum(bit << 7 - step for step, bit in enumerate(of)) for of in bits)


PALETTE = np.array([palette_colour(index) for index in range(71)], np.uint8)


def write_avsbench(root: Path, label: str, clips: dict[str, np.ndarray], classes: Sequence[str] = ("dog",)) -> Path:
    """A test split of AVSBench-semantic. clips: {uid: label maps (T, H, W)}; the classes take turns."""
    rows = [HEADER]
    for number, (uid, maps) in enumerate(clips.items()):
        folder = root / label / uid
        for name in ("frames", "labels_rgb"):
            (folder / name).mkdir(parents=True)
        (folder / "audio.wav").write_bytes(b"RIFF")
        for i, labels in enumerate(maps):
            Image.new("RGB", labels.shape[::-1]).save(folder / "frames" / f"{i}.jpg")
            Image.fromarray(PALETTE[labels]).save(folder / "labels_rgb" / f"{i}.png")
        video = uid.rpartition("_")[0] if label == "v1m" else uid.rsplit("_", 2)[0]
        rows.append(f"{video},{uid},0,0,{classes[number % len(classes)]},test,{label}")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    return root


def write_vggss(root: Path, samples: dict[str, Sequence[Sequence[int]]]) -> Path:
    """VGG-SS's annotations. samples: {file: boxes in pixels of 224 x 224}."""
    root.mkdir(parents=True)
    entries = [
        {
            "file": file,
            "class": "dog barking",
            "bbox": [[min((edge + 0.5) / 224, 1.0) for edge in box] for box in boxes],
        }
        for file, boxes in samples.items()
    ]
    (root / "vggss.json").write_text(json.dumps(entries))
    (root / "vggss_test.csv").write_text("\n".join(samples) + "\n")
    return root


def write_masks(folder: Path, masks: dict[str, np.ndarray], write: Callable[[Path, np.ndarray], None]) -> Path:
    """masks: {clip: (T, H, W) or (T, ...)}, as <clip>/<frame>; `write` gets a path without suffix."""
    for clip, frames in masks.items():
        (folder / clip).mkdir(parents=True)
        for number, values in enumerate(frames):
            write(folder / clip / str(number), values)
    return folder


def npy(path: Path, values: np.ndarray) -> None:
    np.save(path.with_name(f"{path.name}.npy"), values)


def png(path: Path, values: np.ndarray) -> None:
    Image.fromarray(values).save(path.with_name(f"{path.name}.png"))


class Answer:
    """What a call of `soundprompt judge` printed, and its figures of the whole set by name."""

    def __init__(self, code: int, text: str, errors: str, out: Path):
        self.code, self.text, self.errors, self.out = code, text, errors, out

    @property
    def content(self) -> dict:
        assert self.code == 0, self.errors
        return json.loads((self.out / "judgement.json").read_text())

    def rows(self, method: str | None = None) -> dict[str, dict]:
        rows = [row for row in self.content["figures"] if row["part"] == "all" and method in (None, row["method"])]
        return {row["name"]: row for row in rows}

    def values(self, method: str | None = None) -> dict[str, float]:
        return {name: row["value"] for name, row in self.rows(method).items()}
