"""Intervals by Student's t: of one method, of the difference of two on the same videos, and over worlds.

A dataset's value is a ratio: the sum of the clips' contributions over the sum of their weights (a mean over clips
is the case of weight 1). It varies with the seed of the training and with the videos that are tested, and each of
the two gives a *term*, a variance with its degrees of freedom:
- seeds: the variance of their values, divided by their number. Methods with the same seeds are compared seed by
  seed: runs of one seed draw the same clips in the same order, so that part of what a seed does is common to both;
- videos: the jackknife that leaves out one source video at a time. Clips cut from one video are not independent,
  so videos are left out, not clips; their degrees of freedom count videos by their weight (Kish's effective number).

The critical value of a sum of terms is the mean of the terms' own t quantiles, weighted by their variances (Cochran
and Cox, Experimental Designs, 1950). It errs to the safe side. The degrees of freedom of Welch and Satterthwaite do
not: with two or three seeds they find leads that are not there (the rates of both are in docs/log.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import optimize
from scipy.special import stdtrit

TAIL = 0.025  # beyond each end of a 95 % interval, and the level of a one-sided test
SEEDS, VIDEOS, BOTH, WORLDS = "seeds", "videos", "seeds and videos", "worlds"  # what an interval is over

Term = tuple[float, float]  # variance, degrees of freedom


@dataclass(frozen=True)
class Estimate:
    """A value and what its interval is made from.

    over: SEEDS, VIDEOS, BOTH or WORLDS. terms: what varies; without any there is no interval. sd: over seeds, NaN for
    fewer than two. one_seed: a trained method has a single seed, so that nothing is known of what another would give.
    """

    value: float
    over: str
    terms: tuple[Term, ...] = ()
    sd: float = math.nan
    n_videos: int = 0
    n_seeds: int = 0
    n_worlds: int = 1
    one_seed: bool = False

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval, NaN where there is none."""
        return self.value - self._half(TAIL)

    @property
    def high(self) -> float:
        """Upper end of the 95 % interval, NaN where there is none."""
        return self.value + self._half(TAIL)

    def p_below(self, bar: float) -> float:
        """One-sided p value of a true value of `bar` or more: small where the estimate lies clearly below the bar.

        It is under TAIL exactly where the whole interval is below the bar. NaN where there is no interval.
        """
        distance = abs(self.value - bar)
        if math.isnan(distance) or math.isnan(self._half(TAIL)):
            return math.nan
        smallest = math.log(1e-15)
        if self._half(math.exp(smallest)) <= distance:
            tail = 0.0 if distance else 0.5
        else:
            tail = math.exp(optimize.brentq(lambda log: self._half(math.exp(log)) - distance, smallest, math.log(0.5)))
        return tail if self.value < bar else 1 - tail

    def columns(self) -> dict[str, float | str]:
        """As a table holds one method's value; interval_over: '' where there is no interval."""
        ends = {"mean": self.value, "sd": self.sd, "low": self.low, "high": self.high}
        return {**ends, "interval_over": self.over if self.terms else "", "n_seeds": self.n_seeds}

    def _half(self, tail: float) -> float:
        """Half of the interval that leaves `tail` beyond each of its ends."""
        total = sum(variance for variance, _ in self.terms)
        if not self.terms or math.isnan(total):
            return math.nan
        if total == 0:
            return 0.0
        return float(sum(variance * -stdtrit(freedom, tail) for variance, freedom in self.terms) / total**0.5)


@dataclass(frozen=True)
class Contributions:
    """What each source video adds to a dataset's value, for each seed.

    totals, weights: (seeds, videos) float64; the value of a seed is totals.sum() / weights.sum().
    trained: whether another seed would give another value; False for floors.
    """

    totals: np.ndarray
    weights: np.ndarray
    seeds: tuple[int, ...]
    videos: tuple[str, ...]
    trained: bool = True

    def values(self) -> np.ndarray:
        """The dataset's value for each seed, (seeds,); NaN where nothing has weight."""
        return _ratio(self.totals.sum(1), self.weights.sum(1))

    def without_each(self) -> np.ndarray:
        """The mean over seeds of the value when one video is left out, for each of them, (videos,)."""
        rest = (part.sum(1, keepdims=True) - part for part in (self.totals, self.weights))
        return _ratio(*rest).mean(0)

    def shares(self) -> np.ndarray:
        """Each video's share of the weight, mean over seeds, (videos,)."""
        return _ratio(self.weights, np.broadcast_to(self.weights.sum(1, keepdims=True), self.weights.shape)).mean(0)

    def of_seeds(self, seeds: Sequence[int]) -> Contributions:
        """The same of some of the seeds."""
        rows = [self.seeds.index(seed) for seed in seeds]
        return replace(self, totals=self.totals[rows], weights=self.weights[rows], seeds=tuple(seeds))


