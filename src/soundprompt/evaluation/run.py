"""Scores trained runs, and the floors, on the test selections of a setting."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from soundprompt import provenance
from soundprompt.data import frame_table, media
from soundprompt.errors import InputError
from soundprompt.evaluation import predict, scores
from soundprompt.evaluation.floors import FLOORS
from soundprompt.features import store
from soundprompt.features.inputs import visual_inputs
from soundprompt.files import digest_file, digest_value, read_json, write_json
from soundprompt.layout import Layout, pack_name
from soundprompt.params import FloorsView, ScoreView, Setting
from soundprompt.progress import Progress
from soundprompt.training import checkpoint

if TYPE_CHECKING:  # loading SAM's package takes seconds: floors and finished packs do without
    from soundprompt.foundation.encoders import Encoder
    from soundprompt.models import Segmenter

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
    pack = _Pack(view, tuple(seeds), layout)
    done = {seed: pack.finished(seed) for seed in seeds}
    if missing := [seed for seed in seeds if done[seed] is None]:
        done |= pack.score(missing)
    entries = {"runs": {str(seed): done[seed] for seed in seeds}}
    write_json(layout.scored(view.setting_name, view.model_name, pack_name(pack.seeds)), entries)


class _Pack:
    """Seeds of one model on one setting; they share frames and features."""

    def __init__(self, view: ScoreView, seeds: tuple[int, ...], layout: Layout):
        self.view, self.seeds, self.layout = view, seeds, layout
        self.origin = view.setting.model_of or view.setting_name

    def folder(self, seed: int) -> Path:
        return self.layout.run(self.view.setting_name, self.view.model_name, seed)

    def checkpoint(self, seed: int) -> Path:
        return self.layout.run(self.origin, self.view.model_name, seed) / "checkpoint.safetensors"

    @cached_property
    def rows(self) -> pd.DataFrame:
        return frame_table.select(self.layout, self.view.setting.test)

    @cached_property
    def shared_inputs(self) -> dict[str, str]:
        """Name -> digest of what all seeds read; of the feature cache, what determines it with the tables."""
        return {
            **_tables(self.view.setting, self.layout),
            **visual_inputs(self.view.model, self.layout),
            "audio features": digest_value(store.Store(self.layout.audio_features).recipe),
        }

    def inputs(self, seed: int) -> dict[str, str]:
        return {
            **self.shared_inputs,
            "checkpoint": trained_digest(self.origin, self.view.model_name, seed, self.layout),
        }

    def key(self, seed: int) -> str:
        return provenance.key("score", self.view, seed, self.inputs(seed))

    def files(self, seed: int) -> list[str]:
        """What a scored run's folder holds; only the pack's first seed keeps its predictions."""
        return [SCORES, PREDICTIONS] if seed == self.seeds[0] else [SCORES]

    def finished(self, seed: int) -> dict[str, Any] | None:
        """The entry of a run that is scored already, with the same key, whole."""
        return _kept(self.folder(seed), PROVENANCE, self.key(seed), self.files(seed))

    def score(self, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Scores these seeds together; returns their entries."""
        from soundprompt.features.frames import Frames
        from soundprompt.foundation import encoders

        watch = provenance.Stopwatch()
        device = "cuda" if torch.cuda.is_available() else "cpu"
        view, encoder = self.view, encoders.load(self.view.model, self.layout)
        trained = {seed: self._load(seed, encoder) for seed in seeds}
        asked = predict.questions(self.rows, view.probes)
        frames = Frames(asked.frames, self.layout, view.model.tap, encoder, bgr=view.data.bgr)
        conventions = scores.Conventions(view.evaluation, view.data.box_crop)
        tallies = {seed: scores.Tally(len(asked.pairs), conventions) for seed in seeds}
        recorder = predict.Recorder(asked)
        progress = Progress(f"scoring {view.setting_name}/{view.model_name}", len(asked.pairs))
        boxes = asked.frames["boxes"].tolist()
        for some in predict.answers(trained, frames, asked.pairs, device):
            for seed in seeds:
                maps = [torch.sigmoid(frame) for frame in encoder.restore(some.logits[seed], some.sizes)]
                _measure(tallies[seed], some.numbers, maps, some.masks, [boxes[i] for i in some.frames])
            if self.seeds[0] in seeds:
                recorder.add(some.numbers, some.logits[self.seeds[0]])
            progress.advance(steps=len(some.numbers))
        if self.seeds[0] in seeds:
            recorder.write(self.folder(self.seeds[0]) / PREDICTIONS)
        return {seed: self._publish(seed, asked, tallies[seed], watch) for seed in seeds}

    def _load(self, seed: int, encoder: Encoder) -> Segmenter:
        from soundprompt import models

        model = models.build(self.view.model, encoder, seed)
        checkpoint.load_into(model, self.checkpoint(seed), self.inputs(seed)["checkpoint"])
        return model

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
        record = provenance.record("score", self.view, seed, self.inputs(seed), watch)
        return _conclude(self.folder(seed), PROVENANCE, record, self.files(seed))


