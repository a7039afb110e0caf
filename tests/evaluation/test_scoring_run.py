"""Scoring runs from checkpoint to score rows, on a tiny study with real files."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tiny_study import STUDY, put_checkpoint

import of_logits
from soundprompt import models
from soundprompt import params as p
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.evaluation import floors, predict, scores
from soundprompt.evaluation.run import score_pack
from soundprompt.features import background, extract, store
from soundprompt.features import frames as feature_frames
from soundprompt.features.frames import Frames
from soundprompt.files import read_json
from soundprompt.foundation import sam as sam_models
from soundprompt.report import evidence


def read_scores(layout, setting="v1s", seed=0):
    return pd.read_parquet(layout.run(setting, "gavs", seed) / "scores.parquet")


def by_hand(view, layout, selection, seed, sound=None):
    """mIoU of each clip by the plain functions, one frame at a time. sound: replaces each frame's embedding."""
    sam = sam_models.load(layout.foundation("sam"))
    rows = frame_table.select(layout, [selection])
    frames = Frames(rows, layout, view.model.visual.tune_from, sam)
    model = models.build(view.model, sam, seed).eval()
    found = {}
    for i, row in enumerate(rows.itertuples()):
        batch = frames.batch([i])
        if sound is not None:
            batch = replace(batch, audio=sound(batch.audio))
        with torch.no_grad():
            logits = sam.restore(model(batch).logits, [(row.height, row.width)])[0]
        mask = torch.from_numpy(np.asarray(Image.open(row.mask).convert("L")) > 0)
        found.setdefault(row.clip, []).append(of_logits.mask_iou(logits[None], mask[None]))
    return {clip: np.mean(values) for clip, values in found.items()}


def of_clips(scores, method, metric="miou"):
    rows = scores[(scores["method"] == method) & (scores["metric"] == metric)]
    return rows.groupby("clip")["value"].mean().to_dict()


def test_scores_equal_the_plain_path(tiny, score_view):
    view = score_view(probes=("own", "mismatched", "muted"))
    for seed in (0, 1):
        put_checkpoint(view, seed, tiny, "v1s")
    score_pack(view, (0, 1), tiny)
    for seed in (0, 1):
        scores = read_scores(tiny, seed=seed)
        assert of_clips(scores, "gavs") == pytest.approx(by_hand(view, tiny, "v1s/test", seed), abs=1e-5)
        silent = by_hand(view, tiny, "v1s/test", seed, torch.zeros_like)
        assert of_clips(scores, "gavs@muted") == pytest.approx(silent, abs=1e-5)
    assert set(scores["seed"]) == {1}
    assert set(scores["method"]) == {"gavs", "gavs@mismatched", "gavs@muted"}
    assert of_clips(scores, "gavs@mismatched") != of_clips(scores, "gavs")
    entry = read_json(tiny.scored("v1s", "gavs", "0-1"))["runs"]
    assert set(entry) == {"0", "1"}


def test_scores_are_the_same_bytes_when_other_processes_read_ahead(tiny, score_view, monkeypatch):
    monkeypatch.setattr(feature_frames, "IN_MEMORY", 0)  # what lies in memory is not read ahead
    view, found = score_view(probes=("own", "mismatched")), []
    put_checkpoint(view, 0, tiny, "v1s")
    folder = tiny.run("v1s", "gavs", 0)
    for workers in (0, 3):
        (folder / "scores.json").unlink(missing_ok=True)
        score_pack(view, (0,), tiny, workers)
        found.append([(folder / name).read_bytes() for name in ("scores.parquet", "predictions.safetensors")])
    assert found[0] == found[1]


def test_negative_sounds_are_scored_by_what_they_light_up(tiny, score_view):
    view = score_view(probes=("own", "silence", "ambient", "off_screen"), evaluation={"alarm_area": 0.3})
    put_checkpoint(view, 0, tiny, "v1s")
    score_pack(view, (0,), tiny)
    scores = read_scores(tiny)
    assert set(scores["method"]) == {"gavs", "gavs@silence", "gavs@ambient", "gavs@off_screen"}
    silence = store.Store(tiny.audio_features).read(extract.SOUND, [background.ROWS[0]])
    silent = by_hand(view, tiny, "v1s/test", 0, lambda audio: silence.expand_as(audio))
    assert of_clips(scores, "gavs@silence") == pytest.approx(silent, abs=1e-5)
    areas, alarms = (scores[scores["metric"] == name] for name in ("area", "alarm"))
    assert len(areas) == len(alarms) == 4 * 18
    assert (alarms["value"].to_numpy() == (areas["value"].to_numpy() > 0.3)).all()
    assert areas["value"].between(0, 1).all() and areas.groupby("method")["value"].mean().nunique() == 4
    path = tiny.run("v1s", "gavs", 0) / "predictions.safetensors"
    assert predict.read_predictions(path, "v1s/test", "silence") == {}


