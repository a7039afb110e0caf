"""The paper's own figures, for the column beside ours."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

PERCENT = ("miou", "ciou")  # printed in percent in the paper; everything here is in [0, 1]


@dataclass(frozen=True)
class Figure:
    """One number of the paper.

    value: in [0, 1]; method: name in the paper; ours: our method of that meaning, or None;
    setting, selection, metric: in our names; source: where it stands in the paper.
    """

    table: str
    method: str
    ours: str | None
    setting: str
    selection: str
    metric: str
    value: float
    source: str


@functools.cache
def figures(table: str | None = None) -> tuple[Figure, ...]:
    """Every figure of a table (benchmarks, v3, vggss, data_efficiency), or of all; none for an unknown table."""
    found = []
    for name, content in _content().items():
        if table not in (None, name):
            continue
        for method, entry in content["methods"].items():
            for setting, values in entry["values"].items():
                for metric, value in values.items():
                    found.append(
                        Figure(
                            table=name,
                            method=method,
                            ours=entry["ours"],
                            setting=setting,
                            selection=content["settings"][setting],
                            metric=metric,
                            value=round(value / 100 if metric in PERCENT else value, 6),
                            source=content["source"],
                        )
                    )
    return tuple(found)


def find(table: str | None, setting: str, selection: str, method: str, metric: str) -> Figure | None:
    """The paper's figure for one of our numbers, or None where the paper has none."""
    for figure in figures(table) if table else ():
        if (figure.setting, figure.selection, figure.ours, figure.metric) == (setting, selection, method, metric):
            return figure
    return None


def about(table: str) -> dict[str, str]:
    """title, source, precision ('exact' or 'read off') and note of a table."""
    content = _content()[table]
    return {key: content[key] for key in ("title", "source", "precision", "note")}


def names() -> tuple[str, ...]:
    """The tables there are."""
    return tuple(_content())


@functools.cache
def _content() -> dict[str, Any]:
    return yaml.safe_load((resources.files("soundprompt.report") / "published.yaml").read_text())
