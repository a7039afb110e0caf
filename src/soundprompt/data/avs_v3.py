"""AVS-V3: seen, unseen and few-shot splits over the clips of v2 and v1m.

The released few-shot files carry no class, no start second and a wrong split value, and cut the
`vid` of v1m rows short; so of every file only `uid` and the file's own name are used, and the rest is
looked up in AVSBench's metadata by uid.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

import pandas as pd

from soundprompt.data import avsbench, given
from soundprompt.data.avsbench import ABSENT, COLUMNS
from soundprompt.data.clip import Expected
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import TablesView
from soundprompt.registry import Dataset

BASES = ("v1m", "v2")
"""Subsets that AVS-V3 draws from."""


def read_splits(root: Path | str, metadata: pd.DataFrame, shots: Iterable[int] = (1, 3, 5)) -> pd.DataFrame:
    """Every membership: columns split, uid, label, a_obj, video; a clip stands in several splits.

    Splits: seen_train, seen_val, unseen, unseen_val (where the file exists), {k}_shot_train, {k}_shot_test.
    metadata: `avsbench.read_metadata` of the dataset underneath.
    Raises InputError when a file names a clip that the metadata lacks, or splits overlap that must not.
    """
    root = Path(root)
    known = metadata[metadata["label"].isin(BASES)].set_index("uid")
    parts = []
    for split, path in split_files(root, shots).items():
        uids = given.read_table(path, COLUMNS, remedy=ABSENT)["uid"]
        strange = uids[~uids.isin(known.index)]
        if len(strange):
            names = f"names {strange.iloc[0]} ({len(strange)} such rows)"
            what = f"row {strange.index[0]} {names}, which metadata.csv has in neither v1m nor v2"
            raise InputError(what, path=path, remedy="use the split files and the metadata of the same release")
        twice = uids[uids.duplicated()]
        if len(twice):
            what = f"row {twice.index[0]} names {twice.iloc[0]} twice"
            raise InputError(what, path=path, remedy="remove the second row")
        found = known.loc[uids, ["label", "a_obj", "video"]].reset_index()
        parts.append(found.assign(split=split)[["split", "uid", "label", "a_obj", "video"]])
    splits = pd.concat(parts, ignore_index=True)
    _check_apart(splits, root)
    return splits


def split_files(root: Path | str, shots: Iterable[int]) -> dict[str, Path]:
    """{split: its csv file}; unseen_val only where there is one (the released splits have none)."""
    root = Path(root)
    files = {split: root / f"meta_v3_{split}.csv" for split in ("seen_train", "seen_val", "unseen")}
    unseen_val = root / "meta_v3_unseen_val.csv"
    if unseen_val.exists():
        files["unseen_val"] = unseen_val
    for k in shots:
        for part in ("train", "test"):
            files[f"{k}_shot_{part}"] = root / f"v3_{k}_shot" / f"{part}.csv"
    return files


def _check_apart(splits: pd.DataFrame, root: Path) -> None:
    """No clip in two splits that must be disjoint."""
    of = {split: set(rows["uid"]) for split, rows in splits.groupby("split")}
    groups = [("seen_train", "seen_val", "unseen", "unseen_val")]
    groups += [(split, split.replace("_train", "_test")) for split in of if split.endswith("_shot_train")]
    for group in groups:
        for one, two in combinations([split for split in group if split in of], 2):
            both = sorted(of[one] & of[two])
            if both:
                what = f"clip {both[0]} is in both {one} and {two} ({len(both)} clips)"
                raise InputError(what, path=root, remedy="restore the split files of the release")


def expected(view: TablesView, layout: Layout) -> list[Expected]:
    """The clips of v1m and v2 that AVS-V3 names, each in several splits."""
    metadata = avsbench.read_metadata(layout.avsbench)
    splits = read_splits(layout.avs_v3, metadata, view.data.shots)
    memberships = splits.groupby("uid")["split"].agg(tuple).to_dict()
    rows = metadata[metadata["label"].isin(BASES) & metadata["uid"].isin(splits["uid"])]
    return avsbench.expected_of(rows, memberships, view, layout)


REGISTERED = Dataset(
    name="v3",
    code=expected,
    title="V3",
    splits=("seen_train", "seen_val", "unseen_val", "unseen", "{shots}_shot_train", "{shots}_shot_test"),
    downloads=("avsbench", "avs_v3"),
    generated="too",
)
