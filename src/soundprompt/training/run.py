"""Trains the runs of a pack: opens its data once, keeps what is finished, goes on with what was begun."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from soundprompt import devices, finite, models, provenance, records
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.features import loading, store
from soundprompt.features.frames import Frames
from soundprompt.features.inputs import visual_inputs
from soundprompt.files import digest_value, write_sealed
from soundprompt.foundation import encoders
from soundprompt.foundation.encoders import Encoder
from soundprompt.layout import Layout, pack_name
from soundprompt.params import Data, TrainView
from soundprompt.registry import Metric
from soundprompt.training import checkpoint, loop, subset, validation
from soundprompt.training.sampler import Sampler
from soundprompt.training.schedule import plan
from soundprompt.training.team import Team, gather

PARAMS, PROVENANCE = "params.json", "provenance.json"
FILES = (checkpoint.NAME, loop.METRICS)  # what a finished run holds besides
STOPPED = 75  # exit status of a pack that was asked to stop (EX_TEMPFAIL): start it again


@loading.lost_readers()
def train_pack(view: TrainView, seeds: Sequence[int], layout: Layout, processes: int = 1, workers: int = 0) -> None:
    """Trains one run per seed and writes `layout.trained` once all are there.

    processes: on one machine, that share the work on each run, with a GPU each where there are GPUs. Losses are those
    of one process but for the rounding of sums (and for the draws of Gaussian noise). workers: further ones for each,
    that read batches ahead where the data do not lie in memory; they change no bit.

    A run writes checkpoint.safetensors (trained parameters of the best step), metrics.csv, params.json
    and provenance.json into its folder. A run whose settings, inputs and code are as before and whose
    checkpoint is whole is kept; one that was killed goes on from its last validation, to the bits
    that it would have reached undisturbed (on the CPU). On SIGTERM the step in progress is
    finished and saved, and the process exits with status 75.
    """
    with _stop_on_sigterm() as stop, gather(processes, _runs, view, seeds, layout, workers) as team:
        try:
            runs = _runs(team, view, seeds, layout, workers, stop)
        except loop.Stopped as stopped:
            print(stopped, file=sys.stderr, flush=True)
            sys.exit(STOPPED)
    write_sealed(layout.trained(view.setting_name, view.model_name, pack_name(tuple(seeds))), {"runs": runs})


def _runs(
    team: Team,
    view: TrainView,
    seeds: Sequence[int],
    layout: Layout,
    workers: int,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """The part of one process in training a pack; returns the runs' entries."""
    data = PackData(view, layout, workers, team.device)
    with devices.repeatable(view.model.schedule.deterministic):
        return {str(seed): Run(view, seed, layout, data, team).train(stop) for seed in seeds}


@dataclass
class PackData:
    """What the runs of a pack share, each part opened when first needed: a finished pack opens none of it."""

    view: TrainView
    layout: Layout
    workers: int = 0
    device: str = "cpu"  # where models will compute

    @cached_property
    def digests(self) -> dict[str, str]:
        """Name -> digest of the input files; of the feature cache, what determines it together with the tables."""
        selections = self.view.setting.train + self.view.setting.validate_on
        datasets = sorted({selection.partition("/")[0] for selection in selections})
        return {
            **{f"table {name}": records.digest(self.layout.table(name)) for name in datasets},
            **visual_inputs(self.view.model, self.layout),
            "audio features": digest_value(store.Store(self.layout.audio_features).recipe),
        }

    @cached_property
    def encoder(self) -> Encoder:
        return encoders.load(self.view.model, self.layout)

    @cached_property
    def train(self) -> Frames:
        setting = self.view.setting
        rows = frame_table.select(self.layout, setting.train)
        return self._frames(subset.part(rows, setting.share, setting.share_seed))

    @cached_property
    def validation(self) -> dict[str, Frames]:
        """Selection -> its frames with a mask."""
        found = {}
        for selection in self.view.setting.validate_on:
            rows = frame_table.select(self.layout, [selection])
            rows = rows[rows["mask"].notna()]
            if rows.empty:
                remedy = "choose other selections in the setting's validate_on"
                raise InputError(f"{selection} has no masks to validate on", remedy=remedy)
            limit = self.view.model.schedule.validation_frames
            found[selection] = self._frames(spread(rows, limit, whole_clips=self.view.model.temporal))
        return found

    def sampler(self, seed: int) -> Sampler:
        """Draws from the supervised frames, clip by clip."""
        rows = self.train.rows.iloc[self.train.supervised].assign(index=self.train.supervised)
        clips = rows.groupby(["dataset", "clip"], sort=False)
        first, schedule = clips.first(), self.view.model.schedule
        return Sampler(
            clips["index"].apply(list).tolist(),
            first["video"].tolist(),
            first["class_name"].tolist(),
            seed,
            schedule.clips_per_step,
            schedule.frames_per_clip,
            [name if isinstance(name, str) else None for name in first["silent"]],
        )

    def _frames(self, rows: Any) -> Frames:
        data, model = self.view.data, self.view.model
        front = models.frozen_front(model, self.encoder, self.device)
        options = {"bgr": data.bgr, "supervision": data.v1s_supervision, "front": front, "workers": self.workers}
        return Frames(rows, self.layout, model.tap, self.encoder, **options)


