"""The state of an unfinished pre-training, in a dot-file beside the weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from soundprompt import states


def place(weights: Path) -> Path:
    """Where the state of the pre-training that makes `weights` lies."""
    return weights.with_name(f".{weights.stem}.resume.pt")


def save(weights: Path, key: str, state: dict[str, Any]) -> None:
    """Writes the state, whole or not at all. key: names what is being made, so that nothing else continues it."""
    states.save(place(weights), key, state)


def load(weights: Path, key: str) -> dict[str, Any] | None:
    """The state to continue from; None, and a line that says why, when it is damaged or belongs to other settings."""
    state, why = states.load(place(weights), key)
    if why:
        print(f"{why}: pre-training starts anew", file=sys.stderr, flush=True)
    return state


def clear(weights: Path) -> None:
    """Removes the state once the weights are written."""
    place(weights).unlink(missing_ok=True)
