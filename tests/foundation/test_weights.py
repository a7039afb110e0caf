"""Weight files: equal bytes for equal content, and clear errors for everything that is not one."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from soundprompt import params, tensorfile
from soundprompt.errors import InputError
from soundprompt.foundation import sam, weights

FACTS = {"architecture": "a", "settings": "{}", "zeta": "1", "beta": "2"}


def test_round_trip(tmp_path):
    tensors = {"b": torch.randn(3, 4), "a": torch.arange(5), "scalar": torch.tensor(2.5)}
    tensorfile.write(tmp_path / "w.safetensors", tensors, FACTS)
    found, facts = weights.read(tmp_path / "w.safetensors")
    assert facts == FACTS
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.slow
def test_bytes_are_equal_in_every_process(tmp_path):
    code = """if True:
        import sys, torch
        from soundprompt import tensorfile
        tensorfile.write(sys.argv[1], {"x": torch.ones(3)}, {k: k for k in "abcdefgh"})
    """
    for name in ("1.safetensors", "2.safetensors", "3.safetensors"):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / name)], check=True, timeout=120)
    assert len({path.read_bytes() for path in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_cut_short(tmp_path, keep):
    path = tmp_path / "w.safetensors"
    tensorfile.write(path, {"x": torch.ones(100)}, FACTS)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="not a whole weight file") as caught:
        weights.read(path)
    assert caught.value.path == path


def test_missing(tmp_path):
    with pytest.raises(InputError, match="missing"):
        weights.read(tmp_path / "none.safetensors")


def released(tmp_path, content):
    path = tmp_path / "released.pth"
    torch.save(content, path)
    return path


def test_released_checkpoint(tmp_path):
    path = released(tmp_path, nn.Linear(2, 3).state_dict())
    assert set(weights.read_released(path)) == {"weight", "bias"}


def test_released_web_page(tmp_path):
    path = tmp_path / "page.pth"
    path.write_text("\n <!DOCTYPE html><html>sign in</html>")
    with pytest.raises(InputError, match="web page"):
        weights.read_released(path)


@pytest.mark.parametrize("keep", [0, 1, 200, 900])
def test_released_cut_short(tmp_path, keep):
    path = released(tmp_path, nn.Linear(20, 30).state_dict())
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError) as caught:
        weights.read_released(path)
    assert caught.value.path == path and caught.value.remedy


def test_released_is_never_executed(tmp_path):
    # A whole module: unpickling it would run code of the file's choice.
    with pytest.raises(InputError, match="not executed"):
        weights.read_released(released(tmp_path, {"model": nn.Linear(2, 2)}))


@pytest.mark.parametrize("content", [torch.ones(3), {}])
def test_released_holds_no_weights(tmp_path, content):
    with pytest.raises(InputError):
        weights.read_released(released(tmp_path, content))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("bias"), "bias is missing"),
        (lambda state: state.update(other=torch.ones(1)), "other is unknown"),
        (lambda state: state.update(bias=3), "bias has shape int"),
        (lambda state: state.update(bias=torch.ones(7)), r"bias has shape \(7,\), expected \(3,\)"),
    ],
)
def test_names_and_shapes_must_fit(change, words):
    state = dict(nn.Linear(2, 3).state_dict())
    change(state)
    with pytest.raises(InputError, match=words):
        weights.load_strictly(nn.Linear(2, 3), state, "x.pth", "a model")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_foundation_model_with_weights_that_are_not_finite_is_refused(tmp_path, bad):
    path = tmp_path / "sam.safetensors"
    model = sam.build("mini", 64)
    sam.save(model, params.Sam(image_size=64), path)
    assert sam.load(path).image_size == 64
    with torch.no_grad():
        model.mask_decoder.iou_token.weight[0, 3] = bad
    sam.save(model, params.Sam(image_size=64), path)
    with pytest.raises(InputError, match=r"its weights mask_decoder\.iou_token\.weight are not finite") as caught:
        sam.load(path)
    assert caught.value.path == path