class Run:
    """One seed of a pack."""

    def __init__(self, view: TrainView, seed: int, layout: Layout, data: PackData, team: Team = Team()):
        self.view, self.seed, self.layout, self.data, self.team = view, seed, layout, data, team
        self.folder = layout.run(view.setting_name, view.model_name, seed)
        self.label = f"{view.setting_name}/{view.model_name} seed {seed}"
        self.inputs = dict(data.digests)
        if view.setting.start_from:
            self.inputs["start"] = checkpoint.trained_digest(layout, view.setting.start_from, view.model_name, seed)
        self.key = provenance.key("train", read_by_training(view), seed, self.inputs)

    def train(self, stop: Callable[[], bool]) -> dict[str, Any]:
        """Trains unless that is done; returns the run's entry in `layout.trained`."""
        done = self._finished()
        if done is None:
            done = self._train(stop)
        if not self.team.leads:
            return done
        write_sealed(self.folder / PARAMS, {**self.view.model_dump(mode="json"), "seed": self.seed})
        (self.folder / loop.RESUME).unlink(missing_ok=True)
        return done

    def _finished(self) -> dict[str, Any] | None:
        """The entry of a run that is there, whole and of the same key."""
        return records.kept(self.folder, PROVENANCE, self.key, FILES)

    def _train(self, stop: Callable[[], bool]) -> dict[str, Any]:
        watch = provenance.Stopwatch()
        if self.team.leads:  # it vouches for files that are about to be written anew
            (self.folder / PROVENANCE).unlink(missing_ok=True)
        trainer = self.trainer(self.team.device)
        seconds = loop.fit(trainer, self.folder, self.key, stop)
        if not self.team.leads:
            return {}
        what = f"{self.label}: after step {trainer.best.step} the weights"
        finite.check_all(trainer.best.parameters, what, remedy="lower schedule.learning_rate")
        settings = read_by_training(self.view)
        facts = settings.model_dump(mode="json") | {"seed": self.seed}
        facts[self.view.model.reads] = self.data.encoder.digest
        facts["step"] = trainer.best.step
        result = {
            "key": self.key,
            "checkpoint": checkpoint.save(trainer.best.parameters, self.folder / checkpoint.NAME, facts),
            "best_step": trainer.best.step,
            "validation": trainer.best.score,
            "validations": trainer.best.scores,
            "validation_floor": validation.of_everything(trainer.validation),
            "steps": trainer.step,
            "trained_parameters": sum(parameter.numel() for parameter in trainer.parameters.values()),
            "train_clips": len(trainer.sampler.clips),
            "train_frames": sum(map(len, trainer.sampler.clips)),  # supervised ones
            "validation_frames": sum(map(len, trainer.validation.values())),
            # few-shot: none of its steps was better on validation than the model it started from
            "start_kept": trainer.plan.continued and trainer.best.step == 0,
        }
        cost = {"training_s": round(seconds, 3), "waiting_s": round(trainer.waited, 3)}
        cost |= {"device": str(trainer.device), "precision": trainer.precision}
        cost["processes"] = self.team.size
        cost |= records.of_files(self.folder, FILES)
        record = provenance.record("train", settings, self.seed, self.inputs, watch, result=result, **cost)
        write_sealed(self.folder / PROVENANCE, record)
        return result

    def trainer(self, device: str = "cpu") -> loop.Trainer:
        """The run at its beginning: the model as initialised, or as the setting it starts from left it."""
        view, data = self.view, self.data
        model = models.build(view.model, data.encoder, self.seed)
        if view.setting.start_from:
            checkpoint.load_into(model, self._start / checkpoint.NAME, self.inputs["start"])
        sampler = data.sampler(self.seed)
        schedule = plan(view.model.schedule, sampler.steps_per_epoch, view.setting.start_from is not None)
        parts = (schedule, data.encoder, sampler, data.train, data.validation)
        return loop.Trainer(model.to(device), view.model, *parts, device, self.label, self.team)

    @property
    def _start(self):
        return self.layout.run(self.view.setting.start_from, self.view.model_name, self.seed)


def spread(rows: pd.DataFrame, limit: int | None, *, whole_clips: bool = False) -> pd.DataFrame:
    """At most `limit` rows, evenly spread over the table; all of them for None.

    whole_clips: all rows of as many clips as make about `limit` rows, for models that look across time.
    """
    if limit is None or limit >= len(rows):
        return rows
    if whole_clips:
        clip = rows.groupby(["dataset", "clip"], sort=False).ngroup().to_numpy()
        count = max(1, limit * (clip.max() + 1) // len(rows))
        return rows[np.isin(clip, np.linspace(0, clip.max(), count).round().astype(int))]
    return rows.iloc[np.linspace(0, len(rows) - 1, limit).round().astype(int)]


def read_by_training(view: TrainView) -> TrainView:
    """The view without what training does not look at: tests and claims about them, and how other data are read."""
    data = Data(v1s_supervision=view.data.v1s_supervision, bgr=view.data.bgr)
    return view.model_copy(
        update={"setting": view.setting.model_copy(update={"test": (), "unseen": False}), "data": data}
    )


@contextmanager
def _stop_on_sigterm() -> Iterator[Callable[[], bool]]:
    """Yields a function that tells whether SIGTERM has come; outside the main thread it never has."""
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


REGISTERED = (
    Metric(name="training_s", stage="train", higher_is_better=False, amount=True, label="training, s",
           meaning="Time that training a run took, validations included."),
    Metric(name="training_steps", stage="train", higher_is_better=False, amount=True, label="training steps",
           meaning="Steps until training stopped."),
)  # fmt: skip
