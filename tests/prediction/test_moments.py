"""Which picture stands for which second, and how long each is on screen."""

import itertools
import weakref

import numpy as np
import pytest

from soundprompt.errors import InputError
from soundprompt.prediction.moments import expected, moments, timed
from soundprompt.prediction.video_in import Shown


def film(times, last=0.04):
    gaps = [*np.diff(times), last]
    return [Shown(float(time), float(gap), lambda: None) for time, gap in zip(times, gaps, strict=True)]


def steady(rate, seconds):
    return film(np.arange(round(rate * seconds)) / rate, 1 / rate)


def asked(pictures, start=0.0, end=None, every=1.0):
    return [(m.number, round(m.begin, 3), m.shown.time) for m in moments(pictures, start, end, every)]


@pytest.mark.parametrize("rate", [16, 25, 29.97, 60])
def test_the_picture_at_fifteen_sixteenths_of_each_second(rate):
    for number, begin, time in asked(steady(rate, 4)):
        assert begin == number and begin + 15 / 16 - 1 / rate < time <= begin + 15 / 16 + 1e-3


@pytest.mark.parametrize(("seconds", "count"), [(0.2, 1), (1.0, 1), (4.0, 4), (4.08, 4), (4.2, 5), (4.96, 5)])
def test_a_short_rest_belongs_to_the_last_second(seconds, count):
    assert len(asked(steady(25, seconds))) == count == expected(seconds, 0, None, 1)


def test_start_end_and_every():
    pictures = steady(25, 10)
    assert [begin for _, begin, _ in asked(pictures, start=2.5, end=5.5)] == [2.5, 3.5, 4.5]
    assert [begin for _, begin, _ in asked(pictures, every=4)] == [0, 4, 8]
    assert [time for _, _, time in asked(pictures, every=4)] == [0.92, 4.92, 8.92]
    halves = asked(pictures, end=2, every=0.5)
    assert [begin for _, begin, _ in halves] == [0, 0.5, 1, 1.5]
    assert all(begin < time < begin + 0.5 for _, begin, time in halves)
    assert expected(10, 2.5, 5.5, 1) == 3 and expected(10, 0, None, 4) == 3 and expected(10, 0, 2, 0.5) == 4


def test_a_picture_that_stays_for_seconds():
    assert asked(film([0, 0.5, 3.2], last=1.5)) == [(0, 0, 0.5), (1, 1, 0.5), (2, 2, 0.5), (3, 3, 3.2), (4, 4, 3.2)]


def test_the_first_picture_stands_for_what_comes_before_it():
    assert asked(film([2.0, 2.5])) == [(0, 0, 2.0), (1, 1, 2.0), (2, 2, 2.5)]


@pytest.mark.parametrize("pictures", [[], film([0, 0.5])])
def test_a_start_behind_the_end(pictures):
    with pytest.raises(InputError, match="before 3 s"):
        list(moments(pictures, 3.0, None, 1.0))


def test_time_on_screen_is_without_gaps_and_within_bounds():
    spans = list(timed(steady(25, 4), 1.01, 2.5))
    assert spans[0][0] == 1.01 and spans[-1][1] == 2.5
    assert all(a[1] == b[0] for a, b in itertools.pairwise(spans))
    assert spans[0][2].time == 1.0  # the picture that was on screen at the start


def test_few_pictures_are_alive_however_long_the_film():
    alive = weakref.WeakSet()

    def long_film():
        for number in range(5000):
            alive.add(picture := Shown(number / 25, 0.04, lambda: None))
            yield picture
            del picture

    most = max(len(alive) for _ in zip(moments(long_film(), 0, None, 1), timed(long_film(), 0, None), strict=False))
    assert most <= 8
