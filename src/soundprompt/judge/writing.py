"""A judgement for people and programs: a table in the terminal; judgement.csv, .json and .html beside the masks."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from soundprompt.files import publish, write_json, write_text
from soundprompt.judge.judging import Difference, Judgement, Row

SPREAD = ("mIoU", "F", "cIoU")
COLUMNS = (
    *("method", "part", "name", "figure", "rule", "source", "unit", "higher_is_better"),
    *("value", "printed", "low", "high", "caution"),
)
MINUS = "\N{MINUS SIGN}"


def write(result: Judgement, folder: Path) -> list[Path]:
    """Writes the three files, each whole or not at all; returns their paths."""
    paths = [folder / f"judgement.{suffix}" for suffix in ("csv", "json", "html")]
    with publish(paths[0]) as aside, open(aside, "w", newline="", encoding="utf-8") as stream:
        rows = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        rows.writeheader()
        rows.writerows(_plain(row) for row in result.rows)
    write_json(paths[1], as_json(result))
    write_text(
        paths[2], _PAGE.render(result=result, spread=spread(result), number=number, signed=signed, range=interval)
    )
    return paths


def as_json(result: Judgement) -> dict[str, Any]:
    """Everything, NaN as null."""
    return {
        "dataset": result.dataset,
        "protocol": result.protocol,
        "clips": result.clips,
        "frames": result.frames,
        "videos": result.videos,
        "figures": [_plain(row) for row in result.rows],
        "differences": [_plain_difference(one) for one in result.differences],
        "spread": spread(result),
        "notes": result.notes,
        "frames_listed": result.frame_lists,
    }


def _plain(row: Row) -> dict[str, Any]:
    of = row.convention
    facts = {name: getattr(of, name) for name in ("name", "figure", "rule", "source", "unit", "higher_is_better")}
    values = {name: finite(getattr(row, name)) for name in ("value", "printed", "low", "high")}
    return {"method": row.method, "part": row.part, **facts, **values, "caution": row.caution}


def _plain_difference(one: Difference) -> dict[str, Any]:
    values = {name: finite(getattr(one, name)) for name in ("value", "low", "high")}
    return {"first": one.first, "second": one.second, "name": one.convention.name, **values}


def spread(result: Judgement) -> list[str]:
    """For each method one line: how far apart the conventions are on the same masks."""
    lines = []
    for method in result.methods:
        parts = []
        for figure in SPREAD:
            rows = [
                row
                for row in result.rows
                if (row.method, row.part, row.convention.figure) == (method, "all", figure) and math.isfinite(row.value)
            ]
            for kind, members in _tasks(rows).items():
                low, high = min(members, key=lambda row: row.value), max(members, key=lambda row: row.value)
                if len(members) > 1:
                    parts.append(f"{kind} {number(low.value)} to {number(high.value)}")
        if parts:
            lines.append(f"{method}: the same masks by these conventions: {', '.join(parts)}")
    return lines


def _tasks(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows of the binary task, and those of 71 classes, which are another."""
    tasks: dict[str, list[Row]] = {}
    for row in rows:
        of_classes = row.convention.unit == "class"
        tasks.setdefault(f"{row.convention.figure} of 71 classes" if of_classes else row.convention.figure, []).append(
            row
        )
    return tasks


# ---------------------------------------------------------------------------------- terminal
def text(result: Judgement) -> str:
    """The table that a terminal shows: figures of the whole set and by number of sources; classes are in the files."""
    what = f"{result.dataset}{f', {result.protocol}' if result.protocol else ''}"
    lines = [f"{what}: {result.clips} clips, {result.frames} frames, {result.videos} source videos"]
    for part in dict.fromkeys(row.part for row in result.rows if not row.part.startswith("class: ")):
        lines += ["", "whole set" if part == "all" else part, *_table(result, part)]
    if result.differences:
        lines += ["", f"differences to {result.methods[0]} (95 % interval over source videos)", *_differences(result)]
    lines += ["", *spread(result), *(f"note: {note}" for note in result.notes)]
    return "\n".join(lines)


