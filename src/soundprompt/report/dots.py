"""Methods as rows and metrics side by side: what a variant gains on one it may lose on another."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd

from soundprompt.params import Dots, Panel, TableView, model_of
from soundprompt.report import drawing, evidence, names


def draw(view: TableView, table: pd.DataFrame, folder: Path) -> None:
    """Writes dots-<name>.svg into `folder` for each dot plot of the experiment that has something to show."""
    for dots in view.experiment.dots:
        panels = [(panel, _rows(view, table, dots, panel)) for panel in dots.panels]
        methods = [m for m in _methods(view, dots) if any(rows["mean"].notna().get(m, False) for _, rows in panels)]
        if methods:
            panels = [(panel, rows.reindex(methods)) for panel, rows in panels]
            _plot(view, table, dots, panels, folder / f"dots-{dots.name}.svg")


def _methods(view: TableView, dots: Dots) -> list[str]:
    return list(dots.methods or dict.fromkeys(m for m in view.experiment.methods if m == model_of(m)))


def _rows(view: TableView, table: pd.DataFrame, dots: Dots, panel: Panel) -> pd.DataFrame:
    """mean, low, high of each method, NaN where the table has no such row."""
    here = _here(view, table, panel, panel.metric).set_index("method")
    at = {m: f"{model_of(m)}@{panel.probe}" if panel.probe else m for m in _methods(view, dots)}
    return here.reindex(at.values())[["mean", "low", "high"]].set_axis(list(at), axis=0)


def _here(view: TableView, table: pd.DataFrame, panel: Panel, metric: str) -> pd.DataFrame:
    """The table's rows of a panel; what was not measured on the setting's own clips is found where it was."""
    setting = panel.setting or view.experiment.settings[0]
    rows = table[(table["setting"] == setting) & (table["kind"] == panel.kind) & (table["metric"] == metric)]
    own, measured = evidence.primary(view.settings[setting]), set(rows["selection"])
    selection = panel.selection or (own if own in measured else min(measured, default=own))
    return rows[rows["selection"] == selection]


# --------------------------------------------------------------------------------- drawing
def _plot(view: TableView, table: pd.DataFrame, dots: Dots, panels: list, path: Path) -> None:
    title = dots.title or view.experiment.title
    methods = list(panels[0][1].index)
    with drawing.canvas(1.0 + 0.26 * len(methods), len(panels), sharey=True) as (figure, axes):
        places, said = np.arange(len(methods))[::-1], []
        for axis, (panel, rows), ends in zip(axes, panels, _ends(dots, panels), strict=True):
            label = panel.label or names.metric(panel.metric).label
            _panel(axis, rows, places, ends, room=0.3 + 0.12 * len(panels))
            _dashed(axis, view, table, panel)
            axis.set_title(textwrap.fill(label, 40 // len(panels)), fontsize=8.5)
            axis.grid(axis="y", visible=False)
            axis.spines["left"].set_visible(False)
            known = rows["mean"].dropna()
            said.append(f"{label}: {', '.join(f'{names.method(m)} {v:.3f}' for m, v in known.items())}.")
        axes[0].set_yticks(
            places, [textwrap.fill(names.method(m), 30 if len(panels) < 4 else 24) for m in methods], fontsize=8.5
        )
        axes[0].set_ylim(-0.7, len(methods) - 0.3)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=drawing.INK)
        drawing.save(figure, path, title, " ".join(said))


def _ends(dots: Dots, panels: list) -> list[tuple[float, float]]:
    """Lowest and highest end of an interval in each panel, or in all of them where they have one scale."""
    shown = [rows for _, rows in panels]
    return [_range(rows) for rows in ([pd.concat(shown)] * len(shown) if dots.one_scale else shown)]


def _range(rows: pd.DataFrame) -> tuple[float, float]:
    """Where its intervals begin and end; 0 to 1 of nothing measured."""
    low, high = _interval(rows)
    return (float(np.nanmin(low)), float(np.nanmax(high))) if rows["mean"].notna().any() else (0.0, 1.0)


def _interval(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Its two ends, the mean where there is none."""
    low, high = (rows[end].fillna(rows["mean"]).to_numpy(float) for end in ("low", "high"))
    return low, high


def _panel(axis, rows: pd.DataFrame, places: np.ndarray, ends: tuple[float, float], room: float) -> None:
    """A dot for each method with its interval, and the number on the right in so much of the intervals' width."""
    colours = [names.plain_colour(m) for m in rows.index]
    low, high = _interval(rows)
    axis.hlines(places, low, high, color=colours, linewidth=1.6, alpha=0.55)
    axis.scatter(rows["mean"], places, s=24, color=colours, zorder=3, linewidths=0)
    span = max(ends[1] - ends[0], 0.02)
    left, right = ends[0] - 0.08 * span, ends[1] + room * span
    axis.set_xlim(left, right)
    ticks = _ticks(*ends)
    axis.set_xticks(ticks, [_plain(tick) for tick in ticks])
    axis.tick_params(axis="x", labelsize=7.5)
    for place, value in zip(places, rows["mean"], strict=True):
        if np.isfinite(value):
            axis.text(right, place, _short(value), va="center", ha="right", fontsize=7.5)


def _dashed(axis, view: TableView, table: pd.DataFrame, panel: Panel) -> None:
    """What the panel is held against, as an upright line: a metric of the reference, such as of an untuned decoder."""
    reference = view.experiment.reference
    if not (panel.against and reference):
        return
    rows = _here(view, table, panel, panel.against)
    value = rows.loc[rows["method"] == reference, "mean"]
    if len(value) and np.isfinite(value.iloc[0]):
        axis.axvline(value.iloc[0], color=drawing.MUTED, linewidth=1, dashes=(3, 2))
        left, right = axis.get_xlim()
        axis.set_xlim(min(left, value.iloc[0] - 0.04 * (right - left)), max(right, value.iloc[0]))


def _ticks(low: float, high: float) -> list[float]:
    """Two round numbers among the intervals; right of them stand numbers, which no tick should explain."""
    from matplotlib.ticker import MaxNLocator

    inside = [tick for tick in MaxNLocator(nbins=4).tick_values(low, high) if low <= tick <= high]
    return inside if len(inside) < 3 else [inside[0], inside[-1]]


def _plain(tick: float) -> str:
    return f"{tick:.4g}".replace("0.", ".", 1)


def _short(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)
