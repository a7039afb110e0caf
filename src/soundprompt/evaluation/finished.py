"""Finished measurements: what they were made from, and the record that says that they are whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soundprompt.errors import InputError
from soundprompt.files import digest_file, read_json, write_json
from soundprompt.layout import Layout
from soundprompt.params import Setting


def tested_tables(setting: Setting, layout: Layout) -> dict[str, str]:
    """Name -> digest of the frame tables that a setting tests on."""
    datasets = sorted({selection.partition("/")[0] for selection in setting.test})
    return {f"table {name}": digest_file(layout.table(name)) for name in datasets}


def kept(folder: Path, record: str, key: str, files: Sequence[str]) -> dict[str, Any] | None:
    """The result of a finished job with this key, if its files are all there and the first, its rows, unaltered."""
    try:
        origin = read_json(folder / record)
        if origin["key"] != key or digest_file(folder / files[0]) != origin["result"][Path(files[0]).stem]:
            return None
    except (InputError, KeyError, TypeError):
        return None
    return origin["result"] if all((folder / name).exists() for name in files) else None


def conclude(folder: Path, name: str, record: dict[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """Writes the provenance, last: it says that the files are whole. Returns key, digest of the rows, and files."""
    rows = files[0]
    result = {"key": record["key"], Path(rows).stem: digest_file(folder / rows), "files": list(files)}
    write_json(folder / name, {**record, "result": result})
    return result
