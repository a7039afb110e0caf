"""SAM in parts equals SAM as a whole."""

import numpy as np
import pytest
import torch

from published_sam import segment_anything
from soundprompt import params, tensorfile
from soundprompt.errors import InputError
from soundprompt.foundation import sam as foundation_sam
from soundprompt.layout import Layout

SETTINGS = params.Sam()


def scramble(module, seed=0):
    """Gives every parameter a random value: position tables start as zeros and would hide errors."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.05)
    return module


@pytest.fixture(scope="module")
def mini():
    return foundation_sam.FrozenSam(scramble(foundation_sam.build("mini", 128)), "mini", "digest")


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_shape_of_the_mini_sam(mini):
    assert foundation_sam.count_parameters(mini.sam) == 2_121_712
    assert (mini.depth, mini.dim, mini.prompt_dim, mini.grid, mini.image_size) == (4, 128, 128, 8, 128)
    assert mini.cells == 64, "masks at half of the picture's size"
    assert mini.image_pe.shape == (1, 128, 8, 8)
    assert mini.no_mask.shape == (1, 128, 1, 1)
    assert not any(parameter.requires_grad for parameter in mini.sam.parameters())
    assert not mini.sam.training


def test_prefix_is_the_unsplit_encoder(mini):
    x = mini.preprocess([picture(128, 128), picture(100, 80)])
    found = mini.prefix(x, [0, 2, None])
    with torch.no_grad():
        assert torch.equal(found[None], mini.sam.image_encoder(x))
        tokens = found[2]
        for block in mini.sam.image_encoder.blocks[2:]:
            tokens = block(tokens)
        assert torch.equal(mini.sam.image_encoder.neck(tokens.permute(0, 3, 1, 2)), found[None])
    assert found[0].shape == found[2].shape == (2, 8, 8, 128)
    assert set(mini.prefix(x, [3])) == {3}
    with pytest.raises(InputError, match="blocks 0 to 3"):
        mini.prefix(x, [4])


def test_preprocess_is_the_predictors(mini):
    predictor = segment_anything.SamPredictor(mini.sam)
    for size in ((128, 128), (90, 128), (400, 300), (31, 200)):
        image = picture(*size)
        resized = predictor.transform.apply_image(image)
        expected = mini.sam.preprocess(torch.as_tensor(resized).permute(2, 0, 1)[None])
        assert torch.equal(mini.preprocess([image]), expected)


def test_preprocess_takes_rgb(mini):
    red = np.zeros((128, 128, 3), np.uint8)
    red[..., 0] = 255
    plain, swapped = mini.preprocess([red])[0], mini.preprocess([red], bgr=True)[0]
    assert plain[0].mean() > 2 and plain[2].mean() < -1
    assert swapped[2].mean() > 2 and swapped[0].mean() < -1


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_preprocess_refuses_other_arrays(mini, image):
    with pytest.raises(InputError, match="uint8"):
        mini.preprocess([image])


def test_valid_cells_cover_the_picture(mini):
    cells = mini.valid_cells(torch.tensor([[128, 128], [720, 1280], [64, 256], [300, 100], [1, 500]]))
    assert cells.shape == (5, 8, 8)
    assert [(int(c.any(1).sum()), int(c.any(0).sum())) for c in cells] == [(8, 8), (5, 8), (2, 8), (8, 3), (1, 8)]
    assert cells[1, :5].all() and not cells[1, 5:].any()


def test_restore_is_postprocess_masks(mini):
    sizes = [(128, 128), (90, 120), (64, 200), (90, 120)]
    logits = torch.randn(4, 1, 32, 32, requires_grad=True)
    restored = mini.restore(logits, sizes)
    for row, size in enumerate(sizes):
        expected = mini.sam.postprocess_masks(logits[row : row + 1], mini.resized(size), size)[0, 0]
        assert restored[row].shape == size
        assert torch.equal(restored[row], expected)
    sum(each.sum() for each in restored).backward()
    assert logits.grad.abs().sum() > 0


def test_save_and_load(mini, tmp_path):
    path = tmp_path / "sam.safetensors"
    foundation_sam.save(mini.sam, SETTINGS, path)
    state = torch.random.get_rng_state()
    loaded = foundation_sam.load(path)
    assert torch.equal(torch.random.get_rng_state(), state), "loading moved torch's random state"
    x = mini.preprocess([picture(128, 128)])
    assert torch.equal(loaded.prefix(x, [None])[None], mini.prefix(x, [None])[None])
    assert (loaded.architecture, loaded.image_size) == ("mini", 128)
    foundation_sam.save(mini.sam, SETTINGS, tmp_path / "again.safetensors")
    assert foundation_sam.load(tmp_path / "again.safetensors").digest == loaded.digest


def test_load_refuses_another_file(tmp_path):

    tensorfile.write(tmp_path / "x.safetensors", {"a": torch.ones(1)}, {"architecture": "mini_vggish"})
    with pytest.raises(InputError, match="names no SAM"):
        foundation_sam.load(tmp_path / "x.safetensors")


def test_size_must_fit_the_patches():
    with pytest.raises(InputError, match="multiple of 16"):
        foundation_sam.build("mini", 100)


# ------------------------------------------------------------------------- released sizes
@pytest.fixture(scope="module")
def vit_b():
    return segment_anything.sam_model_registry["vit_b"]()


def test_tables_at_their_own_size_are_untouched(vit_b):
    before = {name: tensor.clone() for name, tensor in vit_b.state_dict().items() if "pos" in name}
    foundation_sam.resize_tables(vit_b, 1024)
    assert all(torch.equal(vit_b.state_dict()[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("size", [512, 256])
def test_tables_at_another_size(size):
    grid = size // 16
    sam = segment_anything.sam_model_registry["vit_b"]()
    encoder = sam.image_encoder
    # Tables that are linear in the position must stay linear, with the same middle.
    with torch.no_grad():
        encoder.pos_embed.copy_(torch.linspace(0, 1, 64)[None, :, None, None].expand(1, 64, 64, 768))
        encoder.blocks[2].attn.rel_pos_h.copy_(torch.linspace(-1, 1, 127)[:, None].expand(127, 64))
    windowed = encoder.blocks[0].attn.rel_pos_h
    foundation_sam.resize_tables(sam, size)
    assert encoder.pos_embed.shape == (1, grid, grid, 768)
    rows = encoder.pos_embed[0, :, 0, 0]
    assert torch.allclose(rows.diff(), rows.diff()[0], atol=1e-5)
    assert torch.isclose(rows.mean(), torch.tensor(0.5), atol=1e-5)
    table = encoder.blocks[2].attn.rel_pos_h[:, 0]
    assert len(table) == 2 * grid - 1
    assert abs(table[grid - 1]) < 1e-6, "distance zero must stay in the middle"
    assert (table.diff() > 0).all()
    assert encoder.blocks[0].attn.rel_pos_h is windowed
    frozen = foundation_sam.FrozenSam(sam, "vit_b", "")
    assert (frozen.grid, frozen.image_size) == (grid, size)
    assert frozen.image_pe.shape == (1, 256, grid, grid)


def test_vit_b_at_256_runs():
    frozen = foundation_sam.FrozenSam(scramble(foundation_sam.build("vit_b", 256)), "vit_b", "")
    found = frozen.prefix(frozen.preprocess([picture(180, 320)]), [9, None])
    assert found[9].shape == (1, 16, 16, 768)
    assert found[None].shape == (1, 256, 16, 16)
    assert found[None].isfinite().all()


@pytest.mark.parametrize("size", [256, pytest.param(1024, marks=pytest.mark.slow)])
@torch.no_grad()
def test_vit_b_equals_the_packages_predictor(size):
    sam = scramble(foundation_sam.build("vit_b", size))
    image, at = picture(72, 128), np.array([[40.0, 30.0]])
    predictor = segment_anything.SamPredictor(sam)
    predictor.set_image(image)
    expected, _, _ = predictor.predict(at, np.array([1]), multimask_output=False, return_logits=True)

    frozen = foundation_sam.FrozenSam(sam, "vit_b", "")
    features = frozen.prefix(frozen.preprocess([image]), [9, None])[None]
    coordinates = torch.as_tensor(predictor.transform.apply_coords(at, image.shape[:2]), dtype=torch.float)[None]
    tokens, _ = sam.prompt_encoder(points=(coordinates, torch.ones(1, 1)), boxes=None, masks=None)
    dense = frozen.no_mask.expand(1, -1, frozen.grid, frozen.grid)
    logits, _ = sam.mask_decoder(features, frozen.image_pe, tokens, dense, multimask_output=False)
    found = frozen.restore(logits, [(72, 128)])[0]
    assert found.shape == (72, 128)
    # on the large grid global blocks sum in another order
    assert np.abs(found.numpy() - expected[0]).max() <= (0 if size == 256 else 1e-5 * np.abs(expected).max())


@pytest.mark.slow
def test_import_of_a_released_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sam = scramble(segment_anything.sam_model_registry["vit_b"]())
    torch.save(sam.state_dict(), "vit_b.pth")
    settings = params.Sam(source="released", architecture="vit_b", checkpoint="vit_b.pth", image_size=1024)
    layout = Layout("t")
    foundation_sam.import_checkpoint(settings, layout)
    loaded = foundation_sam.load(layout.foundation("sam"))
    assert loaded.depth == 12 and loaded.image_size == 1024
    state = loaded.sam.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in sam.state_dict().items())
    assert layout.foundation_quality("sam").exists()

    wrong = params.Sam(source="released", architecture="vit_l", checkpoint="vit_b.pth", image_size=1024)
    with pytest.raises(InputError, match="not the weights of SAM vit_l"):
        foundation_sam.import_checkpoint(wrong, layout)
