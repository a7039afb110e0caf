"""Scores along an axis: shares of the data, numbers of sources, widths of an adapter, as an experiment declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from soundprompt.params import Curve, TableView
from soundprompt.report import drawing, evidence, names, published

LOG_FROM = 8  # largest over smallest place from which `auto` spaces places by their logarithm


@dataclass(frozen=True)
class Axis:
    """places: where each name stands, increasing; ticks: what is written there."""

    names: tuple[str, ...]
    places: np.ndarray
    ticks: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line: `at` names the rows of the table for each place of the axis."""

    label: str
    colour: str
    at: list[dict[str, str]]
    dashes: tuple[float, ...] | None = None


def draw(view: TableView, table: pd.DataFrame, folder: Path) -> None:
    """Writes curve-<name>.svg into `folder` for each curve of the experiment that has something to show."""
    for curve in view.experiment.curves:
        axis, lines = _axis(view, curve), _lines(view, curve)
        shown = curve.metrics or view.experiment.metrics[:1]
        found = {metric: [(line, _rows(table, line, metric)) for line in lines] for metric in shown}
        found = {m: [(line, rows) for line, rows in drawn if rows["mean"].notna().any()] for m, drawn in found.items()}
        found = {metric: drawn for metric, drawn in found.items() if drawn}
        if found:
            _plot(view, curve, axis, found, folder / f"curve-{curve.name}.svg")


# --------------------------------------------------------------------------- what is drawn
def _setting(view: TableView, curve: Curve) -> str:
    return curve.setting or view.experiment.settings[0]


def _axis(view: TableView, curve: Curve) -> Axis:
    every = {
        "settings": view.experiment.settings,
        "selections": view.settings[_setting(view, curve)].test,
        "methods": tuple(m for m in view.experiment.methods if not names.is_floor(m)),
    }
    along = curve.along or every[curve.over]
    numbers = curve.x or _numbers(along)
    if numbers is None or len(set(numbers)) < len(numbers):
        say = {"settings": names.setting, "selections": names.selection, "methods": names.method}[curve.over]
        return Axis(along, np.arange(len(along), dtype=float), tuple(map(say, along)))
    order = np.argsort(numbers, kind="stable")
    numbers, along = np.array(numbers, float)[order], tuple(along[i] for i in order)
    ticks = tuple(f"{number:g}" for number in numbers)
    spacing = curve.spacing
    if spacing == "auto":
        spacing = "log" if numbers[0] > 0 and numbers[-1] / numbers[0] >= LOG_FROM else "linear"
    if spacing == "even":
        numbers = np.arange(len(numbers), dtype=float)
    return Axis(along, np.log(numbers) if spacing == "log" and numbers[0] > 0 else numbers, ticks)


def _numbers(along: tuple[str, ...]) -> tuple[float, ...] | None:
    """The numbers that names end in: 'scenes/shift_050' -> 50, 'gavs-cola_dim64' -> 64; None if one has none."""
    found = [re.search(r"[_-][a-z]*(\d+(?:[.p]\d+)?)$", name) for name in along]
    return tuple(float(match[1].replace("p", ".")) for match in found) if all(found) else None


def _lines(view: TableView, curve: Curve) -> list[Line]:
    axis = _axis(view, curve)
    if curve.over == "methods":
        settings = view.experiment.settings if curve.setting is None else (curve.setting,)
        return [
            Line(
                names.setting(setting),
                names.LINES[i % len(names.LINES)],
                [{"setting": setting, "method": method} for method in axis.names],
            )
            for i, setting in enumerate(settings)
        ]
    setting = _setting(view, curve)
    methods = curve.methods or view.experiment.methods
    lines, colours = [], names.distinct(methods)
    for method in methods:
        if curve.over == "settings":
            at = [
                {"setting": name, "selection": evidence.primary(view.settings[name]), "method": method}
                for name in axis.names
            ]
        else:
            at = [{"setting": setting, "selection": name, "method": method} for name in axis.names]
        lines.append(Line(names.method(method), colours[method], at, names.dashes(method)))
    return lines


def _rows(table: pd.DataFrame, line: Line, metric: str) -> pd.DataFrame:
    """mean, low, high at each place of the axis; NaN where the table has no such row."""
    here = table[(table["kind"] == "all") & (table["metric"] == metric)]
    found = []
    for keys in line.at:
        rows = here[np.logical_and.reduce([here[name] == value for name, value in keys.items()])]
        found.append(rows.iloc[0][["mean", "low", "high"]].to_dict() if len(rows) else {})
    return pd.DataFrame(found, columns=["mean", "low", "high"], dtype=float)


# --------------------------------------------------------------------------------- drawing
def _plot(view: TableView, curve: Curve, axis: Axis, found: dict, path: Path) -> None:
    title = curve.title or curve.label[:1].upper() + curve.label[1:]
    n_labels = max(len(drawn) for drawn in found.values())
    height = 2.5 * len(found) + 0.45 + drawing.legend_height(n_labels + curve.published)
    with drawing.canvas(height, 1, len(found), sharex=True) as (figure, axes):
        said = []
        for panel, (metric, drawn) in zip(axes, found.items(), strict=True):
            for line, rows in drawn:
                _draw_line(panel, axis, line, rows)
                values = [f"{x} {v:.3f}" for x, v in zip(axis.ticks, rows["mean"], strict=True) if np.isfinite(v)]
                said.append(f"{names.metric(metric).label}, {line.label}: {', '.join(values)}.")
            if curve.published:
                _paper(panel, view, axis, drawn, metric)
            panel.set_title(title if len(found) == 1 else names.metric(metric).label)
            panel.set_ylabel(names.metric(metric).label if len(found) == 1 else "")
            panel.grid(axis="x", visible=False)
            panel.margins(x=0.06)
        axes[-1].set_xticks(axis.places, axis.ticks)
        axes[-1].set_xlabel(curve.label)
        if len(found) > 1:
            figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=drawing.INK)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower left", ncols=2)
        drawing.save(figure, path, title, " ".join(said))


def _draw_line(panel, axis: Axis, line: Line, rows: pd.DataFrame) -> None:
    known = rows["mean"].notna().to_numpy()
    places, mean = axis.places[known], rows["mean"].to_numpy()[known]
    if line.dashes:
        panel.plot(places, mean, color=line.colour, linewidth=1.2, dashes=line.dashes, label=line.label)
        return
    panel.plot(places, mean, color=line.colour, linewidth=1.8, marker="o", markersize=4.5, label=line.label)
    low, high = (rows[end].to_numpy()[known] for end in ("low", "high"))
    panel.fill_between(places, low, high, color=line.colour, alpha=0.11, linewidth=0)


def _paper(panel, view: TableView, axis: Axis, drawn: list[tuple[Line, pd.DataFrame]], metric: str) -> None:
    """Hollow marks, joined by a thin line, in the colour of our method of that meaning."""
    labelled = False
    for line, _ in drawn:
        figures = [
            published.find(
                view.experiment.published, keys["setting"], keys.get("selection", ""), keys["method"], metric
            )
            for keys in line.at
        ]
        points = [(place, f.value) for place, f in zip(axis.places, figures, strict=True) if f]
        if points:
            style = {"mfc": drawing.PAPER, "mec": line.colour, "color": line.colour, "linewidth": 0.7, "ms": 5}
            label = None if labelled else "hollow: the paper's figures"
            panel.plot(*zip(*points, strict=True), "o:", label=label, **style)
            labelled = True
