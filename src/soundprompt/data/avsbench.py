"""AVSBench-semantic layout: the subsets v1s, v1m and v2, and the generated world, which has the same form.

`{root}/metadata.csv` names the clips; `{root}/{label}/{uid}/` holds `frames/{0..}.jpg`, one a second,
`labels_rgb/{0..}.png` and `audio.wav`. The generated world adds the subset `scenes`,
`objects/{0..}.png` to a clip, and `{root}/kinds.json` and `{root}/silent.json`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from soundprompt.data import avsbench_object, given, protocols
from soundprompt.data.clip import Clip, ClipMissing, Expected
from soundprompt.data.numbered import MASKS, PICTURES, first_of, number_of, numbered
from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.layout import Layout
from soundprompt.params import TablesView
from soundprompt.registry import Dataset

SECONDS = {"v1s": 5, "v1m": 5, "v2": 10, "scenes": 5}
"""The subsets, and how long their clips are."""

SUBSETS = tuple(SECONDS)
SPLITS = ("train", "val", "test", "unseen")
"""Of all subsets but `scenes`, whose splits the settings name. The last is the generated world's, in v1m, for v3."""

COLUMNS = ("vid", "uid", "s_min", "s_sec", "a_obj", "split", "label")
ABSENT = "put the dataset's released files there, or run `soundprompt world` to generate them"
"""What to do where a table of the dataset is missing."""

SILENT = ("background", "off-the-screen")
"""Entries of a_obj that name no visible source: expect empty masks."""

_SPAN = re.compile(r"_([0-9]+)_([0-9]+)$")
_YOUTUBE = re.compile(r"([\w-]{11})_\d+")


def read_metadata(root: Path | str) -> pd.DataFrame:
    """metadata.csv as text columns COLUMNS, and `video`: the id of the source video.

    Mends what is known to be wrong in the released file: "h orse" becomes "horse"; `vid` of a v1m
    row is its uid, from which `video` drops the running number. Rows keep their order.
    """
    path = Path(root) / "metadata.csv"
    rows = given.read_table(path, COLUMNS, remedy=ABSENT)
    for row in rows.itertuples():
        _check_row(row, path)
    twice = rows[rows.duplicated(["label", "uid"])]
    if len(twice):
        what = f"row {twice.index[0]}: clip {twice['uid'].iloc[0]} occurs twice"
        raise InputError(what, path=path, remedy="remove the second row")
    rows = rows.reset_index(drop=True)
    rows["a_obj"] = [clean_classes(text) for text in rows["a_obj"]]
    rows["video"] = [source_video(row.label, row.vid, row.uid) for row in rows.itertuples()]
    return rows


def _check_row(row, path: Path) -> None:
    where = f"row {row.Index}"
    if row.label not in SUBSETS:
        what = f"{where}: label '{row.label}' is not a subset"
        raise InputError(what, path=path, remedy=f"use {', '.join(SUBSETS)}")
    lacking = next((column for column in ("uid", "a_obj", "split") if not getattr(row, column)), None)
    if lacking:
        raise InputError(f"{where} lacks its {lacking}", path=path, remedy="restore the row from the dataset")
    if row.label != "scenes" and row.split not in SPLITS:
        what = f"{where}: split '{row.split}' is not one of {', '.join(SPLITS)}"
        raise InputError(what, path=path, remedy="restore the row from the dataset")
    given.check_name(row.uid, path, where)


def clean_classes(a_obj: str) -> str:
    """a_obj without blanks inside class names: the released metadata has one "h orse"."""
    return "".join(a_obj.split())


def sources(a_obj: str) -> tuple[str, ...]:
    """Visible sounding classes of a_obj: 'dog_baby' -> ('dog', 'baby'), 'off-the-screen' -> ()."""
    return tuple(name for name in a_obj.split("_") if name not in SILENT)


def source_video(label: str, vid: str, uid: str) -> str:
    """Id of the video a clip was cut from.

    v1s and v2 state it; a v1m uid is the YouTube id, alone or with '_' and a running number.
    """
    match = _YOUTUBE.fullmatch(uid) if label == "v1m" else None
    return match.group(1) if match else vid


def span(label: str, uid: str) -> tuple[int, int] | None:
    """From when to when a clip was cut from its video, ms, by its uid; None for v1m, whose uids do not say."""
    match = _SPAN.search(uid) if label != "v1m" else None
    return (int(match[1]), int(match[2])) if match else None


def seconds(label: str, uid: str) -> int:
    """How many frames a clip has, one a second: by its subset, or by start and end (ms) in a uid of v1s or v2."""
    times = span(label, uid) if label in ("v1s", "v2") else None
    length = (times[1] - times[0]) // 1000 if times else 0
    return length if length > 0 else SECONDS[label]


