"""Scenes: versions of one clip differ in what was asked for, and in nothing else."""

from dataclasses import asdict

import numpy as np
import pytest

from soundprompt.data.world import clips, drawing, scenes, sound
from soundprompt.data.world.classes import all_classes, of_role
from soundprompt.data.world.clips import DOMAINS, Domain
from soundprompt.data.world.domains import domain_at, rim_at
from soundprompt.data.world.parts import check_world, plan_part
from soundprompt.errors import InputError
from soundprompt.params import Clips, Levels, SceneSplit, World

COUNTS = Clips(train=1, val=1, test=1)
WORLD = World(size=64, v1s=COUNTS, v1m=COUNTS, v2=COUNTS, v1m_unseen=0, vggss=1)
CLASSES = all_classes(Levels())
SEEN = of_role(CLASSES, "seen")


def make(key=0, sources=2, pool=SEEN, **options):
    rng = np.random.default_rng([5, key])
    chosen = [SEEN[(7 * key + 5 * i) % len(SEEN)] for i in range(sources)]
    return scenes.make_scene(rng, chosen, pool, WORLD, 5, SceneSplit(clips=1, sources=sources, **options))


def world_of(**splits):
    return WORLD.model_copy(update={"scenes": {name: SceneSplit(**options) for name, options in splits.items()}})


def spectrum(clip):
    return np.abs(np.fft.rfft(clip.wave.astype(float)))


# ----------------------------------------------------------------------------- domains
def test_the_ends_are_the_domains_of_the_other_parts():
    assert domain_at(0) == DOMAINS["base"] and domain_at(1) == DOMAINS["shifted"]
    assert (rim_at(0), rim_at(0.5), rim_at(1), rim_at(2)) == (0, 0.5, 1, 1)


def test_between_and_beyond_every_number_goes_on():
    half, twice = domain_at(0.5), domain_at(2)
    assert half.style.hue_shift == pytest.approx(0.015) and half.style.saturation == pytest.approx((0.525, 0.85))
    assert half.channel.noise_db == pytest.approx((10, 22.5)) and half.channel.pitch_factor == pytest.approx(1.03)
    assert twice.style.noise == pytest.approx(0.08) and twice.channel.reverb == pytest.approx(0.3)
    assert twice.style.ground_saturation == 0 and twice.channel.tilt == 0.9


@pytest.mark.parametrize("shift", np.linspace(0, 2, 9))
def test_every_domain_can_be_drawn_and_heard(shift):
    domain = domain_at(shift)
    assert isinstance(domain, Domain)
    for low, high in (domain.style.saturation, domain.style.value):
        assert 0 < low < high < 1
    assert 8 < domain.style.radius[0] < domain.style.radius[1]
    assert domain.channel.noise_db[0] < domain.channel.noise_db[1] and 0 <= domain.channel.tilt < 1
    clip = make(shift=shift)
    assert all((owner == 1).sum() > 30 for owner in clip.owners) and np.abs(clip.wave).max() > 300


# ------------------------------------------------------------------------- who sounds when
@pytest.mark.parametrize("sources", [2, 3])
@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.5, 1.0])
def test_as_many_seconds_are_shared_as_asked(sources, overlap):
    on = [scenes.take_turns(np.random.default_rng([3, i]), 5, sources, overlap) for i in range(400)]
    heard = np.stack(on).sum(axis=2)
    assert np.mean(heard > 1) == pytest.approx(overlap, abs=0.03)
    assert set(np.unique(heard)) <= {1, sources}
    assert all(switches.any(axis=0).all() for switches in on)
    shares = np.stack(on).mean(axis=(0, 1))
    assert np.ptp(shares) < 0.05  # no source is heard more than another


def test_more_overlap_only_switches_more_on():
    for key in range(30):
        less, more = (scenes.take_turns(np.random.default_rng(key), 5, 2, overlap) for overlap in (0.3, 0.7))
        assert (more >= less).all()


def test_without_overlap_sources_switch_as_in_v1m():
    on = np.stack([make(key, overlap=None).on for key in range(14)])
    assert 0.58 < on.mean() < 0.82 and {0, 1, 2} == set(np.unique(on.sum(axis=2)))
    assert make(sources=1).on.all()


