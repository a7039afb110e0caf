"""Intervals and comparisons against closed forms and explicit resampling."""

import numpy as np
import pytest
from scipy import stats

from soundprompt.evaluation.statistics import (
    Contributions,
    bootstrap_interval,
    paired_bootstrap,
    t_interval,
    worlds_bootstrap,
)


def contributions(values, weights=None, seeds=None):
    """values: (seeds, videos)."""
    values = np.asarray(values, float)
    weights = np.ones_like(values) if weights is None else np.asarray(weights, float)
    seeds = tuple(range(len(values))) if seeds is None else seeds
    return Contributions(values * weights, weights, seeds, tuple(f"video{i:03}" for i in range(values.shape[1])))


def test_t_interval_of_three_seeds():
    found = t_interval([0.70, 0.74, 0.72])
    expected = stats.t.interval(0.95, 2, loc=0.72, scale=0.02 / 3**0.5)
    assert (found.mean, found.sd, found.n) == (pytest.approx(0.72), pytest.approx(0.02), 3)
    assert (found.low, found.high) == pytest.approx(expected)


def test_one_seed_has_no_interval_over_seeds():
    found = t_interval([0.7])
    assert found.mean == 0.7
    assert np.isnan([found.sd, found.low, found.high]).all()


def test_bootstrap_interval_agrees_with_the_normal_approximation():
    values = np.random.default_rng(0).normal(0.5, 0.2, (1, 400))
    found = bootstrap_interval(contributions(values), 2000)
    half = 1.96 * values.std() / 20
    assert found.mean == pytest.approx(values.mean())
    assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half), abs=0.002)


def test_bootstrap_is_deterministic():
    of = contributions(np.random.default_rng(0).random((2, 30)))
    assert bootstrap_interval(of, 200) == bootstrap_interval(of, 200)
    assert paired_bootstrap(of, of, 200) == paired_bootstrap(of, of, 200)


def test_videos_with_many_clips_widen_the_interval():
    """Ten videos of ten equal clips hold ten observations, not a hundred."""
    rng = np.random.default_rng(1)
    of_video = rng.random(10)
    clustered = bootstrap_interval(contributions([of_video], [[10.0] * 10]), 2000)
    apart = bootstrap_interval(contributions([np.repeat(of_video, 10)]), 2000)
    assert clustered.mean == pytest.approx(apart.mean)
    assert clustered.high - clustered.low > 2 * (apart.high - apart.low)


def test_weights_make_a_ratio():
    found = bootstrap_interval(contributions([[1.0, 0.0]], [[3, 1]]), 50)
    assert found.mean == pytest.approx(0.75)


def test_pairing_removes_what_both_methods_share():
    """Clips differ much, methods by a constant: paired, the difference is certain."""
    values = np.random.default_rng(2).random((3, 50))
    found = paired_bootstrap(contributions(values + 0.05), contributions(values), 500)
    assert (found.value, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert (found.n_videos, found.n_seeds) == (50, 3)


def test_spread_of_seeds_widens_the_difference():
    clips = np.random.default_rng(3).random(200)
    steady = paired_bootstrap(contributions([clips + 0.1] * 3), contributions([clips] * 3), 1000)
    shaky = paired_bootstrap(contributions([clips, clips + 0.1, clips + 0.2]), contributions([clips] * 3), 1000)
    assert steady.value == pytest.approx(shaky.value)
    assert steady.high - steady.low < 1e-9
    assert shaky.low < 0.04
    assert shaky.high > 0.16


def test_a_floor_with_one_seed_is_compared_with_several():
    clips = np.random.default_rng(4).random(60)
    found = paired_bootstrap(contributions([clips + 0.1, clips + 0.3]), contributions([clips], seeds=(0,)), 400)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.1, 0.3), abs=1e-9)


def test_paired_bootstrap_equals_an_explicit_one_in_spread():
    rng = np.random.default_rng(5)
    first, second = rng.random((3, 40)), rng.random((3, 40))
    found = paired_bootstrap(contributions(first), contributions(second), 4000)
    draws = []
    for _ in range(4000):
        videos, seeds = rng.integers(40, size=40), rng.integers(3, size=3)
        draws.append((first - second)[seeds][:, videos].mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.01)


def test_different_videos_are_refused():
    with pytest.raises(ValueError, match="different videos"):
        paired_bootstrap(contributions([[1.0, 2.0]]), contributions([[1.0]]), 10)


def test_three_worlds_of_certain_leads_reach_from_the_lowest_to_the_highest():
    """Without spread inside worlds only worlds are drawn: each is drawn three times in 1 of 27 samples, over 2.5 %."""
    clips = np.random.default_rng(6).random(30)
    worlds = [(contributions([clips + lead] * 2), contributions([clips] * 2)) for lead in (0.1, 0.2, 0.6)]
    found = worlds_bootstrap(worlds, 4000)
    assert (found.value, found.low, found.high) == pytest.approx((0.3, 0.1, 0.6))
    assert (found.n_worlds, found.n_seeds, found.n_videos) == (3, 2, 90)


def test_worlds_bootstrap_equals_an_explicit_one_in_spread():
    rng = np.random.default_rng(7)
    pairs = [
        (rng.random((3, n)) + lead, rng.random((3, n))) for n, lead in ((40, 0.0), (25, 0.1), (60, 0.3), (30, 0.1))
    ]
    found = worlds_bootstrap([(contributions(one), contributions(other)) for one, other in pairs], 4000)
    draws = []
    for _ in range(4000):
        means = []
        for world in rng.integers(4, size=4):
            one, other = pairs[world]
            videos, seeds = rng.integers(one.shape[1], size=one.shape[1]), rng.integers(3, size=3)
            means.append((one - other)[seeds][:, videos].mean())
        draws.append(np.mean(means))
    assert (found.low, found.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.012)
    assert found.value == pytest.approx(np.mean([(one - other).mean() for one, other in pairs]))


def test_one_world_is_an_ordinary_comparison():
    rng = np.random.default_rng(8)
    pair = contributions(rng.random((3, 80)) + 0.1), contributions(rng.random((3, 80)))
    one, plain = worlds_bootstrap([pair], 4000), paired_bootstrap(*pair, 4000)
    assert one.value == plain.value
    assert (one.low, one.high) == pytest.approx((plain.low, plain.high), abs=0.01)


def test_worlds_must_have_scored_the_same_videos():
    with pytest.raises(ValueError, match="different videos"):
        worlds_bootstrap([(contributions([[1.0, 2.0]]), contributions([[1.0]]))], 10)
    with pytest.raises(ValueError, match="no worlds"):
        worlds_bootstrap([], 10)


def test_draws_that_comparisons_share_cannot_be_spoiled():
    of = contributions(np.random.default_rng(9).random((2, 30)))
    paired_bootstrap(of, of, 50)
    from soundprompt.evaluation import statistics

    with pytest.raises(ValueError, match="read-only"):
        statistics._draw_videos(30, 50)[0, 0] = 7
