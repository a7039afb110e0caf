"""Files appear whole or not at all: write aside in the same folder, fsync, rename. What a disk refuses is said plainly.

An artifact has a record if no json beside it knows its digest: `.<name>.sha256`, as sha256sum writes and checks it.
`records` compares.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import re
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from soundprompt.errors import InputError

SEAL = "seal"  # in a json file: sha256 of all the rest
ASIDE = ".soundprompt-"  # begins the names of folders in which files are written before they get their own names


@contextmanager
def publish(path: Path | str, needed: int | None = None, *, recorded: bool = False) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it becomes `path` only if the block succeeds.

    The block must write a file at the yielded path. The name is kept, because writers choose their format by its
    suffix. needed: bytes of the file, where they are known beforehand. recorded: leaves a record of the digest.
    Raises InputError when the disk is full or the folder cannot be written; then nothing is left behind, and a file
    that was there is as before.
    """
    path = Path(path)
    with disk_errors(path, needed), _aside(path) as aside:
        yield aside
        _sync(aside)
        with _recording(path, aside, recorded):
            os.replace(aside, path)


@contextmanager
def publish_folder(path: Path | str, *, recorded: bool = False) -> Iterator[Path]:
    """Like `publish`, for a folder. One that is there is replaced in one step, so that there is always one of them."""
    path = Path(path)
    with disk_errors(path), _aside(path) as aside:
        aside.mkdir()
        yield aside
        with _recording(path, aside, recorded):
            if not os.path.lexists(path) or not _exchange(aside, path):
                if os.path.lexists(path):  # a system that cannot exchange: for a moment there is none
                    os.replace(path, aside.parent / "old")
                os.replace(aside, path)


def record_of(path: Path | str) -> Path:
    """Where an artifact's record lies."""
    path = Path(path)
    return path.with_name(f".{path.name}.sha256")


def record_lines(path: Path) -> list[str]:
    """'<sha256>  <name>' for a file, or each file of a folder but hidden ones; names as seen from around `path`."""
    inside = [file for file in path.rglob("[!.]*") if file.is_file()] if path.is_dir() else [path]
    return [f"{digest_file(file)}  {file.relative_to(path.parent).as_posix()}" for file in sorted(inside)]


def record_all(*paths: Path) -> None:
    """Writes the records of files inside a folder that is about to be published."""
    for path in paths:
        write_text(record_of(path), record_lines(path)[0] + "\n")


@contextmanager
def _recording(path: Path, coming: Path, recorded: bool) -> Iterator[None]:
    """Around the moment in which `coming` becomes `path`. Until it has, the record knows both: a kill does no harm."""
    record = record_of(path)
    if not recorded:
        record.unlink(missing_ok=True)
        yield
        return
    lines = record_lines(coming)
    before = record.read_text(errors="replace").splitlines() if path.exists() and record.exists() else []
    write_text(record, "\n".join(dict.fromkeys([*lines, *before])) + "\n")
    yield
    if before and before != lines:
        write_text(record, "\n".join(lines) + "\n")


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A path of the same name in a folder of its own, which goes when the block ends.

    A writer that was killed leaves its folder behind: whoever next publishes anything beside it removes it. Living
    writers hold a lock on theirs, which the kernel takes back from the dead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_strays(path.parent)
    folder, lock = _own_folder(path.parent)
    try:
        yield folder / path.name
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _own_folder(parent: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=ASIDE, dir=parent))
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # somebody took it for a stray before it was locked
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a file system without locks, on which nobody removes what may be alive
            return folder, lock
        if folder.exists():
            return folder, lock
        os.close(lock)


def _remove_strays(parent: Path) -> None:
    with os.scandir(parent) as entries:
        strays = [entry.path for entry in entries if entry.name.startswith(ASIDE)]
    for stray in strays:
        try:
            lock = os.open(stray, os.O_RDONLY)
        except OSError:  # its writer has just finished, or it is somebody else's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(stray, ignore_errors=True)
        except OSError:  # its writer lives, or there are no locks here
            pass
        finally:
            os.close(lock)


def _exchange(one: Path, other: Path) -> bool:
    """Whether two paths could be swapped in one step; Linux can, on most file systems."""
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError):
        return False
    return rename(here, os.fsencode(one), here, os.fsencode(other), swap) == 0


def write_bytes(path: Path | str, content: bytes, *, recorded: bool = False) -> None:
    """`publish` of these bytes."""
    with publish(path, len(content), recorded=recorded) as aside:
        aside.write_bytes(content)


def write_text(path: Path | str, text: str, *, recorded: bool = False) -> None:
    """The same of a text, UTF-8."""
    write_bytes(path, text.encode(), recorded=recorded)


