"""Intervals against closed forms of scipy, explicit resampling, and simulated studies whose truth is known."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from soundprompt.evaluation.statistics import (
    BOTH,
    SEEDS,
    TAIL,
    VIDEOS,
    Contributions,
    difference,
    holm,
    level,
    over_seeds,
    over_worlds,
    own,
)


def contributions(values, weights=None, seeds=None, trained=True):
    """values: (seeds, videos)."""
    values = np.asarray(values, float)
    weights = np.ones_like(values) if weights is None else np.broadcast_to(np.asarray(weights, float), values.shape)
    seeds = tuple(range(len(values))) if seeds is None else tuple(seeds)
    videos = tuple(f"video{i:03}" for i in range(values.shape[1]))
    return Contributions(values * weights, weights, seeds, videos, trained)


# ------------------------------------------------------------------------------ closed forms
def test_mean_of_three_seeds():
    found = over_seeds([0.70, 0.74, 0.72])
    assert (found.value, found.sd, found.n_seeds) == (pytest.approx(0.72), pytest.approx(0.02), 3)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 2, loc=0.72, scale=0.02 / 3**0.5))


def test_one_seed_has_no_interval_over_seeds():
    found = over_seeds([0.7])
    assert found.value == 0.7
    assert np.isnan([found.sd, found.low, found.high, found.p_below(0.8)]).all()
    with pytest.raises(ValueError, match="no values"):
        over_seeds([])


def test_one_methods_value_has_its_interval_over_seeds_or_over_videos():
    values = np.random.default_rng(0).random((3, 40))
    assert own(contributions(values)).over == SEEDS
    found = own(contributions(values[:1]))
    expected = stats.ttest_1samp(values[0], 0).confidence_interval()
    assert found.over == VIDEOS and np.isnan(found.sd)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_when_only_videos_differ_it_is_the_paired_t_test_over_videos():
    first, second = np.random.default_rng(1).normal(0.1, 0.2, (2, 30))
    found = difference(contributions([first] * 3), contributions([second] * 3))
    test = stats.ttest_rel(first, second)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))
    for bar in (0.0, 0.05, 0.2):
        expected = stats.ttest_1samp(first - second, bar, alternative="less").pvalue
        assert found.p_below(bar) == pytest.approx(expected, rel=1e-6)
    assert (found.over, found.n_videos, found.n_seeds) == (BOTH, 30, 3)


def test_when_only_seeds_differ_it_is_the_paired_t_test_over_seeds():
    rng = np.random.default_rng(2)
    clips, first, second = (rng.random(n) for n in (50, 4, 4))
    found = difference(contributions(clips + first[:, None]), contributions(clips + second[:, None]))
    test = stats.ttest_rel(first, second)
    assert (found.low, found.high) == pytest.approx(tuple(test.confidence_interval()))
    assert found.p_below(0.0) == pytest.approx(stats.ttest_rel(first, second, alternative="less").pvalue, rel=1e-6)


def test_pairing_removes_what_both_methods_share():
    """Clips and seeds differ much, methods by a constant: paired, the difference is certain."""
    values = np.random.default_rng(2).random((3, 50))
    found = difference(contributions(values + 0.05), contributions(values))
    assert (found.value, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert found.p_below(0.0) == pytest.approx(1) and found.p_below(0.06) < 1e-9


@pytest.mark.parametrize("bar", [-0.4, -0.1, 0.0, 0.02, 0.3])
def test_p_value_and_interval_agree(bar):
    rng = np.random.default_rng(3)
    for _ in range(30):
        values = rng.normal(0, 0.3, (2, 3, 15)) + rng.normal(0, 0.1, (2, 3, 1))
        found = difference(contributions(values[0]), contributions(values[1]))
        assert (found.p_below(bar) < TAIL) == (found.high < bar)
        assert (1 - found.p_below(bar) < TAIL) == (found.low > bar)


def test_holms_correction():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.02, float("nan")]) == pytest.approx([1.0, 0.06, 1.0])
    assert holm([]) == []


# ------------------------------------------------------------------------- videos and weights
def test_videos_with_many_clips_widen_the_interval():
    """Ten videos of ten equal clips hold ten observations, not a hundred."""
    of_video = np.random.default_rng(1).random(10)
    clustered = own(contributions([of_video], [[10.0] * 10]))
    apart = own(contributions([np.repeat(of_video, 10)]))
    assert clustered.value == pytest.approx(apart.value)
    assert clustered.high - clustered.low > 2 * (apart.high - apart.low)


def test_the_spread_of_a_ratio_is_that_of_resampled_videos():
    rng = np.random.default_rng(5)
    weights = rng.integers(1, 9, 300).astype(float)
    values = 0.1 * weights + rng.random(300)  # long videos are easier, so mean and weight go together
    found = own(contributions([values], [weights]))
    picks = rng.integers(300, size=(4000, 300))
    resampled = (values * weights)[picks].sum(1) / weights[picks].sum(1)
    assert found.value == pytest.approx((values * weights).sum() / weights.sum())
    half = 1.96 * resampled.std()
    assert found.high - found.value == pytest.approx(half, rel=0.06)


def test_one_video_is_no_sample():
    found = difference(contributions([[0.6], [0.7]]), contributions([[0.1], [0.1]]))
    assert found.value == pytest.approx(0.55)
    assert np.isnan([found.low, found.high, found.p_below(0.0)]).all()


def test_no_alarm_in_few_videos_does_not_prove_that_few_have_one():
    assert level(contributions(np.zeros((3, 30))), 0.05).high > 0.05
    assert 0 < level(contributions(np.zeros((3, 400))), 0.05).high < 0.05
    assert level(contributions(np.ones((3, 30))), 0.05).low > 0.05


# --------------------------------------------------------------------------- seeds and floors
def test_one_seed_says_nothing_of_others_and_is_told_from_a_floor():
    clips = np.random.default_rng(4).random(60)
    several, single = contributions([clips + 0.1, clips + 0.3]), contributions([clips])
    floor = contributions([clips], trained=False)
    found = difference(several, floor)
    assert (found.over, found.one_seed, found.n_seeds) == (BOTH, False, 2)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 1, loc=0.2, scale=0.1))
    for pair in ((several, single), (single, several), (single, single), (single, floor)):
        found = difference(*pair)
        assert (found.over, found.one_seed, found.n_seeds) == (VIDEOS, True, 1)


def test_methods_are_compared_on_the_seeds_that_both_have():
    clips = np.random.default_rng(6).random(20)
    five = contributions(clips + np.array([[0.1], [0.2], [0.3], [0.9], [0.9]]))
    three = contributions(clips + np.array([[0.0], [0.1], [0.2]]))
    found = difference(five, three)
    assert found.n_seeds == 3
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_different_videos_are_refused():
    with pytest.raises(ValueError, match="different videos"):
        difference(contributions([[1.0, 2.0]]), contributions([[1.0]]))


# ------------------------------------------------------------------------------------ worlds
def test_over_worlds_it_is_the_t_test_over_their_leads():
    clips = np.random.default_rng(6).random(30)
    leads = [difference(contributions([clips + lead] * 2), contributions([clips] * 2)) for lead in (0.1, 0.2, 0.6)]
    found = over_worlds(leads)
    expected = stats.ttest_1samp([0.1, 0.2, 0.6], 0).confidence_interval()
    assert found.value == pytest.approx(0.3)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert (found.n_worlds, found.n_seeds, found.n_videos) == (3, 2, 90)
    assert np.isnan(over_worlds(leads[:1]).low)
    with pytest.raises(ValueError, match="no worlds"):
        over_worlds([])


# ------------------------------------------------------------------------- what is promised
def simulated(rng, *, seeds, videos, share, lead=0.0, ratio=1.0, clips=(1,), seeds_of_second=None):
    """Two methods with a true lead, in standard errors of the lead that is measured.

    share: of the error's variance, what comes from seeds. ratio: of the second method's standard deviations to the
    first's. clips: how many a video has, drawn from these.
    """
    weights = rng.choice(clips, size=videos).astype(float)
    effective = weights.sum() ** 2 / (weights**2).sum()
    scenes, pair = rng.normal(0, 3, videos), []
    for place, part in enumerate((1 / (1 + ratio**2), ratio**2 / (1 + ratio**2))):
        names = tuple(seeds_of_second) if place and seeds_of_second else tuple(range(seeds))
        of_seed = rng.normal(0, (part * share * seeds) ** 0.5, (max(seeds, *names) + 1, 1))[list(names)]
        of_video = rng.normal(0, (part * (1 - share) * effective) ** 0.5, videos)
        values = scenes + of_seed + of_video + (0 if place else lead)
        pair.append(contributions(values, weights, names))
    return pair


def shares_clear(draw, repetitions):
    """How often the interval of `draw()` lies above zero, and how often below."""
    found = [draw() for _ in range(repetitions)]
    return np.mean([estimate.low > 0 for estimate in found]), np.mean([estimate.high < 0 for estimate in found])


def found_leads(repetitions=1000, **design):
    rng = np.random.default_rng([design["seeds"], design["videos"], int(10 * design["share"])])
    return shares_clear(lambda: difference(*simulated(rng, **design)), repetitions)


SHARES = (0.0, 0.3, 0.7, 1.0)


@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_leads_that_are_not_there_are_seldom_found(seeds):
    """Nominal are 2.5 % on each side; 4 % is four standard errors of the simulation away from it."""
    for videos, share in product((12, 60), SHARES):
        rates = found_leads(seeds=seeds, videos=videos, share=share)
        assert np.mean(rates) <= 0.04, (videos, share, rates)


@pytest.mark.parametrize(
    "design",
    [
        {"ratio": 4.0},
        {"clips": (1, 1, 1, 2, 3, 8)},
        {"seeds_of_second": range(5)},
        {"seeds_of_second": range(7, 12)},
        {"seeds_of_second": range(7, 12), "ratio": 0.25},
    ],
    ids=["unequal spread", "clips in videos", "more seeds", "other seeds", "other seeds, unequal spread"],
)
def test_nor_are_they_in_uneven_designs(design):
    for share in SHARES:
        rates = found_leads(seeds=3, videos=20, share=share, **design)
        assert np.mean(rates) <= 0.04, (share, rates)


@pytest.mark.parametrize(("worlds", "spread"), [(3, 0.0), (3, 1.0), (3, 5.0), (5, 1.0)])
def test_nor_are_they_over_worlds(worlds, spread):
    rng = np.random.default_rng([worlds, int(spread)])

    def draw():
        design = {"seeds": 3, "videos": 12, "share": 0.5}
        return over_worlds([difference(*simulated(rng, lead=rng.normal(0, spread), **design)) for _ in range(worlds)])

    assert np.mean(shares_clear(draw, 1000)) <= 0.04


@pytest.mark.parametrize(
    ("seeds", "share", "power"), [(3, 0.0, 0.95), (3, 0.5, 0.7), (3, 1.0, 0.5), (5, 0.5, 0.88), (10, 0.5, 0.93)]
)
def test_leads_that_are_there_are_found(seeds, share, power):
    """A lead of four standard errors; were the errors' variance known, 98 % of them would be found."""
    above, below = found_leads(500, seeds=seeds, videos=60, share=share, lead=4.0)
    assert above >= power and below == 0
