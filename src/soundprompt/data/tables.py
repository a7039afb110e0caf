"""From a dataset on disk to its frame table: the same readers for generated and for real data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd

from soundprompt.data import avs_v3, avsbench, frame_table, ledger, vggss
from soundprompt.data.clip import Clip, ClipMissing, Inspected, inspect
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import Data
from soundprompt.progress import track

DATASETS = ("v1s", "v1m", "v2", "v3", "vggss")
THREADS = 8  # reading and hashing leave Python's lock; more than the cores, because disks wait

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expected:
    """A clip that the metadata names, and how to find it."""

    split: str
    uid: str
    find: Callable[[], Clip]


def needs(dataset: str) -> tuple[str, ...]:
    """Frame tables that the table of `dataset` is copied from: v3 needs v1m and v2, the others none."""
    return avs_v3.BASES if dataset == "v3" else ()


def make_table(dataset: str, data: Data, layout: Layout) -> None:
    """Writes layout.table(dataset) and, beside it, the dataset's ledger.

    Generated data must be whole: a missing or unusable clip is an InputError. Of real data the clips
    that are there are used, and the ledger names every other one with the reason. v3 is copied from the tables
    of v1m and v2, which must exist.
    """
    if dataset not in DATASETS:
        raise InputError(f"'{dataset}' is not a dataset", remedy=f"choose among: {', '.join(DATASETS)}")
    record = ledger.Ledger(dataset)
    if dataset == "v3":
        frames = _copy_v3(data, layout, record)
    else:
        frames = _inspect_all(dataset, _expected(dataset, data, layout), data, record)
    counts = record.frame()["status"].value_counts()
    if frames.empty:
        first = next((entry[-1] for entry in record.entries), "the metadata names no clips")
        remedy = "put the dataset where the layout expects it (docs/data.md)"
        raise InputError(f"none of {len(record.entries)} {dataset} clips is usable; the first: {first}", remedy=remedy)
    if counts.get("found", 0) < len(record.entries):
        there, path = counts.get("found", 0), ledger.path(layout, dataset)
        _log.warning("%s: %d of %d clips are usable; %s names the others", dataset, there, len(record.entries), path)
    record.write(ledger.path(layout, dataset))
    frame_table.write(frames, layout.table(dataset))


def _expected(dataset: str, data: Data, layout: Layout) -> list[Expected]:
    kinds = avsbench.read_kinds(layout.avsbench)
    if dataset == "vggss":
        kinds |= avsbench.read_kinds(layout.vggss)
        return [
            Expected(vggss.SPLIT, item.file, partial(vggss.find_clip, layout.vggss, item, kinds))
            for item in vggss.read_annotations(layout.vggss)
        ]
    rows = avsbench.read_metadata(layout.avsbench)
    return [
        Expected(row.split, row.uid, partial(avsbench.find_clip, layout.avsbench, row, kinds, data.v1s_supervision))
        for row in rows[rows["label"] == dataset].itertuples()
    ]


def _inspect_all(dataset: str, expected: list[Expected], data: Data, record: ledger.Ledger) -> pd.DataFrame:
    strict = data.source == "generated"

    def look(item: Expected) -> Inspected | InputError:
        try:
            return inspect(dataset, item.find(), repeat_last_sound=not strict)
        except InputError as error:
            return error

    rows = []
    with ThreadPoolExecutor(THREADS) as pool:
        results = track(pool.map(look, expected), f"table {dataset}", len(expected))
        for item, result in zip(expected, results, strict=True):
            if isinstance(result, Inspected):
                rows += result.rows
                record.add(item.split, item.uid, "found", result.remark)
            elif strict:
                pool.shutdown(wait=False, cancel_futures=True)
                raise result
            else:
                record.add(item.split, item.uid, _status(result), f"{result.path}: {result.what}")
    return pd.DataFrame(rows)


def _status(error: InputError) -> Literal["missing", "unusable"]:
    return "missing" if isinstance(error, ClipMissing) else "unusable"


def _copy_v3(data: Data, layout: Layout, record: ledger.Ledger) -> pd.DataFrame:
    splits = avs_v3.read_splits(layout.avs_v3, avsbench.read_metadata(layout.avsbench), data.shots)
    if data.drop_leaks:
        splits = avs_v3.drop_leaks(splits)
    base = pd.concat([frame_table.read(layout.table(name)) for name in avs_v3.BASES], ignore_index=True)
    reasons = _reasons(layout, avs_v3.BASES)
    for row in splits[~splits["uid"].isin(base["clip"])].itertuples():
        status, reason = reasons.get((row.label, row.uid), ("missing", "not in the frame table of its subset"))
        if data.source == "generated":
            what = f"{row.split} names {row.uid}, which the {row.label} table lacks ({reason})"
            raise InputError(what, path=layout.avs_v3, remedy="generate the world again")
        record.add(row.split, row.uid, status, reason)
    there = splits[splits["uid"].isin(base["clip"])]
    for row in there.itertuples():
        record.add(row.split, row.uid, "found")
    members = there[["split", "uid", "label"]].rename(columns={"uid": "clip", "label": "dataset"})
    frames = members.merge(base.drop(columns="split"), on=["dataset", "clip"], how="inner")
    return frames.assign(dataset="v3")


def _reasons(layout: Layout, datasets: Iterable[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """{(dataset, clip): (status, reason)} of the clips that are not usable."""
    paths: list[Path] = [ledger.path(layout, name) for name in datasets]
    clips = ledger.read(path for path in paths if path.exists())
    lost = clips[clips["status"] != "found"]
    return {(row.dataset, row.clip): (row.status, row.reason) for row in lost.itertuples()}
