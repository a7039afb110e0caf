"""The pyramid: its interface, folding, files, and the released PVT-v2-b5's format."""

import numpy as np
import pytest
import torch

from soundprompt import params, tensorfile
from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.foundation import pyramid
from soundprompt.layout import Layout

LAYOUT = Layout("t")
RELEASED = {"source": "released", "architecture": "pvt_v2_b5", "checkpoint": "pvt_v2_b5.pth", "image_size": 224}


@pytest.fixture
def frozen():
    torch.manual_seed(0)
    return pyramid.FrozenPyramid(pyramid.build("mini_pyramid"), "mini_pyramid", 64, "digest")


def test_four_maps_and_no_gradient(frozen):
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    maps = frozen.features(frozen.preprocess([picture, picture]))
    assert [tuple(each.shape) for each in maps] == [
        (2, width, 64 // stride, 64 // stride) for width, stride in zip(frozen.widths, pyramid.STRIDES, strict=True)
    ]
    assert not any(weight.requires_grad for weight in frozen.encoder.parameters())
    copied = frozen.copy()
    with torch.no_grad():
        next(copied.parameters()).fill_(0)
    assert next(frozen.encoder.parameters()).abs().sum() > 0


def test_pictures_are_stretched_and_masks_stretched_back(frozen):
    wide = np.zeros((30, 90, 3), np.uint8)
    wide[:, 45:] = 255
    pixels = frozen.shrink(wide)
    assert pixels.shape == (3, 64, 64) and pixels[:, :, :30].max() == 0 and pixels[:, :, 34:].min() == 255
    logits = torch.where(torch.arange(16) >= 8, 9.0, -9.0).expand(1, 1, 16, 16)
    (mask,) = frozen.restore(logits, [(30, 90)])
    assert mask.shape == (30, 90) and (mask[:, 48:] > 0).all() and (mask[:, :42] < 0).all()
    assert frozen.valid_cells([(30, 90)]).all() and frozen.resized((30, 90)) == (64, 64)
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 200
    assert frozen.shrink(red, bgr=True)[2].min() == 200
    with pytest.raises(InputError, match="uint8"):
        frozen.shrink(red.astype(np.float32))


def test_folding_changes_no_answer():
    torch.manual_seed(0)
    trained = pyramid.MiniPyramid(norms=True).train()
    for _ in range(3):
        trained(torch.randn(4, 3, 64, 64) * 2 + 1)
    for norm in trained.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(norm.weight, 1, 0.3)
            torch.nn.init.normal_(norm.bias, 0, 0.3)
    x, folded = torch.randn(2, 3, 64, 64), pyramid.fold(trained)
    for one, other in zip(trained.eval()(x), folded(x), strict=True):
        assert torch.allclose(one, other, atol=1e-4)
    assert not list(folded.buffers()), "parameters are all that a model's checkpoint has to hold"


def test_saved_and_loaded(frozen, tmp_path):
    path = tmp_path / "pyramid.safetensors"
    pyramid.save(frozen.encoder, params.Pyramid(image_size=64), path)
    again = pyramid.load(path)
    assert again.image_size == 64 and again.digest != "digest"
    x = torch.randn(1, 3, 64, 64)
    assert all(torch.equal(a, b) for a, b in zip(frozen.features(x), again.features(x), strict=True))


def test_a_foreign_file_is_refused(tmp_path):

    path = tmp_path / "pyramid.safetensors"
    tensorfile.write(path, {"a": torch.zeros(1)}, {"architecture": "mini"})
    with pytest.raises(InputError, match="no pyramid"):
        pyramid.load(path)


def released_names() -> list[str]:
    """The names in the released file, written down from its architecture: stages count from 1."""
    names = []
    for stage, (depth, reduced) in enumerate(zip((3, 6, 40, 3), (True, True, True, False), strict=True), 1):
        names += [f"patch_embed{stage}.{part}" for part in ("proj", "norm")]
        for block in range(depth):
            inside = ["norm1", "attn.q", "attn.kv", "attn.proj", *(["attn.sr", "attn.norm"] if reduced else [])]
            inside += ["norm2", "mlp.fc1", "mlp.dwconv.dwconv", "mlp.fc2"]
            names += [f"block{stage}.{block}.{part}" for part in inside]
        names.append(f"norm{stage}")
    return [f"{name}.{kind}" for name in [*names, "head"] for kind in ("weight", "bias")]


def test_released_names_are_timm_s():
    with torch.device("meta"):
        expected = pyramid.build("pvt_v2_b5").state_dict()
    renamed = {f"net.{pyramid.rename(name)}" for name in released_names()}
    assert renamed - {"net.head.weight", "net.head.bias"} == set(expected)
    count = sum(tensor.numel() for tensor in expected.values())
    assert count == 81_443_008 and count + 513 * 1000 == 81_956_008  # published, with classifier: 82.0 M


@pytest.mark.slow
def test_released_format_is_imported(tmp_path, monkeypatch):
    """Random weights in the release's format; a missing or a misshapen one is named."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    encoder = pyramid.build("pvt_v2_b5")
    own = {name.removeprefix("net."): tensor for name, tensor in encoder.state_dict().items()}
    content = {name: own[pyramid.rename(name)] for name in released_names() if not name.startswith("head")}
    content |= {"head.weight": torch.zeros(1000, 512), "head.bias": torch.zeros(1000)}
    torch.save(content, "pvt_v2_b5.pth")
    settings = params.Pyramid(**RELEASED)
    pyramid.import_checkpoint(settings, LAYOUT)
    frozen = pyramid.load(LAYOUT.foundation("pyramid"))
    assert frozen.grid == 14 and frozen.widths == (64, 128, 320, 512)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        expected = encoder.eval()(x)
    assert all(torch.equal(a, b) for a, b in zip(frozen.features(x), expected, strict=True))
    assert [tuple(each.shape[1:]) for each in expected] == [(64, 16, 16), (128, 8, 8), (320, 4, 4), (512, 2, 2)]
    assert read_json(LAYOUT.foundation_quality("pyramid"))["quality"]["parameters"] == 81_443_008
    del content["block3.17.attn.kv.bias"]
    torch.save(content, "pvt_v2_b5.pth")
    with pytest.raises(InputError, match=r"stages.2.blocks.17.attn.kv.bias is missing"):
        pyramid.import_checkpoint(settings, LAYOUT)
