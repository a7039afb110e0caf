"""Methods that learn nothing: what a result must beat before it means anything."""

from __future__ import annotations

import math
import os
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from soundprompt import provenance, records
from soundprompt.data import frame_table, media
from soundprompt.evaluation import scores
from soundprompt.evaluation.finished import conclude, tested_tables
from soundprompt.features.labels import Labels
from soundprompt.layout import Layout
from soundprompt.params import FloorsView
from soundprompt.progress import Progress
from soundprompt.registry import Floor

PROVENANCE = "scores.json"
SEED = 0  # floors have no seed; the column holds this one


def all_positive(row: Any) -> Tensor:
    """Everything sounds: ones, (height, width) float32."""
    return torch.ones(row.height, row.width)


def centre_disc(row: Any) -> Tensor:
    """A disc of half the area in the middle (in a frame that is not square, the ellipse with its proportions)."""
    # x and y from -1 to 1 over the frame: an ellipse of radius r covers pi r^2 of 4
    y, x = ((torch.arange(edge) + 0.5) * 2 / edge - 1 for edge in (row.height, row.width))
    return (x[None] ** 2 + y[:, None] ** 2 <= 2 / math.pi).float()


def all_objects(row: Any) -> Tensor | None:
    """Every object, silent ones too; None where the dataset does not say where they are.

    What a perfect segmenter that cannot hear would answer.
    """
    if not isinstance(row.objects, str):
        return None
    return torch.from_numpy(media.read_objects(row.objects, (row.height, row.width)) > 0).float()


def score(view: FloorsView, layout: Layout) -> None:
    """Scores the methods without training on a setting: writes `layout.floors`, provenance beside it.

    What needs to know all objects is left out of a selection of which the dataset does not.
    """
    watch = provenance.Stopwatch()
    path = layout.floors(view.setting_name)
    inputs = tested_tables(view.setting, layout)
    key = provenance.key("floors", view, None, inputs)
    if records.kept(path.parent, PROVENANCE, key, [path.name]) is not None:
        os.utime(path)  # for Snakemake: up to date
        return
    rows = frame_table.select(layout, view.setting.test)
    frames, index = frame_table.distinct(rows)
    tallies = _measure(view, frames, Labels(frames, layout))
    parts = []
    for selection, members in rows.groupby("selection", sort=False):
        numbers = index[members.index.to_numpy()]
        for name, tally in tallies.items():
            if FLOORS[name].needs_objects and frames["objects"].iloc[numbers].isna().any():
                continue
            names = {"selection": selection, "method": name, "seed": SEED}
            parts.append(tally.rows(numbers, members.reset_index(drop=True), **names))
    scores.write(pd.concat(parts, ignore_index=True), path)
    conclude(path.parent, PROVENANCE, provenance.record("floors", view, None, inputs, watch), [path.name])


def _measure(view: FloorsView, frames: pd.DataFrame, labels: Labels) -> dict[str, scores.Tally]:
    conventions = scores.Conventions(view.evaluation, view.data.box_crop, view.metrics)
    tallies = {name: scores.Tally(len(frames), conventions) for name in FLOORS}
    progress = Progress(f"scoring {view.setting_name}/floors", len(frames))
    for number, row in enumerate(frames.itertuples()):
        masks = list(labels.masks([number])) if labels.of([number]) else None
        for name, floor in FLOORS.items():
            if (probability := floor.code(row)) is not None:
                tallies[name].add([number], [probability], masks, [row.boxes])
        progress.advance()
    return tallies


REGISTERED = (
    Floor(name="all_positive", code=all_positive, title="everything (floor)", dashes=(6, 1.5, 1, 1.5)),
    Floor(name="all_objects", code=all_objects, title="all objects (floor)", dashes=(4, 2), needs_objects=True),
    Floor(name="centre_disc", code=centre_disc, title="centre disc (floor)", dashes=(1, 1.5)),
)
FLOORS = {floor.name: floor for floor in REGISTERED}
