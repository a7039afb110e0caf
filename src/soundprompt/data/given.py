"""Tables, json and names that people give us, as spreadsheets and editors leave them: the one reader of them all.

Read: byte order marks, UTF-16, any line ends, commas, semicolons or tabs, Excel's `sep=;`, quotes, blanks around
values, empty rows, empty columns at the end. Everything else is an InputError with the file, the row as a
spreadsheet numbers it, and what was found there.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from soundprompt import records
from soundprompt.errors import InputError

LONGEST_NAME = 200
"""Bytes of a name: file systems take 255, endings included."""

PAGE_START = 4096

_DELIMITERS = ",;\t"
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_INVISIBLE = "\ufeff\u200b"
_OTHERS = {b"PK\x03\x04": "an Excel workbook or another zip archive", b"\xd0\xcf\x11\xe0": "an Excel workbook"}
_PAGE = re.compile(
    r"\s*(<\?xml.*?\?>\s*|<!--.*?-->\s*)*<(!doctype html|html|head|body|script|style|title|meta|!--)", re.S
)


def read_table(path: Path | str, columns: Sequence[str] = (), *, remedy: str = "restore the file") -> pd.DataFrame:
    """A csv file whose first row names its columns, as text; the index is the row in the file, from 2 on.

    columns: those that must be there, which alone are returned, in this order; none: all of the file.
    remedy: what to do when there is no such file.
    """
    rows = read_rows(path, remedy=remedy)
    first, header = next(rows, (1, []))
    names = _named(header, columns, f"row {first}", path)
    cells, numbers = [], []
    for number, row in rows:
        _check_width(row, header, number, path)
        cells.append(row[: len(header)])
        numbers.append(number)
    table = pd.DataFrame(cells, columns=names, index=numbers, dtype=str)
    return table[list(columns)] if columns else table


def read_rows(path: Path | str, *, remedy: str = "restore the file") -> Iterator[tuple[int, list[str]]]:
    """(row in the file, from 1 on; its values without blanks around them) of a csv file; rows without any are left out.

    Empty values at the end of a row are its own: only `read_table` knows how many there should be.
    """
    text = read_text(path, remedy=remedy)
    lines, skipped = io.StringIO(text, newline=""), 0
    first = text.partition("\n")[0].strip()
    if first.lower().startswith("sep=") and len(first) == 5:  # what Excel writes to itself
        delimiter, skipped = first[4], 1
        lines.readline()
    else:
        delimiter = max(_DELIMITERS, key=lambda sign: _width(text, sign))
    try:
        for number, row in enumerate(csv.reader(lines, delimiter=delimiter, skipinitialspace=True), 1 + skipped):
            values = [value.strip().strip(_INVISIBLE).strip() for value in row]
            if any("\n" in value or "\r" in value for value in values):
                raise InputError(f"row {number}: a quote is opened and not closed", path=path, remedy=_CORRECT)
            if any(values):
                yield number, values
    except csv.Error as error:
        raise InputError(f"not a readable csv file ({error})", path=path, remedy=_CORRECT) from error


def read_json(path: Path | str, *, remedy: str = "restore the file") -> Any:
    """The value of a json file. remedy: what to do when there is no such file."""
    try:
        return json.loads(read_text(path, remedy=remedy))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"not valid JSON ({error})", path=path, remedy=_CORRECT) from error


def read_text(path: Path | str, *, remedy: str = "restore the file") -> str:
    """A text file in UTF-8 or, with its mark, UTF-16; the mark is left out."""
    records.check(path)
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy=remedy) from error
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise InputError(what, path=path, remedy="check the file and its mode") from error
    other = next((kind for sign, kind in _OTHERS.items() if content.startswith(sign)), None)
    other = "a web page" if is_page(content) else other
    if other:
        raise InputError(f"is {other}, not text", path=path, remedy=f"{_AS_TEXT}, or download the file itself")
    if not content.strip():
        raise InputError("is empty", path=path, remedy=remedy)
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        what = f"row {row} is not {encoding.removesuffix('-sig').upper()} ({error.reason})"
        raise InputError(what, path=path, remedy=_AS_TEXT) from error
    if "\0" in text:
        raise InputError("holds zero bytes", path=path, remedy=_AS_TEXT)
    return text


def is_page(content: bytes) -> bool:
    """Whether bytes begin as a web page does: what servers send instead of a file when they want a login or a consent.

    Behind a byte order mark, blanks and comments too; the first PAGE_START bytes are enough.
    """
    encoding = next((name for mark, name in _MARKS.items() if content.startswith(mark)), "utf-8")
    return _PAGE.match(content[:PAGE_START].decode(encoding, errors="replace").lower()) is not None


def check_name(name: str, path: Path | str, where: str) -> str:
    """A name from a table that becomes part of a path; returns it. Raises InputError where it leaves its folder.

    where: where it stands in the file at `path`, such as "row 3".
    """
    faults = {
        "is empty": not name,
        "leaves its folder": "/" in name or "\\" in name or name in (".", ".."),
        "begins with a dot, as hidden files do": name.startswith("."),
        "has signs that cannot be printed": not name.isprintable(),
        f"is longer than {LONGEST_NAME} bytes": len(name.encode(errors="replace")) > LONGEST_NAME,
    }
    wrong = next((fault for fault, there in faults.items() if there), None)
    if wrong:
        what = f"{where}: the name {name!r:.80} {wrong}"
        raise InputError(what, path=path, remedy="correct the name: it is that of a folder or file of the dataset")
    return name


def _width(text: str, delimiter: str) -> int:
    """Values in the first row that has any."""
    rows = csv.reader(io.StringIO(text[: 1 << 16], newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return next((len(row) for row in rows if any(value.strip() for value in row)), 0)
    except csv.Error:
        return 0


def _named(header: list[str], columns: Sequence[str], row: str, path: Path | str) -> list[str]:
    """Names of the columns, as `columns` spells them; `header` loses what is empty at its end."""
    while header and not header[-1]:
        header.pop()
    spelled = {name.lower(): name for name in columns}
    names = [spelled.get(name.lower(), name) for name in header]
    lacking = [name for name in columns if name not in names]
    if lacking:
        what = f"{row} lacks the columns {', '.join(lacking)}; it has: {', '.join(header)[:200]}"
        raise InputError(what, path=path, remedy=f"let the first row name the columns: {','.join(columns)}")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{row} names the column '{twice}' twice", path=path, remedy="name each column once")
    return names


def _check_width(row: list[str], header: list[str], number: int, path: Path | str) -> None:
    surplus = [value for value in row[len(header) :] if value]
    if len(row) < len(header) or surplus:
        found = f"row {number} has {len(row)} values where the first row names {len(header)} columns"
        seen = f"; the last is '{(surplus or row)[-1][:80]}'"
        raise InputError(found + seen, path=path, remedy="restore the row; a value with a comma in it needs quotes")


_AS_TEXT = "save it as text in UTF-8 (in a spreadsheet: CSV UTF-8)"
_CORRECT = "correct the file, or restore it from its source"
