"""Score against cost: a point for each model, a line through the input sizes it was tried at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from soundprompt import registry
from soundprompt.params import TableView, plain, substudy_of
from soundprompt.report import drawing, evidence, fragments, names

AXES = ("latency_ms", "gflops", "trained_parameters")
SAME_AT_ALL_SIZES = ("trained_parameters",)


@dataclass(frozen=True)
class Point:
    """A model at one setting: cost and score with its interval; label: its substudy, '' for the study itself."""

    cost: float
    score: float
    low: float
    high: float
    label: str


def draw(view: TableView, table: pd.DataFrame, folder: Path) -> None:
    """Writes cost-<setting>-<axis>.svg for each setting and each of AXES that the experiment names.

    A setting and the same of substudies, such as v1s and size_64/v1s, share a plot, unless the input size does not
    change the cost: then the first of them stands alone. Nothing is drawn without a score.
    """
    score = next(
        (metric for metric in view.experiment.metrics if metric not in registry.metrics_of("cost", "train")), None
    )
    for base in dict.fromkeys(map(plain, view.settings)):
        settings = [setting for setting in view.settings if plain(setting) == base]
        for axis in (name for name in AXES if name in view.experiment.metrics and score):
            shown = settings[:1] if axis in SAME_AT_ALL_SIZES else settings
            lines = {method: points(view, table, shown, method, axis, score) for method in view.experiment.methods}
            lines = {method: found for method, found in lines.items() if found}
            if lines:
                _plot(view, table, shown, lines, axis, score, folder / f"cost-{base}-{axis}.svg")


def points(
    view: TableView, table: pd.DataFrame, settings: list[str], method: str, axis: str, score: str
) -> list[Point]:
    """A method's points at these settings, the cheapest first; those that lack cost or score are left out."""
    found = []
    for setting in settings:
        cost, answer = (_entry(view, table, setting, method, metric) for metric in (axis, score))
        if cost is not None and answer is not None:
            ends = (answer["mean"], answer["low"], answer["high"])
            found.append(Point(cost["mean"], *ends, substudy_of(setting).replace("_", " ")))
    return sorted(found, key=lambda point: (point.cost, point.score))


def _entry(view: TableView, table: pd.DataFrame, setting: str, method: str, metric: str) -> pd.Series | None:
    here = table[
        (table["setting"] == setting)
        & (table["selection"] == evidence.primary(view.settings[setting]))
        & (table["kind"] == "all")
        & (table["method"] == method)
        & (table["metric"] == metric)
    ]
    return here.iloc[0] if len(here) and np.isfinite(here.iloc[0]["mean"]) else None


def _plot(
    view: TableView,
    table: pd.DataFrame,
    settings: list[str],
    lines: dict[str, list[Point]],
    axis_name: str,
    score: str,
    path: Path,
) -> None:
    label, unit = names.metric(score).label, names.metric(axis_name).label
    title = f"{names.setting(plain(settings[0]))}: {label} against {unit}"
    with drawing.canvas(3.4) as (figure, (axis,)):
        for method, found in lines.items():
            _line(axis, method, found)
        _marks(axis, lines.get(view.experiment.reference or "", []))
        for method in filter(names.is_floor, view.experiment.methods):
            floor = _entry(view, table, settings[0], method, score)
            if floor is not None:
                axis.axhline(floor["mean"], color=names.colour(method), dashes=(4, 2), label=names.method(method))
        costs = [point.cost for found in lines.values() for point in found]
        axis.set_xscale("log")
        axis.set_xlim(min(costs) / 1.35, max(costs) * 1.35)
        ticks = round_numbers(min(costs) / 1.3, max(costs) * 1.3)
        axis.set_xticks(ticks, [fragments.amount(tick) for tick in ticks])
        axis.set_xticks([], minor=True)
        axis.set_xlabel(f"{unit} (logarithmic)")
        axis.set_title(title)
        figure.legend(loc="outside lower left", ncols=2)
        drawing.save(figure, path, title, _describe(lines, unit))


def _line(axis, method: str, found: list[Point]) -> None:
    colour = names.colour(method)
    cost, score, low, high = (np.array([getattr(p, part) for p in found]) for part in ("cost", "score", "low", "high"))
    axis.plot(cost, score, "o-", color=colour, linewidth=1.4, markersize=5, label=names.method(method))
    known = np.isfinite(low) & np.isfinite(high)
    axis.vlines(cost[known], low[known].clip(0, 1), high[known].clip(0, 1), color=colour, linewidth=1.1, alpha=0.6)


def _marks(axis, found: list[Point]) -> None:
    """Names the substudies beside one method's points; the others stand near them."""
    for point in found:
        if point.label:
            place = (point.cost, point.score)
            axis.annotate(point.label, place, xytext=(0, 7), textcoords="offset points", ha="center", fontsize=7)


def round_numbers(low: float, high: float) -> list[float]:
    """Numbers for an axis between two positive ones: 1, 2 and 5 times powers of ten; more where it is short."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in ((1, 2, 5), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8)):
        found = [n for power in powers for digit in digits if low <= (n := digit * 10.0**power) <= high]
        if len(found) > 1:
            return found
    return [float(f"{math.sqrt(low * high):.2g}")]


def _describe(lines: dict[str, list[Point]], unit: str) -> str:
    said = []
    for method, found in lines.items():
        listed = [f"{p.score:.3f} at {fragments.amount(p.cost)}{f' ({p.label})' if p.label else ''}" for p in found]
        said.append(f"{names.method(method)}: {', '.join(listed)}.")
    return f"Cost: {unit}. " + " ".join(said)
