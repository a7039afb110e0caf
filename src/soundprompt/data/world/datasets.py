"""The generated world on disk: one part at a time, then the index that joins them.

| part   | writes                                                                        |
|--------|-------------------------------------------------------------------------------|
| v1s    | avsbench/v1s/{uid}/...                                                        |
| v1m    | avsbench/v1m/{uid}/...                                                        |
| v2     | avsbench/v2/{uid}/...                                                         |
| vggss  | vggss/frames, vggss/audio, vggss.json, vggss_test.csv                         |
| scenes | avsbench/scenes/{uid}/..., if the world declares such splits                  |
| index  | avsbench/metadata.csv, label2idx.json, kinds.json, silent.json, avs_v3/*.csv  |

Each part also writes its rows as world-{part}.csv, last: that file says that the part is whole.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from soundprompt import records
from soundprompt.data.world.classes import all_classes, joined_kind
from soundprompt.data.world.parts import Plan, check_world, parts_of, plan_part
from soundprompt.data.world.splits import COLUMNS, write_splits
from soundprompt.data.world.writing import write_avsbench_clip, write_vggss_clip
from soundprompt.errors import InputError
from soundprompt.files import publish, publish_folder, record_all, write_json
from soundprompt.layout import Layout
from soundprompt.params import World, WorldView
from soundprompt.progress import Progress


def make_part(part: str, view: WorldView, layout: Layout, workers: int = 1) -> None:
    """Makes one part: v1s, v1m, v2, vggss, scenes or index. The bytes do not depend on `workers` (processes).

    Raises InputError for an unknown part, for `scenes` of a world without, for a world that cannot
    be (before anything is written), and when `index` misses a part.
    """
    check_world(view.world, view.shots)
    if part == "index":
        _make_index(view, layout)
        return
    plans = plan_part(part, view.world)
    if not plans:
        raise InputError(f"world.{part}: declares no clips", remedy=f"declare some, or leave out --part {part}")
    rows_path(layout, part).unlink(missing_ok=True)  # it vouches for the clips that are about to go
    if part == "vggss":
        silent = _make_vggss(plans, view.world, layout, workers)
    else:
        with publish_folder(layout.avsbench / part) as folder:
            write = partial(write_avsbench_clip, world=view.world, folder=folder)
            silent = list(_each(write, plans, part, workers))
    _write_rows(plans, silent, rows_path(layout, part))


def rows_path(layout: Layout, part: str) -> Path:
    """The rows of a part, in the columns of metadata.csv and `silent`: the classes that stand silent."""
    return layout.data / f"world-{part}.csv"


def _make_vggss(plans: list[Plan], world: World, layout: Layout, workers: int) -> list[str]:
    """Writes the part; returns the silent classes of each clip."""
    with publish_folder(layout.vggss) as folder:
        for name in ("frames", "audio"):
            (folder / name).mkdir()
        write = partial(write_vggss_clip, world=world, folder=folder)
        written = list(_each(write, plans, "vggss", workers))
        entries = [
            {"file": plan.uid, "class": plan.class_name, "bbox": boxes}
            for plan, (_, boxes) in zip(plans, written, strict=True)
        ]
        (folder / "vggss.json").write_text(json.dumps(entries) + "\n")
        (folder / "vggss_test.csv").write_text("".join(f"{plan.uid}\n" for plan in plans))
        record_all(folder / "vggss.json", folder / "vggss_test.csv")
    return [silent for silent, _ in written]


def _make_index(view: WorldView, layout: Layout) -> None:
    """Joins the parts; metadata.csv comes last, because later stages wait for it."""
    rows = pd.concat([_read_rows(rows_path(layout, part)) for part in parts_of(view.world)])
    metadata = rows.loc[rows["label"] != "vggss", COLUMNS]
    classes = all_classes(view.world.levels)
    by_name = {cls.name: cls for cls in classes}
    (layout.avsbench / "metadata.csv").unlink(missing_ok=True)
    strings = sorted({*by_name, *rows["a_obj"]})
    kinds = {string: joined_kind([by_name[name] for name in string.split("_")]) for string in strings}
    write_json(layout.avsbench / "label2idx.json", {"background": 0} | {c.name: c.index + 1 for c in classes})
    write_json(layout.avsbench / "kinds.json", kinds)
    write_json(layout.avsbench / "silent.json", dict(zip(rows["uid"], rows["silent"], strict=True)))
    with publish_folder(layout.avs_v3) as folder:
        write_splits(metadata, classes, view.shots, view.world.seed, folder)
        record_all(*folder.rglob("*.csv"))
    with publish(layout.avsbench / "metadata.csv", recorded=True) as aside:
        metadata.to_csv(aside, index=False, lineterminator="\n")


def _each(write: Any, plans: list[Plan], label: str, workers: int) -> Iterator[Any]:
    """Results of `write` for each plan, in order, with progress."""
    progress = Progress(f"world: {label} clips", len(plans))
    if workers == 1:
        results: Iterator[Any] = map(write, plans)
        yield from _counted(results, progress)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        yield from _counted(pool.map(write, plans, chunksize=4), progress)


def _counted(results: Iterator[Any], progress: Progress) -> Iterator[Any]:
    for result in results:
        yield result
        progress.advance()


def _write_rows(plans: list[Plan], silent: list[str], path: Path) -> None:
    values = [
        (plan.vid, plan.uid, plan.start // 60, plan.start % 60, plan.class_name, plan.split, plan.part, classes)
        for plan, classes in zip(plans, silent, strict=True)
    ]
    with publish(path, recorded=True) as aside:
        pd.DataFrame(values, columns=[*COLUMNS, "silent"]).to_csv(aside, index=False, lineterminator="\n")


def _read_rows(path: Path) -> pd.DataFrame:
    records.check(path)
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        part = path.stem.removeprefix("world-")
        raise InputError("missing", path=path, remedy=f"run `soundprompt world --part {part}`") from error
