"""Batches of pixels, and batches that keep clips whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from soundprompt.data import frame_table, media
from soundprompt.errors import InputError
from soundprompt.features import extract, frames, plan
from soundprompt.features.frames import Frames, whole_clips
from soundprompt.foundation import pyramid


@pytest.fixture
def frozen():
    torch.manual_seed(0)
    return pyramid.FrozenPyramid(pyramid.build("mini_pyramid"), "mini_pyramid", 64, "digest")


@pytest.fixture
def heard(project):
    """The tiny project with its sounds cached, and no picture."""
    plan.run(project.view, project.layout)
    extract.run_audio(project.view, project.layout)
    return project


@pytest.mark.parametrize("limit", [2**30, 0])
def test_pixels_are_those_of_each_frame(heard, frozen, monkeypatch, limit):
    """From memory and read anew; a wide picture is stretched, and so is its target."""
    monkeypatch.setattr(frames, "IN_MEMORY", limit)
    data = Frames(frame_table.select(heard.layout, ["v2/train"]), heard.layout, "pixels", frozen)
    for _ in range(2):
        batch = data.batch([4, 0, 4])
        expected = frozen.preprocess([media.read_image(data.rows["image"][i]) for i in (4, 0, 4)])
        assert torch.equal(batch.visual, expected) and batch.visual.shape == (3, 3, 64, 64)
    assert batch.valid.all() and batch.target_valid.all() and batch.targets.shape == (3, 1, 16, 16)
    for target, mask in zip(batch.targets, batch.masks, strict=True):
        assert torch.isclose(target.mean(), mask.float().mean(), atol=1e-5), "stretching keeps shares of area"
    assert batch.group.tolist() == [1, 0, 1]


def test_a_changed_picture_is_refused(heard, frozen):
    rows = frame_table.select(heard.layout, ["v2/train"])
    data = Frames(rows, heard.layout, "pixels", frozen)
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(rows["image"][0])
    data.batch([1])
    with pytest.raises(InputError, match="changed since"):
        data.batch([0])


def test_whole_clips():
    group = torch.tensor([0, 0, 1, 1, 1, 2, 0])
    assert whole_clips(group, range(7), 4) == [[0, 1, 6], [2, 3, 4, 5]]
    assert whole_clips(group, [5, 4, 2], 2) == [[5], [4, 2]]
    assert whole_clips(group, range(7), 1) == [[0, 1, 6], [2, 3, 4], [5]]