# -------------------------------------------------------------------------------- pairs
def test_another_domain_shows_the_same_scene():
    for key in range(6):
        base, other = make(key), make(key, shift=1.5)
        assert (base.sources, base.silent) == (other.sources, other.silent) and np.array_equal(base.on, other.on)
        for one, two in zip(base.owners, other.owners, strict=True):
            assert not (two[one == 0] > 0).any()  # smaller, at the same places
        assert not np.array_equal(base.frames[0], other.frames[0])
        assert not np.array_equal(base.wave, other.wave)


@pytest.mark.parametrize(("shift", "name"), [(0.0, "base"), (1.0, "shifted")])
def test_at_both_ends_scenes_look_like_the_clips_of_other_parts(shift, name):
    found = []
    for key in range(80):
        cast = [SEEN[i] for i in np.random.default_rng([9, key]).permutation(len(SEEN))[:3]]
        streams = dict(zip(scenes.STREAMS, np.random.default_rng([8, key]).spawn(len(scenes.STREAMS)), strict=True))
        scene = scenes._film(streams, cast, 64, 1, shift)
        clip = clips._film(np.random.default_rng([7, key]), cast, 64, 1, DOMAINS[name].style, (0,))
        found.append([_facts(frames[0].astype(float), owners[0] > 0) for frames, owners in (scene, clip)])
    gaps = np.subtract(*np.moveaxis(np.array(found), 1, 0))
    assert (np.abs(gaps.mean(axis=0)) < 4 * gaps.std(axis=0) / np.sqrt(len(gaps))).all()


def _facts(frame, objects):
    """Share of the objects, their brightness, the ground's, and how much neighbours differ."""
    return objects.mean(), frame[objects].mean(), frame[~objects].mean(), np.abs(np.diff(frame, axis=1)).mean()


def test_objects_change_as_the_style_says():
    look = drawing.class_look(np.random.default_rng(1), SEEN[5], drawing.BASE, 64)
    assert asdict(scenes.restyle(look, drawing.BASE, 64)) == pytest.approx(asdict(look))
    moved, style = scenes.restyle(look, drawing.SHIFTED, 64), drawing.SHIFTED
    assert moved.hue == pytest.approx(look.hue + 0.03)
    assert style.radius[0] <= moved.radius * 2 <= style.radius[1]
    assert style.value[0] <= moved.value <= style.value[1]


def test_the_rim_grows_with_the_shift_and_is_whole_at_one():
    look = drawing.class_look(np.random.default_rng(1), SEEN[0], drawing.BASE, 128)
    edges = [scenes._sprite(look, rim) for rim in (0, 0.5, 1)]
    assert np.array_equal(edges[0].colour, drawing.draw_sprite(look).colour)
    assert np.array_equal(edges[2].colour, drawing.draw_sprite(look, outline=True).colour)
    inside = edges[0].mask
    assert edges[0].colour[inside].mean() > edges[1].colour[inside].mean() > edges[2].colour[inside].mean()


def test_the_noise_does_not_depend_on_the_echo():
    voice = {"voices": 1, "room": 2, "microphone": 3}
    waves = []
    for reverb in (0.0, 0.2):
        streams = {name: np.random.default_rng(seed) for name, seed in voice.items()}
        channel = sound.Channel(reverb=reverb, noise_db=(-60.0, -60.0))  # next to nothing but noise
        waves.append(scenes._record(streams, SEEN[:1], np.ones((2, 1), bool), channel))
    assert np.corrcoef(*waves)[0, 1] > 0.999


def test_other_silent_classes_leave_all_else_in_place():
    changed = 0
    for key in range(8):
        less, more = make(key, lookalike=0.0), make(key, lookalike=1.0)
        assert less.sources == more.sources and np.array_equal(less.wave, more.wave)
        swapped = [i for i in range(2) if less.silent[i] != more.silent[i]]
        changed += bool(swapped)
        # Of a source only what a silent object covers can differ, and an outline reaches 1.34 radii at most.
        source = np.isin(less.owners[0], (1, 2)) & np.isin(more.owners[0], (1, 2))
        near = less.frames[0].astype(int) - more.frames[0].astype(int)
        assert np.abs(near[source]).max() == 0 and source.sum() > 150
    assert changed >= 6


