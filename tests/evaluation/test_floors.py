"""Floors: areas and the published VGG-SS floor's geometry."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from soundprompt.evaluation import floors


@pytest.mark.parametrize(("height", "width"), [(224, 224), (90, 160), (128, 128)])
def test_the_disc_covers_half_of_the_frame(height, width):
    disc = floors.centre_disc(SimpleNamespace(height=height, width=width))
    assert disc.shape == (height, width)
    assert float(disc.mean()) == pytest.approx(0.5, abs=0.01)
    assert disc[height // 2, width // 2] == 1
    assert disc[0, 0] == disc[-1, -1] == 0
    assert (disc == disc.flip(0)).all()
    assert (disc == disc.flip(1)).all()


def test_all_positive_covers_the_frame():
    assert floors.all_positive(SimpleNamespace(height=3, width=5)).sum() == 15


def test_all_objects_are_all_that_is_not_background(tmp_path):
    objects = np.array([[0, 1], [2, 0]], np.uint8)
    Image.fromarray(objects).save(tmp_path / "o.png")
    row = SimpleNamespace(height=2, width=2, objects=str(tmp_path / "o.png"))
    assert floors.all_objects(row).tolist() == [[0, 1], [1, 0]]
    assert floors.all_objects(SimpleNamespace(height=2, width=2, objects=None)) is None
