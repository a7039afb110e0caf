"""What the foundation models see: pictures with masks, sounds with tags."""

import numpy as np
import pytest

from soundprompt.data.world import pretraining
from soundprompt.data.world.classes import NEW_PITCH
from soundprompt.params import Levels, Scene


def rng(key):
    return np.random.default_rng([3, key])


@pytest.mark.parametrize("size", [64, 128])
def test_pictures_have_disjoint_masks_of_visible_objects(size):
    counts = []
    for i in range(30):
        image, masks = pretraining.picture(rng(i), Scene(size=size))
        assert image.shape == (size, size, 3) and image.dtype == np.uint8
        assert all(mask.shape == (size, size) and mask.dtype == bool for mask in masks)
        assert np.sum(masks, axis=0).max() <= 1
        assert min(mask.sum() for mask in masks) > 60 * (size / 128) ** 2
        counts.append(len(masks))
    assert set(counts) <= {1, 2, 3, 4, 5} and len(set(counts)) >= 3


def test_equal_seeds_give_equal_bytes():
    for make in (pretraining.picture, pretraining.sound, pretraining.probe_picture, pretraining.probe_sound):
        first, second, other = make(rng(1))[0], make(rng(1))[0], make(rng(2))[0]
        assert np.array_equal(first, second) and not np.array_equal(first, other)


def test_sounds_are_one_second_with_tags_in_range():
    for i in range(30):
        wave, tags = pretraining.sound(rng(i))
        assert wave.shape == (16000,) and wave.dtype == np.float32 and np.abs(wave).max() <= 1
        assert tags.shape == (pretraining.TAG_COUNT,) and tags.dtype == np.float32
        assert tags.min() >= 0 and tags.max() <= 1
        assert all(tags[where].max() > 0.5 for where in pretraining.TAGS.values())


def test_tags_peak_at_the_value_and_cover_the_new_pitch():
    low, high = np.log(pretraining.PITCH_RANGE)
    assert low < np.log(NEW_PITCH.hertz) < high
    tags = pretraining.soft_tags(NEW_PITCH.hertz, 12.0, 1.0)
    assert tags[pretraining.TAGS["pitch"]].argmax() == round((np.log(NEW_PITCH.hertz) - low) / (high - low) * 15)
    assert tags[pretraining.TAGS["modulation"]].argmax() == round(12 / 16 * 7)
    assert tags[pretraining.TAGS["timbre"]].argmax() == 2


def test_probes_name_the_levels_of_what_they_show():
    scene = Scene(levels=Levels(pitch=4, modulation=2, timbre=3))
    levels = np.concatenate([pretraining.probe_picture(rng(i), scene)[2] for i in range(40)])
    assert levels.shape == (120, 3)
    assert levels.max(axis=0).tolist() == [3, 1, 2] and levels.min() == 0
    wave, heard = pretraining.probe_sound(rng(0), scene)
    assert wave.shape == (16000,) and heard.shape == (3,)
