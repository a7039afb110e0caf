"""The one exception that users are meant to read."""

from __future__ import annotations

import re
from pathlib import Path


class InputError(Exception):
    """Something outside the code is wrong: a file, a parameter, a disk, a missing download.

    The command line prints it without a traceback and exits with status 1.

    what: what is wrong, with the offending value.
    path: the file or folder it is about, if there is one.
    remedy: what the user can do about it.
    """

    def __init__(self, what: str, *, path: Path | str | None = None, remedy: str | None = None):
        self.what, self.path, self.remedy = what, path, remedy
        where = f"{path}: " if path is not None else ""
        mend = f"\n  remedy: {remedy}" if remedy else ""
        super().__init__(f"{where}{what}{mend}")

    def __reduce__(self):  # keeps its fields across process pools
        return (_rebuild, (self.what, self.path, self.remedy))


def _rebuild(what: str, path: Path | str | None, remedy: str | None) -> InputError:
    return InputError(what, path=path, remedy=remedy)


def first_line(error: Exception) -> str:
    """Of its message, at most 160 characters, without the addresses of Python's objects, which change at each run."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r" *'?<[\w.]+ object at 0x[0-9a-fA-F]+>'?", "", line)[:160]
