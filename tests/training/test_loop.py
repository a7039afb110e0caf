"""Steps of a trainer on the tiny study."""

from __future__ import annotations

import math

import pytest
import torch

import of_logits
from soundprompt.features import background
from soundprompt.files import read_json
from soundprompt.training import checkpoint, run


@pytest.fixture
def trainer(tiny, view):
    """Makes a trainer of the tiny study; arguments override the model's settings."""

    def make(**model):
        settings = view(**model)
        return run.Run(settings, 0, tiny, run.PackData(settings, tiny)).trainer()

    return make


def test_only_trained_parameters_move_and_each_group_at_its_rate(trainer):
    ours = trainer(schedule={"adapter_learning_rate": 5e-3})
    before = {name: weight.clone() for name, weight in ours.model.named_parameters()}
    for _ in range(2):
        ours.advance()
    moved = {name for name, weight in ours.model.named_parameters() if not torch.equal(before[name], weight)}
    assert moved == set(ours.parameters)
    rates = {group["name"]: group["lr"] for group in ours.optimizer.param_groups}
    factor = ours.plan.factor(2)
    assert rates == pytest.approx({"head": 2e-3 * factor, "adapters": 5e-3 * factor})


def test_only_supervised_frames_are_drawn(trainer):
    ours = trainer()
    assert len(ours.train) == 27  # nine clips of three frames, of which only the first has a mask
    for step in range(1, 10):
        batch, spare = ours.sample(step)
        assert len(batch.clips) == len(set(batch.clips)) <= 2
        assert (spare is None) == (len(batch.clips) == 2)


def test_a_step_of_one_video_takes_its_negative_from_a_spare_frame(trainer):
    ours = trainer(schedule={"clips_per_step": 1})
    batch, spare = ours.sample(1)
    assert len(batch.clips) == 1 and spare.classes != batch.classes
    row = ours.advance()
    assert row["triplet"] > 0 and row["active"] == 1  # an untrained cue is no nearer to its own sound by .3
    assert row["loss"] == pytest.approx(row["mask"] + 0.1 * row["triplet"], rel=1e-5)
    assert trainer(schedule={"clips_per_step": 1}, triplet={"weight": 0}).sample(1)[1] is None


@pytest.mark.parametrize("noise", ["token", "gaussian_additive"])
def test_a_spare_frame_that_goes_through_the_model_with_the_batch_changes_rounding_alone(trainer, noise):
    """As it does on a GPU; with the same draws, and no gradient of its own."""
    rows, gradients = [], []
    for fused in (False, True):
        ours = trainer(schedule={"clips_per_step": 1, "warmup": 0}, sap={"noise": noise})
        ours.fused = fused
        rows.append(ours.advance())
        gradients.append([weight.grad for weight in ours.parameters.values() if weight.grad is not None])
    assert rows[1] == pytest.approx(rows[0], rel=1e-5) and rows[0]["triplet"] > 0
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("size", ["decoder", "original"])
def test_a_share_of_frames_hears_what_is_not_there_and_shall_draw_nothing(trainer, size):
    plain = trainer(schedule={"clips_per_step": 4, "loss_size": size})
    ours = trainer(schedule={"clips_per_step": 4, "loss_size": size, "negatives": 0.5})
    for step in range(1, 6):
        (batch, _), (own, _) = ours.sample(step), plain.sample(step)
        sounds = ours.sampler.negatives(step, 0.5)
        assert set(sounds) == set(batch.negative.nonzero()[:, 0].tolist()) and batch.clips == own.clips
        for place in range(len(batch.clips)):
            negative = place in sounds
            expected = ours.train.sounds([sounds[place]])[0] if negative else own.audio[place]
            assert torch.equal(batch.audio[place], expected)
            found, truth = (each.targets if size == "decoder" else each.masks for each in (batch, own))
            assert torch.equal(found[place], truth[place] * (not negative)) and truth[place].any()
            assert (batch.masks if size == "decoder" else batch.targets) is None, "what the loss does not read"
    assert any(sound < background.SILENCE for sound in ours.sampler.negatives(1, 1).values())


@pytest.mark.parametrize("model", [{}, {"architecture": "sam_fusion", "cola": {"enabled": False}}])
@pytest.mark.parametrize("size", ["decoder", "original"])
def test_without_negatives_nothing_changes_and_with_them_steps_stay_a_function_of_seed_and_step(trainer, model, size):
    model |= {"triplet": {"weight": 0}} if model else {}
    rows = {}
    for share in (None, 0.0, 0.5, 0.5):
        schedule = {"clips_per_step": 4, "loss_size": size} | ({} if share is None else {"negatives": share})
        ours = trainer(schedule=schedule, **model)
        row = str([ours.advance() for _ in range(3)])  # a step may have no triplet: NaN equals NaN as text
        assert rows.setdefault(share, row) == row
    assert rows[None] == rows[0.0] != rows[0.5]


@pytest.mark.parametrize("size", ["decoder", "original"])
def test_with_a_presence_score_only_frames_that_sound_teach_the_mask(trainer, size):
    schedule = {"clips_per_step": 4, "negatives": 0.5, "loss_size": size}
    ours = trainer(schedule=schedule, presence={"enabled": True}, triplet={"weight": 0})
    batch, _ = ours.sample(1)
    assert torch.equal(batch.sounding(), ~batch.negative) and 0 < int(batch.negative.sum()) < len(batch.clips)
    answer = ours.model(batch)
    answer.drawn.retain_grad()
    answer.presence.retain_grad()
    ours._answer = lambda *_: (answer, None)
    parts = ours.loss(batch)
    parts["loss"].backward()
    assert torch.equal(answer.drawn.grad.flatten(1).any(1), batch.sounding())
    assert torch.equal(answer.presence.grad < 0, batch.sounding()) and answer.presence.grad.all()
    judged = torch.nn.functional.binary_cross_entropy_with_logits(answer.presence, batch.sounding().float())
    weight = ours.settings.presence.weight
    torch.testing.assert_close(parts["loss"], parts["mask"] + weight * judged)


