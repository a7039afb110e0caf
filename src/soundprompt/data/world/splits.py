"""AVS-V3 of the generated world: who is seen, who is not, and the few shots, as csv in the published format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from soundprompt.data.world.classes import Class, spread

COLUMNS = ["vid", "uid", "s_min", "s_sec", "a_obj", "split", "label"]
FEW_SHOT_SPLIT = "v3_1_shot_train"  # in all published few-shot files, whatever k, and in their tests too
_SHUFFLE = 90  # keeps these draws apart from those of the clips


def write_splits(
    metadata: pd.DataFrame, classes: Sequence[Class], shots: Sequence[int], seed: int, folder: Path
) -> None:
    """Writes meta_v3_*.csv and v3_{k}_shot/{train,test}.csv into `folder`.

    metadata: rows of v2 and v1m (columns COLUMNS), all of AVSBench's splits. Validation is a tenth
    of seen. meta_v3_unseen_val.csv has no model in AVS-V3: other unseen classes, for selection.
    """
    roles: dict[str, str] = {cls.name: cls.role for cls in classes}
    sides = {role: _rows_of(metadata, roles, role) for role in ("seen", "unseen_val", "unseen")}
    seen = sides["seen"]
    held = set(_tenth(seen, seed))
    tables = {
        "meta_v3_seen": seen.assign(split="seen"),
        "meta_v3_seen_train": seen[~seen["uid"].isin(held)].assign(split="seen_train"),
        "meta_v3_seen_val": seen[seen["uid"].isin(held)].assign(split="seen_val"),
        "meta_v3_unseen": sides["unseen"].assign(split="unseen"),
        "meta_v3_unseen_val": sides["unseen_val"].assign(split="unseen_val"),
    }
    for name, table in tables.items():
        _write(table, folder / f"{name}.csv")
    for shot in sorted(set(shots)):
        train = set(_few(sides["unseen"], shot, seed))
        for name, rows in (("train", True), ("test", False)):
            table = sides["unseen"][sides["unseen"]["uid"].isin(train) == rows]
            _write(few_shot_rows(table), folder / f"v3_{shot}_shot" / f"{name}.csv")


def few_shot_rows(table: pd.DataFrame) -> pd.DataFrame:
    """Rows as the published few-shot files have them, faults included.

    No class and no start time; vid is uid without what follows its last two underscores.
    """
    return table.assign(
        vid=[uid.rsplit("_", 2)[0] for uid in table["uid"]],
        s_min="",
        s_sec="",
        a_obj="",
        split=FEW_SHOT_SPLIT,
    ).sort_values("uid")


def _rows_of(metadata: pd.DataFrame, roles: dict[str, str], role: str) -> pd.DataFrame:
    """v2 and v1m clips all of whose sources have the role."""
    keep = [
        label in ("v2", "v1m") and {roles[name] for name in a_obj.split("_")} == {role}
        for label, a_obj in zip(metadata["label"], metadata["a_obj"], strict=True)
    ]
    return metadata[keep]


def _tenth(seen: pd.DataFrame, seed: int) -> list[str]:
    """uids of a tenth of the clips, spread over labels and classes."""
    draw = np.random.default_rng([seed, _SHUFFLE, 0])
    shuffled = seen.iloc[draw.permutation(len(seen))].sort_values(["label", "a_obj"], kind="stable")
    return spread(list(shuffled["uid"]), max(1, round(len(seen) / 10)))


def _few(unseen: pd.DataFrame, shot: int, seed: int) -> list[str]:
    """uids of `shot` v2 clips of each unseen class; those of fewer shots are among them."""
    chosen = []
    for number, (_, clips) in enumerate(unseen[unseen["label"] == "v2"].groupby("a_obj", sort=True)):
        order = np.random.default_rng([seed, _SHUFFLE, 1, number]).permutation(len(clips))
        chosen += list(clips["uid"].iloc[order[:shot]])
    return chosen


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table[COLUMNS].to_csv(path, index=False, lineterminator="\n")
