"""Tables as the report shows them: which rows, which columns, which cell is best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from soundprompt.evaluation import statistics
from soundprompt.params import TableView, beside
from soundprompt.report import evidence, names, published

NOTHING, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
CLEAN = "Without the test clips that share their source video or a picture with training or validation."


class Column(NamedTuple):
    """Which rows of the table stand in a column; clean: by their clean figures instead of those as published."""

    setting: str
    selection: str
    kind: str
    metric: str
    clean: bool = False

    def head(self, beside_clean: bool) -> tuple[str, str]:
        """(label, meaning); beside_clean: whether the metric has a clean column too."""
        metric = names.metric(self.metric)
        if self.clean:
            return f"{metric.label}, clean", f"{metric.meaning} {CLEAN}"
        return metric.label + (", as published" if beside_clean else ""), metric.meaning


@dataclass(frozen=True)
class Cell:
    """value and spread as text; full: with the interval, for a tooltip; paper: the paper's figure; best: bold.

    best: the best mean of its column, or a lead that is clear of zero; neither is said of a single seed.
    """

    value: str = NOTHING
    spread: str = ""
    full: str = ""
    paper: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """label: the method; floor, foreign: not trained; in the paper only."""

    label: str
    cells: list[Cell]
    floor: bool = False
    foreign: bool = False


@dataclass(frozen=True)
class Sheet:
    """caption; groups: (head, number of columns); heads: of the columns, (label, meaning); rows."""

    caption: str
    groups: list[tuple[str, int]]
    heads: list[tuple[str, str]]
    rows: list[Row] = field(default_factory=list)


def overview(view: TableView, table: pd.DataFrame) -> Sheet:
    """Every method on every setting, by the experiment's first two metrics, the paper's figures below ours.

    Beside a few-shot setting stands the model that it started from, on the same clips.
    """
    shown = view.experiment.metrics[:2]
    sheet, columns = Sheet(view.experiment.title, [], []), []
    for setting, spec in view.settings.items():
        here, heads = _columns(table, setting, evidence.primary(spec), "all", shown)
        before = _before(view, setting)
        if before:
            label = f"{names.metric(shown[0]).label} before"
            here.append(Column(before, evidence.primary(spec), "all", shown[0]))
            heads.append((label, f"“{names.setting(before)}” on the clips of this test: its own test has others."))
        columns += here
        sheet.groups.append((names.setting(setting), len(here)))
        sheet.heads.extend(heads)
    sheet.rows.extend(_rows(view, table, columns))
    sheet.rows.extend(_paper_only(view, columns))
    return sheet


def _columns(
    table: pd.DataFrame, setting: str, selection: str, kind: str, metrics: Iterable[str]
) -> tuple[list[Column], list[tuple[str, str]]]:
    """A column for each metric, two where some clips are left out of a clean figure; and their heads."""
    here = table[(table["setting"] == setting) & (table["selection"] == selection) & (table["kind"] == kind)]
    two = set(here.loc[here["n_left_out"] > 0, "metric"])
    columns = [
        Column(setting, selection, kind, metric, clean)
        for metric in metrics
        for clean in ((False, True) if metric in two else (False,))
    ]
    return columns, [column.head(column.metric in two) for column in columns]


def _before(view: TableView, setting: str) -> str | None:
    """The setting that a few-shot setting started from, if it was tested on the same clips."""
    spec = view.settings[setting]
    start = beside(setting, spec.start_from) if spec.start_from else None
    return start if start in view.settings and evidence.primary(spec) in view.settings[start].test else None


def by_setting(view: TableView, table: pd.DataFrame) -> list[Sheet]:
    """For each setting, selection and kind of class all metrics, and the reference's lead in the first."""
    sheets = []
    for setting, spec in view.settings.items():
        measured = table.loc[table["setting"] == setting, "selection"]
        for selection in dict.fromkeys([*spec.test, *measured]):
            here = table[(table["setting"] == setting) & (table["selection"] == selection)]
            metrics = [m for m in view.experiment.metrics if m in set(here["metric"])]
            for kind in ["all", *sorted(set(here["kind"]) - {"all"})]:
                columns, heads = _columns(table, setting, selection, kind, metrics)
                rows = _rows(view, table, columns, lead=True)
                if not rows:
                    continue
                clips = here.loc[here["kind"] == kind, "n_clips"].max()
                where = (names.setting(setting), names.selection(selection), names.kind(kind), f"{clips} clips")
                if view.experiment.reference:
                    lead = f"lead of {names.method(view.experiment.reference)}"
                    meaning = f"{names.metric(metrics[0]).label}: paired difference, its 95 % interval below"
                    heads.append((lead, meaning))
                sheets.append(Sheet(" · ".join(where), [], heads, rows))
    return sheets


