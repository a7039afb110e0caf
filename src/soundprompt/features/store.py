"""A file of features that says what it holds, who made it, and whether it is still whole.

A store is one safetensors file. Its tensors share their first dimension, the rows; its header holds the
recipe (what made the numbers), an id for each row, and a sha256 for each row of each tensor. Rows are
read through a memory map and checked when they are first read, so that a store larger than memory costs
what is used of it.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundprompt import finite, tensorfile
from soundprompt.errors import InputError
from soundprompt.files import canonical_json, digest_value, publish

FORMAT = 1
DTYPES = {"F16": np.float16, "F32": np.float32}
SYNC_FILE_RANGE_WRITE = 2  # of <fcntl.h>: begin, do not wait
REDO = "delete it and run: soundprompt features"


def key(recipe: Mapping[str, Any]) -> str:
    """Digest of a recipe: two stores with one key hold the same numbers for the same row ids."""
    return digest_value({"format": FORMAT, **recipe})


def write(path: Path, recipe: Mapping[str, Any], rows: Sequence[str], tensors: Mapping[str, Tensor]) -> None:
    """Publishes a store, whole or not at all.

    recipe: JSON-able facts that determine the numbers. rows: distinct ids.
    tensors: name -> (len(rows), ...), float16 or float32, on the CPU.
    """
    with writing(path, recipe, rows, tensors) as writer:
        writer.put(0, tensors)


@contextmanager
def writing(
    path: Path, recipe: Mapping[str, Any], rows: Sequence[str], shapes: Mapping[str, Tensor], longest: Any = None
) -> Iterator[Writer]:
    """As `write`, for rows that come one by one: they lie on the disk and nowhere else. Published when the block ends.

    shapes: tensors on the meta device will do. longest: the longest `Writer.notes` there can be.
    """
    writer = Writer(recipe, rows, shapes, longest)
    with publish(path, writer.size) as aside:
        writer.begin(aside)
        yield writer
        writer.end()


class Writer:
    """A store in the making. notes: JSON-able facts about it that are known at its end, if any."""

    def __init__(self, recipe: Mapping[str, Any], rows: Sequence[str], shapes: Mapping[str, Tensor], longest: Any):
        self._recipe, self._rows, self._shapes = dict(recipe), list(rows), dict(shapes)
        self._checksums = {name: ["0" * 64] * len(rows) for name in shapes}
        self.notes = longest
        head, self._starts = self._header()
        self._reserved = len(head)
        self.size = len(head) + sum(tensor.nbytes for tensor in shapes.values())
        self.notes = None

    def begin(self, path: Path) -> None:
        """Rows go into this file."""
        self._path = path
        path.touch()

    def put(self, start: int, values: Mapping[str, Tensor]) -> None:
        """Writes rows from `start` on, (n, ...) of each tensor; any thread may, in any order."""
        with open(self._path, "r+b") as stream:
            for name, some in values.items():
                for row, value in enumerate(some.numpy(), start):
                    content = memoryview(np.ascontiguousarray(value).reshape(-1).view(np.uint8))
                    self._checksums[name][row] = hashlib.sha256(content).hexdigest()
                    place = self._starts[name] + row * len(content)
                    stream.seek(place)
                    stream.write(content)
                    stream.flush()
                    _begin_writing(stream.fileno(), place, len(content))

    def end(self) -> None:
        """Writes the header, which says that all is there."""
        head, starts = self._header(self._reserved)
        assert starts == self._starts, "the notes are longer than was said"
        with open(self._path, "r+b") as stream:
            stream.write(head)

    def _header(self, size: int = 0) -> tuple[bytes, dict[str, int]]:
        content = {
            "key": key(self._recipe),
            "recipe": self._recipe,
            "rows": self._rows,
            "tensors": {name: [tensorfile.NAMES[t.dtype], list(t.shape)] for name, t in self._shapes.items()},
            "checksums": self._checksums,
        }
        if self.notes is not None:
            content["notes"] = self.notes
        facts = {"store": canonical_json({**content, "seal": digest_value(content)})}
        return tensorfile.header(self._shapes, facts, size)


def _begin_writing(descriptor: int, start: int, length: int) -> None:
    """Has Linux begin to bring these bytes to the disk, for all of which `publish` waits in the end."""
    begin = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if begin is not None:  # other systems begin when they like; the bytes stay in memory, for who reads them next
        begin(descriptor, ctypes.c_int64(start), ctypes.c_int64(length), SYNC_FILE_RANGE_WRITE)


class Store:
    """A store opened for reading.

    recipe: where given, the store must have been made by it.
    Raises InputError when the file is missing, cut short, altered or made by another recipe.
    """

    def __init__(self, path: Path, recipe: Mapping[str, Any] | None = None):
        self.path = Path(path)
        header, start, self._bytes = self._open()
        content = self._sealed(header)
        self.seal: str = content["seal"]  # digest of recipe, rows and checksums: equal seals, equal numbers
        self.recipe: dict[str, Any] = content["recipe"]
        self.notes: Any = content.get("notes")  # what its maker measured of it, if anything
        if recipe is not None:
            self.check_recipe(recipe)
        self.rows: list[str] = content["rows"]
        self.index = {name: row for row, name in enumerate(self.rows)}
        self._checksums = content["checksums"]
        self._tensors = {name: self._view(header[name], start) for name in content["tensors"]}
        self._known_good = {name: np.zeros(len(self.rows), bool) for name in self._tensors}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors, sorted."""
        return tuple(sorted(self._tensors))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one row of a tensor."""
        return self._array(name).shape[1:]

    def dtype(self, name: str) -> torch.dtype:
        """torch.float16 or torch.float32."""
        return torch.float16 if self._array(name).dtype == np.float16 else torch.float32

    def read_into(self, name: str, row: int, target: np.ndarray) -> None:
        """Copies one row into `target` (of the row's shape; converts to its dtype).

        Raises InputError if it is altered or not finite.
        """
        source = self._array(name)[row]
        if not self._known_good[name][row]:
            if _checksum(source) != self._checksums[name][row]:
                raise self._damaged(f"{name} of {self.rows[row]} is altered (its checksum differs)")
            finite.check(source, f"{name} of {self.rows[row]} is", path=self.path, remedy=REDO)
            self._known_good[name][row] = True
        target[...] = source

    def read(self, name: str, ids: Sequence[str]) -> Tensor:
        """Rows of a tensor by id, as stored: (len(ids), ...). Raises InputError when one is absent or altered."""
        values = torch.empty((len(ids), *self.shape(name)), dtype=self.dtype(name))
        for target, row_id in zip(values.numpy(), ids, strict=True):
            if row_id not in self.index:
                raise InputError(f"holds no row {row_id}", path=self.path, remedy=REDO)
            self.read_into(name, self.index[row_id], target)
        return values

    def verify(self) -> None:
        """Checks every row, one at a time. Raises InputError naming the first that is altered."""
        for name, array in self._tensors.items():
            scratch = np.empty(array.shape[1:], array.dtype)
            for row in range(len(array)):
                self.read_into(name, row, scratch)

    # ------------------------------------------------------------------------------ opening
    def _open(self) -> tuple[dict[str, Any], int, np.ndarray]:
        """Header, offset of the first tensor, and all bytes of the file as a memory map."""
        try:
            content = np.asarray(np.memmap(self.path, np.uint8, "r"))  # a plain view is quicker to slice
        except FileNotFoundError as error:
            raise InputError("missing", path=self.path, remedy="run: soundprompt features") from error
        except ValueError as error:
            raise self._damaged("it is empty") from error
        except OSError as error:
            raise InputError(f"cannot be read ({error.strerror})", path=self.path) from error
        size = int.from_bytes(content[:8].tobytes(), "little")
        try:
            header = json.loads(content[8 : 8 + size].tobytes())
            end = max((v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"), default=0)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise self._damaged("its header is cut short or altered") from error
        if len(content) != 8 + size + end:
            raise self._damaged(f"it has {len(content)} bytes instead of {8 + size + end}")
        return header, 8 + size, content

    def _sealed(self, header: dict[str, Any]) -> dict[str, Any]:
        try:
            content = json.loads(header["__metadata__"]["store"])
            own = {name: value for name, value in content.items() if name != "seal"}
            tensors = {k: [v["dtype"], v["shape"]] for k, v in header.items() if k != "__metadata__"}
        except (ValueError, TypeError, KeyError) as error:
            raise self._damaged("it is not a store of features") from error
        if digest_value(own) != content.get("seal") or content["tensors"] != tensors:
            raise self._damaged("its header is altered")
        return content

    def check_recipe(self, wanted: Mapping[str, Any]) -> None:
        if key(self.recipe) == key(wanted):
            return
        differs = [k for k in sorted({*self.recipe, *wanted}) if self.recipe.get(k) != wanted.get(k)]
        detail = ", ".join(f"{k} is {self.recipe.get(k)!r}, expected {wanted.get(k)!r}" for k in differs)
        raise InputError(f"made by another encoder or by other settings: {detail}", path=self.path, remedy=REDO)

    def _view(self, entry: dict[str, Any], start: int) -> np.ndarray:
        first, last = entry["data_offsets"]
        dtype, shape = DTYPES[entry["dtype"]], entry["shape"]
        if first < 0 or last - first != np.dtype(dtype).itemsize * int(np.prod(shape)) or shape[0] != len(self.rows):
            raise self._damaged("its header is altered")
        return self._bytes[start + first : start + last].view(dtype).reshape(shape)

    def _array(self, name: str) -> np.ndarray:
        if name not in self._tensors:
            held = ", ".join(self.names)
            raise InputError(f"holds no '{name}', only {held}", path=self.path, remedy=REDO)
        return self._tensors[name]

    def _damaged(self, why: str) -> InputError:
        return InputError(f"damaged: {why}", path=self.path, remedy=REDO)


def holds(path: Path, recipe: Mapping[str, Any], rows: Sequence[str], names: Sequence[str]) -> bool:
    """Whether a whole, unaltered store of exactly these rows and tensors, made by this recipe, is there."""
    try:
        store = Store(path, recipe)
        if store.rows != list(rows) or store.names != tuple(sorted(names)):
            return False
        store.verify()
    except InputError:
        return False
    return True


def _checksum(row: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(row)).hexdigest()
