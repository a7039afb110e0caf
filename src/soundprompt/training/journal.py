"""metrics.csv: one row per training step, written as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from soundprompt.files import digest_bytes, disk_errors

COLUMNS = ("step", "loss", "mask", "triplet", "active", "gradient", "rate", "validation")


class Journal:
    """Appends rows unbuffered, so that a killed run loses none.

    Columns: step; loss, and its parts mask and triplet (before its weight); active, the share of
    triplets above 0; gradient, the norm before clipping; rate, the head's learning rate; validation,
    the mean of the mIoU of the selections validated on, which follow in a column each. What a row
    does not have is left empty.

    offset: length in bytes at which the run goes on; what stands behind it came after the state
    that the run resumes from, and is cut off. None: a new file.
    """

    def __init__(self, path: Path, selections: Sequence[str], offset: int | None = None):
        self.path, self.columns = path, (*COLUMNS, *selections)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stream = open(path, "wb" if offset is None else "r+b", buffering=0)  # noqa: SIM115 - see `close`
        if offset is None:
            self._line(self.columns)
        else:
            self.stream.truncate(offset)
            self.stream.seek(offset)

    def write(self, row: Mapping[str, float]) -> None:
        """One row; values to six digits."""
        self._line([f"{row[name]:.6g}" if name in row else "" for name in self.columns])

    def offset(self) -> int:
        """Bytes written so far."""
        return self.stream.tell()

    def close(self) -> None:
        """Closes the file."""
        self.stream.close()

    def _line(self, cells: Sequence[str]) -> None:
        line = (",".join(cells) + "\n").encode()
        with disk_errors(self.path, len(line)):
            self.stream.write(line)


def written(path: Path, offset: int) -> str:
    """sha256 of the first `offset` bytes, '' where there are fewer: what a saved state goes on from."""
    content = path.read_bytes()[:offset] if path.exists() else b""
    return digest_bytes(content) if len(content) == offset else ""
