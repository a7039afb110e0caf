"""`schedule.deterministic`: what it asks of torch, for as long as a pack trains. What a GPU makes of it needs a GPU."""

from __future__ import annotations

import os

import pytest
import torch
from safetensors.torch import load_file

from soundprompt import devices
from soundprompt.training import checkpoint, loop, run


def asked():
    """What torch is asked for now: repeatable kernels, warnings in place of errors, attention of any order."""
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cuda.mem_efficient_sdp_enabled(),
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


@pytest.fixture
def seen(monkeypatch):
    """What is asked while runs train."""
    found, fit = [], loop.fit

    def spy(*arguments):
        found.append(asked())
        return fit(*arguments)

    monkeypatch.setattr(loop, "fit", spy)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    return found


def test_it_holds_while_training_lasts_and_changes_nothing_on_a_processor(tiny, view, seen):
    weights = []
    for wanted in (False, True):
        run.train_pack(view(schedule={"deterministic": wanted}), (0,), tiny)
        weights.append(load_file(tiny.run("v1s", "gavs", 0) / checkpoint.NAME))
        assert asked()[:3] == (False, False, True)
    assert seen == [(False, False, True, None), (True, True, False, ":4096:8")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] | weights[1])


def test_a_workspace_of_the_users_own_stays(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with pytest.raises(RuntimeError), devices.repeatable(True):
        assert asked() == (True, True, False, ":16:8")
        raise RuntimeError
    assert asked() == (False, False, True, ":16:8")
