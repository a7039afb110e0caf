"""What the bytes of an artifact should be, and whether they still are: asked before anything reads it.

What was made with a json beside it that says where it comes from (a run's files, weights) has its sha256 there, under
`files`. Every other artifact has a record of its own, `.<name>.sha256`, in the form that sha256sum writes and checks;
of a folder it lists all files. JSON of ours carries a check sum in itself, and so do features (`features.store`) and
unfinished states (`states`). What has no record at all passes: it is older than records, or somebody's own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from soundprompt import files
from soundprompt.errors import InputError

AGAIN = "delete {} and type the same command again, which makes it anew"

# A stage of runs -> the json files that it leaves in a run's folder; the first says where the others come from.
STAGES = {"trained": ("provenance.json", "params.json"), "scored": ("scores.json",), "examined": ("examined.json",)}
# A run's files -> the json that knows their digests; weights have theirs in <name>.json.
_IN_RUNS = {
    "checkpoint.safetensors": "provenance.json",
    "metrics.csv": "provenance.json",
    "scores.parquet": "scores.json",
    "predictions.safetensors": "scores.json",
    "examined.parquet": "examined.json",
}


def check(path: Path | str, remedy: str = "") -> None:
    """Raises InputError that names the file when an artifact's bytes are not those of its record.

    path: a file, a json with its check sum in it, or a folder with a record. A missing one passes: what reads it has
    more to say. A file is read once for this in a process, as long as its size and time stay the same. remedy: in place
    of deleting and making it anew.
    """
    path = Path(path)
    if path.suffix == ".json" and path.exists():
        files.check_seal(path)
    if not path.exists() or not (told := recorded(path)):
        return
    record, lines = told
    known: dict[str, set[str]] = {}
    for line in lines:
        digits, _, name = line.partition("  ")
        known.setdefault(name, set()).add(digits)
    if not path.is_dir() and path.name not in known:
        raise _damaged(record, path, f"says nothing of {path.name}", remedy)
    for name, good in known.items():
        file = path.parent / name
        if file.exists() and (found := sha256(file)) not in good:
            raise _damaged(file, path, f"its sha256 begins with {found[:12]}, which is not what {record} says", remedy)


def digest(path: Path | str, remedy: str = "") -> str:
    """sha256 of an artifact that has passed `check`. Raises InputError also when it is missing."""
    check(path, remedy)
    return sha256(path)


def recorded(path: Path) -> tuple[Path, list[str]] | None:
    """The record of an artifact and its lines, in the form of sha256sum; None where there is none."""
    if (record := files.record_of(path)).exists():
        return record, record.read_text(errors="replace").splitlines()
    weights = f"{path.stem}.json" if path.suffix == ".safetensors" else ""
    beside = path.with_name(_IN_RUNS.get(path.name, weights) or path.name)
    if beside == path or not beside.exists():
        return None
    content = files.read_json(beside)
    known = content.get("files") if isinstance(content, dict) else None
    return (beside, [f"{known[path.name]}  {path.name}"]) if isinstance(known, dict) and path.name in known else None


def withdraw(runs: Path) -> list[Path]:
    """Deletes the lists of finished runs that name files which are gone, so that Snakemake makes these anew.

    runs: of a study. A list is all that Snakemake sees of a pack of runs, which it must not delete before it goes on
    with them; so it would never miss a checkpoint or scores that somebody deleted because they were damaged.
    """
    lists = [path for stage in STAGES for path in sorted(runs.glob(f"*/*/{stage}-*.json"))]
    gone = [path for path in lists if not _holds(path)]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone


def _holds(path: Path) -> bool:
    """Whether a list of finished runs is whole, and the files that it stands for are there."""
    jsons = STAGES[path.name.partition("-")[0]]
    of_training = [name for name, beside in _IN_RUNS.items() if beside == jsons[0]]
    try:
        runs = files.read_json(path)["runs"]
        named = {path.parent / f"seed{seed}": (*jsons, *run.get("files", of_training)) for seed, run in runs.items()}
    except (InputError, KeyError, TypeError, AttributeError):
        return False
    return all((folder / name).exists() for folder, names in named.items() for name in names)


def kept(folder: Path, record: str, key: str, names: Sequence[str]) -> dict[str, Any] | None:
    """The result of a finished job with this key, by the json that it left, if its files are all there, unaltered."""
    try:
        origin = files.read_json(folder / record)
        known = {name: origin["files"][name] for name in names}
        whole = origin["key"] == key and of_files(folder, names)["files"] == known
    except (InputError, KeyError, TypeError):
        return None
    return origin["result"] if whole else None


def of_files(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What a json that knows its neighbours' digests holds: {'files': {name: sha256}}."""
    return {"files": {name: files.digest_file(folder / name) for name in names}}


def _damaged(file: Path, artifact: Path, why: str, remedy: str) -> InputError:
    again = AGAIN.format("it" if artifact == file else artifact)
    return InputError(f"damaged: {why}", path=file, remedy=remedy or again)


def sha256(path: Path | str) -> str:
    """Of a file as it is, read once in a process as long as its size and time stay the same."""
    try:
        now = os.stat(path)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error
    return _digest_of(str(path), now.st_ino, now.st_size, now.st_mtime_ns)


@functools.lru_cache(maxsize=4096)
def _digest_of(path: str, *_state: int) -> str:
    return files.digest_file(path)
