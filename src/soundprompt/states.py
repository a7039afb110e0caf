"""States of unfinished work, to go on from after a kill: whole, unaltered and of the same key, or of no use."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from soundprompt.files import write_bytes

SUM = hashlib.sha256().digest_size  # bytes of the check sum, with which a file begins


def save(path: Path, key: str, state: dict[str, Any]) -> None:
    """Writes a state; `key` names all that the work depends on."""
    content = io.BytesIO()  # not straight to the file: torch hides what is wrong with a disk
    torch.save({"key": key, "state": state}, content)
    write_bytes(path, hashlib.sha256(content.getbuffer()).digest() + content.getbuffer())


def load(path: Path, key: str) -> tuple[dict[str, Any] | None, str]:
    """The state, or None and why there is none (then the work starts from its beginning; '' where none was begun).

    A file of another key, from older settings, data or code, is of no use; nor is a damaged one. It is read without
    unpickling objects, and only after its check sum fits.
    """
    if not path.exists():
        return None, ""
    try:
        content = path.read_bytes()
        if hashlib.sha256(content[SUM:]).digest() != content[:SUM]:
            return None, f"{path} cannot be read (its check sum does not fit)"
        saved = torch.load(io.BytesIO(content[SUM:]), map_location="cpu", weights_only=True)
    except Exception as error:  # torch names no common class for what a foreign file can raise
        return None, f"{path} cannot be read ({type(error).__name__})"
    if not isinstance(saved, dict) or saved.get("key") != key:
        return None, f"{path} belongs to other settings, data or code"
    return saved["state"], ""