def _measure(tally: scores.Tally, numbers: Sequence[int], maps: Any, masks: Any, boxes: Sequence[Any]) -> None:
    """Adds a batch of probability maps to a tally, by masks and by boxes, whichever there are."""
    if masks is not None:
        tally.add_masks(numbers, maps, masks)
    for number, probability, box in zip(numbers, maps, boxes, strict=True):
        if box is not None:
            tally.add_boxes(number, probability, box)


def trained_digest(setting: str, model: str, seed: int, layout: Layout) -> str:
    """sha256 of a trained checkpoint, checked against what training wrote down for it.

    Packs of training and scoring may differ, so every list of trained runs of that model is searched.
    Raises InputError when the checkpoint is missing or in none of them.
    """
    path = layout.run(setting, model, seed) / "checkpoint.safetensors"
    lists = sorted(path.parent.parent.glob("trained-*.json"))
    written = {read_json(name)["runs"].get(str(seed), {}).get("checkpoint") for name in lists} - {None}
    remedy = f"run: soundprompt train --setting {setting} --model {model} --seeds {seed}"
    if not written or not path.exists():
        raise InputError("no trained model", path=path, remedy=remedy)
    digest = digest_file(path)
    if digest not in written:
        what = f"is not the checkpoint that training wrote: its sha256 is {digest[:12]}"
        raise InputError(what, path=path, remedy=f"delete it and {remedy}")
    return digest


# ----------------------------------------------------------------------------------- floors
def score_floors(view: FloorsView, layout: Layout) -> None:
    """Scores the methods without training on a setting: writes `layout.floors`, provenance beside it.

    `all_objects` is left out of a selection of which the dataset does not know all objects.
    """
    watch = provenance.Stopwatch()
    path = layout.floors(view.setting_name)
    inputs = _tables(view.setting, layout)
    key = provenance.key("score", view, None, inputs)
    if _kept(path.parent, PROVENANCE, key, [path.name]) is not None:
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
    _conclude(path.parent, PROVENANCE, provenance.record("score", view, None, inputs, watch), [path.name])


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


# ------------------------------------------------------------------------------- provenance
def _tables(setting: Setting, layout: Layout) -> dict[str, str]:
    datasets = sorted({selection.partition("/")[0] for selection in setting.test})
    return {f"table {name}": digest_file(layout.table(name)) for name in datasets}


def _kept(folder: Path, record: str, key: str, files: Sequence[str]) -> dict[str, Any] | None:
    """The result of a finished job with this key, if its files are all there and the scores unaltered."""
    try:
        origin = read_json(folder / record)
        if origin["key"] != key or digest_file(folder / SCORES) != origin["result"]["scores"]:
            return None
    except (InputError, KeyError, TypeError):
        return None
    return origin["result"] if all((folder / name).exists() for name in files) else None


def _conclude(folder: Path, name: str, record: dict[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """Writes the provenance, last: it says that the files are whole. Returns the entry for `layout.scored`."""
    result = {"key": record["key"], "scores": digest_file(folder / SCORES), "files": list(files)}
    write_json(folder / name, {**record, "result": result})
    return result
