"""Files appear whole or not at all: write aside in the same folder, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from soundprompt.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@contextmanager
def publish(path: Path | str) -> Iterator[Path]:
    """Yields a temporary path beside `path`; it becomes `path` only if the block succeeds.

    The block must write a file at the yielded path. The suffix is kept, because writers
    choose their format by it. Raises InputError when the disk is full or the folder cannot
    be written; then nothing is left behind.
    """
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        aside = folder / path.name
        try:
            yield aside
            _sync(aside)
            os.replace(aside, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def publish_folder(path: Path | str) -> Iterator[Path]:
    """Like `publish`, for a folder: an existing one is replaced only when the new one is whole."""
    path = Path(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        aside = scratch / path.name
        aside.mkdir()
        try:
            yield aside
            if path.exists():
                os.replace(path, scratch / "old")
            os.replace(aside, path)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def write_bytes(path: Path | str, content: bytes) -> None:
    """Atomic `Path.write_bytes`."""
    with publish(path) as aside:
        aside.write_bytes(content)


def write_text(path: Path | str, text: str) -> None:
    """Atomic `Path.write_text`, UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Atomic, indented JSON with sorted keys."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def write_tensors(path: Path | str, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> str:
    """Atomic safetensors file with facts in its header; returns its sha256. Equal content gives equal bytes.

    safetensors itself orders the facts by chance, anew in each process; here the header is sorted.
    """
    from safetensors.torch import save

    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    head = canonical_json({**header, "__metadata__": dict(facts)}).encode()
    head += b" " * (-len(head) % 8)  # the format wants the tensors aligned to 8 bytes
    digest = hashlib.sha256()
    with publish(path) as aside, open(aside, "wb") as stream:
        for part in (len(head).to_bytes(8, "little"), head, memoryview(content)[8 + length :]):
            stream.write(part)
            digest.update(part)
    return digest.hexdigest()


def read_json(path: Path | str) -> Any:
    """Raises InputError when the file is missing or not JSON."""
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


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns what a disk refuses while `path` is written into InputErrors with a remedy; other errors pass."""
    remedies = {
        errno.ENOSPC: "free space on the disk and run again",
        errno.EDQUOT: "free space in your quota and run again",
        errno.EACCES: "make the folder writable and run again",
        errno.EPERM: "make the folder writable and run again",
        errno.EROFS: "use a folder on a writable disk",
        errno.ENOTDIR: "remove the file that stands where a folder is needed",
        errno.EEXIST: "remove the file that stands where a folder is needed",
    }
    try:
        yield
    except OSError as error:
        if error.errno not in remedies:
            raise
        raise InputError(f"cannot be written ({error.strerror})", path=path, remedy=remedies[error.errno]) from error
