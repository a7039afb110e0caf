"""Leaks: what training or selection knows of a test that it should meet for the first time.

For every setting each selection that its model has met, in training or in validation, also by way of the settings
that it starts from or borrows from, is compared with each of its tests: by source video, by the bytes of
pictures, and, where the setting claims that its classes are unseen, by class. Whole selections are compared, also
for settings that train on a share. `data.leaks` says what follows:

- stop: no table is made.
- drop: the frame tables leave out clips of shared videos (`comparisons.Comparison.gives_up`), so that only what no
  table can leave out is found here, and stops.
- report: tables are made, and the report says it beside them.

Clips of tests that share a video or a picture are listed by name: tables leave them out of their "clean" figures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from soundprompt import records
from soundprompt.data import comparisons, frame_table
from soundprompt.data.comparisons import Comparison
from soundprompt.errors import InputError
from soundprompt.files import publish
from soundprompt.layout import Layout
from soundprompt.params import LeaksView

COLUMNS = (
    "setting",
    "selection",
    "role",  # train or validation
    "other",
    "other_role",  # test; train, for a validation
    "what",  # video, picture or class
    "shared",  # how many of them
    "clips",  # of `selection` concerned
    "other_clips",
    "examples",  # three at most
    "verdict",  # stops, reported; noted: of training and validation, in no test; "": nothing shared
)
CLIP_COLUMNS = ("setting", "test", "clip", "what", "shared_with", "role")
SILENT = ("", "background", "off-the-screen")  # class strings that name no class
EXAMPLES = 3


def path(layout: Layout) -> Path:
    """Beside the frame tables."""
    return layout.table("v3").with_name("leaks.csv")


def clips_path(layout: Layout) -> Path:
    """Beside `path(layout)`."""
    return path(layout).with_name("shared_clips.csv")


@dataclass(frozen=True)
class Checked:
    """comparisons: every one of the view's settings, with COLUMNS; clips: of tests, those that share a video or a
    picture with a selection that the setting's model has met, with CLIP_COLUMNS."""

    comparisons: pd.DataFrame
    clips: pd.DataFrame


def run(view: LeaksView, layout: Layout) -> None:
    """Writes `path(layout)`, a row for each comparison made, and `clips_path(layout)`.

    Raises InputError where a leak stops the tables.
    """
    checked = check(view, layout)
    table = checked.comparisons
    for rows, file in ((checked.clips, clips_path(layout)), (table, path(layout))):
        with publish(file, recorded=True) as aside:
            rows.to_csv(aside, index=False)
    for sentence in sentences(table[table["verdict"] == "reported"]):
        print(f"leak: {sentence}", file=sys.stderr)
    stop(table, layout, dropped=view.leaks == "drop")


def read(layout: Layout) -> pd.DataFrame:
    """The table that `run` wrote. Raises InputError when it is missing or not one of ours."""
    return _read(path(layout), COLUMNS)


def read_clips(layout: Layout, setting: str) -> dict[str, set[str]]:
    """{test selection of a setting: its clips that share a video or a picture with what its model has met}.

    Selections without such clips are left out. Raises InputError as `read`.
    """
    table = _read(clips_path(layout), CLIP_COLUMNS)
    of_setting = table[table["setting"] == setting]
    return {test: set(rows["clip"]) for test, rows in of_setting.groupby("test")}


