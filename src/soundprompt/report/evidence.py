"""Reads scores for tables, plots and verdicts; says what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from soundprompt import finite, records, registry
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import Model, Setting, model_of

COLUMNS = (
    "selection",
    "method",
    "seed",
    "clip",
    "video",
    "class_name",
    "kind",
    "n_sources",
    "frame",
    "metric",
    "value",
)


def paths(layout: Layout, setting: str, method: str, seeds: Iterable[int]) -> list[Path]:
    """The files that hold a method's scores on a setting, one per seed; floors share one file."""
    if method in registry.floors():
        return [layout.floors(setting)]
    return [layout.run(setting, model_of(method), seed) / "scores.parquet" for seed in seeds]


def examined_paths(layout: Layout, setting: str, method: str, seeds: Iterable[int]) -> list[Path]:
    """The files with what `examine` measured in a method's runs; none for floors and sounds other than its own."""
    if method in registry.floors() or method != model_of(method):
        return []
    return [layout.run(setting, method, seed) / "examined.parquet" for seed in seeds]


def scores(layout: Layout, setting: str, method: str, seeds: Iterable[int]) -> pd.DataFrame:
    """A method's scores on a setting, long form with COLUMNS, what was examined among them.

    Runs that are not there are left out; empty when nothing is there. Raises InputError when a file is damaged
    or lacks a column.
    """
    files = [*paths(layout, setting, method, seeds), *examined_paths(layout, setting, method, seeds)]
    parts = [read(path) for path in files if path.exists()]
    if not parts:
        return pd.DataFrame(columns=list(COLUMNS))
    rows = pd.concat(parts, ignore_index=True)
    return rows[rows["method"] == method].reset_index(drop=True)


def missing(layout: Layout, setting: str, methods: Iterable[str], seeds: Iterable[int]) -> list[str]:
    """Sentences that name the scores a table should have but does not."""
    wanted = {path: method for method in methods for path in paths(layout, setting, method, seeds)}
    absent = {path: method for path, method in wanted.items() if not path.exists()}
    return [f"{model_of(method)} on {setting}: {path} is missing" for path, method in absent.items()]


def unexamined(
    layout: Layout, setting: str, models: Mapping[str, Model], metrics: Iterable[str], seeds: Iterable[int]
) -> list[str]:
    """Sentences that name what a table asks of `examine` but does not have. models: of the table's methods."""
    asked = {registry.metrics()[metric].measures for metric in metrics if metric in registry.metrics()}
    able = [name for name, model in models.items() if asked & set(model.measures())]
    absent = [(name, path) for name in able for path in examined_paths(layout, setting, name, seeds)]
    return [f"{name} on {setting}: {path} is missing" for name, path in absent if not path.exists()]


def read(path: Path) -> pd.DataFrame:
    """One scores.parquet or examined.parquet.

    Raises InputError when it cannot be read, lacks a column, or holds a score that is not finite.
    """
    remedy = f"delete the file and run `soundprompt {'examine' if path.stem == 'examined' else 'score'}` again"
    records.check(path)
    try:
        rows = pq.read_table(path).to_pandas()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"scores cannot be read ({error})", path=path, remedy=remedy) from error
    lacking = [name for name in COLUMNS if name not in rows.columns]
    if lacking:
        raise InputError(f"scores without {', '.join(lacking)}", path=path, remedy=remedy)
    finite.check(rows["value"].to_numpy(float), "scores are", clips=rows["clip"].tolist(), path=path, remedy=remedy)
    return rows


def primary(spec: Setting) -> str:
    """The selection that a setting is about: the first that it tests on."""
    return spec.test[0]
