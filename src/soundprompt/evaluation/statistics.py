"""Intervals and comparisons: over seeds by Student's t, over test clips by the bootstrap.

A dataset's value is a ratio: the sum of the clips' contributions over the sum of their weights (a
mean over clips is the case of weight 1). Clips cut from one source video are not independent, so
videos, not clips, are drawn. Which videos and seeds are drawn depends on their numbers alone, so
draws are made once and shared by all comparisons of a table.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its spread: sd over seeds (NaN for one seed) and the ends of a 95 % interval."""

    mean: float
    sd: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference:
    """First method minus second, and the ends of the 95 % interval of a paired bootstrap."""

    value: float
    low: float
    high: float
    n_videos: int
    n_seeds: int
    n_worlds: int = 1


@dataclass(frozen=True)
class Contributions:
    """What each source video adds to a dataset's value, for each seed.

    totals, weights: (seeds, videos) float64; the value of a seed is totals.sum() / weights.sum().
    """

    totals: np.ndarray
    weights: np.ndarray
    seeds: tuple[int, ...]
    videos: tuple[str, ...]
    _drawn: dict[tuple[int, int], np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    def values(self) -> np.ndarray:
        """The dataset's value for each seed, (seeds,); NaN where nothing has weight."""
        return _ratio(self.totals.sum(1), self.weights.sum(1))

    def drawn_values(self, draws: int, stream: int = 0) -> np.ndarray:
        """The value of each seed when videos are drawn anew, (draws, seeds); computed once for each stream."""
        if (draws, stream) not in self._drawn:
            counts = _draw_videos(len(self.videos), draws, stream)
            self._drawn[draws, stream] = _ratio(counts @ self.totals.T, counts @ self.weights.T)
        return self._drawn[draws, stream]


def t_interval(values: np.ndarray) -> Interval:
    """Mean and 95 % t-interval over seeds; the ends are NaN for fewer than two values.

    With three seeds the half-width is 2.5 standard deviations: wide, as so few runs deserve.
    """
    values = np.asarray(values, float)
    n = len(values)
    if n == 0:
        raise ValueError("no values")
    mean = float(values.mean())
    if n == 1:
        return Interval(mean, np.nan, np.nan, np.nan, 1)
    sd = float(values.std(ddof=1))
    half = float(stats.t.ppf((1 + LEVEL) / 2, n - 1)) * sd / n**0.5
    return Interval(mean, sd, mean - half, mean + half, n)


def bootstrap_interval(of: Contributions, draws: int) -> Interval:
    """Mean over seeds, and the 95 % interval of drawing the test videos anew (percentiles).

    For floors and single runs, which have no spread over seeds. Deterministic.
    """
    means = of.drawn_values(draws).mean(1)
    values = of.values()
    sd = float(values.std(ddof=1)) if len(values) > 1 else np.nan
    low, high = _ends(means)
    return Interval(float(values.mean()), sd, low, high, len(values))


def paired_bootstrap(first: Contributions, second: Contributions, draws: int) -> Difference:
    """Difference of two methods on the same test videos, drawing videos and seeds anew.

    Videos are drawn together for both methods. Seeds are drawn together when both methods have the
    same ones, else for each on its own; a method with one seed (a floor) keeps it. A handful of
    seeds says little of their spread, so with three the interval is rather too narrow.
    Deterministic. Raises ValueError when the videos differ.
    """
    value = float(first.values().mean() - second.values().mean())
    ends = _ends(_drawn_differences(first, second, draws, 0))
    return Difference(value, *ends, len(first.videos), min(len(first.seeds), len(second.seeds)))


def worlds_bootstrap(worlds: Sequence[tuple[Contributions, Contributions]], draws: int) -> Difference:
    """Mean difference of two methods over worlds, drawing worlds, in each its seeds, and its videos anew.

    worlds: (first, second) of each. A world that is drawn twice gets other seeds and videos each time.
    Three worlds have only ten different samples, so the ends lie near the lowest and highest world: it
    takes all of them to clear zero. Deterministic. Raises ValueError for no world, or when the videos of a
    world differ between the methods.
    """
    n = len(worlds)
    if n == 0:
        raise ValueError("no worlds")
    leads = [float(first.values().mean() - second.values().mean()) for first, second in worlds]
    chosen = np.random.default_rng([3, n, draws]).integers(n, size=(draws, n))
    drawn = np.zeros(draws)
    for place in range(n):
        of_world = [_drawn_differences(*pair, draws, 1 + place * n + i) for i, pair in enumerate(worlds)]
        drawn += np.stack(of_world, axis=1)[np.arange(draws), chosen[:, place]] / n
    n_seeds = min(len(of.seeds) for pair in worlds for of in pair)
    return Difference(float(np.mean(leads)), *_ends(drawn), sum(len(first.videos) for first, _ in worlds), n_seeds, n)


def _drawn_differences(first: Contributions, second: Contributions, draws: int, stream: int) -> np.ndarray:
    """First minus second with videos and seeds drawn anew, (draws,). Raises ValueError when the videos differ."""
    if first.videos != second.videos:
        raise ValueError("the methods were scored on different videos")
    seeds = _draw_seeds(len(first.seeds), draws, 1, stream)
    others = seeds if first.seeds == second.seeds else _draw_seeds(len(second.seeds), draws, 2, stream)
    return _drawn_means(first, draws, stream, seeds) - _drawn_means(second, draws, stream, others)


def _drawn_means(of: Contributions, draws: int, stream: int, seeds: np.ndarray) -> np.ndarray:
    return np.take_along_axis(of.drawn_values(draws, stream), seeds, axis=1).mean(1)


@functools.lru_cache(maxsize=16)
def _draw_videos(n: int, draws: int, stream: int = 0) -> np.ndarray:
    """How often each video is drawn, (draws, n), not to be written to; another stream has other draws."""
    if n == 0:
        raise ValueError("no videos")
    rng = np.random.default_rng([0, n, draws, *([stream] if stream else [])])
    counts = np.zeros((draws, n))
    for row in counts:  # one call for each draw: the numbers are those of earlier versions
        row += np.bincount(rng.integers(n, size=n), minlength=n)
    counts.setflags(write=False)
    return counts


@functools.lru_cache(maxsize=64)
def _draw_seeds(n: int, draws: int, purpose: int, stream: int = 0) -> np.ndarray:
    rng = np.random.default_rng([purpose, n, draws, *([stream] if stream else [])])
    chosen = rng.integers(n, size=(draws, n))
    chosen.setflags(write=False)
    return chosen


def _ratio(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.divide(totals, weights, out=np.full(np.shape(totals), np.nan), where=weights > 0)


def _ends(draws: np.ndarray) -> tuple[float, float]:
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return np.nan, np.nan
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
