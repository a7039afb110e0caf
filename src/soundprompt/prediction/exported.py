"""A trained model in a folder of its own, laid out as the Hugging Face Hub expects: the names in it, and reading it.

| file | what it holds |
|---|---|
| config.json | format, settings, seed, digests of the trained and of the frozen weights |
| model.safetensors | all that training changed |
| foundation/{sam,audio,pyramid}.safetensors | the frozen models, with `--whole` |
| preprocessor_config.json | how pictures and sound are prepared |
| metrics.json, provenance.json | its scores; where it and its foundation come from |
| README.md, LICENSE | the model card |
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from soundprompt.errors import InputError
from soundprompt.features import extract
from soundprompt.files import digest_file, read_json
from soundprompt.prediction import foundation
from soundprompt.prediction.foundation import Frozen
from soundprompt.prediction.runs import TrainedRun, settings_of

FORMAT = 1
CONFIG, MODEL, CARD, LICENCE = "config.json", "model.safetensors", "README.md", "LICENSE"
PREPARING, METRICS, ORIGIN = "preprocessor_config.json", "metrics.json", "provenance.json"
AGAIN = "fetch or export it again"
Digest = Field(pattern="^[0-9a-f]{64}$")


class Config(BaseModel):
    """config.json. settings: those of training and the seed, as in a run's params.json. sha256: of the trained weights.

    validation: mean IoU on the validation selections. foundation: the frozen models by name.
    """

    library_name: Literal["soundprompt"] = "soundprompt"
    format: Literal[1] = FORMAT
    soundprompt_version: str
    architectures: list[str]
    settings: dict[str, Any]
    sha256: str = Digest
    validation: float | None
    foundation: dict[str, Frozen]


@dataclass(frozen=True)
class ExportedRun(TrainedRun):
    """A model that was exported; `weights` finds the frozen ones by their digests. frozen: these, by name."""

    frozen: dict[str, Frozen] | None = None

    @property
    def checkpoint(self) -> Path:
        return self.folder / MODEL

    @property
    def origin(self) -> dict[str, Any]:
        return read_json(self.folder / ORIGIN)["training"]

    def weights(self, name: str) -> Path:
        """In its own folder, in a study's weights or fetched. Raises InputError when it is nowhere, or another."""
        return foundation.find(name, self.frozen[name], self.folder)


def is_one(folder: Path) -> bool:
    """Whether a folder is an export rather than a run."""
    return (folder / CONFIG).exists()


def load(folder: Path) -> ExportedRun:
    """Reads an exported folder. Raises InputError for another format or version, and for weights that have changed."""
    config = _config(folder / CONFIG)
    view, seed = settings_of(config.settings, folder / CONFIG, f"use soundprompt {config.soundprompt_version}")
    path = folder / MODEL
    if not path.exists():
        raise InputError("the trained weights are missing", path=path, remedy=AGAIN)
    if (digest := digest_file(path)) != config.sha256:
        what = f"is not what was exported: its sha256 is {digest[:12]}, {CONFIG} says {config.sha256[:12]}"
        raise InputError(what, path=path, remedy=AGAIN)
    lacking = {view.model.reads, "audio"} - set(config.foundation)
    if lacking:
        raise InputError(f"does not name the frozen {lacking.pop()}", path=folder / CONFIG, remedy=AGAIN)
    prepared = read_json(folder / PREPARING).get("transforms")
    if prepared != extract.TRANSFORMS:
        what = f"pictures and sound were prepared otherwise: {prepared}; this version: {extract.TRANSFORMS}"
        remedy = f"use soundprompt {config.soundprompt_version}"
        raise InputError(what, path=folder / PREPARING, remedy=remedy)
    return ExportedRun(folder, view, seed, None, config.validation, config.foundation)


def _config(path: Path) -> Config:
    content = read_json(path)
    library = content.get("library_name") if isinstance(content, dict) else None
    if library != "soundprompt":
        what = f"not a model of soundprompt: its library_name is {library!r}"
        raise InputError(what, path=path, remedy="give a folder that `soundprompt export` wrote")
    if content.get("format") != FORMAT:
        what = f"written in format {content.get('format')}, by soundprompt {content.get('soundprompt_version')}"
        raise InputError(f"{what}; this version reads format {FORMAT}", path=path, remedy="use that version")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputError(what, path=path, remedy=AGAIN) from error
