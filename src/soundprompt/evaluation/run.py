"""Scores trained runs, and the floors, on the test selections of a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from soundprompt import devices, provenance
from soundprompt.data import frame_table, media
from soundprompt.evaluation import predict, scores
from soundprompt.evaluation.floors import FLOORS
from soundprompt.evaluation.pack import Pack, conclude, kept, tested_tables
from soundprompt.files import write_json
from soundprompt.layout import Layout, pack_name
from soundprompt.params import FloorsView, ScoreView
from soundprompt.progress import Progress

SCORES, PREDICTIONS, PROVENANCE = "scores.parquet", "predictions.safetensors", "scores.json"
FLOOR_SEED = 0  # floors have no seed; the column holds this one


# ----------------------------------------------------------------------------- trained runs
def score_pack(view: ScoreView, seeds: Sequence[int], layout: Layout) -> None:
    """Scores one run per seed on all test selections, with every sound that `view.probes` names.

    Each run's folder gets scores.parquet and scores.json (its provenance), that of the first seed also
    predictions.safetensors; then `layout.scored` says what is there. A setting with `model_of` takes that
    setting's checkpoints. Runs whose settings, inputs and code are as before are kept.
    Raises InputError when a checkpoint is missing, is not the one that training wrote, or does not fit.
    """
    entries = _ScorePack(view, seeds, layout).run()
    write_json(layout.scored(view.setting_name, view.model_name, pack_name(tuple(seeds))), entries)


class _ScorePack(Pack[ScoreView]):
    stage, table, record = "score", SCORES, PROVENANCE

    def files(self, seed: int) -> list[str]:
        """What a scored run's folder holds; only the pack's first seed keeps its predictions."""
        return [SCORES, PREDICTIONS] if seed == self.seeds[0] else [SCORES]

    def work(self, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Scores these seeds together; returns their entries."""
        from soundprompt import models
        from soundprompt.features.frames import Frames
        from soundprompt.foundation import encoders

        watch = provenance.Stopwatch()
        device = devices.best()
        view, encoder = self.view, encoders.load(self.view.model, self.layout)
        trained = {seed: self.load(seed, encoder) for seed in seeds}
        asked = predict.questions(self.rows, view.probes)
        front = models.frozen_front(view.model, encoder)  # once for all seeds
        frames = Frames(asked.frames, self.layout, view.model.tap, encoder, bgr=view.data.bgr, front=front)
        conventions = scores.Conventions(view.evaluation, view.data.box_crop)
        tallies = {seed: scores.Tally(len(asked.pairs), conventions) for seed in seeds}
        recorder = predict.Recorder(asked)
        progress = Progress(f"scoring {self.label}", len(asked.pairs))
        boxes = asked.frames["boxes"].tolist()
        for some in predict.answers(trained, frames, asked.pairs, device, self.label):
            for seed in seeds:
                maps = [torch.sigmoid(frame) for frame in encoder.restore(some.logits[seed], some.sizes)]
                _measure(tallies[seed], some.numbers, maps, some.masks, [boxes[i] for i in some.frames])
            if self.seeds[0] in seeds:
                recorder.add(some.numbers, some.logits[self.seeds[0]])
            progress.advance(steps=len(some.numbers))
        if self.seeds[0] in seeds:
            recorder.write(self.folder(self.seeds[0]) / PREDICTIONS)
        return {seed: self._publish(seed, asked, tallies[seed], watch) for seed in seeds}

    def _publish(
        self, seed: int, asked: predict.Questions, tally: scores.Tally, watch: provenance.Stopwatch
    ) -> dict[str, Any]:
        parts = []
        for (selection, probe), numbers in asked.asked.items():
            method = self.view.model_name + ("" if probe == "own" else f"@{probe}")
            parts.append(
                tally.rows(numbers, asked.selections[selection], selection=selection, method=method, seed=seed)
            )
        scores.write(pd.concat(parts, ignore_index=True), self.folder(seed) / SCORES)
        return self.conclude(seed, watch)


def _measure(tally: scores.Tally, numbers: Sequence[int], maps: Any, masks: Any, boxes: Sequence[Any]) -> None:
    """Adds a batch of probability maps to a tally, by masks and by boxes, whichever there are."""
    if masks is not None:
        tally.add_masks(numbers, maps, masks)
    for number, probability, box in zip(numbers, maps, boxes, strict=True):
        if box is not None:
            tally.add_boxes(number, probability, box)


# ----------------------------------------------------------------------------------- floors
def score_floors(view: FloorsView, layout: Layout) -> None:
    """Scores the methods without training on a setting: writes `layout.floors`, provenance beside it.

    `all_objects` is left out of a selection of which the dataset does not know all objects.
    """
    watch = provenance.Stopwatch()
    path = layout.floors(view.setting_name)
    inputs = tested_tables(view.setting, layout)
    key = provenance.key("score", view, None, inputs)
    if kept(path.parent, PROVENANCE, key, [path.name]) is not None:
        return
    rows = frame_table.select(layout, view.setting.test)
    frames, index = predict.distinct_frames(rows)
    tallies = _measure_floors(view, frames)
    parts = []
    for selection, members in rows.groupby("selection", sort=False):
        numbers = index[members.index.to_numpy()]
        for name, tally in tallies.items():
            if name == "all_objects" and frames["objects"].iloc[numbers].isna().any():
                continue
            names = {"selection": selection, "method": name, "seed": FLOOR_SEED}
            parts.append(tally.rows(numbers, members.reset_index(drop=True), **names))
    scores.write(pd.concat(parts, ignore_index=True), path)
    conclude(path.parent, PROVENANCE, provenance.record("score", view, None, inputs, watch), [path.name])


def _measure_floors(view: FloorsView, frames: pd.DataFrame) -> dict[str, scores.Tally]:
    conventions = scores.Conventions(view.evaluation, view.data.box_crop)
    tallies = {name: scores.Tally(len(frames), conventions) for name in FLOORS}
    progress = Progress(f"scoring {view.setting_name}/floors", len(frames))
    for number, row in enumerate(frames.itertuples()):
        masks = None
        if isinstance(row.mask, str):
            masks = [torch.from_numpy(media.read_mask(row.mask, (row.height, row.width)))]
        for name, floor in FLOORS.items():
            if (probability := floor(row)) is not None:
                _measure(tallies[name], [number], [probability], masks, [row.boxes])
        progress.advance()
    return tallies
