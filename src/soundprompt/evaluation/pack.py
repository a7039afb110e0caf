"""What scoring and examining share: a pack of trained runs, its inputs, and the work on it that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pandas as pd

from soundprompt import provenance, records
from soundprompt.data import frame_table
from soundprompt.evaluation.finished import conclude, tested_tables
from soundprompt.features import store
from soundprompt.features.inputs import visual_inputs
from soundprompt.files import digest_value
from soundprompt.layout import Layout
from soundprompt.params import TrainView
from soundprompt.training import checkpoint

if TYPE_CHECKING:  # loading SAM's package takes seconds: finished packs do without
    from soundprompt.foundation.encoders import Encoder
    from soundprompt.models import Segmenter

ViewType = TypeVar("ViewType", bound=TrainView)


class Pack(Generic[ViewType]):
    """Seeds of one model on one setting, measured together; they share frames and features.

    A subclass names its stage, the table of rows that it leaves in each run's folder and the provenance beside
    that, and does the `work`. A setting with `model_of` takes that setting's checkpoints.
    """

    stage: ClassVar[str]
    table: ClassVar[str]
    record: ClassVar[str]

    def __init__(self, view: ViewType, seeds: Sequence[int], layout: Layout, workers: int = 0):
        self.view, self.seeds, self.layout, self.workers = view, tuple(seeds), layout, workers
        self.origin = view.setting.model_of or view.setting_name
        self.label = f"{view.setting_name}/{view.model_name}"

    def run(self) -> dict[str, Any]:
        """Does what is left to do; returns for `layout.scored` or `layout.examined` what is there.

        Runs whose settings, inputs and code are as before are kept. Raises InputError when a checkpoint is
        missing, is not the one that training wrote, or does not fit.
        """
        done = {seed: self.finished(seed) for seed in self.seeds}
        if missing := [seed for seed in self.seeds if done[seed] is None]:
            done |= self.work(missing)
        return {"runs": {str(seed): done[seed] for seed in self.seeds}}

    def work(self, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Measures these seeds together; returns what `conclude` gave for each."""
        raise NotImplementedError

    # ---- what goes in
    def folder(self, seed: int) -> Path:
        return self.layout.run(self.view.setting_name, self.view.model_name, seed)

    def checkpoint(self, seed: int) -> Path:
        return self.layout.run(self.origin, self.view.model_name, seed) / checkpoint.NAME

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The frames of all test selections."""
        return frame_table.select(self.layout, self.view.setting.test)

    @cached_property
    def shared_inputs(self) -> dict[str, str]:
        """Name -> digest of what all seeds read; of the feature cache, what determines it with the tables."""
        return {
            **tested_tables(self.view.setting, self.layout),
            **visual_inputs(self.view.model, self.layout),
            "audio features": digest_value(store.Store(self.layout.audio_features).recipe),
        }

    def inputs(self, seed: int) -> dict[str, str]:
        return {
            **self.shared_inputs,
            "checkpoint": checkpoint.trained_digest(self.layout, self.origin, self.view.model_name, seed),
        }

    def load(self, seed: int, encoder: Encoder) -> Segmenter:
        """The trained model."""
        from soundprompt import models

        model = models.build(self.view.model, encoder, seed)
        checkpoint.load_into(model, self.checkpoint(seed), self.inputs(seed)["checkpoint"])
        return model

    # ---- what comes out
    def files(self, seed: int) -> list[str]:
        """What the folder of a run holds when it is done."""
        return [self.table]

    def finished(self, seed: int) -> dict[str, Any] | None:
        """The entry of a run that is done already, with the same key, whole."""
        key = provenance.key(self.stage, self.view, seed, self.inputs(seed))
        return records.kept(self.folder(seed), self.record, key, self.files(seed))

    def conclude(self, seed: int, watch: provenance.Stopwatch) -> dict[str, Any]:
        """Writes a run's provenance; returns its entry."""
        record = provenance.record(self.stage, self.view, seed, self.inputs(seed), watch)
        return conclude(self.folder(seed), self.record, record, self.files(seed))
