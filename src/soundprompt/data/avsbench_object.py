"""AVSBench-object layout: S4 (one source, our v1s) and MS3 (several sources, our v1m) at 224x224.

`Single-source/s4_meta_data.csv` has name, start second, category and split by position,
`Multi-sources/ms3_meta_data.csv` has name and split. Beside them `s4_data` and `ms3_data` hold
`visual_frames`, `gt_masks` and `audio_wav`. Frames and masks are numbered from 1 in their names; S4
labels only the first frame of training clips. The pickled log-mels of the release are not read:
unpickling runs whatever code a file carries, and the sound says the same.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import pandas as pd

from soundprompt.data import given
from soundprompt.data.clip import Clip, ClipMissing
from soundprompt.data.numbered import MASKS, PICTURES, first_of, number_of, numbered
from soundprompt.errors import InputError

TABLES = {"v1s": Path("Single-source") / "s4_meta_data.csv", "v1m": Path("Multi-sources") / "ms3_meta_data.csv"}
DATA = {"v1s": "s4_data", "v1m": "ms3_data"}  # the folders beside them
FRAMES = 5
UNKNOWN_SOURCES = -1
"""n_sources of MS3 clips: the metadata names no classes."""

_NUMBERED = re.compile(r"([\w-]{11})_\d+(_\d+)?")


def is_there(root: Path | str, dataset: str) -> bool:
    """Whether `root` holds `dataset` in this layout, and not in AVSBench-semantic's."""
    root = Path(root)
    return dataset in TABLES and (root / TABLES[dataset]).is_file() and not (root / "metadata.csv").exists()


def read_metadata(root: Path | str, dataset: str) -> pd.DataFrame:
    """Columns uid, video, a_obj and split, as text. Underscores in S4's categories become hyphens.

    (An underscore joins several classes in AVSBench-semantic.) a_obj is '' in MS3.
    """
    path = Path(root) / TABLES[dataset]
    rows = given.read_table(path)
    lacking = "split" not in rows.columns or len(rows.columns) < (4 if dataset == "v1s" else 2)
    if lacking:
        expected = "name, start second, category, split" if dataset == "v1s" else "name, split"
        raise InputError(f"row 1 has the columns {','.join(rows.columns)}", path=path, remedy=f"expected: {expected}")
    names = rows.iloc[:, 0]
    twice = names[names.duplicated()]
    if len(twice):
        what = f"row {twice.index[0]}: clip {twice.iloc[0]} occurs twice"
        raise InputError(what, path=path, remedy="restore the file")
    for column in {names.name, rows.columns[2] if dataset == "v1s" else names.name, "split"}:
        for number, name in rows[column].items():
            given.check_name(name, path, f"row {number}, {column}")
    rows = rows.reset_index(drop=True)
    names = rows.iloc[:, 0]
    category = rows.iloc[:, 2] if dataset == "v1s" else pd.Series("", index=rows.index)
    matches = [_NUMBERED.fullmatch(name) for name in names]
    videos = [match.group(1) if match else name for match, name in zip(matches, names, strict=True)]
    return pd.DataFrame(
        {
            "uid": names,
            "video": videos,
            "category": category,  # as the folders are called
            "a_obj": category.str.replace("_", "-"),
            "split": rows["split"],
        }
    )


def frames_folder(root: Path | str, dataset: str, row) -> Path:
    """Where the frames of the clip lie that `row` (a named tuple of `read_metadata`) names."""
    frames = Path(root) / TABLES[dataset].parent / DATA[dataset] / "visual_frames"
    return frames / row.split / row.category / row.uid if dataset == "v1s" else frames / row.uid


def find_clip(root: Path | str, dataset: str, row, v1s_supervision: Literal["first", "repeat"] = "first") -> Clip:
    """The files of the clip that `row` (a named tuple of `read_metadata`) names.

    Raises ClipMissing when there are no frames, InputError when another file is missing.
    """
    data, frames = Path(root) / TABLES[dataset].parent / DATA[dataset], frames_folder(root, dataset, row)
    place = Path(row.split) / row.category
    stem = row.uid if dataset == "v1s" else f"{row.uid}.mp4"  # ".mp4" is part of the names
    if not frames.is_dir():
        what = f"{TABLES[dataset].name} names the clip {row.uid}, which is not there"
        raise ClipMissing(what, path=frames, remedy="restore the clip, or remove its row")
    labels = data / "gt_masks" / place / row.uid
    images = numbered(frames, FRAMES, PICTURES, f"{stem}_")
    if dataset == "v1s" and row.split == "train":
        first = first_of(labels, FRAMES, MASKS, number_of(images[0]), f"{row.uid}_")
        masks = [first] * FRAMES if v1s_supervision == "repeat" else [first] + [None] * (FRAMES - 1)
    else:
        masks = numbered(labels, FRAMES, MASKS, f"{row.uid}_")
    audio = data / "audio_wav" / place / f"{row.uid}.wav"
    if not audio.is_file():
        raise InputError("missing", path=audio, remedy="restore the clip from AVSBench's archive")
    return Clip(
        uid=row.uid,
        video=row.video,
        class_name=row.a_obj,
        kind="",
        split=row.split,
        n_sources=1 if dataset == "v1s" else UNKNOWN_SOURCES,
        images=tuple(images),
        audio=audio,
        masks=tuple(masks),
        objects=(None,) * FRAMES,
    )
