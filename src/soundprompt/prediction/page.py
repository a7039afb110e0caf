"""One offline page: the video plays, masks fade in and out, and a slider moves their threshold."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TextIO

import numpy as np
from PIL import Image

from soundprompt.prediction.video_in import Source, Track
from soundprompt.prediction.video_out import Writer, writing

FILM_SIDE = 960  # longest side of the embedded film, pixels
MAP_SIDE = 240  # of the embedded probabilities
LEVELS = 100  # of the threshold
PIECE = 3 * 2**18  # bytes that become base64 at once; a multiple of 3, so that pieces can be joined


class Page:
    """Takes pictures and answers while the video is painted, within `filming`; then `write` puts them into one page.

    Both wait on the disk, so that memory does not grow with the video. folder: an empty one of its own.
    """

    def __init__(self, folder: Path, source: Source, start: float, end: float | None):
        self.folder, self.source, self.start, self.end = folder, source, start, end
        self.path, self.size = folder / "film.mp4", _within(source.look.size, FILM_SIDE)
        self._film: Writer
        self._moments: list[dict] = []

    @contextmanager
    def filming(self) -> Iterator[Writer]:
        """Opens the embedded film, an MP4 that every browser plays; it is whole when the block ends."""
        look = replace(self.source.look, size=self.size)
        with writing(self.path, look, Track.of(self.source.sound), self.start, self.end) as self._film:
            yield self._film

    def show(self, time: float, pixels: np.ndarray) -> None:
        """A picture of the film, (H, W, 3) uint8, as it is; time: seconds of the output."""
        self._film.write(time, shrunk(pixels, self.size))

    def add(self, begin: float, probability: np.ndarray) -> None:
        """A moment from `begin` on, seconds of the source; probability: (H, W) float32."""
        values = np.rint(255 * probability).astype(np.uint8)
        small = shrunk(values, _within(values.shape, MAP_SIDE))
        Image.fromarray(small).save(self.folder / f"{len(self._moments)}.png")
        levels = np.ceil(LEVELS * probability).astype(np.int64).ravel()
        above = 1 - np.cumsum(np.bincount(levels, minlength=LEVELS + 1)) / probability.size
        self._moments.append({"begin": round(begin - self.start, 3), "above": above.round(4).tolist()})

    def write(self, path: Path, until: float, threshold: float, title: str, model: str) -> None:
        """until: when the video ends, seconds of the source."""
        words = {"title": title, "model": model, "threshold": f"{round(LEVELS * threshold)}"}
        parts = (files("soundprompt.prediction") / "page.html").read_text(encoding="utf-8")
        for name, value in words.items():
            parts = parts.replace(f"{{{{{name}}}}}", html.escape(value).replace("{", "&#123;"))
        head, rest = parts.split("{{film}}")
        middle, tail = rest.split("{{moments}}")
        with open(path, "w", encoding="utf-8") as page:
            page.write(head)
            _embed(self.path, page)
            page.write(middle)
            self._embed_moments(page, until)
            page.write(tail)

    def _embed_moments(self, page: TextIO, until: float) -> None:
        ends = [moment["begin"] for moment in self._moments[1:]] + [round(until - self.start, 3)]
        for number, (moment, end) in enumerate(zip(self._moments, ends, strict=True)):
            content = base64.b64encode((self.folder / f"{number}.png").read_bytes()).decode()
            page.write("[" if number == 0 else ",\n")
            page.write(json.dumps({**moment, "end": end, "map": f"data:image/png;base64,{content}"}))
        page.write("]")


def shrunk(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) or (H, W, 3) uint8 at another size (h, w)."""
    if pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size[::-1], Image.Resampling.BILINEAR))


def _within(size: tuple[int, int], side: int) -> tuple[int, int]:
    """The size, smaller where its longest side is longer."""
    scale = min(1.0, side / max(size))
    height, width = (max(1, round(edge * scale)) for edge in size)
    return height, width


def _embed(path: Path, page: TextIO) -> None:
    with open(path, "rb") as stream:
        while piece := stream.read(PIECE):
            page.write(base64.b64encode(piece).decode())
