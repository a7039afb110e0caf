"""Clips: who sounds, who stands silent, and which pixels belong to whom."""

import numpy as np
import pytest

from soundprompt.data.world import clips
from soundprompt.data.world.classes import all_classes, of_role, v1s_classes
from soundprompt.params import Clips, Levels, World

COUNTS = Clips(train=1, val=1, test=1)
WORLD = World(v1s=COUNTS, v1m=COUNTS, v2=COUNTS, v1m_unseen=0, vggss=1)
CLASSES = all_classes(Levels())
SEEN = of_role(CLASSES, "seen")
BASE = clips.DOMAINS["base"]


def make(sources, key=0, **options):
    rng = np.random.default_rng([11, key])
    return clips.make_clip(rng, sources, SEEN, options.pop("world", WORLD), 5, BASE, **options)


def test_a_single_source_sounds_all_the_time():
    clip = make(SEEN[:1])
    assert len(clip.frames) == 5 and clip.on.all() and len(clip.wave) == 80000
    for t in range(5):
        assert set(np.unique(clip.owners[t])) == {0, 1, 2, 3}
        assert np.array_equal(clip.sounding(t) == 1, clip.owners[t] == 1)


def test_sources_that_are_off_have_no_mask():
    clip = next(c for c in (make(SEEN[3:5], key) for key in range(20)) if not c.on.all())
    for t in range(5):
        expected = {0} | {i + 1 for i in range(2) if clip.on[t, i]}
        assert set(np.unique(clip.sounding(t))) == expected


def test_several_sources_are_on_in_about_seven_of_ten_seconds():
    on = np.concatenate([clips.switch(np.random.default_rng([1, i]), 5, 2) for i in range(400)])
    assert 0.66 < on.mean() < 0.75
    assert all(clips.switch(np.random.default_rng([2, i]), 2, 3).any(axis=0).all() for i in range(200))


def test_the_wave_follows_the_switch():
    plain = [cls for cls in SEEN if cls.modulation.hertz == 0 and cls.timbre == 0]
    for key in range(30):
        clip = make(plain[:2], key)
        loudness = [np.std(clip.wave[t * 15360 : (t + 1) * 15360].astype(float)) for t in range(5)]
        both, none = clip.on.all(axis=1), ~clip.on.any(axis=1)
        if both.any() and none.any():
            assert np.min(np.array(loudness)[both]) > 3 * np.max(np.array(loudness)[none])
            return
    pytest.fail("no clip with a silent second among thirty")


def casts(pool, alike=0.5, number=600):
    for i in range(number):
        source = pool[i % len(pool)]
        silent = clips.choose_silent(np.random.default_rng([4, i]), [source], pool, 2, alike)
        assert len({source, *silent}) == 3
        yield [source, *silent]


@pytest.mark.parametrize(("alike", "expected"), [(0.0, 0.0), (0.3, 0.3), (0.5, 0.5)])
def test_look_alikes_share_two_levels_as_often_as_asked(alike, expected):
    shared = [cls.shared_levels(source) == 2 for source, *silent in casts(SEEN, alike) for cls in silent]
    assert np.mean(shared) == pytest.approx(expected, abs=0.06)


@pytest.mark.parametrize("pool", [SEEN, v1s_classes(CLASSES, 12)], ids=["seen", "v1s"])
def test_the_source_is_not_the_one_that_resembles_the_others(pool):
    hits = []
    for cast in casts(pool):
        likeness = [sum(a.shared_levels(b) for b in cast if b is not a) for a in cast]
        hits.append((likeness[0] == max(likeness)) / likeness.count(max(likeness)))
    assert np.mean(hits) == pytest.approx(1 / 3, abs=0.06)


def test_where_no_look_alike_is_left_another_class_steps_in():
    silent = clips.choose_silent(np.random.default_rng(0), [SEEN[0]], SEEN[:3], 2, 1.0)
    assert set(silent) == set(SEEN[1:3])


def test_frames_drawn_alone_are_the_same_frames():
    whole, middle = make(SEEN[:1]), make(SEEN[:1], seconds=[2])
    assert np.array_equal(whole.frames[2], middle.frames[0])
    assert np.array_equal(whole.wave, middle.wave)
    assert middle.seconds == (2,)


def test_sources_are_never_hidden():
    smallest = min((make(SEEN[i : i + 2], i).owners[t] == 1).sum() for i in range(20) for t in (0, 4))
    assert smallest > 100


def test_no_distractors_is_a_world_too():
    clip = make(SEEN[:1], world=WORLD.model_copy(update={"distractors": 0}))
    assert set(np.unique(clip.owners[0])) == {0, 1}
