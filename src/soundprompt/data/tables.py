"""From a dataset on disk to its frame table: the same readers for generated and for real data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import pandas as pd

from soundprompt.data import avs_v3, avsbench, avsbench_object, comparisons, frame_table, ledger, protocols, vggss
from soundprompt.data.clip import Clip, ClipMissing, Inspected, inspect
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import TablesView
from soundprompt.progress import track

DATASETS = ("v1s", "v1m", "v2", "v3", "vggss", "scenes")
THREADS = 4  # reading and hashing leave Python's lock; more than the cores would serve a slow disk only

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Expected:
    """A clip that the metadata names, the video it was cut from, the splits it belongs to, and how to find it."""

    uid: str
    video: str
    splits: tuple[str, ...]
    find: Callable[[], Clip]


def make_table(view: TablesView, layout: Layout) -> None:
    """Writes layout.table(view.dataset) and, beside it, the dataset's ledger.

    Generated data must be whole: a missing or unusable clip is an InputError. Of real data the
    clips that are there are used, and the ledger names every other one with the reason. Where the view names
    settings whose leaks are left out, clips leave the splits that share their source video.
    """
    dataset = view.dataset
    if dataset not in DATASETS:
        raise InputError(f"'{dataset}' is not a dataset", remedy=f"choose among: {', '.join(DATASETS)}")
    record = ledger.Ledger(dataset)
    expected = _without_leaks(_expected(dataset, view, layout), view, layout)
    rows, error = _inspect_all(dataset, expected, record, strict=view.data.source == "generated")
    if not rows:
        first = f"{error.path}: {error.what}" if error else "the metadata names none"
        remedy = error.remedy if error else f"put the dataset's folders beside its metadata, in {layout.data}"
        raise InputError(f"none of {len(expected)} {dataset} clips is usable; the first: {first}", remedy=remedy)
    record.write(ledger.path(layout, dataset))
    frame_table.write(pd.DataFrame(rows), layout.table(dataset))
    unusable = sum(entry[3] != "found" for entry in record.entries)
    if unusable:
        total, path = len(record.entries), ledger.path(layout, dataset)
        _log.warning("%s: %d of %d clips are not usable; %s says why", dataset, unusable, total, path)


def _expected(dataset: str, view: TablesView, layout: Layout) -> list[Expected]:
    """All clips of a dataset; its own view or that of another one serves."""
    return _EXPECTED.get(dataset, _subset)(view.model_copy(update={"dataset": dataset}), layout)


def _without_leaks(expected: list[Expected], view: TablesView, layout: Layout) -> list[Expected]:
    """The clips without the memberships that `comparisons.spared` gives up for the settings in `view.apart`."""
    clips = {view.dataset: expected}
    videos: dict[str, set[str]] = {}  # of a split, what it may not share
    for split, staying in comparisons.spared(view.apart, view.dataset):
        dataset, _, other = staying.partition("/")
        if dataset not in clips:
            clips[dataset] = _expected(dataset, view, layout)
        videos.setdefault(split, set()).update(clip.video for clip in clips[dataset] if other in clip.splits)
    kept = [
        replace(clip, splits=tuple(split for split in clip.splits if clip.video not in videos.get(split, ())))
        for clip in expected
    ]
    left = sum(len(clip.splits) for clip in expected) - sum(len(clip.splits) for clip in kept)
    if left:
        _log.warning("%s: %d clips left out of splits that share their source video with others", view.dataset, left)
    return [clip for clip in kept if clip.splits]


def _subset(view: TablesView, layout: Layout) -> list[Expected]:
    """v1s, v1m, v2 or scenes: each clip in one split."""
    root, supervision = layout.avsbench, view.data.v1s_supervision
    if avsbench_object.is_there(root, view.dataset) and not (root / "metadata.csv").exists():
        find = partial(avsbench_object.find_clip, root, view.dataset, v1s_supervision=supervision)
        rows = avsbench_object.read_metadata(root, view.dataset)
        return [Expected(row.uid, row.video, (row.split,), partial(find, row)) for row in rows.itertuples()]
    metadata = avsbench.read_metadata(layout.avsbench)
    rows = metadata[metadata["label"] == view.dataset]
    return _in_avsbench(rows, {row.uid: _splits_of(row, view) for row in rows.itertuples()}, view, layout)


def _splits_of(row, view: TablesView) -> tuple[str, ...]:
    """A clip's own split, and those by base and novel classes that some setting draws from."""
    by_class = protocols.open_vocabulary(row.split, avsbench.sources(row.a_obj))
    return (row.split, *(split for split in by_class if f"{view.dataset}/{split}" in view.protocols))


