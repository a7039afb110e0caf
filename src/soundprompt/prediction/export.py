"""`soundprompt export`: a trained run as a folder that another machine can use, or as a repository on the Hub."""

from __future__ import annotations

import importlib.metadata
import shutil
import tempfile
from pathlib import Path
from typing import Any

import soundprompt
from soundprompt import registry
from soundprompt.data.video import FRAME_TIME
from soundprompt.errors import InputError
from soundprompt.evaluation import summary
from soundprompt.features import extract
from soundprompt.files import digest_file, publish_folder, read_json, write_json, write_text
from soundprompt.foundation.audio import EXAMPLE_SAMPLES, RATE
from soundprompt.prediction import card, exported, foundation, hub, onnx_graphs, runs
from soundprompt.prediction.exported import ExportedRun
from soundprompt.prediction.listener import Listener
from soundprompt.prediction.runs import TrainedRun
from soundprompt.report import evidence


def run(place: Path | str, out: str, whole: bool = False, private: bool = False, onnx: bool = False) -> str:
    """Exports the model in `place` (as `soundprompt.load`) to a folder, or to hf://owner/name; returns where it is.

    whole: with the frozen models; without, they are named by their digests. private: for a repository that is made.
    onnx: with graphs of it, see `onnx_graphs`.
    A folder appears whole or not at all and replaces nothing but an earlier export. Raises InputError.
    """
    if onnx:
        onnx_graphs.check()
    trained = runs.opened(place)
    listener = Listener(trained, "cpu")  # what cannot answer here is not handed on
    if hub.is_address(out):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "model"
            folder.mkdir()
            write(trained, folder, whole)
            if onnx:
                onnx_graphs.write(listener, folder / onnx_graphs.FOLDER)
            return hub.push(folder, out, private)
    _check_target(Path(out))
    with publish_folder(out) as aside:
        write(trained, aside, whole)
        if onnx:
            onnx_graphs.write(listener, aside / onnx_graphs.FOLDER)
    return out


def write(trained: TrainedRun, folder: Path, whole: bool) -> None:
    """Writes an export into an empty folder; of a model that is one already, its own words are kept."""
    shutil.copyfile(trained.checkpoint, folder / exported.MODEL)
    weights = {name: trained.weights(name) for name in (trained.view.model.reads, "audio")}
    if whole:
        (folder / foundation.FOLDER).mkdir()
        for path in weights.values():
            shutil.copyfile(path, folder / foundation.FOLDER / path.name)
    if isinstance(trained, ExportedRun):
        for name in (exported.CONFIG, exported.PREPARING, exported.METRICS, exported.ORIGIN, exported.LICENCE):
            shutil.copyfile(trained.folder / name, folder / name)
    else:
        _describe(trained, weights, folder)
    config, metrics = (read_json(folder / name) for name in (exported.CONFIG, exported.METRICS))
    write_text(folder / exported.CARD, card.text(config, metrics, read_json(folder / exported.ORIGIN), whole))


def _describe(trained: TrainedRun, weights: dict[str, Path], folder: Path) -> None:
    view = trained.view
    frozen = {name: foundation.describe(path) for name, path in weights.items()}
    config = exported.Config(
        soundprompt_version=soundprompt.__version__,
        architectures=[view.model.architecture],
        settings=view.model_dump(mode="json") | {"seed": trained.seed},
        sha256=digest_file(folder / exported.MODEL),
        validation=trained.validation,
        foundation=frozen,
    )
    write_json(folder / exported.CONFIG, config.model_dump(mode="json"))
    write_json(folder / exported.PREPARING, preparing(trained))
    write_json(folder / exported.METRICS, metrics(trained))
    quality = {name: path.with_suffix(".json") for name, path in weights.items()}
    origin = {name: read_json(path) for name, path in quality.items() if path.exists()}
    write_json(folder / exported.ORIGIN, {"training": trained.origin, "foundation": origin})
    write_text(folder / exported.LICENCE, licence())


def preparing(trained: TrainedRun) -> dict[str, Any]:
    """How pictures and sound become what the encoders take: preprocessor_config.json."""
    encoder = trained.view.model.reads
    return {
        "transforms": extract.TRANSFORMS,  # reading compares these: another version may prepare otherwise
        "image": {
            "encoder": encoder,
            "channels": "BGR" if trained.view.data.bgr else "RGB",
            "seconds_into_each_second": FRAME_TIME,
        },
        "sound": {"sampling_rate": RATE, "samples": EXAMPLE_SAMPLES, "channels": "mean"},
    }


def metrics(trained: TrainedRun) -> dict[str, Any]:
    """What scoring and examining measured, a row for each selection, method (with a probe behind @) and convention."""
    files = [trained.folder / name for name in ("scores.parquet", "examined.parquet")]
    rows = [
        row
        for path in files
        if path.exists()
        for row in summary.dataset_values(evidence.read(path), registry.metrics_of("score", "examine")).to_dict(
            "records"
        )
    ]
    kept = ("selection", "method", "metric", "value", "n_clips")
    result = trained.origin.get("result", {})
    return {
        "validation": result.get("validations", {}),
        "scores": [{name: row[name] for name in kept} for row in rows],
    }


def licence() -> str:
    """The project's, under which trained weights are handed on."""
    return importlib.metadata.distribution("soundprompt").read_text("licenses/LICENSE") or "MIT License\n"


def _check_target(out: Path) -> None:
    if out.is_file():
        raise InputError("is a file, a folder is needed here", path=out, remedy="choose another OUT")
    if out.is_dir() and any(out.iterdir()) and not exported.is_one(out):
        what = "is a folder with other things in it; it would be replaced"
        raise InputError(what, path=out, remedy="choose another OUT, or move it away")
