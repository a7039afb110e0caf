"""What a run leaves on disk: all that training changed in its model, and while it lasts the state to go on from."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from soundprompt import finite, records, states, tensorfile
from soundprompt.errors import InputError
from soundprompt.files import canonical_json, read_json
from soundprompt.layout import Layout

NAME = "checkpoint.safetensors"
HEADER = "soundprompt"
REDO = "delete the file and train again"

save_resume, load_resume = states.save, states.load  # of a run that is not finished


def trained_digest(layout: Layout, setting: str, model: str, seed: int) -> str:
    """sha256 of a trained checkpoint, checked against what training wrote down for it.

    Packs of two stages may differ, so every list of trained runs of that model is searched.
    Raises InputError when the checkpoint is missing or in none of them.
    """
    path = layout.run(setting, model, seed) / NAME
    lists = sorted(path.parent.parent.glob("trained-*.json"))
    written = {read_json(name)["runs"].get(str(seed), {}).get("checkpoint") for name in lists} - {None}
    remedy = f"run: soundprompt train --setting {setting} --model {model} --seeds {seed}"
    if not written or not path.exists():
        raise InputError("no trained model", path=path, remedy=remedy)
    digest = records.sha256(path)
    if digest not in written:
        what = f"is not the checkpoint that training wrote: its sha256 is {digest[:12]}"
        raise InputError(what, path=path, remedy=f"delete it and {remedy}")
    return digest


def save(state: dict[str, Tensor], path: Path | str, facts: dict[str, Any]) -> str:
    """Writes what training changed (`Segmenter.trained_state`) and what it belongs to; returns the file's sha256.

    Frozen weights are not in it. Equal tensors and facts give equal bytes.
    """
    return tensorfile.write(path, state, {HEADER: canonical_json(facts)})


def facts(path: Path | str) -> dict[str, Any]:
    """What `save` was told: setting, model settings, seed, digest of the SAM weights, step.

    Raises InputError when the file is missing, cut short or not a checkpoint.
    """
    with _opened(path) as content:
        return json.loads((content.metadata() or {}).get(HEADER, "{}"))


def load_into(model: nn.Module, path: Path | str, expected_digest: str | None = None) -> dict[str, Any]:
    """Copies a checkpoint into `model.trained_state()`; returns its facts.

    Raises InputError, and leaves the model as it was, when the file is missing or cut short, has not
    the expected sha256, does not hold exactly the trained state of this model in its shapes, or holds numbers that are
    not finite.
    """
    if expected_digest is not None and Path(path).exists():
        digest = records.sha256(path)
        if digest != expected_digest:
            what = f"is not the checkpoint that training wrote: sha256 {digest[:12]}, expected {expected_digest[:12]}"
            raise InputError(what, path=path, remedy=REDO)
    with _opened(path) as content:
        stored = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - not a dict
        metadata = json.loads((content.metadata() or {}).get(HEADER, "{}"))
    wanted = model.trained_state()
    _check_fit(stored, wanted, path)
    finite.check_all(stored, "its weights", path=path, remedy=REDO)
    with torch.no_grad():
        for name, tensor in wanted.items():
            tensor.copy_(stored[name])
    return metadata


def _opened(path: Path | str):
    records.check(path)
    try:
        return safe_open(os.fspath(path), "pt")
    except FileNotFoundError as error:
        raise InputError("checkpoint missing", path=path, remedy="train the model first") from error
    except (SafetensorError, OSError) as error:
        raise InputError(f"cut short or not a checkpoint ({error})", path=path, remedy=REDO) from error


def _check_fit(stored: dict[str, Tensor], wanted: dict[str, Tensor], path: Path | str) -> None:
    problems = [f"missing {name}" for name in wanted if name not in stored]
    problems += [f"unexpected {name}" for name in stored if name not in wanted]
    problems += [
        f"{name} has shape {tuple(stored[name].shape)}, not {tuple(wanted[name].shape)}"
        for name in wanted
        if name in stored and stored[name].shape != wanted[name].shape
    ]
    if problems:
        more = f" and {len(problems) - 4} more" if len(problems) > 4 else ""
        what = f"does not fit this model: {'; '.join(problems[:4])}{more}"
        raise InputError(what, path=path, remedy="use the settings it was trained with, or train again")
