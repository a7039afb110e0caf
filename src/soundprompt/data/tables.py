"""From a dataset on disk to its frame table: the same readers for generated and for real data."""

from __future__ import annotations

import importlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd

from soundprompt import registry
from soundprompt.data import comparisons, frame_table, ledger, masks
from soundprompt.data.clip import ClipMissing, Expected, Inspected, inspect
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import TablesView
from soundprompt.progress import track

THREADS = 4  # reading and hashing leave Python's lock; more than the cores would serve a slow disk only

_log = logging.getLogger(__name__)


def make_table(view: TablesView, layout: Layout) -> None:
    """Writes layout.table(view.dataset) and, beside it, the dataset's ledger and its masks, packed.

    Generated data must be whole: a missing or unusable clip is an InputError. Of real data the
    clips that are there are used, and the ledger names every other one with the reason. Where the view names
    settings whose leaks are left out, clips leave the splits that share their source video.
    """
    dataset = view.dataset
    known = registry.datasets()
    if dataset not in known:
        raise InputError(f"'{dataset}' is not a dataset", remedy=f"choose among: {', '.join(known)}")
    record = ledger.Ledger(dataset)
    expected = _without_leaks(_expected(dataset, view, layout), view, layout)
    generated = view.data.source == "generated" and known[dataset].generated != "no"
    rows, packed, error = _inspect_all(dataset, expected, record, strict=generated)
    if not rows:
        first = f"{error.path}: {error.what}" if error else "the metadata names none"
        remedy = error.remedy if error else f"put the dataset's folders beside its metadata, in {layout.data}"
        raise InputError(f"none of {len(expected)} {dataset} clips is usable; the first: {first}", remedy=remedy)
    record.write(ledger.path(layout, dataset))
    masks.write(packed, layout.masks(dataset))
    frame_table.write(pd.DataFrame(rows), layout.table(dataset))
    unusable = sum(entry[3] != "found" for entry in record.entries)
    if unusable:
        total, path = len(record.entries), ledger.path(layout, dataset)
        _log.warning("%s: %d of %d clips are not usable; %s says why", dataset, unusable, total, path)


def _expected(name: str, view: TablesView, layout: Layout) -> list[Expected]:
    """All clips of a dataset; its own view or that of another one serves."""
    dataset = registry.datasets()[name]
    reader = getattr(importlib.import_module(dataset.module), dataset.code)
    return reader(view.model_copy(update={"dataset": name}), layout)


def _without_leaks(expected: list[Expected], view: TablesView, layout: Layout) -> list[Expected]:
    """The clips without the memberships that `comparisons.given_up` names for the settings in `view.apart`."""
    clips = {view.dataset: expected}
    videos: dict[str, set[str]] = {}  # of a split, what it may not share
    for split, staying in comparisons.given_up(view.apart, view.dataset):
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


def _inspect_all(
    dataset: str, expected: list[Expected], record: ledger.Ledger, *, strict: bool
) -> tuple[list[dict], dict[str, masks.Packed], InputError | None]:
    """Frame rows of all clips in their order, once for each split, their masks, and the first error.

    strict: raises that error.
    """

    def look(item: Expected) -> Inspected | InputError:
        try:
            return inspect(dataset, item.find(), repeat_last_sound=not strict)
        except InputError as error:
            return error

    rows: list[dict] = []
    packed: dict[str, masks.Packed] = {}
    first = None
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
                    packed |= result.masks
                    rows += [row | {"split": split} for row in result.rows]
    return rows, packed, first