def test_the_last_step_is_kept_where_that_is_asked(trainer, monkeypatch):
    scores = {1: 0.5, 2: 0.9, 3: 0.2}
    monkeypatch.setattr("soundprompt.training.validation.mean_iou", lambda *_, **__: scores[ours.step])
    ours = trainer(schedule={"keep": "last", "patience": 1, "steps": 9})
    for ours.step in scores:
        ours.validate()
        assert not ours.finished
    assert (ours.best.step, ours.best.score) == (3, 0.2)


def test_negatives_take_no_part_in_the_triplet_loss(trainer):
    ours = trainer(schedule={"clips_per_step": 4, "negatives": 0.5})
    batch, _ = ours.sample(1)
    kept = (~batch.negative).nonzero()[:, 0].tolist()
    assert 0 < len(kept) < len(batch.clips)
    ours.model.eval()
    torch.manual_seed(0)
    triplet, _ = ours._triplet(ours.model(batch), batch)
    alone = ours.train.batch([i for place, i in enumerate(ours.sampler.batch(1)) if place in kept])
    torch.manual_seed(0)
    expected, _ = ours._triplet(ours.model(alone), alone)
    torch.testing.assert_close(triplet, expected)
    full = trainer(schedule={"clips_per_step": 4, "negatives": 1.0})
    row = full.advance()
    assert row["triplet"] == 0 and math.isnan(row["active"]) and row["loss"] == row["mask"]


def test_loss_at_original_size_and_in_low_precision_are_near_the_plain_one(trainer):
    plain, original, low = (
        trainer(schedule=schedule) for schedule in ({}, {"loss_size": "original"}, {"precision": "bfloat16"})
    )
    rows = [ours.advance() for ours in (plain, original, low)]
    assert rows[1]["mask"] == pytest.approx(rows[0]["mask"], rel=0.05) and rows[1]["mask"] != rows[0]["mask"]
    assert rows[2]["mask"] == pytest.approx(rows[0]["mask"], rel=0.05) and rows[2]["mask"] != rows[0]["mask"]
    assert all(weight.dtype == torch.float32 for weight in low.parameters.values())


def test_without_clipping_a_step_takes_the_whole_gradient(trainer):
    """Adam divides by the gradient's size, but not in its first moment's memory of it."""
    size = trainer(schedule={"clip_norm": None}).advance()["gradient"]
    moments = {}
    for clip in (None, 2 * size, size / 4):
        ours = trainer(schedule={"clip_norm": clip})
        assert ours.advance()["gradient"] == pytest.approx(size)
        weight = ours.parameters["decoder.cola.0.up.weight"]
        moments[clip] = ours.optimizer.state[weight]["exp_avg"]
    assert torch.equal(moments[None], moments[2 * size])
    torch.testing.assert_close(moments[size / 4], moments[None] / 4)


def test_selection_cuts_masks_where_the_settings_say(trainer):
    """As scoring at that threshold would."""
    scores = {}
    for threshold in (0.3, 0.5):
        ours = trainer(schedule={"selection_threshold": threshold, "clips_per_step": 4})
        for _ in range(3):
            ours.advance()
        scores[threshold] = ours.validate()["v2/val"]
        frames = ours.validation["v2/val"]
        batch = frames.batch(range(len(frames)))
        with torch.no_grad():
            pictures = ours.restore(ours.model(batch).logits, batch.sizes)
        expected = of_logits.mask_iou(torch.stack(pictures), torch.stack(list(batch.masks)), threshold)
        assert scores[threshold] == pytest.approx(expected, rel=1e-6)
    assert scores[0.3] != scores[0.5]


def test_patience_ends_a_run_that_gets_no_better(tiny, view):
    schedule = {"learning_rate": 1e-12, "steps": 50, "validate_every": 2, "patience": 3}
    run.train_pack(view(schedule=schedule), (0,), tiny)
    result = read_json(tiny.trained("v1s", "gavs", "0"))["runs"]["0"]
    assert (result["best_step"], result["steps"]) == (2, 8)


def test_best_is_kept_when_later_steps_are_worse(trainer):
    ours = trainer()
    ours.validate()
    kept = {name: weight.clone() for name, weight in ours.best.parameters.items()}
    ours.best.score = math.inf
    ours.advance()
    ours.validate()
    assert ours.best.step == 0 and ours.best.misses == 1
    assert all(torch.equal(kept[name], ours.best.parameters[name]) for name in kept)
    assert not all(torch.equal(kept[name], ours.parameters[name]) for name in kept)


@pytest.mark.parametrize("negatives", [0.0, 0.3])
def test_state_holds_all_that_the_next_steps_depend_on(trainer, tmp_path, negatives):
    ours, other = (trainer(schedule={"negatives": negatives}) for _ in range(2))
    for _ in range(3):
        ours.advance()
    ours.validate()
    checkpoint.save_resume(tmp_path / "resume.pt", "key", ours.state())
    other.load_state(checkpoint.load_resume(tmp_path / "resume.pt", "key")[0])
    for _ in range(3):
        assert str(ours.advance()) == str(other.advance())  # a step may have no triplet: NaN equals NaN as text
    assert all(torch.equal(ours.parameters[name], other.parameters[name]) for name in ours.parameters)
