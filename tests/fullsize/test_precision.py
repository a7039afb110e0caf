"""bfloat16 by default on a GPU, float32 on a CPU, and a switch."""

from __future__ import annotations

import pytest
import torch
from handful import STUDY

from soundprompt import params as p
from soundprompt.training import run
from soundprompt.training.schedule import precision


@pytest.mark.parametrize(
    ("asked", "on_cpu", "on_gpu"),
    [("auto", "float32", "bfloat16"), ("float32", "float32", "float32"), ("bfloat16", "bfloat16", "bfloat16")],
)
def test_what_a_run_computes_in(asked, on_cpu, on_gpu):
    schedule = p.Schedule(precision=asked)
    assert (precision(schedule, "cpu"), precision(schedule, "cuda")) == (on_cpu, on_gpu)


def test_the_paper_study_takes_the_machines_best():
    """But for what its published programs trained in float32."""
    study = p.load("paper")
    released = ("gavs-released_code", "avsbench_tpavi", "avsegformer")
    for name, model in study.models.items():
        assert model.schedule.precision == ("float32" if name.startswith(released) else "auto"), name
    assert {model.schedule.precision for model in p.load().models.values()} == {"float32"}


@pytest.mark.slow
def test_a_step_of_vit_b(handful):
    """On a CPU `auto` is float32 to the bit; bfloat16 comes near it, with weights and optimiser in float32."""
    view = p.train_view(p.load(STUDY), "v1s", "gavs")
    data, found = run.PackData(view, handful), {}
    for asked in ("auto", "float32", "bfloat16"):
        schedule = view.model.schedule.model_copy(update={"precision": asked})
        model = view.model.model_copy(update={"schedule": schedule})
        trainer = run.Run(view.model_copy(update={"model": model}), 0, handful, data).trainer("cpu")
        found[asked] = trainer.advance()
        assert {weight.dtype for weight in trainer.parameters.values()} == {torch.float32}
        assert {part.dtype for state in trainer.optimizer.state.values() for part in state.values()} == {torch.float32}
    assert found["auto"] == found["float32"]
    assert found["bfloat16"] != found["float32"]
    assert found["bfloat16"]["loss"] == pytest.approx(found["float32"]["loss"], rel=0.02)
    assert found["bfloat16"]["gradient"] == pytest.approx(found["float32"]["gradient"], rel=0.1)
