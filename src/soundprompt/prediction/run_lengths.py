"""Masks of a prediction as COCO's run lengths, one json file for a video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from soundprompt.judge.coco import run_lengths


class RunLengths:
    """Collects a video's masks. An image of it is a moment, and has an annotation where something sounds."""

    def __init__(self, video: Path, software: str):
        self.content: dict[str, Any] = {
            "info": {"description": software, "video": video.name},
            "categories": [{"id": 1, "name": "sounding"}],
            "images": [],
            "annotations": [],
        }

    def add(self, number: int, begin: float, mask: np.ndarray, score: float | None) -> None:
        """mask: (H, W) bool of the moment from `begin` on, seconds; score: its mean probability."""
        height, width = mask.shape
        name = f"{number:05d}.png"
        self.content["images"].append(
            {"id": number, "file_name": name, "height": height, "width": width, "start_s": round(begin, 3)}
        )
        if not mask.any():
            return
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        left, top = int(columns[0]), int(rows[0])
        self.content["annotations"].append(
            {
                "id": len(self.content["annotations"]) + 1,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 1,
                "area": int(mask.sum()),
                "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
                "score": round(score, 6),
                "segmentation": {"size": [height, width], "counts": run_lengths(mask)},
            }
        )

    def write(self, path: Path) -> None:
        """Writes the json file."""
        path.write_text(json.dumps(self.content) + "\n", encoding="utf-8")
