"""The look of plots: narrow enough for a phone, plain, and the same bytes for the same numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundprompt import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 5.3  # inches of 72 points: a column of the report, or a phone's whole screen
INK, MUTED, LINE, PAPER = "#20242b", "#6b727e", "#d9dce2", "#ffffff"
# When a plot stands inside the report its greys follow the page's light or dark colours.
_THEMED = {INK: "var(--ink)", MUTED: "var(--muted)", LINE: "var(--line)", PAPER: "var(--card)"}
_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "soundprompt",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
    "legend.frameon": False,
    "legend.fontsize": 8,
}
_FONTS = "system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


@contextmanager
def canvas(height: float, columns: int = 1, rows: int = 1, **options) -> Iterator[tuple[Figure, list]]:
    """A figure of WIDTH x `height` inches and the list of its axes, in the common style."""
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, **options)
        yield figure, list(axes.flat)


def legend_height(labels: int, columns: int = 2) -> float:
    """Inches that a legend below a plot needs, so that many labels do not squeeze it."""
    return 0.19 * -(-labels // columns)


def save(figure: Figure, path: Path, title: str, description: str) -> None:
    """Publishes the figure as svg with a title and a description for those who cannot see it."""
    with files.publish(path) as aside:
        figure.savefig(aside, format="svg", metadata={"Date": None, "Creator": None})
        text = aside.read_text()
        head = f"<title>{_escape(title)}</title><desc>{_escape(description)}</desc>"
        text = re.sub(r"(<svg\b[^>]*>)", lambda found: found[1] + head, text, count=1)
        aside.write_text(text)


def inline(svg: str, name: str) -> str:
    """The plot as an element of the report: themed greys, the page's font, ids that are unique there."""
    svg = svg[svg.index("<svg") :]
    title = re.search(r"<title>(.*?)</title>", svg, re.S)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    for colour, themed in _THEMED.items():
        svg = svg.replace(colour, themed)
    svg = re.sub(r"(font: [^;\"]*?)('DejaVu Sans'|sans-serif)[^;\"]*", rf"\1{_FONTS}", svg)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", svg))
    svg = re.sub(r" id=\"([^\"]+)\"", lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", svg)
    svg = re.sub(r"(url\(#|href=\"#)([^)\"]+)", rf"\1{name}-\2", svg)
    label = title[1].replace('"', "&quot;") if title else name
    box = re.search(r"viewBox=\"[^\"]+\"", svg)
    head = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0] if box else ""} role="img" aria-label="{label}">'
    return re.sub(r"<svg\b[^>]*>", lambda _: head, svg, count=1)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
