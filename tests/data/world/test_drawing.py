"""Pictures: colours, outlines, places, owners of pixels."""

import colorsys

import numpy as np
import pytest

from soundprompt.data.world import drawing
from soundprompt.data.world.classes import all_classes
from soundprompt.params import Levels

CLASSES = {cls.name: cls for cls in all_classes(Levels())}


def rng(*key):
    return np.random.default_rng([7, *key])


@pytest.mark.parametrize("hue", np.linspace(-0.3, 1.3, 17))
def test_rgb_is_hsv_of_the_standard_library(hue):
    expected = colorsys.hsv_to_rgb(hue % 1, 0.7, 0.9)
    np.testing.assert_allclose(drawing.rgb(hue, 0.7, 0.9), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["red-plain-blob", "green-plain-square", "purple-plain-star", "blue-plain-blob"])
@pytest.mark.parametrize("style", [drawing.BASE, drawing.SHIFTED], ids=["base", "shifted"])
def test_an_object_shows_the_hue_of_its_pitch(name, style):
    sprite = drawing.draw_sprite(drawing.class_look(rng(1), CLASSES[name], style, 128))
    y = sprite.mask.shape[0] // 2
    ring = sprite.colour[y, int(y * 1.65)]
    hue = colorsys.rgb_to_hsv(*map(float, ring))[0]
    distance = abs(hue - CLASSES[name].pitch.hue - style.hue_shift)
    assert min(distance, 1 - distance) < 0.03


def test_stripes_have_the_period_of_the_modulation():
    for name, low, high in (("red-wide-blob", 12, 18), ("red-narrow-blob", 5, 7.2)):
        look = drawing.class_look(rng(2), CLASSES[name], drawing.BASE, 128)
        assert low < look.period < high
    assert drawing.class_look(rng(2), CLASSES["red-plain-blob"], drawing.BASE, 128).period is None


def test_lengths_scale_with_the_frame():
    small, large = (drawing.class_look(rng(3), CLASSES["red-wide-star"], drawing.BASE, size) for size in (64, 128))
    assert large.radius == pytest.approx(2 * small.radius)
    assert large.period == pytest.approx(2 * small.period)


def test_a_look_alike_copies_two_of_three_groups():
    for i in range(20):
        look, model = (drawing.any_look(rng(4, i, j), drawing.BASE, 128) for j in (0, 1))
        copy = drawing.look_alike(rng(4, i, 2), look, model)
        groups = (("hue",), ("period",), ("lobes", "spike", "pointed", "core"))
        same = [all(getattr(copy, n) == getattr(model, n) for n in group) for group in groups]
        assert sum(same) >= 2
        assert copy.radius == look.radius


def test_places_are_apart_and_inside():
    radii = [16.0, 20.0, 14.0]
    for i in range(50):
        centres = drawing.place(rng(5, i), radii, 128)[:, 0]
        for a in range(3):
            assert (centres[a] >= radii[a] - 1).all() and (centres[a] <= 129 - radii[a]).all()
            for b in range(a):
                assert np.hypot(*(centres[a] - centres[b])) > radii[a] + radii[b]


def test_the_last_in_order_owns_the_overlap():
    sprite = drawing.draw_sprite(drawing.class_look(rng(6), CLASSES["red-plain-blob"], drawing.BASE, 128))
    ground = np.zeros((128, 128, 3), np.float32)
    centres = np.array([[64, 64], [64, 70]])
    for order, top in (((0, 1), 2), ((1, 0), 1)):
        picture, owner = drawing.compose(ground, [sprite, sprite], centres, order)
        assert owner[64, 67] == top
        assert set(np.unique(owner)) == {0, 1, 2}
        assert (picture[owner == 0] == 0).all() and (picture[owner > 0] > 0).any()


def test_an_object_at_the_edge_is_cut():
    sprite = drawing.draw_sprite(drawing.class_look(rng(8), CLASSES["blue-plain-star"], drawing.BASE, 128))
    _, owner = drawing.compose(np.zeros((128, 128, 3), np.float32), [sprite], np.array([[2, 126]]), [0])
    assert 0 < (owner == 1).sum() < sprite.mask.sum()


def test_the_shifted_domain_is_noisier_and_bytes_stay_in_range():
    flat = np.full((64, 64, 3), 0.5, np.float32)
    spread = {}
    for name, style in (("base", drawing.BASE), ("shifted", drawing.SHIFTED)):
        picture = drawing.develop(rng(9), flat, style)
        assert picture.dtype == np.uint8
        spread[name] = picture.std()
    assert spread["shifted"] > 2 * spread["base"]
    assert drawing.develop(rng(9), flat * 0 + 2, drawing.BASE).max() == 255