def test_a_mute_model_hears_no_probe(tiny, score_view):
    view = score_view(probes=("own", "mismatched"), mute=True, triplet={"weight": 0})
    put_checkpoint(view, 0, tiny, "v1s")
    score_pack(view, (0,), tiny)
    scores = read_scores(tiny)
    assert of_clips(scores, "gavs") == of_clips(scores, "gavs@mismatched")
    assert of_clips(scores, "gavs") == pytest.approx(by_hand(view, tiny, "v1s/test", 0), abs=1e-5)


def test_a_frozen_encoder_reads_its_output_from_the_cache(tiny, score_view):
    view = score_view(visual={"tune_from": None})
    put_checkpoint(view, 0, tiny, "v1s")
    score_pack(view, (0,), tiny)
    assert of_clips(read_scores(tiny), "gavs") == pytest.approx(by_hand(view, tiny, "v1s/test", 0), abs=1e-5)


def test_a_model_that_answers_nan_is_named(tiny, score_view):
    view = score_view()
    put_checkpoint(view, 0, tiny, "v1s")
    put_checkpoint(view, 1, tiny, "v1s", fill=3e38)
    with pytest.raises(InputError, match=r"v1s/gavs seed 1: logits are not finite \((NaN|infinite)\); clips: v1s_\d"):
        score_pack(view, (0, 1), tiny)
    assert not tiny.scored("v1s", "gavs", "0-1").exists() and not list(tiny.runs.rglob("scores.*"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named_by_their_file(tiny, score_view, value):
    view = score_view()
    path = put_checkpoint(view, 0, tiny, "v1s", fill=value)
    with pytest.raises(InputError, match=r"its weights \S+ are not finite") as caught:
        score_pack(view, (0,), tiny)
    assert caught.value.path == path and not list(tiny.runs.rglob("scores.*"))


def test_scores_that_are_not_finite_are_neither_written_nor_read(tiny, score_view, tmp_path):
    view = score_view()
    put_checkpoint(view, 0, tiny, "v1s")
    score_pack(view, (0,), tiny)
    rows = read_scores(tiny)
    place = rows.index[rows["metric"] == "area"][2]
    rows.loc[place, "value"] = float("nan")
    clip = rows.loc[place, "clip"]
    with pytest.raises(InputError, match=rf"scores of area are not finite \(NaN\); clips: {clip}"):
        scores.write(rows, tmp_path / "new.parquet")
    assert not (tmp_path / "new.parquet").exists()
    path = tiny.run("v1s", "gavs", 0) / "scores.parquet"
    (path.parent / "scores.json").unlink()  # else it tells first that these are other bytes
    rows.to_parquet(path)
    with pytest.raises(InputError, match=rf"scores\.parquet: scores are not finite \(NaN\); clips: {clip}"):
        evidence.scores(tiny, "v1s", "gavs", [0])


def test_only_the_first_seed_keeps_predictions(tiny, score_view, float32_is_kept):
    view = score_view()
    for seed in (0, 1):
        put_checkpoint(view, seed, tiny, "v1s")
    score_pack(view, (0, 1), tiny)
    assert float32_is_kept()
    folder = tiny.run("v1s", "gavs", 0)
    logits = predict.read_predictions(folder / "predictions.safetensors", "v1s/test")
    assert len(logits) == 18
    assert next(iter(logits.values())).shape == (32, 32)
    assert not (tiny.run("v1s", "gavs", 1) / "predictions.safetensors").exists()


def test_predictions_are_the_logits_that_were_scored(tiny, score_view):
    view = score_view()
    put_checkpoint(view, 0, tiny, "v1s")
    score_pack(view, (0,), tiny)
    stored = predict.read_predictions(tiny.run("v1s", "gavs", 0) / "predictions.safetensors", "v1s/test")
    sam = sam_models.load(tiny.foundation("sam"))
    scores = read_scores(tiny).query("metric == 'miou'").set_index(["clip", "frame"])["value"]
    for row in frame_table.select(tiny, ["v1s/test"]).itertuples():
        logits = torch.from_numpy(stored[row.clip, row.frame]).float()[None, None]
        mask = torch.from_numpy(np.asarray(Image.open(row.mask).convert("L")) > 0)
        iou = of_logits.mask_iou(sam.restore(logits, [(row.height, row.width)])[0][None], mask[None])
        assert iou == pytest.approx(scores[row.clip, row.frame], abs=0.02)  # fp16 may flip a pixel


def test_overlapping_selections_agree(tiny, score_view):
    view = score_view("v3", probes=("own",))
    put_checkpoint(view, 0, tiny, "v3")
    score_pack(view, (0,), tiny)
    scores = read_scores(tiny, "v3")
    scores = scores[~scores["metric"].str.startswith("f_score_batch")]  # whose calls are a selection's own
    whole, part = (scores[scores["selection"] == f"v3/{split}"] for split in ("unseen", "1_shot_test"))
    shared = whole[whole["clip"].isin(part["clip"])].drop(columns="selection").reset_index(drop=True)
    assert part["clip"].nunique() == whole["clip"].nunique() - 1
    keys = ["clip", "frame", "metric"]
    pd.testing.assert_frame_equal(
        shared.sort_values(keys, ignore_index=True),
        part.drop(columns="selection").sort_values(keys, ignore_index=True),
    )


def test_a_borrowed_model_is_scored_on_boxes(tiny, score_view):
    view = score_view("vggss")
    put_checkpoint(view, 0, tiny, "v1s")
    score_pack(view, (0,), tiny)
    scores = read_scores(tiny, "vggss")
    assert scores.groupby("metric")["clip"].nunique().to_dict() == {"ciou": 4, "ciou_float64": 4, "ciou_fixed": 4}
    assert scores["value"].between(0, 1).all()
    assert tiny.scored("vggss", "gavs", "0").exists()


def test_scoring_again_keeps_what_is_there_and_a_new_setting_does_not(tiny, score_view):
    view = score_view()
    put_checkpoint(view, 0, tiny, "v1s")
    score_pack(view, (0,), tiny)
    path = tiny.run("v1s", "gavs", 0) / "scores.parquet"
    first, content = path.stat().st_mtime_ns, path.read_bytes()
    score_pack(view, (0,), tiny)
    assert path.stat().st_mtime_ns == first
    score_pack(score_view(evaluation={"threshold": 0.6}), (0,), tiny)
    assert path.stat().st_mtime_ns != first
    score_pack(view, (0,), tiny)
    assert path.read_bytes() == content
    path.write_bytes(content[:-10])
    score_pack(view, (0,), tiny)
    assert path.read_bytes() == content


def test_a_checkpoint_that_training_did_not_write_is_refused(tiny, score_view):
    view = score_view()
    path = put_checkpoint(view, 0, tiny, "v1s")
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\1")
    with pytest.raises(InputError, match=r"checkpoint\.safetensors"):
        score_pack(view, (0,), tiny)
    assert not (tiny.run("v1s", "gavs", 0) / "scores.parquet").exists()
    assert not tiny.scored("v1s", "gavs", "0").exists()


def test_a_missing_model_says_how_to_train_it(tiny, score_view):
    with pytest.raises(InputError, match="soundprompt train --setting v1s --model gavs --seeds 3"):
        score_pack(score_view("vggss"), (3,), tiny)


def floors_view(score_view, setting):
    view = score_view(setting)
    return p.FloorsView(**{name: getattr(view, name) for name in p.FloorsView.model_fields})


def test_floors_equal_the_plain_path(tiny, score_view):
    floors.score(floors_view(score_view, "v1s"), tiny)
    scores = pd.read_parquet(tiny.floors("v1s"))
    assert set(scores["method"]) == {"all_positive", "all_objects", "centre_disc"}
    everything, objects = {}, {}
    for row in frame_table.select(tiny, ["v1s/test"]).itertuples():
        mask = torch.from_numpy(np.asarray(Image.open(row.mask).convert("L")) > 0)[None]
        known = torch.from_numpy(np.asarray(Image.open(row.objects)) > 0)[None]
        everything.setdefault(row.clip, []).append(of_logits.mask_iou(torch.full(mask.shape, 9.0), mask))
        objects.setdefault(row.clip, []).append(of_logits.mask_iou(torch.where(known, 9.0, -9.0), mask))
    for method, expected in (("all_positive", everything), ("all_objects", objects)):
        expected = {clip: np.mean(values) for clip, values in expected.items()}
        assert of_clips(scores, method) == pytest.approx(expected, abs=1e-6)


def test_floors_on_boxes_leave_out_unknown_objects(tiny, score_view):
    floors.score(floors_view(score_view, "vggss"), tiny)
    scores = pd.read_parquet(tiny.floors("vggss"))
    assert set(scores["method"]) == {"all_positive", "centre_disc"}
    everything = scores[(scores["method"] == "all_positive") & (scores["metric"] == "ciou")]["value"]
    assert everything.to_numpy() == pytest.approx(0.36, abs=0.01)  # the box covers .6 x .6
    first = tiny.floors("vggss").stat().st_ino
    floors.score(floors_view(score_view, "vggss"), tiny)
    assert tiny.floors("vggss").stat().st_ino == first, "kept, not written anew"
    assert STUDY in str(tiny.floors("vggss"))
