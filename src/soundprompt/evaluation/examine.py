"""Examines trained runs for what masks do not show; leaves rows in the form of scores beside these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pandas as pd

from soundprompt import devices, provenance
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.evaluation import alignment, knowledge, scores
from soundprompt.evaluation.pack import Pack
from soundprompt.features import loading
from soundprompt.files import write_sealed
from soundprompt.layout import Layout, pack_name
from soundprompt.params import ExamineView
from soundprompt.progress import Progress

if TYPE_CHECKING:  # loading SAM's package takes seconds: finished packs do without
    from soundprompt.features.frames import Frames
    from soundprompt.foundation.sam import FrozenSam
    from soundprompt.models import Segmenter

EXAMINED, PROVENANCE = "examined.parquet", "examined.json"


@loading.lost_readers()
def examine_pack(view: ExamineView, seeds: Sequence[int], layout: Layout, workers: int = 0) -> None:
    """Measures what `view.measures` names in one run per seed.

    Each run's folder gets examined.parquet, with the columns of score rows, and examined.json (its provenance);
    then `layout.examined` says what is there. Finished runs are kept and errors raised as in `score_pack`; a
    model of which nothing can be measured is an InputError.
    """
    if not view.measures:
        what = f"model '{view.model_name}' has neither cue and sound to compare nor SAM's decoder"
        raise InputError(what, remedy="examine another model")
    entries = _ExaminePack(view, seeds, layout, workers).run()
    write_sealed(layout.examined(view.setting_name, view.model_name, pack_name(tuple(seeds))), entries)


class _ExaminePack(Pack[ExamineView]):
    stage, table, record = "examine", EXAMINED, PROVENANCE

    @cached_property
    def sample(self) -> pd.DataFrame:
        """The test frames that are looked at, column `selection` included."""
        return alignment.sample(self.rows, self.view.examined_frames)

    def work(self, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Examines these seeds together; returns their entries."""
        from soundprompt.foundation import sam as sam_models

        watch = provenance.Stopwatch()
        device = devices.best()
        sam = sam_models.load(self.layout.foundation("sam"))
        trained = {seed: self.load(seed, sam) for seed in seeds}
        progress = Progress(f"examining {self.label}", len(self.view.measures))
        parts: dict[int, list[pd.DataFrame]] = {seed: [] for seed in seeds}
        for name in self.view.measures:
            for seed, rows in getattr(self, f"_{name}")(trained, sam, device).items():
                parts[seed].append(rows)
            progress.advance(name)
        for seed in seeds:
            rows = pd.concat(parts[seed], ignore_index=True).assign(method=self.view.model_name, seed=seed)
            scores.write(rows.astype(scores.TYPES), self.folder(seed) / EXAMINED)
        return {seed: self.conclude(seed, watch) for seed in seeds}

    def _alignment(self, trained: dict[int, Segmenter], sam: FrozenSam, device: str) -> dict[int, pd.DataFrame]:
        distinct, index = frame_table.distinct(self.sample)
        compared = alignment.compare(trained, self._frames(distinct, sam), device, self.label)
        found: dict[int, list[pd.DataFrame]] = {seed: [] for seed in trained}
        for selection, members in self.sample.groupby("selection", sort=False):
            numbers = index[members.index.to_numpy()]
            for seed, of in compared.items():
                rows = alignment.rows(of, members, numbers, self.view.model.triplet.margin)
                found[seed].append(rows.assign(selection=selection))
        return {seed: pd.concat(parts) for seed, parts in found.items()}

    def _knowledge(self, trained: dict[int, Segmenter], sam: FrozenSam, device: str) -> dict[int, pd.DataFrame]:
        drawers = {seed: knowledge.Drawer.of(model) for seed, model in trained.items()}
        untouched = knowledge.Drawer.untouched(sam, self.view.model.visual)
        return knowledge.measure(drawers, untouched, self._pictures(sam), sam, device, self.label)

    def _pictures(self, sam: FrozenSam) -> Iterator[knowledge.Pointed]:
        if self.view.held_out is not None:
            yield from knowledge.held_out_pictures(
                self.view.held_out, sam, self.view.model.visual.tune_from, bgr=self.view.data.bgr
            )
        else:
            first = self.sample[self.sample["selection"] == self.view.setting.test[0]]
            yield from knowledge.frame_pictures(self._frames(first, sam))

    def _frames(self, rows: pd.DataFrame, sam: FrozenSam) -> Frames:
        from soundprompt.features.frames import Frames

        tap, bgr = self.view.model.visual.tune_from, self.view.data.bgr
        return Frames(rows, self.layout, tap, sam, bgr=bgr, workers=self.workers)
