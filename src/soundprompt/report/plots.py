"""An experiment's plots, from its table and scores; curves and dot plots are drawn in modules of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from soundprompt import files, records
from soundprompt.layout import Layout
from soundprompt.params import TableView, model_of
from soundprompt.report import cost_plots, curves, dots, drawing, evidence, names, tables


def run(view: TableView, layout: Layout) -> None:
    """Writes results/<study>/plots/<experiment>/*.svg, the folder replaced as a whole."""
    table = tables.read(layout.result_table(view.name))
    with files.publish_folder(layout.result_plots(view.name), recorded=True) as folder:
        if "bars" in view.experiment.plots:
            _bars(view, table, folder)
        if "shots" in view.experiment.plots:
            _shots(view, table, folder)
        if "classes" in view.experiment.plots:
            _classes_and_sources(view, layout, folder)
        if "cost" in view.experiment.plots:
            cost_plots.draw(view, table, folder)
        curves.draw(view, table, folder)
        dots.draw(view, table, folder)
        _training(view, layout, folder)


# ------------------------------------------------------------------------------------ bars
def _bars(view: TableView, table: pd.DataFrame, folder: Path) -> None:
    for setting, spec in view.settings.items():
        here = table[(table["setting"] == setting) & (table["selection"] == evidence.primary(spec))]
        title = names.setting(setting)
        shown = list(view.experiment.metrics[:2])
        panels = [(names.metric(m).label, here[(here["kind"] == "all") & (here["metric"] == m)]) for m in shown]
        _bar_panels(view, panels, folder / f"bars-{names.stem(setting)}.svg", title)
        kinds = [kind for kind in ("seen", "new combination", "new level") if (here["kind"] == kind).any()]
        if len(kinds) > 1:
            label = names.metric(shown[0]).label
            panels = [(kind, here[(here["kind"] == kind) & (here["metric"] == shown[0])]) for kind in kinds]
            _bar_panels(
                view, panels, folder / f"bars-{names.stem(setting)}-kinds.svg", f"{title}: {label} by kind of class"
            )


def _bar_panels(view: TableView, panels: list[tuple[str, pd.DataFrame]], path: Path, title: str) -> None:
    """Horizontal bars, a panel for each (label, rows of one metric); whiskers are the 95 % intervals."""
    methods = [m for m in view.experiment.methods if any((rows["method"] == m).any() for _, rows in panels)]
    if not methods:
        return
    with drawing.canvas(0.75 + 0.27 * len(methods), len(panels), sharey=True) as (figure, axes):
        for axis, (label, rows) in zip(axes, panels, strict=True):
            rows = rows.set_index("method").reindex(methods)
            places = np.arange(len(methods))[::-1]
            values = rows["mean"].to_numpy(float)
            axis.barh(places, values, height=0.62, color=[names.colour(m) for m in methods], linewidth=0)
            _whiskers(axis, rows, places)
            axis.set_yticks(places, [names.method(m) for m in methods])
            axis.set_title(label)
            axis.grid(axis="y", visible=False)
            axis.spines["left"].set_visible(False)
            axis.set_xlim(0, 1.2)  # the same for every plot, so that they can be compared at a glance
            axis.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
            _numbers(axis, rows, places)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=drawing.INK)
        drawing.save(figure, path, title, _describe(methods, panels))


def _whiskers(axis, rows: pd.DataFrame, places: np.ndarray) -> None:
    known = rows[["mean", "low", "high"]].notna().all(axis=1).to_numpy()
    if known.any():
        low, high = (rows[end].clip(0, 1).to_numpy(float)[known] for end in ("low", "high"))
        axis.hlines(places[known], low, high, color=drawing.INK, linewidth=1.1)


def _numbers(axis, rows: pd.DataFrame, places: np.ndarray) -> None:
    ends = rows[["mean", "high"]].max(axis=1).clip(upper=1).to_numpy(float)
    for place, value, end in zip(places, rows["mean"], ends, strict=True):
        if np.isfinite(value):
            text = f"{value:.3f}"
            axis.text(end + 0.03, place, text.removeprefix("0"), va="center", fontsize=8)


def _describe(methods: list[str], panels: list[tuple[str, pd.DataFrame]]) -> str:
    sentences = []
    for label, rows in panels:
        values = rows.set_index("method")["mean"]
        listed = [f"{names.method(m)} {values[m]:.3f}" for m in methods if m in values and np.isfinite(values[m])]
        sentences.append(f"{label}: {', '.join(listed)}.")
    return " ".join(sentences)


# ----------------------------------------------------------------------------------- shots
def _shots(view: TableView, table: pd.DataFrame, folder: Path) -> None:
    """Score against shots for each kind of class; hollow marks: the 0-shot model on the k-shot test's clips."""
    by_shots = {_number_of_shots(name): name for name in view.settings}
    if len(by_shots) < 2 or None in by_shots:
        return
    metric = view.experiment.metrics[0]
    for kind in ("all", "new combination", "new level"):
        rows = table[(table["metric"] == metric) & (table["kind"] == kind)]
        if rows.empty:
            continue
        title = f"{names.metric(metric).label} against shots: {names.kind(kind)}"
        with drawing.canvas(2.6 + drawing.legend_height(len(view.experiment.methods) + 1)) as (figure, (axis,)):
            said = [_shot_line(axis, view, rows, by_shots, method) for method in view.experiment.methods]
            axis.set_xticks(sorted(by_shots))
            axis.set_xlim(-0.2, max(by_shots) + 0.2)
            axis.set_xlabel("examples of each unseen class")
            axis.set_title(title)
            axis.grid(axis="x", visible=False)
            figure.legend(loc="outside lower left", ncols=2)
            drawing.save(figure, folder / f"shots-{kind.replace(' ', '_')}.svg", title, " ".join(filter(None, said)))


def _shot_line(axis, view: TableView, rows: pd.DataFrame, by_shots: dict[int, str], method: str) -> str:
    colour, floor = names.colour(method), names.is_floor(method)
    mine = rows[rows["method"] == method].set_index(["setting", "selection"])
    points = []
    for place, setting in sorted(by_shots.items()):
        key = (setting, evidence.primary(view.settings[setting]))
        if key in mine.index and np.isfinite(mine.loc[key, "mean"]):
            points.append((place, mine.loc[key, "mean"], mine.loc[key, "low"], mine.loc[key, "high"]))
    if not points:
        return ""
    place, mean, low, high = (np.array(column, float) for column in zip(*points, strict=True))
    dashes = names.dashes(method)
    style = {"color": colour, "linewidth": 1.2 if floor else 1.8, "label": names.method(method)}
    style |= {"dashes": dashes} if dashes else {}
    axis.plot(place, mean, marker=None if floor else "o", markersize=4.5, **style)
    if not floor:
        axis.fill_between(place, low.clip(0, 1), high.clip(0, 1), color=colour, alpha=0.14, linewidth=0)
        _zero_shot_marks(axis, mine, view, by_shots, method)
    return f"{names.method(method)}: {', '.join(f'{m:.3f}' for m in mean)}."


def _zero_shot_marks(axis, mine: pd.DataFrame, view: TableView, by_shots: dict[int, str], method: str) -> None:
    zero = by_shots.get(0)
    if method != view.experiment.reference or zero is None:
        return
    marks = []
    for shots, setting in sorted(by_shots.items()):
        key = (zero, evidence.primary(view.settings[setting]))
        if shots and key in mine.index:
            marks.append((shots, mine.loc[key, "mean"]))
    if marks:
        label = f"{names.method(method)} before those shots, same clips"
        axis.plot(*zip(*marks, strict=True), "o", mfc=drawing.PAPER, mec=names.colour(method), ms=5, label=label)


def _number_of_shots(setting: str) -> int | None:
    digits = setting.rpartition("_")[2].removesuffix("shot")
    return int(digits) if digits.isdigit() else None


# ---------------------------------------------------------------------- classes and sources
def _classes_and_sources(view: TableView, layout: Layout, folder: Path) -> None:
    """Mean of the first metric for each class, and for each number of sounding objects."""
    metric, compared = view.experiment.metrics[0], _compared(view)
    for setting, spec in view.settings.items():
        parts = {m: evidence.scores(layout, setting, m, view.seeds) for m in compared}
        parts = {
            m: rows[(rows["metric"] == metric) & (rows["selection"] == evidence.primary(spec))]
            for m, rows in parts.items()
        }
        parts = {m: rows for m, rows in parts.items() if len(rows)}
        if not parts:
            continue
        _class_plot(parts, metric, folder / f"classes-{names.stem(setting)}.svg", names.setting(setting))
        _source_plot(parts, metric, folder / f"sources-{names.stem(setting)}.svg", names.setting(setting))


def _compared(view: TableView) -> list[str]:
    """The reference and the first other trained methods: three lines that stay readable."""
    trained = [m for m in view.experiment.methods if not names.is_floor(m) and m != view.experiment.reference]
    preferred = [m for m in ("sam_fusion", "gavs-no_audio") if m in trained] or trained[:2]
    return [m for m in (view.experiment.reference, *preferred) if m]


def _class_plot(parts: dict[str, pd.DataFrame], metric: str, path: Path, title: str) -> None:
    means = pd.DataFrame({m: rows.groupby("class_name")["value"].mean() for m, rows in parts.items()})
    first = next(iter(parts))
    means = means.sort_values([first, *means.columns[1:]])
    if not 2 <= len(means) <= 80:
        return  # one class says nothing, and class strings of several sources are a list without an end
    title = f"{title}: {names.metric(metric).label} of each class"
    with drawing.canvas(0.9 + 0.155 * len(means)) as (figure, (axis,)):
        places = np.arange(len(means))
        axis.hlines(places, means.min(axis=1), means.max(axis=1), color=drawing.LINE, linewidth=2)
        for method in reversed(means.columns):
            axis.plot(means[method], places, "o", ms=4.5, color=names.colour(method), label=names.method(method))
        axis.set_yticks(places, means.index, fontsize=7)
        axis.set_ylim(-0.8, len(means) - 0.2)
        axis.set_xlim(0, 1)
        axis.set_title(title)
        axis.grid(axis="y", visible=False)
        figure.legend(loc="outside lower left", ncols=2)
        worst, best = means.index[0], means.index[-1]
        text = (
            f"{names.method(first)}: from {means[first].iloc[0]:.3f} ({worst}) to {means[first].iloc[-1]:.3f} ({best})."
        )
        drawing.save(figure, path, title, text)


def _source_plot(parts: dict[str, pd.DataFrame], metric: str, path: Path, title: str) -> None:
    means = pd.DataFrame({m: rows.groupby("n_sources")["value"].mean() for m, rows in parts.items()})
    if len(means) < 2:
        return
    counts = next(iter(parts.values())).groupby("n_sources")["clip"].nunique()
    title = f"{title}: {names.metric(metric).label} by number of sounding objects"
    with drawing.canvas(2.6) as (figure, (axis,)):
        width = 0.8 / means.shape[1]
        for i, method in enumerate(means.columns):
            place = np.arange(len(means)) + (i - (means.shape[1] - 1) / 2) * width
            axis.bar(place, means[method], width * 0.92, color=names.colour(method), label=names.method(method))
        axis.set_xticks(range(len(means)), [f"{n}\n{counts[n]} clips" for n in means.index])
        axis.set_title(title)
        axis.grid(axis="x", visible=False)
        figure.legend(loc="outside lower left", ncols=2)
        said = [f"{names.method(m)}: {', '.join(f'{n} objects {v:.3f}' for n, v in means[m].items())}." for m in means]
        drawing.save(figure, path, title, " ".join(said))


# -------------------------------------------------------------------------------- training
def _training(view: TableView, layout: Layout, folder: Path) -> None:
    """Validation score against training step: a thin line for each seed, a dot at the best step."""
    models = dict.fromkeys(model_of(m) for m in view.experiment.methods if not names.is_floor(m))
    for setting in (name for name, spec in view.settings.items() if spec.train):
        curves = {m: list(_curves(layout, setting, m, view.seeds)) for m in models}
        curves = {m: found for m, found in curves.items() if found}
        if not curves:
            continue
        title = f"{names.setting(setting)}: validation mIoU while training"
        with drawing.canvas(2.5 + drawing.legend_height(len(curves))) as (figure, (axis,)):
            for model, found in curves.items():
                _curve_lines(axis, model, found)
            axis.set_xlabel("training step")
            axis.locator_params(axis="x", integer=True)
            axis.set_title(title)
            figure.legend(loc="outside lower left", ncols=2)
            best = [f"{names.method(m)}: best {max(c.max() for c in found):.3f}." for m, found in curves.items()]
            drawing.save(figure, folder / f"training-{names.stem(setting)}.svg", title, " ".join(best))


def _curve_lines(axis, model: str, curves: list[pd.Series]) -> None:
    for i, curve in enumerate(curves):
        label = names.method(model) if i == 0 else None
        axis.plot(curve.index, curve, color=names.colour(model), linewidth=1.2, label=label)
        axis.plot(curve.idxmax(), curve.max(), "o", color=names.colour(model), ms=3.5)


def _curves(layout: Layout, setting: str, model: str, seeds: tuple[int, ...]):
    for seed in seeds:
        path = layout.run(setting, model, seed) / "metrics.csv"
        if path.exists():
            records.check(path)
            curve = pd.read_csv(path, usecols=["step", "validation"]).dropna().set_index("step")["validation"]
            if len(curve):
                yield curve
