"""`soundprompt verify`: every artifact of a study against its record."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from soundprompt import files, records
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.features.store import Store
from soundprompt.layout import Layout
from soundprompt.progress import Progress

# States of unfinished work carry their sum in themselves, and are looked at when the work goes on.
UNFINISHED = "resume.pt"


@dataclass(frozen=True)
class Expected:
    """A file, the digests that it may have, and what says so; no digests where nothing says anything."""

    path: Path
    digests: frozenset[str]
    record: Path | None


@dataclass(frozen=True)
class Trouble:
    """kind: differs, missing or unrecorded."""

    kind: str
    path: Path
    why: str


def run(study: str, layouts: Iterable[Layout]) -> tuple[int, list[Trouble]]:
    """Checks all artifacts of a study and its substudies and prints progress; returns how many, and what is wrong."""
    wanted: dict[Path, Expected] = {}
    trouble: list[Trouble] = []
    for layout in layouts:
        _collect(layout, wanted, trouble)
    sizes = [each.path.stat().st_size if each.path.exists() else 0 for each in wanted.values()]
    progress, done = Progress(f"verify {study}, MiB", (sum(sizes) >> 20) + 1), 0
    # sha256 lets go of Python's lock, so that threads are enough to keep all processors busy
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for size, found in zip(sizes, pool.map(_judge, wanted.values()), strict=True):
            trouble += [found] if found else []
            done += size
            progress.done = done >> 20
            progress.advance(steps=0)
    progress.advance(f"{len(wanted)} artifacts", steps=progress.total - progress.done)
    return len(wanted), sorted(trouble, key=lambda found: (found.kind, str(found.path)))


# ---------------------------------------------------------------------------------- what there should be
def _collect(layout: Layout, wanted: dict[Path, Expected], trouble: list[Trouble]) -> None:
    made = [layout.data / name for name in ("tables", "masks")]
    folders = (*made, layout.foundation("sam").parent, layout.features, layout.runs, layout.results)
    for folder in folders:
        for path in _files(folder):
            if path not in wanted:
                _expect(path, layout, wanted, trouble)
    for folder in (layout.data, layout.avsbench, layout.avs_v3, *layout.avs_v3.glob("*"), layout.vggss):
        for path in sorted(folder.glob(".*.sha256")):
            _expect(path, layout, wanted, trouble)
    for table in sorted((layout.data / "tables").glob("*.parquet")):
        _expect_media(table, wanted, trouble)
    for note in sorted((layout.data / "fetched").glob("*.json")):
        _expect_fetched(note, wanted, trouble)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder, without those that are being written."""
    for root, names, here in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith((files.ASIDE, ".snakemake")))
        yield from (
            Path(root) / name
            for name in sorted(here)
            if not name.endswith(UNFINISHED) and name != ".snakemake_timestamp"
        )


def _expect(path: Path, layout: Layout, wanted: dict[Path, Expected], trouble: list[Trouble]) -> None:
    """What a file should be; a record stands for all that it names, whether that is there or not."""
    try:
        if path.name.startswith(".") and path.suffix == ".sha256":
            _expect_lines(path, path.read_text(errors="replace").splitlines(), wanted)
        elif path.suffix == ".json":
            known = files.read_json(path)
            known = known.get("files") if isinstance(known, dict) else None
            wanted.setdefault(path, Expected(path, frozenset(), path))
            if isinstance(known, dict) and path.parent.name != "fetched":
                _expect_lines(path, [f"{digest}  {name}" for name, digest in known.items()], wanted)
        elif (told := records.recorded(path)) is not None:
            _expect_lines(*told, wanted)
        else:
            own = path if path.suffix == ".safetensors" and layout.features in path.parents else None
            wanted.setdefault(path, Expected(path, frozenset(), own))
    except InputError as error:
        trouble.append(Trouble("differs", Path(error.path or path), error.what))


def _expect_lines(record: Path, lines: Iterable[str], wanted: dict[Path, Expected]) -> None:
    found: dict[Path, set[str]] = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        found.setdefault(record.parent / name, set()).add(digest)
    for path, digests in found.items():
        wanted[path] = Expected(path, frozenset(digests), record)


def _expect_media(table: Path, wanted: dict[Path, Expected], trouble: list[Trouble]) -> None:
    """Pictures, sounds and masks, by the digests in a frame table."""
    try:
        rows = frame_table.read(table)
    except InputError as error:
        trouble.append(Trouble("differs", table, error.what))
        return
    for column in ("image", "audio", "mask"):
        known = rows[[column, f"{column}_digest"]].dropna().drop_duplicates()
        for name, digest in known.itertuples(index=False, name=None):
            wanted[Path(name)] = Expected(Path(name), frozenset([digest]), table)


def _expect_fetched(note: Path, wanted: dict[Path, Expected], trouble: list[Trouble]) -> None:
    """Downloads, by the note that says that they are there."""
    try:
        known = files.read_json(note)
    except InputError as error:
        trouble.append(Trouble("differs", note, error.what))
        return
    for name, digest in (known.get("files") or {}).items() if isinstance(known, dict) else ():
        wanted[Path(name)] = Expected(Path(name), frozenset([digest]), note)


# ------------------------------------------------------------------------------------------ how it is
def _judge(expected: Expected) -> Trouble | None:
    path, record = expected.path, expected.record
    if not path.exists():
        return Trouble("missing", path, f"{record} knows it")
    if record is None:
        return Trouble("unrecorded", path, "nothing says what it should be")
    try:
        if not expected.digests:  # its sums are in itself; those of a json have been looked at
            if path.suffix == ".safetensors":
                Store(path).verify()
            return None
        digest = files.digest_file(path)
    except InputError as error:
        return Trouble("differs", path, error.what)
    if digest in expected.digests:
        return None
    return Trouble("differs", path, f"its sha256 begins with {digest[:12]}, which is not what {record} says")
