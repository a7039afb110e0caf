"""A line along the lower edge of a painted video: how much sounds, moment by moment, and which second it is."""

from __future__ import annotations

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from soundprompt.prediction.overlay import COLOUR, EDGE

LOWEST = 120  # rows of a picture that has room for it
SHARE = 14  # the line is so much lower than the picture
SHADE = 0.4  # of what lies behind it


class Timeline:
    """Bars from left to right, one for each moment, as high as the side of a square of the area that sounds.

    size: (H, W) of the pictures. moments: how many there will be. What comes is left blank: it is not known yet.
    """

    def __init__(self, size: tuple[int, int], moments: int):
        self.width, self.moments = size[1], max(moments, 1)
        self.height = max(12, size[0] // SHARE)
        self._bars = np.zeros((self.height, self.width), bool)
        self._now = 0

    def add(self, number: int, area: float) -> None:
        """Moment `number`, of which `area` (0 to 1) sounds; it is the current one from here on."""
        left, right = (min(at * self.width // self.moments, self.width) for at in (number, number + 1))
        rows = int(np.ceil(area**0.5 * self.height))
        self._bars[self.height - rows :, min(left, self.width - 1) : max(right, left + 1)] = True
        self._now = min(left, self.width - 1)

    def draw(self, picture: np.ndarray, time: float) -> None:
        """Draws on (H, W, 3) uint8 RGB, in place. time: seconds of the video."""
        line = picture[-self.height :]
        line[...] = np.where(self._bars[..., None], np.array(COLOUR, np.uint8), (line * SHADE).astype(np.uint8))
        line[:, self._now] = EDGE
        label = _label(f"{int(time) // 60}:{int(time) % 60:02d}", self.height)
        corner = picture[-self.height - len(label) : -self.height, : label.shape[1]]
        corner[...] = label[:, : corner.shape[1], None]


@functools.lru_cache(maxsize=2)
def _label(text: str, height: int) -> np.ndarray:
    """White on black, (h, w) uint8."""
    font = ImageFont.load_default(height)
    left, top, right, bottom = font.getbbox("0:00" if len(text) < 5 else text)
    picture = Image.new("L", (int(right - left) + 6, int(bottom - top) + 6))
    ImageDraw.Draw(picture).text((3 - left, 3 - top), text, fill=255, font=font)
    return np.asarray(picture)
