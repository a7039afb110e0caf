"""The fusion baselines in training: they learn from pixels, resume to the bit, and see whole clips in validation."""

import pytest
import torch

from soundprompt import params as p
from soundprompt.foundation import pyramid
from soundprompt.training import checkpoint, loop, run

SMALL = {
    "avsbench_tpavi": {"tpavi": {"width": 8, "dilations": [1, 3], "reduce_first": True}},
    "avsegformer": {"avsegformer": {"width": 8, "queries": 4, "encoder_layers": 1, "decoder_layers": 1, "heads": 2,
                                    "points": 2, "hidden": 8}},
}  # fmt: skip


@pytest.fixture
def study(tiny, tmp_path):
    """The tiny study with an untrained pyramid beside its SAM."""
    (tmp_path / "weights").unlink()
    torch.manual_seed(0)
    pyramid.save(pyramid.build("mini_pyramid"), p.Pyramid(image_size=64), tiny.foundation("pyramid"))
    return tiny


@pytest.fixture
def baseline(view):
    def make(name: str, setting: str = "v1s", **changes) -> p.TrainView:
        raw = p.merge(SMALL[name], {"architecture": name, "cola": {"enabled": False}, "triplet": {"weight": 0}})
        return view(setting, name, **p.merge({**raw, "visual": {"tune_from": None}}, changes))

    return make


@pytest.mark.parametrize("name", SMALL)
def test_trained_without_sam_and_resumed_to_the_bit(study, baseline, name, tmp_path):
    """SAM's weights are not there, its cache is not opened."""
    chosen = baseline(name)
    run.train_pack(chosen, (0,), study)
    folder = study.run("v1s", name, 0)
    facts = checkpoint.facts(folder / "checkpoint.safetensors")
    assert facts["pyramid"] == pyramid.load(study.foundation("pyramid")).digest and "sam" not in facts
    trainer = run.Run(chosen, 0, study, run.PackData(chosen, study)).trainer()
    assert any(key.startswith("encoder.") for key in trainer.parameters)
    whole = (folder / "metrics.csv").read_text()
    calls = iter([False] * 4 + [True] * 9)
    other = run.Run(chosen, 0, study, run.PackData(chosen, study))
    with pytest.raises(loop.Stopped):
        loop.fit(other.trainer(), tmp_path / "again", "key", lambda: next(calls))
    resumed = other.trainer()
    loop.fit(resumed, tmp_path / "again", "key")
    assert (tmp_path / "again" / "metrics.csv").read_text() == whole
    checkpoint.load_into(trainer.model, folder / "checkpoint.safetensors")
    assert all(torch.equal(trainer.parameters[key], value) for key, value in resumed.best.parameters.items())


def test_a_step_draws_from_the_cpu_on_another_device(study, baseline):
    """As in test_draws: on the meta device nothing can be drawn in place."""
    chosen, states = baseline("avsegformer"), []
    data = run.PackData(chosen, study)
    for device in ("cpu", "meta"):
        trainer = run.Run(chosen, 0, study, data).trainer()
        batch, _ = trainer.sample(1)
        trainer.model.to(device)
        torch.manual_seed(0)
        trainer.loss(batch.to(device))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_validation_shows_whole_clips(study, baseline):
    chosen = baseline("avsbench_tpavi", schedule={"validation_frames": 5})
    data = run.PackData(chosen, study)
    trainer = run.Run(chosen, 0, study, data).trainer()
    for frames in data.validation.values():
        assert len(frames) == 3, "whole clips of three frames, about five frames in all"
        batches = list(trainer._batches(frames))
        assert [len(set(batch.clips)) for batch in batches] == [1] and len(batches[0].clips) == 3


def test_the_auxiliary_loss_counts(study, baseline):
    chosen = baseline("avsegformer")
    losses = {}
    for weight in (0.0, 0.1, 1.0):
        changed = chosen.model.model_copy(
            update={"avsegformer": chosen.model.avsegformer.model_copy(update={"auxiliary": weight})}
        )
        view = chosen.model_copy(update={"model": changed})
        trainer = run.Run(view, 0, study, run.PackData(view, study)).trainer()
        batch, spare = trainer.sample(1)
        parts = trainer.loss(batch, spare)
        losses[weight] = (parts["loss"] - parts["mask"]).item()
    assert losses[0.0] == 0 and losses[1.0] == pytest.approx(10 * losses[0.1], rel=1e-4) and losses[0.1] > 0
