"""Intervals and comparisons: over seeds by Student's t, over test clips by the bootstrap.

A dataset's value is a ratio: the sum of the clips' contributions over the sum of their weights (a
mean over clips is the case of weight 1). Clips cut from one source video are not independent, so
videos, not clips, are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Contributions:
    """What each source video adds to a dataset's value, for each seed.

    totals, weights: (seeds, videos) float64; the value of a seed is totals.sum() / weights.sum().
    """

    totals: np.ndarray
    weights: np.ndarray
    seeds: tuple[int, ...]
    videos: tuple[str, ...]

    def values(self) -> np.ndarray:
        """The dataset's value for each seed, (seeds,); NaN where nothing has weight."""
        return _ratio(self.totals.sum(1), self.weights.sum(1))


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
    counts = _draw_videos(len(of.videos), draws)
    means = _ratio(counts @ of.totals.T, counts @ of.weights.T).mean(1)
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
    if first.videos != second.videos:
        raise ValueError("the methods were scored on different videos")
    counts = _draw_videos(len(first.videos), draws)
    seeds = _draw_seeds(len(first.seeds), draws, 1)
    others = seeds if first.seeds == second.seeds else _draw_seeds(len(second.seeds), draws, 2)
    differences = _drawn_means(first, counts, seeds) - _drawn_means(second, counts, others)
    value = float(first.values().mean() - second.values().mean())
    n_seeds = min(len(first.seeds), len(second.seeds))
    return Difference(value, *_ends(differences), len(first.videos), n_seeds)


def _drawn_means(of: Contributions, counts: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    by_seed = _ratio(counts @ of.totals.T, counts @ of.weights.T)
    return np.take_along_axis(by_seed, seeds, axis=1).mean(1)


def _draw_videos(n: int, draws: int) -> np.ndarray:
    """How often each video is drawn, (draws, n)."""
    if n == 0:
        raise ValueError("no videos")
    rng = np.random.default_rng([0, n, draws])
    return np.stack([np.bincount(rng.integers(n, size=n), minlength=n) for _ in range(draws)]).astype(float)


def _draw_seeds(n: int, draws: int, purpose: int) -> np.ndarray:
    return np.random.default_rng([purpose, n, draws]).integers(n, size=(draws, n))


def _ratio(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.divide(totals, weights, out=np.full(np.shape(totals), np.nan), where=weights > 0)


def _ends(draws: np.ndarray) -> tuple[float, float]:
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return np.nan, np.nan
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
