"""Success of boxes by how far they must overlap, as VGG-SS's evaluation counts it. Needs no torch, as tables do not."""

from __future__ import annotations

import numpy as np

SUCCESS_STEPS = 21


def success_curves(values: np.ndarray) -> np.ndarray:
    """(N,) overlaps -> (N, 21) 0/1: which of 0.05 * i, i = 0..20, each reaches.

    The products are floats, as in the reference: an overlap of exactly 0.3 is below 0.05 * 6.
    """
    return (values[:, None] >= 0.05 * np.arange(SUCCESS_STEPS)).astype(float)


def curve_areas(curves: np.ndarray) -> np.ndarray:
    """(N, 21) success curves -> (N,) areas; linear, so a mean of areas is the area of the mean curve."""
    return np.trapezoid(curves, 0.05 * np.arange(SUCCESS_STEPS), axis=1)
