"""Masks of single objects from COCO's published annotation files (instances_*.json): polygons and run lengths."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from soundprompt.errors import InputError


@dataclass(frozen=True)
class Annotation:
    """One object: category, its outline as COCO has it, and the size (height, width) of its image."""

    category: str
    outline: Any
    size: tuple[int, int]

    def mask(self) -> np.ndarray:
        """(H, W) bool."""
        height, width = self.size
        if isinstance(self.outline, list):
            picture = Image.new("1", (width, height))
            for polygon in self.outline:
                ImageDraw.Draw(picture).polygon([float(edge) for edge in polygon], fill=1)
            return np.asarray(picture)
        runs = self.outline["counts"]
        runs = runs if isinstance(runs, list) else _decompressed(runs)
        return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(width, height).T


def read_annotations(root: Path, wanted: set[int]) -> dict[int, Annotation]:
    """{annotation id: object} from `annotations/instances_*.json` under a COCO folder. Raises InputError for what
    lacks.
    """
    folder = root / "annotations"
    files = sorted(folder.glob("instances_*.json"))
    if not files:
        remedy = "give the COCO folder, with its annotations/instances_train2017.json and instances_val2017.json"
        raise InputError("holds no instances_*.json", path=folder, remedy=remedy)
    found: dict[int, Annotation] = {}
    for path in files:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            sizes = {image["id"]: (image["height"], image["width"]) for image in content["images"]}
            names = {category["id"]: category["name"] for category in content["categories"]}
            for one in content["annotations"]:
                if one["id"] in wanted:
                    found[one["id"]] = Annotation(
                        names[one["category_id"]], one["segmentation"], sizes[one["image_id"]]
                    )
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"not COCO's instances ({error})", path=path, remedy="restore the file") from error
    lacking = sorted(wanted - set(found))
    if lacking:
        what = f"annotation {lacking[0]} is in none of {', '.join(path.name for path in files)} ({len(lacking)} such)"
        raise InputError(what, path=folder, remedy="bring the annotations of COCO 2017, training and validation")
    return found


def _decompressed(text: str) -> list[int]:
    """Run lengths of COCO's compressed form: 5 bits a character, and differences to the run before the last."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(text[at]) - 48
            value |= (bits & 31) << shift
            more, at, shift = bool(bits & 32), at + 1, shift + 5
            if not more and bits & 16:
                value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
    return runs


def run_lengths(mask: np.ndarray) -> str:
    """A mask (H, W) bool in COCO's compressed form, what `Annotation.mask` reads."""
    flat = np.concatenate([[False], mask.T.reshape(-1), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    if len(runs) > 1 and runs[-1] == 0:
        runs.pop()  # the mask reaches its last pixel
    text = []
    for place, run in enumerate(runs):
        value, more = run - (runs[place - 2] if place > 2 else 0), True
        while more:
            bits, value = value & 31, value >> 5
            more = value != (-1 if bits & 16 else 0)
            text.append(chr(48 + (bits | 32 if more else bits)))
    return "".join(text)
