"""The segment_anything package as published, with its predictor and registry, to compare with."""

from soundprompt.foundation.torchvision_ops import declare_missing

declare_missing()  # before the next line: the package imports torchvision

import segment_anything  # noqa: E402

__all__ = ["segment_anything"]
