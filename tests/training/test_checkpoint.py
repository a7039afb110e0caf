from __future__ import annotations

import pickle

import pytest
import torch
from torch import nn

from soundprompt.errors import InputError
from soundprompt.training import checkpoint


class Model(nn.Module):
    """Two trained parameters and a frozen one."""

    def __init__(self, width: int = 3, extra: bool = False):
        super().__init__()
        self.frozen = nn.Linear(2, 2).requires_grad_(False)
        self.head = nn.Linear(width, 2)
        if extra:
            self.more = nn.Parameter(torch.ones(1))

    def trained_state(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.named_parameters() if weight.requires_grad}


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    model, path = Model(), tmp_path / "checkpoint.safetensors"
    return model, path, checkpoint.save(model.trained_state(), path, {"seed": 4, "b": [1], "a": None})


def test_round_trip_leaves_frozen_weights_alone_and_is_byte_identical(saved, tmp_path):
    model, path, digest = saved
    other = Model()
    frozen = other.frozen.weight.clone()
    assert checkpoint.load_into(other, path, digest) == {"seed": 4, "b": [1], "a": None} == checkpoint.facts(path)
    assert torch.equal(other.head.weight, model.head.weight) and other.head.weight.requires_grad
    assert torch.equal(other.frozen.weight, frozen)
    again = checkpoint.save(model.trained_state(), tmp_path / "again", {"a": None, "b": [1], "seed": 4})
    assert again == digest


def test_files_that_do_not_fit_are_refused_and_change_nothing(saved, tmp_path):
    _, path, digest = saved
    cases = {
        "missing more": (Model(extra=True), path),
        r"head.weight has shape \(2, 3\), not \(2, 5\)": (Model(width=5), path),
        "checkpoint missing": (Model(), tmp_path / "nothing"),
    }
    checkpoint.save(Model(extra=True).trained_state(), tmp_path / "larger", {})
    cases["unexpected more"] = (Model(), tmp_path / "larger")
    for message, (model, file) in cases.items():
        before = {name: weight.clone() for name, weight in model.named_parameters()}
        with pytest.raises(InputError, match=message) as caught:
            checkpoint.load_into(model, file)
        assert caught.value.remedy and str(file) in str(caught.value)
        assert all(torch.equal(before[name], weight) for name, weight in model.named_parameters())
    with pytest.raises(InputError, match=f"expected {'0' * 12}"):
        checkpoint.load_into(Model(), path, "0" * 64)
    checkpoint.load_into(Model(), path, digest)


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_a_file_cut_short_is_refused(saved, length):
    _, path, _ = saved
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match="cut short or not a checkpoint"):
        checkpoint.load_into(Model(), path)


def test_resume_state_needs_its_key_and_executes_nothing(tmp_path):
    path = tmp_path / "resume.pt"
    assert checkpoint.load_resume(path, "k") == (None, "")
    checkpoint.save_resume(path, "k", {"step": 3, "parameters": {"a": torch.ones(2)}})
    state, _ = checkpoint.load_resume(path, "k")
    assert state["step"] == 3 and torch.equal(state["parameters"]["a"], torch.ones(2))
    state, why = checkpoint.load_resume(path, "other")
    assert state is None and "other settings" in why
    path.write_bytes(pickle.dumps(print, protocol=2))
    state, why = checkpoint.load_resume(path, "k")
    assert state is None and "cannot be read" in why