def over_seeds(values: Sequence[float] | np.ndarray) -> Estimate:
    """Mean of one value for each seed, with its interval over seeds; none for a single seed.

    Raises ValueError for no values.
    """
    values = np.asarray(values, float)
    if not len(values):
        raise ValueError("no values")
    sd = float(values.std(ddof=1)) if len(values) > 1 else math.nan
    return Estimate(float(values.mean()), SEEDS, _seed_terms(values), sd, n_seeds=len(values))


def own(of: Contributions) -> Estimate:
    """One method's value: its interval over seeds where there are several, else over test videos.

    Over seeds it says what another training would give on the same videos, and nothing of other videos.
    """
    if len(of.seeds) > 1:
        return replace(over_seeds(of.values()), n_videos=len(of.videos))
    terms = (_video_term(of.without_each(), of.shares()),)
    n_seeds = len(of.seeds)
    return Estimate(float(of.values().mean()), VIDEOS, terms, n_videos=len(of.videos), n_seeds=n_seeds)


def level(of: Contributions, bar: float) -> Estimate:
    """One method's value, a share in [0, 1] that is to be held against a bar, with its interval over seeds and videos.

    The videos vary by no less than shares at the bar may: that none of ten videos has an alarm does not prove that
    fewer than 5 % of all have one.
    """
    values = of.values()
    variance, freedom = _video_term(of.without_each(), shares := of.shares())
    at_the_bar = bar * (1 - bar) * float((shares**2).sum())
    terms = (*_seed_terms(values), (max(variance, at_the_bar), freedom))
    return _covering(float(values.mean()), terms, [of])


def difference(first: Contributions, second: Contributions) -> Estimate:
    """First minus second on the same test videos, with its interval over seeds and videos.

    Of seeds that only one method has nothing is used, unless fewer than two are shared: then each method has a seed
    term of its own. A floor has none. Raises ValueError when the videos differ.
    """
    if first.videos != second.videos:
        raise ValueError("the methods were scored on different videos")
    first, second = _on_shared_seeds(first, second)
    one, two = first.values(), second.values()
    if first.trained and second.trained and first.seeds == second.seeds:
        terms = _seed_terms(one - two)
    else:
        terms = tuple(
            term for of, values in ((first, one), (second, two)) if of.trained for term in _seed_terms(values)
        )
    left_out = first.without_each() - second.without_each()
    terms = (*terms, _video_term(left_out, (first.shares() + second.shares()) / 2))
    return _covering(float(one.mean() - two.mean()), terms, [first, second])


def over_worlds(leads: Sequence[Estimate]) -> Estimate:
    """The mean of the leads in several worlds, with its interval over worlds by Student's t.

    What seeds and videos add is in the spread of the leads already. Raises ValueError for no world.
    """
    if not leads:
        raise ValueError("no worlds")
    values = np.array([lead.value for lead in leads])
    return Estimate(
        float(values.mean()),
        WORLDS,
        _seed_terms(values),
        n_videos=sum(lead.n_videos for lead in leads),
        n_seeds=min(lead.n_seeds for lead in leads),
        n_worlds=len(leads),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values of a family of tests by Holm's step-down correction (Scand. J. Statist. 6, 1979), in their order.

    That any corrected value is at most `TAIL` by chance has a probability of at most `TAIL`. NaN stands for a test that
    could not be made; it counts in the family and becomes 1.
    """
    p = np.nan_to_num(np.asarray(p_values, float), nan=1.0)
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return corrected.tolist()


def _on_shared_seeds(first: Contributions, second: Contributions) -> tuple[Contributions, Contributions]:
    shared = [seed for seed in first.seeds if seed in second.seeds]
    enough = len(shared) >= min(2, len(first.seeds), len(second.seeds))
    if first.trained and second.trained and enough:
        return first.of_seeds(shared), second.of_seeds(shared)
    return first, second


def _covering(value: float, terms: tuple[Term, ...], methods: list[Contributions]) -> Estimate:
    """An estimate over seeds and videos; over videos alone where a trained method has a single seed."""
    counts = [len(of.seeds) for of in methods if of.trained]
    one_seed = 1 in counts
    terms = terms[-1:] if one_seed else terms  # the last is that of the videos
    n_videos, n_seeds = len(methods[0].videos), min(counts, default=1)
    over = VIDEOS if one_seed else BOTH
    return Estimate(value, over, terms, n_videos=n_videos, n_seeds=n_seeds, one_seed=one_seed)


def _seed_terms(values: np.ndarray) -> tuple[Term, ...]:
    """The term of a mean of independent values; none for a single one."""
    n = len(values)
    return ((float(values.var(ddof=1)) / n, n - 1),) if n > 1 else ()


def _video_term(without_each: np.ndarray, shares: np.ndarray) -> Term:
    """The jackknife over videos that have weight. NaN where one video has all of it."""
    there = shares > 0
    left_out, n = without_each[there], np.count_nonzero(there)
    variance = (n - 1) / n * float(((left_out - left_out.mean()) ** 2).sum()) if n else math.nan
    effective = shares.sum() ** 2 / (shares**2).sum() if n else math.nan
    return variance, float(effective - 1)


def _ratio(totals: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return np.divide(totals, weights, out=np.full(np.shape(totals), np.nan), where=weights > 0)
