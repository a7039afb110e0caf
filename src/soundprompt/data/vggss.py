"""VGG-SS: one picture, its sound and boxes around what sounds.

`{root}/vggss.json` is a list of {file, class, bbox}; `{root}/vggss_test.csv` lists the clips of the
test set, one id a row, without a header. A clip is `frames/{file}.jpg` and `audio/{file}.wav`. Fetching
leaves `clips.csv` beside them: which clips could not be had, and why.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundprompt.data.clip import Clip, ClipMissing
from soundprompt.errors import InputError
from soundprompt.files import read_json

SPLIT = "test"
OUTCOMES = "clips.csv"
"""File with the columns file, status ("found", "missing" or "unusable") and reason."""


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

    Negative coordinates (12 of the released boxes, one about -2.9e16) become 0, which leaves their
    masks as the reference code draws them; empty boxes are kept. Raises InputError when the json has
    another form, names a clip twice, or lacks one that vggss_test.csv lists.
    """
    path = Path(root) / "vggss.json"
    entries = read_json(path)
    if not isinstance(entries, list):
        raise InputError("is not a list", path=path, remedy="restore the annotations of the release")
    annotations = [_annotation(entry, path) for entry in entries]
    names = [annotation.file for annotation in annotations]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"names {twice} twice", path=path, remedy="restore the annotations of the release")
    test = _test_ids(Path(root) / "vggss_test.csv")
    lacking = sorted(test - set(names))
    if lacking:
        what = f"has no boxes for {lacking[0]} ({len(lacking)} such clips), which vggss_test.csv lists"
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
    image, audio = root / "frames" / f"{annotation.file}.jpg", root / "audio" / f"{annotation.file}.wav"
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


def _annotation(entry: Any, path: Path) -> Annotation:
    try:
        file, class_name, boxes = entry["file"], entry["class"], entry["bbox"]
        clean = [[max(float(value), 0.0) for value in box] for box in boxes]
        good = isinstance(file, str) and file and all(len(box) == 4 and all(map(math.isfinite, box)) for box in clean)
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"entry {entry!r:.80} has another form", path=path, remedy=_FORM) from error
    if not good:
        raise InputError(f"entry {entry!r:.80} has another form", path=path, remedy=_FORM)
    return Annotation(file, str(class_name), clean)


def _test_ids(path: Path) -> set[str]:
    try:
        ids = {line.split(",")[0].strip() for line in path.read_text().splitlines()} - {""}
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("missing or unreadable", path=path, remedy="put vggss_test.csv beside vggss.json") from error
    if not ids:
        raise InputError("lists no clips", path=path, remedy="restore vggss_test.csv of the release")
    return ids


_FORM = 'expected {"file": text, "class": text, "bbox": [[xmin, ymin, xmax, ymax], ...]}'
