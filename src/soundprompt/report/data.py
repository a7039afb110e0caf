"""What the study's datasets should hold and what of it was found, for the page and as a csv file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from soundprompt.data import ledger
from soundprompt.errors import InputError
from soundprompt.files import publish
from soundprompt.layout import Layout
from soundprompt.params import Params

COUNTS = ("expected", "found", "missing", "unusable")


def rows(params: Params, layout: Layout) -> list[dict[str, Any]]:
    """`ledger.summary` of the study's frame tables, one row for each dataset and split.

    A dataset whose ledger is not there has one row that says so, without counts. Raises InputError for a
    damaged one.
    """
    paths = {dataset: ledger.path(layout, dataset) for dataset in params.tables()}
    found = ledger.summary(ledger.read(path for path in paths.values() if path.exists())).to_dict("records")
    absent = [
        {"dataset": dataset, "split": "", "reasons": f"{path} is missing"}
        for dataset, path in paths.items()
        if not path.exists()
    ]
    return found + absent


def shortfalls(layout: Layout, selections: Iterable[str]) -> list[str]:
    """A sentence for each selection ('v2/test') of which clips are missing or unusable."""
    sentences = []
    for selection, (expected, found) in counts(layout, selections).items():
        if found < expected:
            file = ledger.path(layout, selection.partition("/")[0])
            sentences.append(f"{selection} has {found} of {expected} clips; {file} says why")
    return sentences


def counts(layout: Layout, selections: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Selection -> clips expected and found, by the ledgers; without those whose ledger cannot be read."""
    found = {}
    for selection in selections:
        dataset, _, split = selection.partition("/")
        try:
            clips = ledger.read([ledger.path(layout, dataset)])
        except InputError:
            continue
        clips = clips[clips["split"] == split]
        found[selection] = (len(clips), int((clips["status"] == "found").sum()))
    return found


def write(params: Params, layout: Layout) -> None:
    """Writes layout.data_ledger; where a ledger is damaged, one row says so."""
    try:
        table = pd.DataFrame(rows(params, layout), columns=["dataset", "split", *COUNTS, "reasons"])
    except InputError as error:
        table = pd.DataFrame({"dataset": [""], "reasons": [" ".join(str(error).split())]})
    numbers = [name for name in COUNTS if name in table]
    table[numbers] = table[numbers].astype("Int64")  # whole numbers, empty where unknown
    with publish(layout.data_ledger, recorded=True) as aside:
        table.to_csv(aside, index=False)
