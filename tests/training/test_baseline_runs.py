"""The fusion baselines in training: they learn from pixels, resume to the bit, and see whole clips in validation."""

import pytest
import torch

from soundprompt import params as p
from soundprompt.foundation import pyramid
from soundprompt.models.avsbench_tpavi import Tpavi
from soundprompt.training import checkpoint, loop, run

STRIDE = {"pyramid": {"mask_stride": 4}}
SMALL = {
    "avsbench_tpavi": {"tpavi": {"width": 8, "dilations": [1, 3], "reduce_first": True, "head": [4, 4]}, **STRIDE},
    "avsegformer": {"avsegformer": {"width": 8, "queries": 4, "generator_layers": 1, "encoder_layers": 1,
                                    "decoder_layers": 1, "heads": 2, "points": 2, "hidden": 8, "generator_hidden": 8,
                                    "head": [4, 4]}, **STRIDE},
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
    assert set(resumed.best.parameters) == set(trainer.changing)
    assert all(torch.equal(trainer.changing[key], value) for key, value in resumed.best.parameters.items())


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
    chosen = baseline("avsegformer", avsegformer={"dropout": 0})
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


def test_a_clip_is_shown_whole_and_its_first_second_has_the_loss(study, baseline):
    """v1s has masks for first seconds alone; TPAVI hears and sees all of them, as in the published program."""
    chosen = baseline("avsbench_tpavi", schedule={"clips_per_step": 2, "frames_per_clip": 10})
    trainer = run.Run(chosen, 0, study, run.PackData(chosen, study)).trainer()
    batch, _ = trainer.sample(1)
    assert len(batch.clips) == 2 and batch.targets.shape[0] == 2
    assert sorted(batch.context.clips) == sorted(2 * batch.clips) and batch.context.targets is None
    for second in range(2):  # what a team's process would take
        part = batch.part(slice(second, second + 1))
        assert part.context.clips == 2 * part.clips
        shown = part.with_context()
        assert shown.visual.shape[0] == shown.audio.shape[0] == len(shown.sizes) == 3
        assert shown.group.unique().numel() == 1 and torch.equal(shown.visual[:1], part.visual)
    for part in trainer.model.modules():
        if isinstance(part, Tpavi):
            torch.nn.init.ones_(part.scale.weight)
    heard = trainer.loss(batch)["mask"]
    batch.context.audio = batch.context.audio.flip(0) * 5
    assert trainer.loss(batch)["mask"] != heard
    own = baseline("avsbench_tpavi", tpavi={"whole_clips": False})
    assert run.Run(own, 0, study, run.PackData(own, study)).trainer().sample(1)[0].context is None


def test_the_divergence_is_added_in_its_weight(study, baseline):
    losses = {}
    for weight in (0.0, 0.5, 5.0):
        chosen = baseline("avsbench_tpavi", tpavi={"kl": weight})
        trainer = run.Run(chosen, 0, study, run.PackData(chosen, study)).trainer()
        batch = trainer.sample(1)[0]
        parts = trainer.loss(batch)
        losses[weight] = (parts["loss"] - parts["mask"]).item()
    of_each = trainer.model(batch.with_context()).penalty
    assert len(of_each) > len(batch.sizes), "frames are shown that have no loss"
    assert losses[5.0] == pytest.approx(of_each[: len(batch.sizes)].mean().item(), rel=1e-4)
    assert losses[0.0] == 0 and losses[0.5] > 0 and losses[5.0] == pytest.approx(10 * losses[0.5], rel=1e-4)


@pytest.mark.parametrize("size", ["decoder", "original"])
def test_dice_in_place_of_cross_entropy(study, baseline, size):
    """Of each mask by itself, on the grid that it is drawn on or at the frame's size, by the published formula."""
    chosen = baseline("avsegformer", schedule={"mask_loss": "dice", "loss_size": size}, avsegformer={"dropout": 0})
    trainer = run.Run(chosen, 0, study, run.PackData(chosen, study)).trainer()
    batch = trainer.sample(1)[0]
    found = trainer.loss(batch)["mask"].item()
    with torch.no_grad():
        logits = trainer.model(batch).logits
    if size == "original":
        logits = torch.stack(trainer.restore(logits, batch.sizes))
        targets = torch.stack(list(batch.masks)).float()
    else:
        logits, targets = logits[:, 0], batch.targets[:, 0]
    apart = []
    for drawn, target in zip(torch.sigmoid(logits), targets, strict=True):
        squares = (drawn**2).sum() + 0.001 + (target**2).sum() + 0.001
        apart.append(1 - 2 * (drawn * target).sum() / squares)
    assert found == pytest.approx(torch.stack(apart).mean().item(), rel=1e-4)


def test_the_encoder_stands_still_for_the_first_epochs(study, baseline, tmp_path):
    """Neither decay nor momentum reaches it; a run that is cut off in between ends as one that is not."""
    chosen = baseline("avsegformer", schedule={"frozen_epochs": 1, "weight_decay": 0.1, "learning_rate": 1e-2})
    data = run.PackData(chosen, study)
    make = run.Run(chosen, 0, study, data).trainer
    trainer = make()
    first = trainer.sampler.steps_per_epoch
    before = {name: weight.detach().clone() for name, weight in trainer.parameters.items()}
    moved = []
    for _ in range(first + 1):
        trainer.advance()
        now = {name for name, weight in trainer.parameters.items() if not torch.equal(before[name], weight)}
        moved.append(any(name.startswith("encoder.") for name in now))
        assert any(not name.startswith("encoder.") for name in now)
    assert moved == [False] * first + [True]
    whole, cut = make(), make()
    loop.fit(whole, tmp_path / "whole", "key")
    calls = iter([False] * (first - 2) + [True] * 9)
    with pytest.raises(loop.Stopped):
        loop.fit(cut, tmp_path / "cut", "key", lambda: next(calls))
    again = make()
    loop.fit(again, tmp_path / "cut", "key")
    assert all(torch.equal(whole.parameters[name], weight) for name, weight in again.parameters.items())


def test_drawn_at_the_inputs_size_and_at_an_input_size_of_its_own(study, baseline):
    """The pyramid's file says 64 pixels; the targets are on the grid of the masks."""
    chosen = baseline("avsegformer", pyramid={"image_size": 96, "mask_stride": 1})
    data = run.PackData(chosen, study)
    trainer = run.Run(chosen, 0, study, data).trainer()
    batch = trainer.sample(1)[0]
    assert batch.visual.shape[2:] == (96, 96) and batch.targets.shape[2:] == (96, 96)
    assert trainer.model(batch).logits.shape == batch.targets.shape
    trainer.advance()
    trainer.validate()
