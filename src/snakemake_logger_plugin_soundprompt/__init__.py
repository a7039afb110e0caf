"""Snakemake logger plugin (`--logger soundprompt`): what runs, how far it is, how long it still takes.

Errors and warnings are shown as Snakemake itself formats them. It lies outside the package
`soundprompt` because Snakemake finds logger plugins by this module name.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from typing import Any

from snakemake.logging import DefaultFormatter
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from soundprompt.progress import clock

# Seconds that a job of each rule takes in the default study, about; only for the estimate of what is left.
WEIGHTS = {
    "pretrain": 40,
    "world_part": 12,
    "visual_features": 40,
    "audio_features": 45,
    "train": 37,
    "score": 13,
    "examine": 7,
    "floors": 6,
    "table": 7,
    "report": 15,
}
OTHERS = 3  # seconds
TOTALS = ("total", "all", "all_tables")


class LogHandler(LogHandlerBase):
    """Writes one line when a job starts and one when it ends."""

    def __post_init__(self) -> None:
        self.formatter_of_errors = DefaultFormatter(show_failed_logs=True)
        self.started: dict[int, float] = {}
        self.jobs: dict[int, tuple[str, str]] = {}
        self.total = self.done = 0
        self.weight_total = self.weight_done = self.seconds_done = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Called by Snakemake for every event."""
        event = getattr(record, "event", None)
        handlers = {
            LogEvent.RUN_INFO: self._plan,
            LogEvent.JOB_INFO: self._start,
            LogEvent.JOB_FINISHED: self._finish,
        }
        if event in handlers:
            handlers[event](record)
        elif record.levelno >= logging.WARNING or event in (LogEvent.JOB_ERROR, LogEvent.GROUP_ERROR, LogEvent.ERROR):
            self._print(self.formatter_of_errors.format(record))
        elif event is None and "Nothing to be done" in str(record.msg):
            self._print("everything is up to date: nothing to do")

    def _plan(self, record: Any) -> None:
        counts = {rule: count for rule, count in record.stats.items() if rule not in TOTALS}
        self.total = sum(counts.values())
        self.weight_total = sum(count * WEIGHTS.get(rule, OTHERS) for rule, count in counts.items())
        self._print(
            f"{self.total} jobs: " + ", ".join(f"{count} {rule}" for rule, count in Counter(counts).most_common())
        )

    def _start(self, record: Any) -> None:
        if record.rule_name in TOTALS:
            return
        label = record.rule_msg or f"{record.rule_name} {' '.join(record.wildcards.values())}"
        self.jobs[record.jobid] = (record.rule_name, label)
        self.started[record.jobid] = time.monotonic()
        self._print(f"{self._clock()}  start  {label}")

    def _finish(self, record: Any) -> None:
        if record.job_id not in self.jobs:
            return
        rule, label = self.jobs.pop(record.job_id)
        self.done += 1
        self.weight_done += WEIGHTS.get(rule, OTHERS)
        took = time.monotonic() - self.started.pop(record.job_id)
        self.seconds_done += took
        rest = f", about {clock(self._left())} left" if self.done < self.total else ""
        self._print(f"{self._clock()}  done   {label} in {clock(took)} ({self.done}/{self.total} jobs{rest})")

    def _left(self) -> float:
        """Seconds: what the jobs to come should take, as slow as those that have ended, so many at once as just now."""
        to_come = self.seconds_done / self.weight_done * max(self.weight_total - self.weight_done, 0)
        begun = sum(time.monotonic() - since for since in self.started.values())
        return max(to_come - begun, 0) / (len(self.started) + 1)

    def _clock(self) -> str:
        return time.strftime("%H:%M:%S")

    def _print(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False
