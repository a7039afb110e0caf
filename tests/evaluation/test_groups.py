"""Models that look across time are asked about whole clips, one sound condition at a time."""

import numpy as np
import pytest
import torch

from soundprompt import models
from soundprompt import params as p
from soundprompt.data import frame_table
from soundprompt.evaluation import predict
from soundprompt.features import background
from soundprompt.features.frames import Frames
from soundprompt.foundation import pyramid

SIDE = 64


@pytest.fixture
def asked(tiny):
    torch.manual_seed(0)
    frozen = pyramid.FrozenPyramid(pyramid.build("mini_pyramid"), "mini_pyramid", SIDE, "digest")
    settings = p.Model(
        architecture="avsbench_tpavi",
        cola={"enabled": False},
        triplet={"weight": 0},
        pyramid={"mask_stride": 4},
        tpavi={"width": 8, "dilations": (1,), "head": (4, 4)},
    )
    model = models.build(settings, frozen, 0)
    for fusion in model.fusions:
        torch.nn.init.ones_(fusion.scale.weight)
    rows = frame_table.select(tiny, ["v3/unseen", "v3/1_shot_test"])
    questions = predict.questions(rows, ("own", "mismatched", "muted"))
    return model, Frames(questions.frames, tiny, "pixels", frozen), questions


def logits_of(model, frames, pairs, order=None):
    found = torch.zeros(len(pairs), 1, SIDE // 4, SIDE // 4)
    for some in predict.answers({0: model}, frames, pairs):
        found[some.numbers] = some.logits[0]
    return found


def test_every_clip_is_shown_whole_with_each_sound(asked):
    """By hand: the frames of a clip as one batch, all with one sound."""
    model, frames, questions = asked
    found = logits_of(model, frames, questions.pairs)
    model.eval()
    for (selection, probe), numbers in questions.asked.items():
        rows = questions.selections[selection]
        for _, members in rows.groupby("clip"):
            pairs = questions.pairs[numbers[members.index]]
            batch = frames.batch(pairs[:, 0])
            batch.audio = frames.sounds(pairs[:, 1])
            with torch.no_grad():
                expected = model(batch).logits
            assert torch.allclose(found[numbers[members.index]], expected, atol=1e-4), (selection, probe)


def test_answers_do_not_depend_on_order_or_splitting(asked, monkeypatch):
    model, frames, questions = asked
    found = logits_of(model, frames, questions.pairs)
    order = np.random.default_rng(0).permutation(len(questions.pairs))
    assert torch.allclose(logits_of(model, frames, questions.pairs[order]), found[order], atol=1e-4)
    whole = predict.batches
    monkeypatch.setattr(
        predict, "batches", lambda *given, **options: [part for b in whole(*given, **options) for part in halves(b)]
    )
    halves = lambda batch: [batch[:3], batch[3:]] if len(batch) > 3 else [batch]  # noqa: E731 - clips have 3 frames
    assert torch.allclose(logits_of(model, frames, questions.pairs), found, atol=1e-4)


def test_conditions(asked):
    _, frames, _ = asked
    silence = background.SILENCE
    group = predict.conditions(frames, [0, 1, 0, 1, 3, 3], np.array([0, 1, silence, silence, 3, 0])).tolist()
    assert group[0] == group[1] and group[2] == group[3] and len(set(group)) == 4
