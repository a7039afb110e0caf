from __future__ import annotations

import math

import pytest

from soundprompt.params import Schedule
from soundprompt.training.schedule import plan


def test_rates_warm_up_and_fall_to_zero():
    whole = plan(Schedule(steps=100, warmup=10), 7, continued=False)
    assert whole.factor(5) == pytest.approx(0.5 * 0.5 * (1 + math.cos(math.pi * 4 / 100)))
    assert max(range(1, 101), key=whole.factor) == 10
    assert 0 < whole.factor(100) < 1e-3
    assert plan(Schedule(warmup=0), 7, continued=False).factor(1) == 1


def test_without_annealing_rates_are_constant_after_the_warm_up():
    for continued in (False, True):
        constant = plan(Schedule(steps=100, warmup=4, annealing="none", shot_epochs=20), 5, continued=continued)
        assert [constant.factor(step) for step in (1, 2, 4, 5, 99, 100)] == [0.25, 0.5, 1, 1, 1, 1]
    assert plan(Schedule(warmup=0, annealing="none"), 7, continued=False).factor(1) == 1


def test_validates_at_its_rhythm_and_at_the_end():
    whole = plan(Schedule(steps=25, validate_every=10, patience=3), 7, continued=False)
    assert [step for step in range(1, 26) if whole.validates(step)] == [10, 20, 25]
    assert whole.patience == 3


def test_few_shot_counts_epochs_and_scales_its_rates():
    schedule = Schedule(steps=1000, warmup=30, learning_rate=2e-3, shot_learning_rate=1e-3, shot_epochs=10)
    shots = plan(schedule, 4, continued=True)
    assert shots.steps == 40 and shots.warmup == 4 and shots.scale == 0.5 and shots.patience is None
    assert [step for step in range(1, 41) if shots.validates(step)] == [8, 16, 24, 32, 40]
    assert plan(Schedule(learning_rate=2e-3), 4, continued=True).scale == 1


def test_epochs_fit_datasets_of_any_size():
    schedule = Schedule(epochs=3, steps=5, validate_every=2, warmup=30, patience=4)
    whole = plan(schedule, 100, continued=False)
    assert whole.steps == 300 and whole.warmup == 30 and whole.patience == 4
    assert [step for step in range(1, 301) if whole.validates(step)] == [100, 200, 300]
    assert plan(schedule, 7, continued=False).warmup == 2  # of 21 steps, a tenth at most
    assert plan(schedule, 4, continued=True).steps == 4 * schedule.shot_epochs  # few-shot counts its own