def _rows(view: TableView, table: pd.DataFrame, columns: list[Column], lead: bool = False) -> list[Row]:
    indexed = table.set_index(["setting", "selection", "kind", "metric", "method"])
    best = {column: _best(view, indexed, column) for column in columns}
    rows = []
    for method in view.experiment.methods:
        entries = [_entry(indexed, column, method) for column in columns]
        if all(entry is None for entry in entries):
            continue
        cells = [_cell(entry, best[column] == method, column) for entry, column in zip(entries, columns, strict=True)]
        if lead and view.experiment.reference:
            cells.append(_lead(entries[0]))
        rows.append(Row(names.method(method), cells, floor=names.is_floor(method)))
    return rows


def _entry(indexed: pd.DataFrame, column: Column, method: str) -> pd.Series | None:
    """The table's row; for a clean column the clean figures are in the place of the others, and no paper has any."""
    key = (column.setting, column.selection, column.kind, column.metric, method)
    if key not in indexed.index:
        return None
    entry = indexed.loc[key]
    clean = {name: entry[f"clean_{name}"] for name in ("mean", "sd", "low", "high")} | {"published": np.nan}
    return pd.Series({**entry, **clean}) if column.clean else entry


def _best(view: TableView, indexed: pd.DataFrame, column: Column) -> str | None:
    """The method with the best mean, floors too; none where a trained one has a single seed, which may be luck."""
    higher = names.metric(column.metric).higher_is_better
    entries = {m: _entry(indexed, column, m) for m in view.experiment.methods}
    known = {m: e for m, e in entries.items() if e is not None and np.isfinite(e["mean"])}
    single = any(e["n_seeds"] == 1 and not names.is_floor(m) for m, e in known.items())
    if higher is None or single or len(known) < 2:
        return None
    means = {method: entry["mean"] for method, entry in known.items()}
    choose = max if higher else min
    return choose(means, key=means.__getitem__)


def _cell(entry: pd.Series | None, best: bool, column: Column) -> Cell:
    if entry is None or not np.isfinite(entry["mean"]):
        return Cell()
    write = amount if names.metric(column.metric).amount else number
    several = np.isfinite(entry["sd"])
    over = {
        "seeds": f"95 % interval of this mean over {entry['n_seeds']:.0f} seeds, same videos",
        "videos": "95 % interval over test videos",
        "repeats": "quartiles of repeated timings",
    }.get(entry["interval_over"])
    full = (
        f"{over}: {write(entry['low'])} to {write(entry['high'])}" if over and np.isfinite(entry["low"]) else ""
    )  # one seed on validation has none
    paper = number(entry["published"]) if np.isfinite(entry["published"]) else ""
    return Cell(write(entry["mean"]), f"±{write(entry['sd'])}" if several else "", full, paper, best)


def _lead(entry: pd.Series | None) -> Cell:
    if entry is None or not np.isfinite(entry["difference"]):
        return Cell("")
    low, high, over = (entry[f"difference_{part}"] for part in ("low", "high", "over"))
    value = signed(entry["difference"])
    if not np.isfinite(low):
        return Cell(value, "no interval", "one test video says nothing of others")
    whole = over == statistics.BOTH
    clear = whole and (low > 0 or high < 0)
    meaning = "clear of zero" if clear else "zero lies inside" if whole else "one seed: nothing is known of others"
    ends = f"{signed(low)} to {signed(high)}{'' if whole else ', videos only'}"
    return Cell(value, ends, f"95 % interval over {over}; {meaning}", best=clear)


def _paper_only(view: TableView, columns: list[Column]) -> list[Row]:
    """Methods of the paper's table that this study did not run."""
    rows = []
    found = published.figures(view.experiment.published) if view.experiment.published else ()
    ours = set(view.experiment.methods)
    for method in dict.fromkeys(f.method for f in found if f.ours not in ours):
        own = {(f.setting, f.selection, f.metric): f.value for f in found if f.method == method}
        values = [None if c.clean else own.get((c.setting, c.selection, c.metric)) for c in columns]
        if any(value is not None for value in values):
            cells = [Cell("", paper=number(value)) if value is not None else Cell() for value in values]
            rows.append(Row(method, cells, foreign=True))
    return rows


def number(value: float) -> str:
    """0.7123 -> '0.712'; '–' for NaN."""
    return f"{value:.3f}" if np.isfinite(value) else NOTHING


def amount(value: float) -> str:
    """Three digits before thousands begin: 0.0142 -> '0.0142', 330880.0 -> '330 880'; '–' for NaN."""
    if not np.isfinite(value):
        return NOTHING
    if abs(value) >= 99.95:
        return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    return np.format_float_positional(value, precision=3, fractional=False, trim="-")


def signed(value: float) -> str:
    """0.0312 -> '+0.031', with a true minus sign."""
    return f"{value:+.3f}".replace("-", MINUS) if np.isfinite(value) else NOTHING
