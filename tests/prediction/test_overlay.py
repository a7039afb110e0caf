"""The veil lies on the mask and nowhere else."""

import numpy as np
import pytest

from soundprompt.prediction.overlay import COLOUR, EDGE, VEIL, Overlay


def noise(size=(40, 50)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def disc(size=(40, 50)) -> np.ndarray:
    y, x = np.mgrid[0 : size[0], 0 : size[1]]
    return (y - 18) ** 2 + (x - 22) ** 2 < 144


def test_outside_nothing_changes():
    picture, mask = noise(), disc()
    before = picture.copy()
    painted = Overlay(mask).paint(picture)
    assert (painted[~mask] == before[~mask]).all() and (picture == before).all()
    assert (painted[mask] != before[mask]).any(axis=1).mean() > 0.95


def test_veil_and_contour():
    picture, mask = noise(), disc()
    painted = Overlay(mask).paint(picture)
    centre = painted[18, 22].astype(float)
    np.testing.assert_allclose(centre, (1 - VEIL) * picture[18, 22] + VEIL * np.array(COLOUR), atol=1.5)
    ring = np.flatnonzero((painted[18] == EDGE).all(axis=1))
    assert ring.tolist() == [11, 12, 32, 33]  # two pixels wide, inside the mask


def test_no_contour_along_the_edge_of_the_picture():
    picture = np.full((30, 30, 3), 10, np.uint8)
    mask = np.zeros((30, 30), bool)
    mask[:, :15] = True
    white = (Overlay(mask).paint(picture) == EDGE).all(axis=2)
    assert white[:, 13:15].all() and white.sum() == 60


@pytest.mark.parametrize("value", [False, True])
def test_empty_and_full_masks(value):
    picture = noise()
    painted = Overlay(np.full(picture.shape[:2], value)).paint(picture)
    assert (painted != picture).any() == value
    assert not (painted == EDGE).all(axis=2).any()


def test_extreme_colours_do_not_wrap():
    for level in (0, 255):
        painted = Overlay(disc()).paint(np.full((40, 50, 3), level, np.uint8))
        wanted = (1 - VEIL) * level + VEIL * np.array(COLOUR)
        np.testing.assert_allclose(painted[18, 22], wanted, atol=1.5)
