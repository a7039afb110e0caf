"""Which trained run answers, and whether it is the one that training left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.files import digest_file, read_json
from soundprompt.layout import Layout

PREFERRED = "gavs"
RUNS = Path("runs")
TRAIN_FIRST = "run `make report STUDY=smoke` (minutes), then give --study smoke; or name a run's folder with --model"


@dataclass(frozen=True)
class TrainedRun:
    """A run directory with what is known of it.

    view: the settings it was trained with. expected: sha256 of the checkpoint, as training wrote it down;
    None where no list of trained runs stands beside it. validation: mean IoU on its validation selections.
    """

    folder: Path
    view: p.TrainView
    seed: int
    expected: str | None = None
    validation: float | None = None

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def layout(self) -> Layout:
        """Of the study it belongs to."""
        return self.view.layout

    @property
    def origin(self) -> dict[str, Any]:
        """The provenance of its training; empty where none was left."""
        path = self.folder / "provenance.json"
        return read_json(path) if path.exists() else {}

    def weights(self, name: str) -> Path:
        """The frozen model that it stands on, 'sam', 'audio' or 'pyramid': of its project, wherever that is."""
        path = self.layout.foundation(name)
        above = self.folder.absolute().parents  # seed<n> lies in <project>/runs/<study>/<setting>/<model>
        beside = above[min(4, len(above) - 1)] / path
        return beside if beside.exists() else path

    def __str__(self) -> str:
        score = "" if self.validation is None else f" (validation mIoU {100 * self.validation:.1f})"
        return f"{self.folder}{score}"


def find(model: Path | str | None, study: str | None) -> TrainedRun:
    """The run in a place (`opened`), or, without one, the best of a study. Raises InputError when there is none.

    study: None for the one that was trained last.
    """
    return opened(model) if model is not None else best(Layout(study or last_study()))


def opened(place: Path | str) -> TrainedRun:
    """The run in a folder: one that training left, or one that was exported, here or on the Hub (hf://owner/name)."""
    from soundprompt.prediction import exported, hub

    folder = hub.pull(str(place)) if hub.is_address(place) else Path(place)
    return exported.load(folder) if exported.is_one(folder) else load(folder)


def last_study() -> str:
    """The study whose training ended last, a substudy's counting as its study's. Raises InputError where none is."""
    lists = [path for path in RUNS.glob("*/*/*/trained-*.json") if any(path.parent.glob("seed*/params.json"))]
    if not lists:
        raise InputError("no study has a trained model", path=RUNS, remedy=TRAIN_FIRST)
    last = max(lists, key=lambda path: (path.stat().st_mtime, str(path)))
    return last.parts[-4].partition(".")[0]


def best(layout: Layout) -> TrainedRun:
    """The study's run with the best validation score; a run of the model `gavs` where there is one.

    Validation selections differ from setting to setting, so across settings the best is only a fair guess.
    """
    found = []
    for path in sorted(layout.runs.glob("*/*/trained-*.json")):
        for seed, entry in _entries(path).items():
            folder = path.parent / f"seed{seed}"
            if (folder / "checkpoint.safetensors").exists():
                found.append((path.parent.name != PREFERRED, -(entry.get("validation") or 0.0), str(folder)))
    if not found:
        raise InputError(f"study {layout.study} has no trained model", path=layout.runs, remedy=TRAIN_FIRST)
    return load(Path(min(found)[-1]))


def load(folder: Path) -> TrainedRun:
    """Reads a run directory. Raises InputError when it is none, or its checkpoint is not the one written down."""
    missing = [name for name in ("params.json", "checkpoint.safetensors") if not (folder / name).exists()]
    if missing:
        what = f"--model: not a trained run, it lacks {' and '.join(missing)}"
        remedy = "give a folder such as runs/mini/v1s/gavs/seed0 or one of `soundprompt export`, or leave --model out"
        raise InputError(what, path=folder, remedy=remedy)
    path = folder / "params.json"
    view, seed = settings_of(read_json(path), path, "train the model again")
    written = [e for path in sorted(folder.parent.glob("trained-*.json")) if (e := _entries(path).get(str(seed)))]
    return TrainedRun(folder, view, seed, *_written_down(folder / "checkpoint.safetensors", written))


def settings_of(written: Any, path: Path, remedy: str) -> tuple[p.TrainView, int]:
    """What a model was trained with, and its seed, from what stands in a file. Raises InputError."""
    try:
        seed = written["seed"]
        return p.TrainView.model_validate({key: value for key, value in written.items() if key != "seed"}), seed
    except (ValidationError, KeyError, AttributeError, TypeError) as error:
        what = f"not the settings of a run of this version ({str(error).splitlines()[0]})"
        raise InputError(what, path=path, remedy=remedy) from error


def _written_down(path: Path, entries: list[dict[str, Any]]) -> tuple[str | None, float | None]:
    """sha256 and validation score of a checkpoint by the lists of trained runs; None, None without a list."""
    if not entries:
        return None, None
    digest = digest_file(path)
    for entry in entries:
        if entry.get("checkpoint") == digest:
            return digest, entry.get("validation")
    what = f"is not the checkpoint that training wrote: its sha256 is {digest[:12]}"
    raise InputError(what, path=path, remedy="delete it and train the model again")


def _entries(path: Path) -> dict[str, Any]:
    try:
        return dict(read_json(path)["runs"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("not a list of trained runs", path=path, remedy="delete it and train again") from error
