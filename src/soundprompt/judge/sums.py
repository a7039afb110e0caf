"""A figure as a sum over source videos: its value, and its interval when videos are drawn anew.

Clips cut from one video are not independent, so videos are drawn, not clips. All figures of all methods share the
draws, so differences are paired.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

DRAWS = 1000
LEVEL = 0.95
AT_ONCE = 100  # draws whose sums stand in memory together


class Figure(Protocol):
    """What a convention makes of a method's answers."""

    def value(self) -> float: ...

    def drawn(self) -> np.ndarray:
        """The value of each draw of videos, (DRAWS,)."""


@dataclass(frozen=True)
class Sums:
    """rows: (videos, ...), what each source video adds; finish: of a sum, or of several along a first axis, the
    value.
    """

    rows: np.ndarray
    finish: Callable[[np.ndarray], np.ndarray | float]

    def value(self) -> float:
        return float(self.finish(self.rows.sum(0)))

    def drawn(self) -> np.ndarray:
        counts = draws(len(self.rows))
        parts = [
            self.finish(np.tensordot(counts[i : i + AT_ONCE], self.rows, 1)) for i in range(0, len(counts), AT_ONCE)
        ]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Drawn:
    """A figure that no sum gives, such as one of a ranking or of batches that hold several videos.

    of: indices of samples, (n,), in their order -> value; video: the video of each sample.
    """

    of: Callable[[np.ndarray], float]
    video: np.ndarray

    def value(self) -> float:
        return self.of(np.arange(len(self.video)))

    def drawn(self) -> np.ndarray:
        return np.array([self.of(_repeated(row[self.video])) for row in draws(self.video.max() + 1)])


def _repeated(times: np.ndarray) -> np.ndarray:
    """Indices of samples that are drawn so many times each: all once in their order, then the second copies, ..."""
    return np.concatenate([np.flatnonzero(times > copy) for copy in range(int(times.max()))])


def mean_of(values: np.ndarray, video: np.ndarray, videos: int, weights: np.ndarray | None = None) -> Sums:
    """The mean of values (n,), filed under the video of each; NaN values spoil it, weight 0 leaves them out."""
    w = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    taken = np.where(w > 0, values, 0.0)
    rows = np.stack([np.bincount(video, taken * w, videos), np.bincount(video, w, videos)], 1)
    return Sums(rows, ratio)


def ratio(sums: np.ndarray) -> np.ndarray:
    """(..., 2) -> (...); NaN where nothing has weight."""
    total, weight = sums[..., 0], sums[..., 1]
    return np.divide(total, weight, out=np.full(np.shape(total), np.nan), where=weight > 0)


def by_video(rows: np.ndarray, video: np.ndarray, videos: int) -> np.ndarray:
    """(n, ...) summed over the rows of each video: (videos, ...)."""
    out = np.zeros((videos, *rows.shape[1:]))
    np.add.at(out, video, rows)
    return out


@functools.lru_cache(maxsize=16)
def draws(videos: int) -> np.ndarray:
    """How often each video is drawn, (DRAWS, videos); the same for all figures of a set."""
    rng = np.random.default_rng([videos, DRAWS])
    counts = rng.multinomial(videos, np.full(videos, 1 / videos), size=DRAWS).astype(float)
    counts.setflags(write=False)
    return counts


def interval(drawn: np.ndarray) -> tuple[float, float]:
    """The ends of the 95 % percentile interval; NaN, NaN where no draw has a value."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
