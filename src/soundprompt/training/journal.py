"""metrics.csv: one row per training step, written as it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from soundprompt.errors import InputError

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
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.stream = open(path, "wb" if offset is None else "r+b", buffering=0)  # noqa: SIM115 - see `close`
        except OSError as error:
            raise self._unwritable(error) from error
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
        try:
            self.stream.write((",".join(cells) + "\n").encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> InputError:
        remedy = "free space on the disk or make the folder writable, and run again"
        return InputError(f"cannot be written ({error.strerror})", path=self.path, remedy=remedy)


def reaches(path: Path, offset: int) -> bool:
    """Whether the file is still as long as when the state was saved."""
    return path.exists() and path.stat().st_size >= offset