def test_look_alikes_are_as_frequent_as_asked():
    for alike in (0.0, 0.4):
        world = world_of(x={"clips": 150, "lookalike": alike})
        streams = [plan.rng().spawn(len(scenes.STREAMS))[0] for plan in plan_part("scenes", world)]
        shared = [
            cls.shared_levels(plan.sources[0]) == 2
            for rng, plan in zip(streams, plan_part("scenes", world), strict=True)
            for cls in scenes.choose_silent(rng, plan.sources, plan.pool, 2, alike)
        ]
        assert np.mean(shared) == pytest.approx(alike, abs=0.07)


def test_overlap_changes_the_sound_alone():
    apart, together = make(overlap=0), make(overlap=1)
    assert all(np.array_equal(a, b) for a, b in zip(apart.frames, together.frames, strict=True))
    assert apart.on.sum(axis=1).tolist() == [1] * 5 and together.on.all()
    assert not np.array_equal(apart.wave, together.wave)


def test_a_source_more_keeps_the_crowd_in_place():
    two, three = make(sources=2, distractors=2), make(sources=3, distractors=1)
    assert three.sources[:2] == two.sources
    for i in (1, 2):
        assert (two.owners[0] == i).sum() > 30
        shown = (two.owners[0] == i) & (three.owners[0] == i)
        assert shown.sum() > 0.5 * (two.owners[0] == i).sum()


# -------------------------------------------------------------------------------- plans
def test_number_i_of_all_splits_is_one_scene_of_one_video():
    world = world_of(
        a={"clips": 5}, b={"clips": 7, "shift": 1}, c={"clips": 5, "sources": 3}, d={"clips": 3, "sources": 3}
    )
    by_split = {name: [p for p in plan_part("scenes", world) if p.split == name] for name in "abcd"}
    assert [len(plans) for plans in by_split.values()] == [5, 7, 5, 3]
    for a, b, c in zip(by_split["a"], by_split["b"], by_split["c"], strict=False):
        assert a.vid == b.vid == c.vid and a.sources == b.sources == c.sources[:1]
        assert a.uid == f"{a.vid}_a" and len({a.uid, b.uid, c.uid}) == 3
        assert len(set(c.sources)) == 3
    assert len({plan.vid for plan in by_split["b"]}) == 7


def test_neither_more_clips_nor_another_split_changes_a_clip():
    small = plan_part("scenes", world_of(b={"clips": 3, "sources": 2}))
    large = plan_part("scenes", world_of(a={"clips": 9, "classes": "all"}, b={"clips": 8, "sources": 2}))
    assert set(small) < set(large)


def test_seen_sources_stand_among_seen_classes_and_take_turns():
    world = world_of(seen={"clips": 24, "sources": 3}, all={"clips": 45, "classes": "all"})
    plans = plan_part("scenes", world)
    for plan in plans:
        if set(plan.sources) <= set(SEEN):
            assert set(plan.pool) == set(SEEN)
    assert {plan.sources[0] for plan in plans if plan.split == "seen"} == set(SEEN)
    assert {plan.sources[0] for plan in plans if plan.split == "all"} == set(CLASSES)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"overlap": 0.5}, r"world\.scenes\.x\.overlap: 0\.5 needs two sources"),
        ({"sources": 3, "distractors": 6}, r"world\.scenes\.x\.distractors: 6 .* at most 5 .* fit"),
    ],
)
def test_impossible_scenes_are_named(options, says):
    with pytest.raises(InputError, match=says):
        check_world(world_of(x={"clips": 1, **options}))


def test_too_many_silent_objects_for_the_seen_classes():
    few = world_of(x={"clips": 1, "sources": 3, "distractors": 4})
    few = few.model_copy(update={"levels": Levels(pitch=4, modulation=1, timbre=3), "v1s_classes": 4})
    with pytest.raises(InputError, match=r"distractors: 4 .* at most 3 .*seen classes"):
        check_world(few)