def write_json(path: Path | str, value: Any) -> None:
    """Atomic, indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def write_sealed(path: Path | str, value: dict[str, Any]) -> None:
    """`write_json` with a check sum of the content in it, under SEAL: for what is ours alone."""
    value = json.loads(json.dumps(value))  # as it will be read: tuples are lists, all keys texts
    write_json(path, {**value, SEAL: digest_value(value)})


def read_json(path: Path | str) -> Any:
    """What `write_json` or `write_sealed` was given. Raises InputError when it is missing, not JSON, or altered."""
    content = _parsed(path)
    if isinstance(content, dict) and (seal := _seal_of(content)) and content.pop(SEAL, None) != seal:
        remedy = "delete it and type the same command again, which makes it anew"
        raise InputError("damaged: its content does not fit its check sum", path=path, remedy=remedy)
    return content


def check_seal(path: Path | str) -> None:
    """Raises InputError when a json with a check sum is altered. What is no JSON at all, its reader refuses."""
    try:
        json.loads(Path(path).read_text())
    except ValueError:
        return
    read_json(path)


def _seal_of(content: dict[str, Any]) -> str:
    """The check sum of a json's content, '' where it has none; one under an altered name is one too."""
    names = [SEAL] if SEAL in content else [n for n, v in content.items() if isinstance(v, str) and len(v) == 64]
    for name in names:
        rest = digest_value({key: value for key, value in content.items() if key != name})
        if name == SEAL or content[name] == rest:
            return rest
    return ""


def _parsed(path: Path | str) -> Any:
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="run the stage that makes it") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        remedy = "delete the file and run the stage that makes it"
        raise InputError(f"not valid JSON ({error})", path=path, remedy=remedy) from error


def canonical_json(value: Any) -> str:
    """One text for equal values: sorted keys, no spaces. Digests and staleness rest on it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def digest_bytes(content: bytes) -> str:
    """sha256 in hex."""
    return hashlib.sha256(content).hexdigest()


def digest_value(value: Any) -> str:
    """sha256 of a JSON-able value in canonical form."""
    return digest_bytes(canonical_json(value).encode())


def digest_file(path: Path | str) -> str:
    """sha256 of a file's bytes, read in pieces. Raises InputError when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path) from error


def _sync(path: Path) -> None:
    with open(path, "rb+") as stream:
        os.fsync(stream.fileno())


# ------------------------------------------------------------------------------------------ disks that refuse
_FULL = {
    errno.ENOSPC: "free space on the disk and run again",
    errno.EDQUOT: "free space in your quota and run again",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or use a disk that allows larger ones; run again",
    errno.EIO: "check the disk and its connection (the system's log says more), and run again",
}
_REFUSED = {
    errno.EACCES: "make the folder writable and run again",
    errno.EPERM: "make the folder writable and run again",
    errno.EROFS: "use a folder on a writable disk",
    errno.ENOTDIR: "remove the file that stands where a folder is needed",
    errno.EEXIST: "remove the file that stands where a folder is needed",
}
# What numpy and Pillow say of a failed write, without the system's number for it.
_UNNUMBERED = re.compile(r"\d+ requested and \d+ written|when writing image file")


@contextmanager
def disk_errors(path: Path, needed: int | None = None) -> Iterator[None]:
    """Turns what a disk refuses while `path` is written into InputErrors with a remedy; other errors pass.

    needed: bytes of the file, where known. Libraries say of a full disk whatever they like; it is found in their words.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        number = _number(error)
        full = number in _FULL or (isinstance(error, OSError) and _UNNUMBERED.search(str(error)))
        if not full and not (isinstance(error, OSError) and number in _REFUSED):
            raise
        why = os.strerror(number) if number else "the write failed"
        what = f"cannot be written ({why})" + (f": {_room(path, needed, number)}" if full else "")
        remedy = {**_FULL, **_REFUSED}.get(number or errno.ENOSPC)
        raise InputError(what, path=path, remedy=remedy) from error


def _number(error: BaseException) -> int | None:
    """The system's number of an error; libraries in other languages give it in words only."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    told = re.search(r"(?:os error|[Ee]rrno) (\d+)", str(error))
    return int(told[1]) if told else None


def _room(path: Path, needed: int | None, number: int | None) -> str:
    """'1,000 bytes are needed, 10 are free on its disk': as far as that is known."""
    there = next((folder for folder in (path, *path.parents) if folder.exists()), Path("."))
    facts = [f"{needed:,} bytes are needed"] if needed is not None else []
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if number == errno.EFBIG and limit != resource.RLIM_INFINITY:
        facts.append(f"a file may have {limit:,}")
    facts.append(f"{shutil.disk_usage(there).free:,} {'are' if needed is not None else 'bytes are'} free on its disk")
    return ", ".join(facts)
