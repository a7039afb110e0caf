"""Pictures by their names: numbered ones of a clip, and the one that has a clip's name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from soundprompt.errors import InputError

PICTURES = (".jpg", ".jpeg", ".png")
"""Endings of frames, in any case."""

MASKS = (".png",)


def numbered(folder: Path, count: int, endings: Sequence[str], stem: str = "") -> list[Path]:
    """The `count` files `{stem}0.jpg`, `{stem}1.jpg`, ... of a folder in their order.

    They may be counted from 1 and padded with zeros (`00000.jpg`). Raises InputError that says what was found and
    what was expected, unless just these are there.
    """
    found = _found(folder, endings, stem)
    first = _first(found, count)
    wanted = range(first, first + count)
    lacking = [number for number in wanted if number not in found]
    surplus = sorted(set(found) - set(wanted))
    if lacking or surplus:
        expected = f"expected are {count}, {_name(stem, 0, endings)} to {_name(stem, count - 1, endings)}"
        if surplus:
            what = f"holds {len(found)} pictures, among them {found[surplus[0]].name}"
        elif found:
            either = f" or {_name(stem, count, endings)}" if lacking == [0] else ""
            what = f"lacks {_name(stem, lacking[0], endings)}{either}: {len(found)} pictures are there"
        else:
            what = f"holds no pictures {_name(stem, 0, endings)}, {_name(stem, 1, endings)}, ...{_seen(folder)}"
        raise InputError(f"{what}; {expected}, or counted from 1", path=folder, remedy=_RESTORE)
    return [found[number] for number in wanted]


def first_of(folder: Path, count: int, endings: Sequence[str], start: int, stem: str = "") -> Path:
    """The first of up to `count` numbered files, where the others need not be there.

    start: the number of the clip's first frame, 0 or 1. Raises InputError.
    """
    found = _found(folder, endings, stem)
    number = 0 if 0 in found else start if start in found else _first(found, count)
    if number not in found or (number > start and len(found) < count):
        seen = f"; it holds {', '.join(path.name for path in found.values())}" if found else _seen(folder)
        what = f"lacks {_name(stem, start, endings)}, which labels the first frame{seen}"
        raise InputError(what, path=folder, remedy=_RESTORE)
    return found[number]


def number_of(path: Path) -> int:
    """The number at the end of a file's name."""
    return int(re.findall(r"[0-9]+$", path.stem)[0])


def named(folder: Path, name: str, endings: Sequence[str] = PICTURES) -> Path:
    """`{name}.jpg` in a folder, or the same with another of the endings where that is there."""
    spellings = [spelling for ending in endings for spelling in (ending, ending.upper(), ending.capitalize())]
    paths = [folder / f"{name}{spelling}" for spelling in spellings]
    return next((path for path in paths if path.is_file()), paths[0])


def _found(folder: Path, endings: Sequence[str], stem: str) -> dict[int, Path]:
    """{number: file}. Raises InputError where there is no folder, or two files have one number."""
    if not folder.is_dir():
        raise InputError("missing", path=folder, remedy=_RESTORE)
    pattern = re.compile(rf"{re.escape(stem)}([0-9]+)({'|'.join(map(re.escape, endings))})", re.IGNORECASE)
    found: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        match = pattern.fullmatch(path.name)
        if match is None or not path.is_file():
            continue
        number = int(match[1])
        if number in found:
            what = f"holds both {found[number].name} and {path.name}"
            raise InputError(what, path=folder, remedy="leave one of the two")
        found[number] = path
    return found


def _first(found: dict[int, Path], count: int) -> int:
    """From which number on they are counted: 1 where the last one says so."""
    return 1 if 0 not in found and count in found else 0


def _name(stem: str, number: int, endings: Sequence[str]) -> str:
    return f"{stem}{number}{endings[0]}"


def _seen(folder: Path) -> str:
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    more = ", ..." if len(names) > 3 else ""
    return f"; it holds {', '.join(names[:3])}{more}" if names else "; it is empty"


_RESTORE = "restore the clip's pictures, or give them these names"
