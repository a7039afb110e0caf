"""The trainable models: cached features in, one mask a frame out."""

from soundprompt.models.build import build, frozen_front
from soundprompt.models.segmenter import Prediction, Segmenter

__all__ = ["Prediction", "Segmenter", "build", "frozen_front"]
