"""VGG-SS: one picture, its sound and boxes around what sounds.

`{root}/vggss.json` is a list of {file, class, bbox}; `{root}/vggss_test.csv` lists the clips of the
test set, one id a row, without a header. A clip is `frames/{file}.jpg` and `audio/{file}.wav`. Fetching
leaves `clips.csv` beside them: which clips could not be had, and why.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from soundprompt.data import avsbench, given, protocols
from soundprompt.data.clip import Clip, ClipMissing, Expected
from soundprompt.data.numbered import named
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import TablesView
from soundprompt.registry import Dataset

SPLIT = "test"
SECONDS = 10  # of each clip
OUTCOMES = "clips.csv"
"""File with the columns file, status ("found", "missing" or "unusable") and reason."""

LOST_END = -1e15
"""Ends of boxes below this were no numbers when the release was written (-2**63 pixels); they count as 0."""

ROUNDING = 1e-6
"""By which a coordinate may miss 0 and 1."""

_NUMBERED = re.compile(r"_\d+$")


@dataclass(frozen=True)
class Annotation:
    """One clip of vggss.json: its id, class and boxes [xmin, ymin, xmax, ymax] as fractions of the frame."""

    file: str
    class_name: str
    boxes: list[list[float]]

    @property
    def video(self) -> str:
        """YouTube id: the file's name without '_' and the start second."""
        return self.file.rpartition("_")[0] or self.file


def read_annotations(root: Path | str) -> list[Annotation]:
    """The test clips, in the order of vggss.json.

    Boxes lie within 0 and 1 and end where they begin or behind. 12 of the released ones have lost an end (it is about
    -2.9e16): it becomes 0, which leaves their masks as the reference code draws them; empty boxes are kept. Raises
    InputError when the json has another form, names a clip twice, or lacks one that vggss_test.csv lists.
    """
    path = Path(root) / "vggss.json"
    entries = given.read_json(path, remedy="put vggss.json of the release there, or run `soundprompt fetch`")
    if not isinstance(entries, list):
        raise InputError("is not a list", path=path, remedy="restore the annotations of the release")
    annotations = [_annotation(entry, number, path) for number, entry in enumerate(entries, 1)]
    names = [annotation.file for annotation in annotations]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"names {twice} twice", path=path, remedy="restore the annotations of the release")
    test = _test_ids(Path(root) / "vggss_test.csv", set(names))
    lacking = [name for name in test if name not in set(names)]
    if lacking:
        row = test[lacking[0]]
        what = f"has no boxes for {lacking[0]!r} ({len(lacking)} such clips), which row {row} of vggss_test.csv lists"
        raise InputError(what, path=path, remedy="use both files of the same release")
    return [annotation for annotation in annotations if annotation.file in test]


def read_outcomes(root: Path | str) -> dict[str, tuple[str, str]]:
    """{file: (status, reason)} that fetching wrote down, the last word on each clip; {} where nothing was fetched."""
    try:
        with open(Path(root) / OUTCOMES, encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.reader(stream) if len(row) == 3]  # a kill may have cut the last one short
    except FileNotFoundError:
        return {}
    return {file: (status, reason) for file, status, reason in rows if file != "file"}


def files(root: Path, file: str) -> tuple[Path, Path]:
    """Picture and sound of a clip, there or not."""
    return named(root / "frames", file), root / "audio" / f"{file}.wav"


def find_clip(
    root: Path | str,
    annotation: Annotation,
    kinds: dict[str, str],
    outcomes: Mapping[str, tuple[str, str]] | None = None,
    silent: Mapping[str, str] | None = None,
) -> Clip:
    """The files of one clip. Raises ClipMissing when it has neither picture nor sound, InputError when one lacks.

    outcomes: `read_outcomes`, so that a clip that is not there is reported with the reason.
    kinds, silent: `read_kinds` and `read_silent` of AVSBench's folder, where the generated world has them.
    """
    root = Path(root)
    image, audio = files(root, annotation.file)
    there = [path.is_file() for path in (image, audio)]
    if not any(there):
        status, reason = (outcomes or {}).get(annotation.file, ("missing", ""))
        if status == "unusable":
            raise InputError(f"the video is not usable: {reason}", path=image, remedy="leave the clip out")
        what = f"vggss.json names the clip {annotation.file}, which is not there"
        what = f"{what} ({reason})" if reason and status != "found" else what
        raise ClipMissing(what, path=image, remedy="fetch the clip; many are no longer online")
    if not all(there):
        raise InputError("missing", path=audio if there[0] else image, remedy="extract the clip again")
    return Clip(
        uid=annotation.file,
        video=annotation.video,
        class_name=annotation.class_name,
        kind=kinds.get(annotation.class_name, ""),
        split=SPLIT,
        n_sources=1,
        images=(image,),
        audio=audio,
        masks=(None,),
        objects=(None,),
        boxes=annotation.boxes,
        silent=(silent or {}).get(annotation.file),
        middle=True,
    )


