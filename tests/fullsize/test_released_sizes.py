"""Parameter counts of the released models, what trains in them, and how deep they are."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from soundprompt import models
from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.evaluation import cost, flops
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import sam as sam_models

# parameters of the released SAM, encoder blocks, width of their tokens
RELEASED = {
    "vit_b": (93_735_472, 12, 768),
    "vit_l": (312_342_832, 24, 1024),
    "vit_h": (641_090_608, 32, 1280),
}


def on_paper(architecture: str, image_size: int = 1024) -> sam_models.FrozenSam:
    """A SAM of shapes without numbers: takes no memory and no time."""
    with torch.device("meta"):
        sam = sam_models.build(architecture, image_size)
    return sam_models.FrozenSam(sam, architecture, "none")


def trained(sam: sam_models.FrozenSam, tune_from: int | None, **changes) -> int:
    model = models.build(p.Model(visual=p.Visual(tune_from=tune_from), **changes), sam, 0)
    return sum(weight.numel() for weight in model.trained_parameters().values())


@pytest.mark.parametrize("architecture", RELEASED)
def test_sizes(architecture):
    sam, (parameters, depth, width) = on_paper(architecture), RELEASED[architecture]
    assert sam_models.count_parameters(sam.sam) == parameters
    assert (sam.depth, sam.dim, sam.grid, sam.prompt_dim) == (depth, width, 64, 256)


@pytest.mark.parametrize("architecture", RELEASED)
def test_what_trains(architecture):
    """Each adapter: two linear layers of 128; norms: two in every block after the first; the rest is the head."""
    sam, (_, depth, width) = on_paper(architecture), RELEASED[architecture]
    head = trained(sam, None)
    assert head == 131_840 + 197_376 + 197_248 + 128  # ColA, projection, visual cue, noise
    adapter, norms = 2 * width * 128 + 128 + width, 4 * width
    for first in (depth - 1, depth - 3, depth - 6, 0):
        blocks = depth - first
        assert trained(sam, first) == head + blocks * adapter + (blocks - 1) * norms
    with pytest.raises(InputError, match=rf"tune_from: {depth} is not a block .* 0 to {depth - 1}"):
        trained(sam, depth)


def test_vit_b_trains_what_the_paper_study_says():
    """Also in the study's own settings, at 1024 pixels and at 256."""
    study = p.load("paper")
    assert study.foundation.sam.architecture == "vit_b"
    model = study.models["gavs"]
    for size in (study.foundation.sam.image_size, 256):
        sam = on_paper("vit_b", size)
        built = models.build(model, sam, 0)
        assert sum(weight.numel() for weight in built.trained_parameters().values()) == 1_125_248
        assert trained(sam, 6) == 1_726_976


def test_what_a_frame_goes_through():
    """Encoder, adapters, what reaches mask 0 of the decoder, ColA, both projections with the noise, VGGish."""
    sam = on_paper("vit_b")
    with torch.device("meta"):
        vggish = audio_models.FrozenAudio(audio_models.Vggish(pca=False), "vggish", "none")
    for first, adapters in ((None, 0), (9, 3 * 197_504)):
        model = models.build(p.Model(visual=p.Visual(tune_from=first)), sam, 0)
        weights = model.trained_parameters().values()
        count = sum(weight.numel() for weight in weights)
        # on meta there is nothing to look at
        viewer = SimpleNamespace(model=model, trained=count, encoder=sam, audio=vggish)
        total = cost.sizes(viewer)["total_parameters"]["value"]
        head = 3_506_304 + 131_840 + 197_376 + 197_376
        assert total == 89_670_912 + adapters + head + 72_141_184


def test_arithmetic_of_the_image_encoder():
    """Products by the layers' sizes: 64 x 64 tokens, in windows padded to 70 x 70; 12 blocks, 4 of them global."""
    sam, width = on_paper("vit_b"), 768
    tokens, padded, window = 64**2, 70**2, 14**2
    shared = tokens * 8 * width**2  # MLP
    spread = padded * (4 * width**2 + 2 * window * width + 2 * 14 * width)  # qkv, out; attention; positions
    full = tokens * (4 * width**2 + 2 * tokens * width + 2 * 64 * width)
    neck = tokens * (width * 256 + 9 * 256**2)
    expected = tokens * width * 3 * 16**2 + 12 * shared + 8 * spread + 4 * full + neck
    pixels = torch.empty((1, 3, 1024, 1024), device="meta")
    assert flops.count(lambda: sam.prefix(pixels, [None])) == 2 * expected