def _v3(view: TablesView, layout: Layout) -> list[Expected]:
    """The clips of v1m and v2 that AVS-V3 names, each in several splits."""
    metadata = avsbench.read_metadata(layout.avsbench)
    splits = avs_v3.read_splits(layout.avs_v3, metadata, view.data.shots)
    memberships = splits.groupby("uid")["split"].agg(tuple).to_dict()
    rows = metadata[metadata["label"].isin(avs_v3.BASES) & metadata["uid"].isin(splits["uid"])]
    return _in_avsbench(rows, memberships, view, layout)


def _in_avsbench(
    rows: pd.DataFrame, memberships: dict[str, tuple[str, ...]], view: TablesView, layout: Layout
) -> list[Expected]:
    root, supervision = layout.avsbench, view.data.v1s_supervision
    kinds, silent = avsbench.read_kinds(root), avsbench.read_silent(root)
    find = partial(avsbench.find_clip, root, kinds=kinds, v1s_supervision=supervision, silent=silent)
    return [Expected(row.uid, row.video, memberships[row.uid], partial(find, row)) for row in rows.itertuples()]


def _vggss(view: TablesView, layout: Layout) -> list[Expected]:
    items = vggss.read_annotations(layout.vggss)
    splits = _vggss_splits(view, layout, {item.file for item in items})
    kinds, silent = avsbench.read_kinds(layout.avsbench), avsbench.read_silent(layout.avsbench)
    outcomes = vggss.read_outcomes(layout.vggss)
    find = partial(vggss.find_clip, layout.vggss, kinds=kinds, outcomes=outcomes, silent=silent)
    return [
        Expected(
            item.file,
            item.video,
            tuple(split for split, files in splits.items() if item.file in files),
            partial(find, item),
        )
        for item in items
    ]


def _vggss_splits(view: TablesView, layout: Layout, files: set[str]) -> dict[str, set[str]]:
    """{split: its clips}: the test, and those by published lists that some setting draws from."""
    splits = {vggss.SPLIT: files}
    for split in (name.partition("/")[2] for name in view.protocols if name.startswith("vggss/")):
        splits[split] = set(protocols.listed(split, layout.downloads))
        strange = sorted(splits[split] - files)
        if strange:
            what = f"lacks {strange[0]} ({len(strange)} such clips), which the published list of '{split}' names"
            raise InputError(what, path=layout.vggss / "vggss.json", remedy="use the annotations of the release")
    return splits


_EXPECTED = {"v3": _v3, "vggss": _vggss}


def _inspect_all(
    dataset: str, expected: list[Expected], record: ledger.Ledger, *, strict: bool
) -> tuple[list[dict], InputError | None]:
    """Frame rows of all clips in their order, once for each split, and the first error; `strict` raises that."""

    def look(item: Expected) -> Inspected | InputError:
        try:
            return inspect(dataset, item.find(), repeat_last_sound=not strict)
        except InputError as error:
            return error

    rows, first = [], None
    with ThreadPoolExecutor(THREADS) as pool:
        results = track(pool.map(look, expected), f"table {dataset}", len(expected))
        for item, result in zip(expected, results, strict=True):
            if isinstance(result, InputError) and strict:
                pool.shutdown(wait=False, cancel_futures=True)
                raise result
            first = first or (result if isinstance(result, InputError) else None)
            for split in item.splits:
                if isinstance(result, InputError):
                    status = "missing" if isinstance(result, ClipMissing) else "unusable"
                    record.add(split, item.uid, status, f"{result.path}: {result.what}")
                else:
                    record.add(split, item.uid, "found", result.remark)
                    rows += [row | {"split": split} for row in result.rows]
    return rows, first
