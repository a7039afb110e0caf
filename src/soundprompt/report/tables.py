"""An experiment's table: mean, spread, interval, floors, the paper's figure, difference to the reference.

Beside the mean over the test as published stands a clean one, without the clips that share their source video or a
picture with what the setting's model was trained or selected on (`leaks.read_clips`).
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from soundprompt import files, records, registry
from soundprompt.data import leaks
from soundprompt.errors import InputError
from soundprompt.evaluation import statistics, summary
from soundprompt.evaluation.statistics import Contributions
from soundprompt.layout import Layout
from soundprompt.params import TableView, plain
from soundprompt.report import convergence, cost, data, evidence, names, published, search

KEYS = ("setting", "selection", "kind", "method", "metric")
OURS = ("mean", "sd", "low", "high", "interval_over", "n_seeds", "n_clips", "n_frames", "n_expected")
CLEAN = ("clean_mean", "clean_sd", "clean_low", "clean_high", "n_left_out")
PAPER = ("published", "published_source")
AGAINST = ("reference", "difference", "difference_low", "difference_high", "difference_over")
COLUMNS = (*KEYS, *OURS, *CLEAN, *PAPER, *AGAINST, "remark")


def run(view: TableView, layout: Layout) -> None:
    """Writes results/<study>/tables/<experiment>.csv from scores alone, and its means as DVC compares them; says on
    stderr what is missing.

    Raises InputError when none of the experiment's scores exist, or when the leak check is not made or stops it.
    """
    found = leaks.read(layout)
    leaks.stop(found[found["setting"].isin(view.settings)], layout)
    table = build(view, layout)
    for sentence in lacking(view, layout) + remarks(table) + cleaned(table):
        print(f"{view.name}: {sentence}", file=sys.stderr)
    if table.empty:
        what, verb = ("runs", "train") if view.experiment.of_validation else ("scores", "score")
        raise InputError(
            f"experiment '{view.name}' has no {what}", path=layout.runs, remedy=f"run `soundprompt {verb}` first"
        )
    with files.publish(layout.result_table(view.name), recorded=True) as aside:
        table.to_csv(aside, index=False, float_format="%.6f")
    files.write_json(layout.result_metrics(view.name), means(table))


def means(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Method -> 'setting: selection' -> metric -> mean over all kinds of classes, to six places as in the table."""
    nested: dict[str, dict[str, dict[str, float]]] = {}
    rows = table[(table["kind"] == "all") & table["mean"].notna()]
    for row in rows.itertuples():
        place = nested.setdefault(row.method, {}).setdefault(f"{row.setting}: {row.selection}", {})
        place[row.metric] = round(float(row.mean), 6)
    return nested


def read(path: Path) -> pd.DataFrame:
    """A table that `run` wrote. Raises InputError when it is missing or not one of ours."""
    records.check(path)
    try:
        table = pd.read_csv(path, keep_default_na=True)
    except FileNotFoundError as error:
        raise InputError("table missing", path=path, remedy="run `soundprompt table`") from error
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(f"table damaged ({error})", path=path, remedy="run `soundprompt table` again") from error
    if tuple(table.columns) != COLUMNS:
        raise InputError("columns differ from this version's", path=path, remedy="run `soundprompt table` again")
    return table


def build(view: TableView, layout: Layout) -> pd.DataFrame:
    """One row for each setting, selection, kind of class, method and metric, with COLUMNS.

    Two kinds of 95 % intervals stand beside each other. mean: over seeds of the dataset's value, in [0, 1]; low, high:
    its own interval, over seeds where there are several, else over test videos (interval_over says which). difference:
    the reference minus this method, on the same clips, with an interval over seeds and videos; over videos alone where
    a method has one seed (difference_over says which), and then no lead is clear. Each is for itself, nothing is
    corrected for the number of rows. Breakdowns by kind are for the selection that a setting is about. n_expected:
    clips that the dataset names for the selection, of which n_clips were there. clean_mean to clean_high: as mean to
    high, without n_left_out of the n_clips; empty where none is left out, and for F of several clips in one call.
    remark: what a search found, or why a method is not compared (`convergence`).
    """
    if view.experiment.of_validation:
        return pd.DataFrame(search.rows(view, layout), columns=list(COLUMNS))
    found = []
    for setting, spec in view.settings.items():
        methods = {m: summary.coded(evidence.scores(layout, setting, m, view.seeds)) for m in view.experiment.methods}
        doubts = {m: convergence.doubt(layout, setting, spec, m, view.seeds) for m in methods}
        doubts = {method: doubt for method, doubt in doubts.items() if doubt and len(methods[method])}
        shared = leaks.read_clips(layout, plain(setting))
        tested = (selection for rows in methods.values() for selection in rows["selection"].unique())
        for selection in dict.fromkeys([*spec.test, *tested]):  # the setting's own, then such as foundation/held_out
            here = {m: rows[rows["selection"] == selection] for m, rows in methods.items()}
            left_out = shared.get(selection, set())
            found += _rows(view, setting, selection, "all", here, doubts, left_out)
            if selection == evidence.primary(spec):
                found += cost.rows(view, layout, setting, selection)
            if view.experiment.by_kind and selection == evidence.primary(spec):
                kinds = sorted({kind for rows in here.values() for kind in rows["kind"].unique() if kind})
                for kind in kinds if len(kinds) > 1 else ():
                    part = {m: rows[rows["kind"] == kind] for m, rows in here.items()}
                    found += _rows(view, setting, selection, kind, part, doubts, left_out)
    table = pd.DataFrame(found, columns=list(COLUMNS))
    expected = {name: clips for name, (clips, _) in data.counts(layout, table["selection"].unique()).items()}
    table["n_expected"] = table["selection"].map(expected).where((table["kind"] == "all") & (table["n_clips"] > 0))
    table[["n_expected", "n_left_out"]] = table[["n_expected", "n_left_out"]].astype("Int64")
    return table