def _annotation(entry: Any, number: int, path: Path) -> Annotation:
    good = isinstance(entry, dict) and isinstance(entry.get("file"), str) and isinstance(entry.get("class"), str)
    if not good or not isinstance(entry.get("bbox"), list):
        raise InputError(f"entry {number}, {entry!r:.80}, has another form", path=path, remedy=_FORM)
    file = given.check_name(entry["file"].strip(), path, f"entry {number}")
    return Annotation(file, entry["class"], [_box(box, f"clip {file}", path) for box in entry["bbox"]])


def _box(box: Any, clip: str, path: Path) -> list[float]:
    """The box with lost ends as 0. Raises InputError that names the clip and the value."""
    numbers = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not numbers:
        raise InputError(f"{clip}: the box {box!r:.80} is not four numbers", path=path, remedy=_FORM)
    for value, name in zip(box, ("xmin", "ymin", "xmax", "ymax"), strict=True):
        lost = name.endswith("max") and -math.inf < value < LOST_END
        if not (lost or -ROUNDING <= value <= 1 + ROUNDING):
            what = f"{clip}: {name} of the box {box} is {value}, outside 0 to 1"
            raise InputError(what, path=path, remedy="write boxes as fractions of the picture's width and height")
    for low, high, axis in ((box[0], box[2], "x"), (box[1], box[3], "y")):
        if LOST_END <= high < low:
            what = f"{clip}: the box {box} ends before it begins: {axis}max {high} is below {axis}min {low}"
            raise InputError(what, path=path, remedy=_FORM)
    return [min(max(float(value), 0.0), 1.0) for value in box]


def _test_ids(path: Path, known: set[str]) -> dict[str, int]:
    """{clip: row} of vggss_test.csv: the first value of each row. A first row that is no clip's name is a header."""
    rows = [
        (number, values[0]) for number, values in given.read_rows(path, remedy="put vggss_test.csv beside vggss.json")
    ]
    if rows and rows[0][1] not in known and not _NUMBERED.search(rows[0][1]):
        rows = rows[1:]
    if not rows:
        raise InputError("lists no clips", path=path, remedy="restore vggss_test.csv of the release")
    return {name: number for number, name in rows}


_FORM = 'expected {"file": text, "class": text, "bbox": [[xmin, ymin, xmax, ymax], ...]}'


def expected(view: TablesView, layout: Layout) -> list[Expected]:
    """The clips of the test, and which of them published lists name that some setting draws from."""
    items = read_annotations(layout.vggss)
    splits = _splits(view, layout, {item.file for item in items})
    kinds, silent = avsbench.read_kinds(layout.avsbench), avsbench.read_silent(layout.avsbench)
    find = partial(find_clip, layout.vggss, kinds=kinds, outcomes=read_outcomes(layout.vggss), silent=silent)
    return [
        Expected(
            item.file,
            item.video,
            tuple(split for split, names in splits.items() if item.file in names),
            partial(find, item),
        )
        for item in items
    ]


def _splits(view: TablesView, layout: Layout, known: set[str]) -> dict[str, set[str]]:
    """{split: its clips}: the test, and those by published lists that some setting draws from."""
    splits = {SPLIT: known}
    for split in (name.partition("/")[2] for name in view.protocols if name.startswith("vggss/")):
        splits[split] = set(protocols.listed(split, layout.downloads))
        strange = sorted(splits[split] - known)
        if strange:
            what = f"lacks {strange[0]} ({len(strange)} such clips), which the published list of '{split}' names"
            raise InputError(what, path=layout.vggss / "vggss.json", remedy="use the annotations of the release")
    return splits


REGISTERED = Dataset(
    name="vggss",
    code=expected,
    title="VGG-SS",
    splits=("test",),
    protocols=("heard", "unheard"),
    tests_only="has boxes and no masks",
    downloads=("vggss", "vggss_clips"),
    generated="too",
)
