"""A mask comes back to the place in the picture where the encoder saw it, whatever the picture's shape."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from soundprompt import params
from soundprompt.foundation import encoders, geometry, pyramid, sam
from soundprompt.foundation.torchvision_ops import segment_anything

SIDE = 128
SIZES = [(128, 128), (60, 160), (160, 60), (90, 91), (720, 1280), (300, 100), (97, 41)]


@pytest.fixture(params=["sam", "pyramid"])
def encoder(request):
    if request.param == "sam":
        return sam.FrozenSam(sam.build("mini", SIDE), "mini", "digest")
    return pyramid.FrozenPyramid(pyramid.build("mini_pyramid"), "mini_pyramid", SIDE, "digest")


def rectangle(size):
    """A picture (H, W, 3) with one white rectangle away from its middle, and that as a mask."""
    mask = np.zeros(size, bool)
    mask[size[0] // 8 : size[0] // 2, size[1] // 2 : size[1] * 7 // 8] = True
    return np.where(mask[..., None], 255, 0).astype(np.uint8).repeat(3, 2), torch.from_numpy(mask)


def test_what_the_encoder_sees_in_a_place_comes_back_to_that_place(encoder):
    """The logits are drawn from the pixels that the encoder gets, not from the rule under test."""
    pictures, masks = zip(*map(rectangle, SIZES), strict=True)
    seen = encoder.preprocess(pictures)[:, :1]
    low = encoder.preprocess([np.zeros((8, 8, 3), np.uint8)])[0, 0].max()
    high = encoder.preprocess([np.full((8, 8, 3), 255, np.uint8)])[0, 0].max()
    white = (seen - (low + high) / 2) / (high - low)
    if isinstance(encoder, sam.FrozenSam):  # padding is 0, which is neither black nor white
        white = torch.where(seen == 0, -1.0, white)
    for mask, found in zip(masks, encoder.restore(F.avg_pool2d(white, 4), SIZES), strict=True):
        on = found > 0
        assert on.shape == mask.shape
        assert float((on & mask).sum() / (on | mask).sum()) > 0.8


def test_the_square_is_known_without_weights(encoder):
    name = "sam" if isinstance(encoder, sam.FrozenSam) else "pyramid"
    architecture = "gavs" if name == "sam" else "avsbench_tpavi"
    off = {} if name == "sam" else {"cola": {"enabled": False}, "triplet": {"weight": 0}}
    model = params.Model(architecture=architecture, **off)
    foundation = params.load().foundation.model_copy(
        update={"sam": params.Sam(image_size=SIDE), "pyramid": params.Pyramid(image_size=SIDE)}
    )
    square = encoders.square(model, foundation)
    assert square == encoder.square
    logits = torch.randn(2, 1, SIDE // 4, SIDE // 4)
    for one, other in zip(square.restore(logits, SIZES[1:3]), encoder.restore(logits, SIZES[1:3]), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("side", [64, 128, 1024])
def test_padded_sizes_are_those_of_the_package(side):
    ours = geometry.square("sam", side)
    theirs = segment_anything.utils.transforms.ResizeLongestSide.get_preprocess_shape
    for height, width in np.random.default_rng(side).integers(1, 4000, (500, 2)).tolist():
        assert ours.resized((height, width)) == theirs(height, width, side)
