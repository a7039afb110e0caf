"""The image encoder that a model stands on: SAM, or the pyramid of the fusion baselines."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, Union

from soundprompt.foundation import geometry
from soundprompt.layout import Layout
from soundprompt.params import Model
from soundprompt.params.foundation import Foundation

if TYPE_CHECKING:  # SAM's package takes seconds to load, and models of the pyramid do without
    from soundprompt.foundation.pyramid import FrozenPyramid
    from soundprompt.foundation.sam import FrozenSam

Encoder: TypeAlias = Union["FrozenSam", "FrozenPyramid"]


def load(model: Model, layout: Layout) -> Encoder:
    """What `model.reads` names. Raises InputError when its weights are missing or damaged."""
    return load_file(layout.foundation(model.reads), model)


def load_file(path: Path, model: Model) -> Encoder:
    """The same from a file that lies elsewhere."""
    found = importlib.import_module(f"soundprompt.foundation.{model.reads}").load(path)
    return found.used_as(model.pyramid) if model.reads == "pyramid" else found


def square(model: Model, foundation: Foundation) -> geometry.Square:
    """How pictures lie on the input of what `model.reads` names: that of a loaded encoder, without its weights."""
    return geometry.square(model.reads, getattr(foundation, model.reads).image_size)
