"""soundprompt: GAVS (arXiv 2309.07929) as a reproducible audio-visual segmentation pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from soundprompt.prediction.listener import Listener

__version__ = "0.1.0"


def load(place: Path | str, device: str | None = None) -> Listener:
    """A trained model, to use in code of your own; `segment` and `stream` of it say what sounds in pictures.

    place: a folder that `soundprompt export` wrote, a run's folder, or `hf://owner/name[@revision]` on the Hugging Face
    Hub. device: 'cpu' or 'cuda'; by default the GPU where there is one. Nothing in these files is executed.
    Raises InputError when they are missing, damaged, of another version, or lack the frozen models they stand on.
    """
    from soundprompt.prediction import listener

    return listener.load(place, device)
