"""Domains on the line from the base domain through the shifted one, at any strength."""

from __future__ import annotations

from dataclasses import fields
from math import inf
from typing import Any

from soundprompt.data.world.clips import DOMAINS, Domain

# Where going on beyond the shifted domain ends: a ground cannot be greyer than grey, and a low-pass of 1 is silence.
LEAST = {"ground_saturation": 0.0}
MOST = {"tilt": 0.9}


def domain_at(shift: float) -> Domain:
    """The domain at `shift`: 0 is exactly DOMAINS["base"], 1 exactly DOMAINS["shifted"], 2 as far again.

    Every number of style and channel lies on a straight line; `outline` is on from any shift on, and
    `rim_at` says how dark the rim is.
    """
    base, shifted = DOMAINS["base"], DOMAINS["shifted"]
    return Domain(_between(base.style, shifted.style, shift), _between(base.channel, shifted.channel, shift))


def rim_at(shift: float) -> float:
    """How far an outline has become the shifted domain's dark rim, 0 (none) to 1."""
    return min(shift, 1.0)


def _between(base: Any, shifted: Any, shift: float) -> Any:
    """A dataclass like `base`, all of whose numbers are at `shift` on the way to those of `shifted`."""
    names = [field.name for field in fields(base)]
    return type(base)(**{name: _at(name, getattr(base, name), getattr(shifted, name), shift) for name in names})


def _at(name: str, base: Any, shifted: Any, shift: float) -> Any:
    if isinstance(base, bool):
        return shifted if shift > 0 else base
    if isinstance(base, tuple):
        return tuple(_at(name, one, other, shift) for one, other in zip(base, shifted, strict=True))
    # In this form, 0 and 1 give back the ends themselves.
    value = (1 - shift) * base + shift * shifted
    return min(max(value, LEAST.get(name, -inf)), MOST.get(name, inf))
