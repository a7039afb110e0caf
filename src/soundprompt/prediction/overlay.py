"""A mask laid over pictures: a veil of colour and a contour."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import binary_erosion

COLOUR, EDGE = (255, 140, 26), (255, 255, 255)  # RGB of veil and contour; one of them shows on any ground
VEIL = 0.45  # share of the colour inside the contour
CONTOUR = 220  # the contour's width is the picture's shorter side divided by this, two pixels at least


class Overlay:
    """Paints one mask on any number of pictures of its size.

    mask: (H, W) bool. The contour lies inside the mask, so that nothing outside it changes; none is drawn along
    the edge of the picture.
    """

    def __init__(self, mask: np.ndarray):
        self.mask = mask
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        self._box = (slice(0, 0), slice(0, 0))
        if len(rows):  # only the mask's box is touched, since a video has many pictures
            self._box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
        inside = mask[self._box]
        width = max(2, round(min(mask.shape) / CONTOUR))
        core = binary_erosion(mask, np.ones((3, 3)), iterations=width, border_value=1)[self._box]
        weight = np.where(inside, np.where(core, round(256 * VEIL), 256), 0).astype(np.uint16)[..., None]
        colour = np.where(core[..., None], np.array(COLOUR, np.uint16), np.array(EDGE, np.uint16))
        self._keep, self._add = 256 - weight, weight * colour

    def paint(self, picture: np.ndarray) -> np.ndarray:
        """(H, W, 3) uint8 RGB to the same with the mask on it; a new array."""
        painted = picture.copy()
        part = painted[self._box]
        part[...] = (part * self._keep + self._add + 128) >> 8
        return painted