def read_kinds(root: Path | str) -> dict[str, str]:
    """{class string: kind} of the generated world; {} for real data."""
    path = Path(root) / "kinds.json"
    return read_json(path) if path.exists() else {}


def read_silent(root: Path | str) -> dict[str, str]:
    """{uid, or file of VGG-SS: classes that are seen and do not sound} of the generated world; {} for real data."""
    path = Path(root) / "silent.json"
    return read_json(path) if path.exists() else {}


def find_clip(
    root: Path | str,
    row,
    kinds: dict[str, str],
    v1s_supervision: Literal["first", "repeat"] = "first",
    silent: Mapping[str, str] | None = None,
) -> Clip:
    """The files of the clip that `row` (a named tuple of `read_metadata`) names.

    v1s training clips are labelled in frame 0 only; with "repeat" its mask stands for all frames.
    kinds, silent: `read_kinds` and `read_silent`.
    Raises ClipMissing when the clip has no folder, InputError when a file of it is missing.
    """
    folder = Path(root) / row.label / row.uid
    if not folder.is_dir():
        remedy = "restore the clip, or remove its row from metadata.csv"
        raise ClipMissing(
            f"metadata.csv names the {row.label} clip {row.uid}, which is not there", path=folder, remedy=remedy
        )
    count = seconds(row.label, row.uid)
    images = tuple(numbered(folder / "frames", count, PICTURES))
    audio = folder / "audio.wav"
    if not audio.is_file():
        raise InputError("missing", path=audio, remedy="restore the clip's sound")
    labels = folder / "labels_rgb"
    if row.label == "v1s" and row.split == "train":
        first = first_of(labels, count, MASKS, number_of(images[0]))
        masks = (first,) * count if v1s_supervision == "repeat" else (first,) + (None,) * (count - 1)
    else:
        masks = tuple(numbered(labels, count, MASKS))
    objects = folder / "objects"
    return Clip(
        uid=row.uid,
        video=row.video,
        class_name=row.a_obj,
        kind=kinds.get(row.a_obj, ""),
        split=row.split,
        n_sources=len(sources(row.a_obj)),
        images=images,
        audio=audio,
        masks=masks,
        objects=tuple(numbered(objects, count, MASKS)) if objects.is_dir() else (None,) * count,
        silent=(silent or {}).get(row.uid),
    )


def expected(view: TablesView, layout: Layout) -> list[Expected]:
    """The clips of v1s, v1m, v2 or scenes, each in one split."""
    root, supervision = layout.avsbench, view.data.v1s_supervision
    if avsbench_object.is_there(root, view.dataset):
        find = partial(avsbench_object.find_clip, root, view.dataset, v1s_supervision=supervision)
        rows = avsbench_object.read_metadata(root, view.dataset)
        return [Expected(row.uid, row.video, (row.split,), partial(find, row)) for row in rows.itertuples()]
    metadata = read_metadata(root)
    rows = metadata[metadata["label"] == view.dataset]
    return expected_of(rows, {row.uid: _splits_of(row, view) for row in rows.itertuples()}, view, layout)


def _splits_of(row, view: TablesView) -> tuple[str, ...]:
    """A clip's own split, and those by base and novel classes that some setting draws from."""
    by_class = protocols.open_vocabulary(row.split, sources(row.a_obj))
    return (row.split, *(split for split in by_class if f"{view.dataset}/{split}" in view.protocols))


def expected_of(
    rows: pd.DataFrame, memberships: Mapping[str, tuple[str, ...]], view: TablesView, layout: Layout
) -> list[Expected]:
    """Clips of AVSBench by rows of its metadata. memberships: uid -> the splits that it stands in."""
    root = layout.avsbench
    kinds, silent = read_kinds(root), read_silent(root)
    find = partial(find_clip, root, kinds=kinds, v1s_supervision=view.data.v1s_supervision, silent=silent)
    return [Expected(row.uid, row.video, memberships[row.uid], partial(find, row)) for row in rows.itertuples()]


REGISTERED = (
    Dataset(
        name="v1s",
        code=expected,
        title="V1S",
        splits=("train", "val", "test"),
        downloads=("avsbench",),
        generated="too",
        first_mask_only=True,
    ),
    Dataset(
        name="v1m",
        code=expected,
        title="V1M",
        splits=("train", "val", "test"),
        downloads=("avsbench",),
        generated="too",
    ),
    Dataset(
        name="v2",
        code=expected,
        title="V2",
        splits=("train", "val", "test"),
        protocols=("base_train", "base_val", "base", "novel"),
        downloads=("avsbench",),
        generated="too",
    ),
    Dataset(
        name="scenes",
        code=expected,
        title="Scenes",
        splits_of="world.scenes",
        tests_only="is made for tests",
        generated="only",
    ),
)