def _read(file: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    records.check(file)
    try:
        table = pd.read_csv(file, keep_default_na=False, dtype={"clip": str})
    except (OSError, ValueError) as error:
        raise InputError("leak check missing or damaged", path=file, remedy="run `soundprompt leaks`") from error
    if tuple(table.columns) != columns:
        raise InputError("columns differ from this version's", path=file, remedy="run `soundprompt leaks` again")
    return table


def stop(table: pd.DataFrame, layout: Layout, *, dropped: bool = False) -> None:
    """Raises InputError that names every leak which stops tables; `dropped`: what could be left out already is."""
    bad = table[table["verdict"] == "stops"]
    if bad.empty:
        return
    remedy = f"correct the splits or the settings ({path(layout)} has every comparison), "
    if dropped:
        remedy += "or set data.leaks: report to make the tables and say it beside them; these cannot be left out: "
        remedy += "only a shared source video that metadata name can"
    else:
        remedy += "or set data.leaks: drop to leave shared videos out, or report to make the tables and say it there"
    raise InputError("what is tested is not new:\n" + "\n".join(f"  {one}" for one in sentences(bad)), remedy=remedy)


def sentences(rows: pd.DataFrame) -> list[str]:
    """A line for each row of a leak table; comparisons that several settings make are one."""
    lines = []
    keys = [name for name in COLUMNS if name not in ("setting", "verdict")]
    for values, group in rows.groupby(keys, sort=False):
        row = dict(zip(keys, values, strict=True))
        settings = ", ".join(group["setting"])
        lines.append(
            f"setting{'s' if len(group) > 1 else ''} {settings}: {_count(row['shared'], row['what'])} shared by "
            f"{row['selection']} ({row['role']}, {_count(row['clips'], 'clip')}) and "
            f"{row['other']} ({row['other_role']}, {_count(row['other_clips'], 'clip')}), such as {row['examples']}"
        )
    return lines


def check(view: LeaksView, layout: Layout) -> Checked:
    """Compares all that the view's settings have met with their tests."""
    wanted = [c for name in view.settings for c in comparisons.of_setting(view.settings, name)]
    selections = dict.fromkeys(s for c in wanted for s in (c.selection, c.other))
    of = {selection: _Selection(frame_table.select(layout, [selection])) for selection in selections}
    found, clips = [], []
    for comparison in wanted:
        claims = view.settings[comparison.setting].unseen and comparison.other_role == "test"
        for what in ("video", "picture", *(["class"] if claims else [])):
            found.append(_row(comparison, what, of, view.leaks))
            clips += _clip_rows(comparison, what, of)
    return Checked(pd.DataFrame(found, columns=list(COLUMNS)), pd.DataFrame(clips, columns=list(CLIP_COLUMNS)))


class _Selection:
    """What the clips of a selection hold: {video, picture or class: the clips with it}."""

    def __init__(self, frames: pd.DataFrame):
        clips = frames.drop_duplicates("clip")
        names = clips.assign(name=clips["class_name"].str.split("_")).explode("name")
        self.holds = {
            "video": _by(clips["video"], clips["clip"]),
            "picture": _by(frames["image_digest"], frames["clip"]),
            "class": _by(names["name"], names["clip"], without=SILENT),
        }


def _by(values: pd.Series, clips: pd.Series, without: Iterable[str] = ()) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for value, clip in zip(values, clips, strict=True):
        found.setdefault(value, set()).add(clip)
    return {value: there for value, there in found.items() if value not in without}


def _row(comparison: Comparison, what: str, of: dict[str, _Selection], leaks: str) -> tuple:
    one, two = (of[selection].holds[what] for selection in (comparison.selection, comparison.other))
    shared = sorted(one.keys() & two.keys())
    touched = [len(set().union(*(side[value] for value in shared))) for side in (one, two)]
    verdict = "noted" if comparison.other_role == "train" else "reported" if leaks == "report" else "stops"
    examples = shared[:EXAMPLES]
    if what == "picture":  # a digest says nothing to anyone
        examples = sorted(set().union(*(one[value] for value in shared)))[:EXAMPLES]
    pair = (comparison.setting, comparison.selection, comparison.role, comparison.other, comparison.other_role)
    return (*pair, what, len(shared), *touched, ", ".join(examples), verdict if shared else "")


def _clip_rows(comparison: Comparison, what: str, of: dict[str, _Selection]) -> list[tuple]:
    """The clips of a test that share something with a selection; a shared class is no shared clip."""
    if comparison.other_role != "test" or what == "class":
        return []
    met, tested = (of[selection].holds[what] for selection in (comparison.selection, comparison.other))
    clips = sorted(set().union(*(tested[value] for value in met.keys() & tested.keys())))
    return [(comparison.setting, comparison.other, clip, what, comparison.selection, comparison.role) for clip in clips]


def _count(number: int, thing: str) -> str:
    plural = {"class": "classes"}.get(thing, f"{thing}s")
    return f"{number} {thing if number == 1 else plural}"
