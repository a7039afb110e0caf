"""The data ledger: what each dataset should hold, what was found, what is missing or unusable, and why."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd

from soundprompt import records
from soundprompt.errors import InputError
from soundprompt.files import publish
from soundprompt.layout import Layout

COLUMNS = ("dataset", "split", "clip", "status", "reason")
Status = Literal["found", "missing", "unusable"]


class Ledger:
    """Counts the clips of one dataset; a clip in two splits counts in both."""

    def __init__(self, dataset: str):
        self.dataset = dataset
        self.entries: list[tuple[str, str, str, str, str]] = []

    def add(self, split: str, clip: str, status: Status, reason: str = "") -> None:
        """`reason` of a clip that was found is a remark, such as a repeated last second of sound."""
        self.entries.append((self.dataset, split, clip, status, " ".join(reason.split())))

    def frame(self) -> pd.DataFrame:
        """One row for each clip, with COLUMNS."""
        return pd.DataFrame(self.entries, columns=list(COLUMNS))

    def write(self, path: Path | str) -> None:
        """Publishes `frame()` as csv."""
        with publish(path, recorded=True) as aside:
            self.frame().to_csv(aside, index=False)


def path(layout: Layout, dataset: str) -> Path:
    """Beside the dataset's frame table."""
    table = layout.table(dataset)
    return table.with_name(f"{dataset}-ledger.csv")


def read(paths: Iterable[Path | str]) -> pd.DataFrame:
    """The ledgers of several datasets, one row for each clip."""
    parts = []
    for file in paths:
        records.check(file)
        try:
            parts.append(pd.read_csv(file, dtype=str, keep_default_na=False)[list(COLUMNS)])
        except (OSError, ValueError, KeyError) as error:
            raise InputError("ledger missing or damaged", path=file, remedy="run `soundprompt tables` again") from error
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))


def summary(clips: pd.DataFrame) -> pd.DataFrame:
    """One row for each dataset and split: expected, found, missing, unusable, and the reasons with their counts."""
    rows = []
    for (dataset, split), group in clips.groupby(["dataset", "split"], sort=True):
        counts = group["status"].value_counts()
        reasons = group.loc[group["reason"] != "", "reason"]
        kinds = reasons.map(_kind_of_reason).value_counts()
        rows.append(
            {
                "dataset": dataset,
                "split": split,
                "expected": len(group),
                **{status: int(counts.get(status, 0)) for status in ("found", "missing", "unusable")},
                "reasons": "; ".join(f"{count} x {kind}" for kind, count in kinds.items()),
            }
        )
    columns = ["dataset", "split", "expected", "found", "missing", "unusable", "reasons"]
    return pd.DataFrame(rows, columns=columns)


def _kind_of_reason(reason: str) -> str:
    """The reason without the file that it begins with and without its numbers, so that equal ones count together."""
    what = reason.split(": ", 1)[-1]
    return " ".join("n" if any(c.isdigit() for c in word) else word for word in what.split())
