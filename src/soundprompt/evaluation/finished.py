"""Finished measurements: what they were made from, and the record that says that they are whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from soundprompt import records
from soundprompt.files import digest_file, write_sealed
from soundprompt.layout import Layout
from soundprompt.params import Setting


def tested_tables(setting: Setting, layout: Layout) -> dict[str, str]:
    """Name -> digest of the frame tables that a setting tests on."""
    datasets = sorted({selection.partition("/")[0] for selection in setting.test})
    return {f"table {name}": records.digest(layout.table(name)) for name in datasets}


def conclude(folder: Path, name: str, record: dict[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """Writes the provenance, last: it says that the files are whole. Returns key, digest of the rows, and files."""
    rows = files[0]
    result = {"key": record["key"], Path(rows).stem: digest_file(folder / rows), "files": list(files)}
    write_sealed(folder / name, {**record, "result": result, **records.of_files(folder, files)})
    return result
