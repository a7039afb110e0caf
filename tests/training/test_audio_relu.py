"""With `audio_relu` a model behaves, from training to examining, as if its sound encoder ended in a ReLU."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from soundprompt import params as p
from soundprompt.evaluation.examine import examine_pack
from soundprompt.evaluation.run import score_pack
from soundprompt.features import extract, store
from soundprompt.foundation import pyramid
from soundprompt.training import run

FUSION = {"cola": {"enabled": False}, "triplet": {"weight": 0}}
BASELINE = {"architecture": "avsegformer", **FUSION, "visual": {"tune_from": None}, "avsegformer": {
    "width": 8, "queries": 4, "encoder_layers": 1, "decoder_layers": 1, "heads": 2, "points": 2, "hidden": 8,
}}  # fmt: skip
MODELS = {
    "gavs": {},
    "lifted sound": {"sap": {"joint_dim": 256}},
    "sam_fusion": {"architecture": "sam_fusion", **FUSION},
    "avsegformer": BASELINE,
}


@pytest.fixture
def study(tiny, tmp_path):
    """The tiny study with copies of what is changed here, and an untrained pyramid."""
    for name in ("weights", "features"):
        source = (tmp_path / name).resolve()
        (tmp_path / name).unlink()
        (tmp_path / name / tiny.study).mkdir(parents=True)
        for path in (source / tiny.study).iterdir():
            (tmp_path / name / tiny.study / path.name).symlink_to(path)
    torch.manual_seed(0)
    pyramid.save(pyramid.build("mini_pyramid"), p.Pyramid(image_size=64), tiny.foundation("pyramid"))
    return tiny


@pytest.fixture
def numbers(study, view):
    """Trains, scores and examines a model; gives all that was written down of it."""

    def made(name: str, **model) -> list[pd.DataFrame]:
        chosen = view(name=name, **model)
        run.train_pack(chosen, (0,), study)
        score_pack(p.ScoreView(**dict(chosen), evaluation={}, probes=("own", "muted", "silence")), (0,), study)
        folder = study.run("v1s", name, 0)
        written = [pd.read_csv(folder / "metrics.csv"), pd.read_parquet(folder / "scores.parquet")]
        if "alignment" in chosen.model.measures():
            asked = {"measures": ("alignment",), "examined_frames": 400, "held_out": None}
            examine_pack(p.ExamineView(**dict(chosen), **asked), (0,), study)
            written.append(pd.read_parquet(folder / "examined.parquet"))
        return [table.drop(columns="method", errors="ignore") for table in written]

    return made


@pytest.mark.parametrize("name", MODELS)
def test_the_relu_is_the_models_and_is_everywhere(study, numbers, name):
    own = numbers("own", audio_relu=True, **MODELS[name])
    signed = numbers("signed", **MODELS[name])
    embeddings = store.Store(study.audio_features)
    values = embeddings.read(extract.SOUND, embeddings.rows)
    assert (values < 0).float().mean() > 0.4, "the cache holds the numbers without a ReLU, for every model"
    rows, recipe = embeddings.rows, embeddings.recipe
    study.audio_features.unlink()
    store.write(study.audio_features, recipe, rows, {extract.SOUND: values.relu()})
    clamped = numbers("clamped", **MODELS[name])
    for one, other, without in zip(own, clamped, signed, strict=True):
        pd.testing.assert_frame_equal(one, other)
        assert not one.equals(without)
