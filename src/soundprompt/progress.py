"""Progress that suits its reader: a live bar in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Progress:
    """Counts steps of one task and says how far it is and how long it still takes.

    In a terminal it redraws one line; elsewhere it prints a line at most every `every` seconds.
    """

    def __init__(self, label: str, total: int, every: float = 10.0):
        self.label, self.total, self.every = label, total, every
        self.done, self.note = 0, ""
        self.started = self.printed = time.monotonic()
        self.live = sys.stderr.isatty()

    def advance(self, note: str = "", steps: int = 1) -> None:
        """Counts `steps` more; `note` (a loss, a file name) stands at the end of the line."""
        self.done += steps
        self.note = note or self.note
        now = time.monotonic()
        finished = self.done >= self.total
        if finished or now - self.printed >= (0.1 if self.live else self.every):
            self.printed = now
            self._print(now, finished)

    def _print(self, now: float, finished: bool) -> None:
        spent = now - self.started
        left = spent / max(self.done, 1) * max(self.total - self.done, 0)
        line = f"{self.label}: {self.done}/{self.total}"
        line += f" in {clock(spent)}" if finished else f", {clock(left)} left"
        line += f", {self.note}" if self.note else ""
        if self.live:
            print(f"\r\x1b[2K{line}", end="\n" if finished else "", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)


def track(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yields the items, counting them."""
    progress = Progress(label, total)
    for item in items:
        yield item
        progress.advance()


def clock(seconds: float) -> str:
    """'7 s', '3 min 05 s', '2 h 10 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