def _table(result: Judgement, part: str) -> list[str]:
    """A line for each convention, the methods side by side."""
    of = {(row.convention.name, row.method): row for row in result.rows if row.part == part}
    names = list(dict.fromkeys(name for name, _ in of))
    lines = [["figure", "convention", *result.methods, "source", ""]]
    for name in names:
        rows = [of.get((name, method)) for method in result.methods]
        one = next(row for row in rows if row)
        cells = [f"{number(row.value)} {interval(row.low, row.high)}".strip() if row else "" for row in rows]
        caution = next((row.caution for row in rows if row and row.caution), "")
        lines.append(
            [one.convention.figure, one.convention.rule, *cells, one.convention.source, caution and f"! {caution}"]
        )
    return aligned(lines)


def _differences(result: Judgement) -> list[str]:
    lines = [["figure", "convention", "method", "difference", "interval"]]
    for one in result.differences:
        if one.first == result.methods[0]:  # shown is the other method minus the first
            of = one.convention
            ends = interval(-one.high, -one.low, signed)
            lines.append([of.figure, of.rule, one.second, signed(-one.value), ends])
    return aligned(lines)


def aligned(lines: list[list[str]]) -> list[str]:
    """Columns of equal width, without blanks at the ends."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def number(value: float) -> str:
    """0.7123 -> '.712', as papers print shares; '-' for NaN."""
    if not math.isfinite(value):
        return "-"
    shown = f"{value:.3f}"
    return shown.removeprefix("0") if 0 <= value < 1 else shown


def signed(value: float) -> str:
    """0.0312 -> '+.031', with a true minus sign."""
    return "-" if not math.isfinite(value) else ("+" if value >= 0 else MINUS) + number(abs(value))


def interval(low: float, high: float, write=number) -> str:
    """'[.612, .733]'; '' where there is none."""
    return f"[{write(low)}, {write(high)}]" if math.isfinite(low) and math.isfinite(high) else ""


def finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


_PAGE = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Judgement: {{ result.dataset }}</title>
<style>
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .6rem; text-align: left; vertical-align:
top } tr { border-bottom: 1px solid #ddd } td.n { font-variant-numeric: tabular-nums; white-space: nowrap }
small { color: #666 } .caution { color: #a33 }
</style>
<h1>{{ result.dataset }}{% if result.protocol %}, {{ result.protocol }}{% endif %}</h1>
<p>{{ result.clips }} clips, {{ result.frames }} frames, {{ result.videos }} source videos.
Brackets: 95 % intervals over source videos.</p>
{% for line in spread %}<p><b>{{ line }}</b></p>{% endfor %}
{% for note in result.notes %}<p><small>{{ note }}</small></p>{% endfor %}
{% for part, rows in result.rows | groupby("part") %}
<h2>{{ "Whole set" if part == "all" else part }}</h2>
<table><tr><th>method<th>figure<th>convention<th>value<th>source<th></tr>
{% for row in rows %}
<tr><td>{{ row.method }}<td>{{ row.convention.figure }}<td>{{ row.convention.rule }}
<td class="n">{{ number(row.value) }} <small>{{ range(row.low, row.high) }}</small>
<td><small>{{ row.convention.source }}</small><td class="caution">{{ row.caution }}</tr>
{% endfor %}</table>
{% endfor %}
{% if result.differences %}
<h2>Differences</h2>
<table><tr><th>figure<th>convention<th>methods<th>difference</tr>
{% for one in result.differences %}
<tr><td>{{ one.convention.figure }}<td>{{ one.convention.rule }}
<td>{{ one.first }} \N{MINUS SIGN} {{ one.second }}
<td class="n">{{ signed(one.value) }} <small>{{ range(one.low, one.high, signed) }}</small></tr>
{% endfor %}</table>
{% endif %}
</html>
""")
