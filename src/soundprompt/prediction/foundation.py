"""The frozen models that an exported one stands on: known by their digests, found where they lie, or fetched."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

import safetensors
from pydantic import BaseModel, Field

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.files import digest_file
from soundprompt.foundation import released
from soundprompt.layout import Layout

FOLDER = "foundation"
RELEASED = "released"  # weights/released: what is made here from released weights alone, for no study


class Frozen(BaseModel):
    """What an export says of a frozen model. sha256, size: of its file, bytes. settings: it was made with."""

    architecture: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int
    licence: str
    settings: dict


def describe(path: Path) -> Frozen:
    """Of a file in weights/."""
    with safetensors.safe_open(path, "pt") as content:
        facts = content.metadata() or {}
    settings = json.loads(facts["settings"])
    licence = "MIT" if settings["source"] == "train" else _released(settings["checkpoint"])[1]
    return Frozen(
        architecture=facts["architecture"],
        sha256=digest_file(path),
        size=path.stat().st_size,
        licence=licence,
        settings=settings,
    )


def find(name: str, wanted: Frozen, folder: Path) -> Path:
    """The file of a frozen model: in the export's own folder, in weights/ of any study, or made of released weights,
    published ones or those that the project comes with.

    Raises InputError when the export's own is damaged, or it is nowhere and cannot be fetched.
    """
    own = folder / FOLDER / f"{name}.safetensors"
    if own.exists():
        if digest_file(own) != wanted.sha256:
            what = f"is not what was exported: its sha256 is {digest_file(own)[:12]}, expected {wanted.sha256[:12]}"
            raise InputError(what, path=own, remedy="fetch or export it again")
        return own
    for path in sorted(Path("weights").glob(f"*/{name}.safetensors")):
        if path.stat().st_size == wanted.size and digest_file(path) == wanted.sha256:
            return path
    if wanted.settings.get("source") == "released":
        return _make(name, wanted)
    made = Layout(RELEASED).foundation(name)
    for weights in sorted(released.FOLDER.glob(f"{name}*.safetensors")):
        released.unpack(weights, made)
        if digest_file(made) == wanted.sha256:
            return made
        made.unlink()
    raise _missing(name, wanted, "export the model again with --whole, or bring that file to")


def _make(name: str, wanted: Frozen) -> Path:
    """Fetches released weights and imports them as the study did: equal settings give equal bytes."""
    from soundprompt.data import fetch

    settings = {"sam": p.Sam, "audio": p.Audio, "pyramid": p.Pyramid}[name].model_validate(wanted.settings)
    layout = Layout(RELEASED)
    for checkpoint in filter(None, (settings.checkpoint, getattr(settings, "pca_checkpoint", None))):
        file, _ = _released(checkpoint)
        if file is not None:
            print(f"fetching {file.url}", file=sys.stderr, flush=True)
            fetch.fetch(file, layout.downloads)
        elif not os.path.exists(checkpoint):
            raise _missing(name, wanted, f"it is made of {checkpoint}, which is nobody's release; bring it to")
    importlib.import_module(f"soundprompt.foundation.{name}").import_checkpoint(settings, layout)
    made = layout.foundation(name)
    if digest_file(made) != wanted.sha256:
        made.unlink()
        raise _missing(name, wanted, f"what {settings.checkpoint} gives here is another; bring the right file to")
    return made


def _released(checkpoint: str):
    """The catalogue's entry of a checkpoint and its licence; None and what is to be said for a file of one's own."""
    from soundprompt.data import acquire, catalog

    name = acquire.released(checkpoint, Layout(RELEASED))
    file = catalog.load().files[name] if name else None
    return file, file.licence if file else "of its owner"


def _missing(name: str, wanted: Frozen, remedy: str) -> InputError:
    what = f"the frozen {name} ({wanted.architecture}) that the model stands on, sha256 {wanted.sha256}, is not here"
    return InputError(what, remedy=f"{remedy} weights/{RELEASED}/{name}.safetensors")
