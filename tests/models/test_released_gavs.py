"""The paper study's `gavs-released_code`, with the released code's weights and inputs, computes what that code did."""

from __future__ import annotations

import numpy as np
import pytest
import released_gavs
import torch

import of_logits
from project_copy import PROJECT
from soundprompt import params as p
from soundprompt.foundation import vit
from soundprompt.training import losses, schedule
from soundprompt.training.loop import Trainer
from soundprompt.training.validation import frame_iou

NEAR = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def released() -> p.Model:
    """The study's own model, from block 1 on; the draws that training puts in place of the sound are given here."""
    model = p.load(PROJECT / "studies" / "paper.yaml", PROJECT / "params.yaml").models["gavs-released_code"]
    assert (model.sap.noise, model.schedule.precision) == ("gaussian_replace", "float32")
    raw = p.merge(model.model_dump(), {"sap": {"noise": "off"}, "visual": {"tune_from": released_gavs.FIRST}})
    return p.Model.model_validate(raw)


@pytest.fixture(scope="module")
def given() -> dict[str, np.ndarray]:
    return released_gavs.figures()


@pytest.fixture(params=[1024, 1], ids=["attention at once", "attention blockwise"])
def frozen(request, monkeypatch):
    monkeypatch.setattr(vit, "BLOCKWISE_FROM", request.param)
    return released_gavs.sam()


def seen(frozen, given, sound):
    return released_gavs.batch(frozen, given, sound, bgr=True, first=released_gavs.FIRST)


def close(found, expected):
    np.testing.assert_allclose(np.asarray(found), expected, **NEAR)


def test_answers(released, given, frozen):
    """From pictures and sounds to F_V, prompts, logits, masks, IoU at 0.4 and loss."""
    batch, model = seen(frozen, given, given["audio"]), released_gavs.build(released, frozen).eval()
    with torch.no_grad():
        features = model.encode(batch.visual)
        prompts, _, _ = model.sap(features, batch.audio, batch.valid)
        logits = model(batch).logits
        loss = losses.original_loss(logits, batch.masks, frozen.restore).mean()
    close(released_gavs.sampled(batch.visual), given["tap"])
    close(released_gavs.sampled(features.permute(0, 3, 1, 2)), given["F_V"])
    close(features.flatten(1).norm(dim=1), given["F_V_norm"])
    close(prompts, given["prompts"])
    close(logits, given["logits"])
    close(loss, given["loss"])
    cut = released.schedule.selection_threshold
    for i, picture in enumerate(frozen.restore(logits, batch.sizes)):
        close(released_gavs.sampled(picture), given[f"restored{i}"])
        mask = batch.masks[i]
        assert of_logits.mask_iou(picture[None], mask[None], 0.4) == pytest.approx(given["iou"][i], abs=1e-6)
        assert float(frame_iou(picture, mask, cut)) == pytest.approx(given["iou"][i], abs=1e-6)


def trainer_of(released, frozen) -> Trainer:
    model, plan = released_gavs.build(released, frozen), schedule.plan(released.schedule, 1, continued=False)
    return Trainer(model, released, plan, frozen, sampler=None, train=None, validation={})


def test_gradients(released, given, frozen):
    """Of the very parameters that train there."""
    trainer = trainer_of(released, frozen)
    batch = seen(frozen, given, given["train_sound"])
    with torch.no_grad():
        close(trainer.model.train()(batch).logits, given["train_logits"])
    loss = trainer.loss(batch)["loss"]
    loss.backward()
    close(loss.item(), given["train_loss"])
    found = {name: weight.grad for name, weight in sorted(trainer.parameters.items())}
    assert list(found) == given["trained_names"].tolist()
    assert [grad.numel() for grad in found.values()] == given["trained_sizes"].tolist()
    close([grad.norm() for grad in found.values()], given["grad_norm"])
    close([grad.flatten()[:8] for grad in found.values()], given["grad_head"])


def test_steps(released, given, frozen):
    """Five of AdamW, as the study's schedule takes them."""
    trainer = trainer_of(released, frozen)
    for number, sound in enumerate(given["steps_sound"]):
        loss = trainer.loss(seen(frozen, given, sound))["loss"]
        close(loss.item(), given["steps_loss"][number])
        trainer.update(number + 1, loss)
    found = [weight.detach() for _, weight in sorted(trainer.parameters.items())]
    close([weight.norm() for weight in found], given["steps_param_norm"])
    close([weight.flatten()[:8] for weight in found], given["steps_param_head"])
