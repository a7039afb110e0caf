"""Scores trained runs on the test selections of a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch

from soundprompt import devices, provenance
from soundprompt.evaluation import predict, scores
from soundprompt.evaluation.pack import Pack
from soundprompt.features import loading
from soundprompt.files import write_sealed
from soundprompt.layout import Layout, pack_name
from soundprompt.params import ScoreView
from soundprompt.progress import Progress

SCORES, PREDICTIONS, PROVENANCE = "scores.parquet", "predictions.safetensors", "scores.json"


@loading.lost_readers()
def score_pack(view: ScoreView, seeds: Sequence[int], layout: Layout, workers: int = 0) -> None:
    """Scores one run per seed on all test selections, with every sound that `view.probes` names.

    Each run's folder gets scores.parquet and scores.json (its provenance), that of the first seed also
    predictions.safetensors; then `layout.scored` says what is there. A setting with `model_of` takes that
    setting's checkpoints. Runs whose settings, inputs and code are as before are kept. workers: as in training.
    Raises InputError when a checkpoint is missing, is not the one that training wrote, or does not fit.
    """
    entries = _ScorePack(view, seeds, layout, workers).run()
    write_sealed(layout.scored(view.setting_name, view.model_name, pack_name(tuple(seeds))), entries)


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
        front = models.frozen_front(view.model, encoder, device)  # once for all seeds
        data = (asked.frames, self.layout, view.model.tap, encoder)
        frames = Frames(*data, bgr=view.data.bgr, front=front, workers=self.workers)
        conventions = scores.Conventions(view.evaluation, view.data.box_crop, view.metrics)
        tallies = {seed: scores.Tally(len(asked.pairs), conventions) for seed in seeds}
        recorder = predict.Recorder(asked)
        progress = Progress(f"scoring {self.label}", len(asked.pairs))
        boxes = asked.frames["boxes"].tolist()
        for some in predict.answers(trained, frames, asked.pairs, device, self.label):
            for seed in seeds:
                maps = [torch.sigmoid(frame) for frame in encoder.restore(some.logits[seed], some.sizes)]
                tallies[seed].add(some.numbers, maps, some.masks, [boxes[i] for i in some.frames])
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
