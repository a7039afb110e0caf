"""Weights on disk: safetensors with the facts about them in the header (`tensorfile`), and released ones."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor

from soundprompt import finite, records
from soundprompt.errors import InputError, first_line
from soundprompt.files import write_sealed


def read(path: Path | str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and header metadata. Raises InputError when the file is missing, cut short or altered."""
    records.check(path)
    try:
        with safetensors.safe_open(path, "pt") as stream:
            return {name: stream.get_tensor(name) for name in stream.keys()}, stream.metadata() or {}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="run `soundprompt pretrain`, which makes it") from error
    except (safetensors.SafetensorError, OSError) as error:
        remedy = "delete the file and run `soundprompt pretrain` again"
        raise InputError(f"not a whole weight file ({error})", path=path, remedy=remedy) from error


def conclude(path: Path, quality: dict[str, Any], origin: dict[str, Any]) -> None:
    """Writes the json beside finished weights: what they are worth, where they come from, and their digest."""
    content = {"quality": quality, "provenance": origin, **records.of_files(path.parent, [path.name])}
    write_sealed(path.with_suffix(".json"), content)


def read_released(path: Path | str, trusted: tuple = ()) -> dict[str, Tensor]:
    """A released PyTorch checkpoint (.pth): a mapping of names to tensors, read without running any of its code.

    trusted: further classes that the file may contain besides tensors and plain containers.
    Raises InputError when the file is missing, cut short, a web page, or holds anything else.
    """
    remedy = "download the file again and compare its size and sha256 with the release"
    try:
        with open(path, "rb") as stream:
            start = stream.read(512).lstrip().lower()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path=path, remedy=remedy) from error
    if not start:
        raise InputError("empty file where a checkpoint is expected", path=path, remedy=remedy)
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise InputError("a web page, not a checkpoint: the download was answered with HTML", path=path, remedy=remedy)
    try:
        with torch.serialization.safe_globals(list(trusted)):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        what = "not a plain checkpoint: it holds something other than weights, which is not executed"
        raise InputError(what, path=path, remedy=remedy) from error
    except (RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        raise InputError(f"not a whole checkpoint ({first_line(error)})", path=path, remedy=remedy) from error
    if not isinstance(content, dict) or not content:
        what = f"expected a mapping of names to weights, got {type(content).__name__}"
        raise InputError(what, path=path, remedy=remedy)
    return content


def load_strictly(module: torch.nn.Module, tensors: dict[str, Tensor], path: Path | str, architecture: str) -> None:
    """Fills a module; every name and shape must fit, all numbers be finite. Raises InputError naming what is not so."""
    expected = module.state_dict()
    wrong = [f"{name} is missing" for name in sorted(expected.keys() - tensors.keys())]
    wrong += [f"{name} is unknown" for name in sorted(tensors.keys() - expected.keys())]
    for name in sorted(expected.keys() & tensors.keys()):
        shape = tuple(tensors[name].shape) if isinstance(tensors[name], Tensor) else type(tensors[name]).__name__
        if shape != tuple(expected[name].shape):
            wrong.append(f"{name} has shape {shape}, expected {tuple(expected[name].shape)}")
    if wrong:
        more = f" and {len(wrong) - 3} more differences" if len(wrong) > 3 else ""
        what = f"not the weights of {architecture}: {'; '.join(wrong[:3])}{more}"
        raise InputError(what, path=path, remedy="check foundation.*.architecture and foundation.*.checkpoint")
    finite.check_all(tensors, "its weights", path=path, remedy="delete the file, and make or download it again")
    module.load_state_dict(tensors)
