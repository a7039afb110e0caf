"""The state of an unfinished pre-training, in a dot-file beside the weights."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from soundprompt.files import publish


def place(weights: Path) -> Path:
    """Where the state of the pre-training that makes `weights` lies."""
    return weights.with_name(f".{weights.stem}.resume.pt")


def save(weights: Path, key: str, state: dict[str, Any]) -> None:
    """Writes the state, whole or not at all. key: names what is being made, so that nothing else continues it."""
    with publish(place(weights)) as aside:
        torch.save({"key": key, "state": state}, aside)


def load(weights: Path, key: str) -> dict[str, Any] | None:
    """The state to continue from; None when there is none, it is damaged, or it belongs to other settings."""
    path = place(weights)
    if not path.exists():
        return None
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, OSError, pickle.UnpicklingError):
        print(f"{path}: damaged, pre-training starts anew", file=sys.stderr)
        return None
    return saved["state"] if saved.get("key") == key else None


def clear(weights: Path) -> None:
    """Removes the state once the weights are written."""
    place(weights).unlink(missing_ok=True)