def lacking(view: TableView, layout: Layout) -> list[str]:
    """Sentences that name the scores, and the clips to test on, that this experiment should have but does not."""
    if view.experiment.of_validation:
        return search.lacking(view, layout)
    selections = dict.fromkeys(name for setting in view.settings.values() for name in setting.test)
    methods, seeds = view.experiment.methods, view.seeds
    found = []
    for setting in view.settings:
        found += evidence.missing(layout, setting, methods, seeds)
        found += evidence.unexamined(layout, setting, view.models, view.experiment.metrics, seeds)
    return [*found, *cost.lacking(view, layout), *data.shortfalls(layout, selections)]


def remarks(table: pd.DataFrame) -> list[str]:
    """The remarks of a table, each with the setting and method that it is about."""
    said = table[table["remark"].notna() & (table["remark"] != "")]
    return list(dict.fromkeys(f"{row.method} on {row.setting}: {row.remark}" for row in said.itertuples()))


def cleaned(table: pd.DataFrame) -> list[str]:
    """What the clean figures of a table leave out, a sentence for each test; one in all where they leave out nothing.

    None for a table that was not made from the scores of a test.
    """
    rows = table[(table["kind"] == "all") & table["n_left_out"].notna()]
    touched = rows[rows["n_left_out"] > 0].sort_values("n_clips", ascending=False, kind="stable")
    if touched.empty:
        same = "clean: no test clip shares its source video or a picture with training or validation, so that the "
        return [f"{same}figures as published are the clean ones"] if len(rows) else []
    return [
        f"clean: {names.setting(row.setting)} without {row.n_left_out:.0f} of {row.n_clips:.0f} clips of "
        f"{names.selection(row.selection)}, which share their source video or a picture with training or validation"
        for row in touched.drop_duplicates(["setting", "selection"]).sort_index().itertuples()
    ]


def _rows(
    view: TableView,
    setting: str,
    selection: str,
    kind: str,
    methods: dict[str, pd.DataFrame],
    doubts: dict[str, str],
    left_out: set[str],
) -> list[dict]:
    rows = []
    n_frames = {m: _n_frames(scores) for m, scores in methods.items()}
    for metric in view.experiment.metrics:
        parts = {method: _contributions(scores, metric) for method, scores in methods.items()}
        for method, of in parts.items():
            if of is None:
                continue
            head = {"setting": setting, "selection": selection, "kind": kind, "method": method, "metric": metric}
            paper = published.find(view.experiment.published, setting, selection, method, metric)
            figure = {"published": paper.value, "published_source": paper.source} if paper and kind == "all" else {}
            own = statistics.own(of).columns()
            clips = set(summary.rows_of(methods[method], metric)["clip"])
            counts = {"n_clips": len(clips), "n_frames": n_frames[method]}
            clean = _clean(methods[method], metric, clips & left_out)
            doubt = {"remark": f"not compared, {doubts[method]}"} if method in doubts else {}
            apart = doubts.keys() & {method, view.experiment.reference}
            lead = {} if apart else _against(view, parts, method, metric)
            rows.append({**head, **own, **counts, **clean, **figure, **lead, **doubt})
    order = {method: place for place, method in enumerate(methods)}
    return sorted(rows, key=lambda row: order[row["method"]])


def _clean(scores: pd.DataFrame, metric: str, left_out: set[str]) -> dict:
    """A method's value without some clips. F of several clips in one call cannot be had without one of them."""
    found = {"n_left_out": len(left_out)}
    in_groups = registry.metrics()[metric].mean == "calls" and len(summary.rows_of(scores, metric)) < _n_clips(scores)
    kept = scores[~scores["clip"].isin(left_out)] if left_out and not in_groups else scores.iloc[:0]
    of = _contributions(kept, metric)
    return found | ({f"clean_{name}": statistics.own(of).columns()[name] for name in OURS[:4]} if of else {})


def _n_clips(scores: pd.DataFrame) -> int:
    """Clips that were scored, counted once for each seed."""
    return len(scores[["seed", "clip"]].drop_duplicates())


def _contributions(scores: pd.DataFrame, metric: str) -> Contributions | None:
    """None where the method has no such score."""
    return summary.contributions(scores, metric) if len(summary.rows_of(scores, metric)) else None


def _n_frames(scores: pd.DataFrame) -> int:
    return len(scores.loc[scores["frame"] >= 0, ["clip", "frame"]].drop_duplicates())


def _against(view: TableView, parts: dict[str, Contributions | None], method: str, metric: str) -> dict:
    """The reference's lead over a method; empty for the reference itself or where they share no clips."""
    reference = view.experiment.reference
    if reference in (None, method) or parts.get(reference) is None:
        return {}
    try:
        lead = summary.lead(parts[reference], parts[method], metric)
    except ValueError:  # some clips are scored for one of them only
        return {}
    return {
        "reference": reference,
        "difference": lead.value,
        "difference_low": lead.low,
        "difference_high": lead.high,
        "difference_over": lead.over,
    }
