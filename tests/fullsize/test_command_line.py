"""A handful of clips in AVSBench's layout is enough to try everything with SAM ViT-B and VGGish on a CPU."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from handful import CLIPS, FRAMES, REPOSITORY, SIZE, soundprompt

from soundprompt import params as p
from soundprompt.data import frame_table, media
from soundprompt.evaluation import predict
from soundprompt.features import background
from soundprompt.features.store import Store
from soundprompt.files import read_json
from soundprompt.foundation import sam as sam_models

pytestmark = pytest.mark.slow

STOCK = 93_735_472  # parameters of SAM ViT-B


@pytest.fixture
def scored(handful, capsys):
    for verb in ("train", "evaluate"):
        soundprompt(verb, "--setting", "v1s", "--model", "gavs")
    said = capsys.readouterr().out
    assert "centre_disc" in said and "gavs@mismatched" in said and "miou" in said
    soundprompt("leaks")
    soundprompt("table", "--experiment", "table_benchmarks")
    return handful


def test_from_clips_to_a_table(scored):
    run = scored.run("v1s", "gavs", 0)
    steps = pd.read_csv(run / "metrics.csv")
    assert steps["step"].tolist() == [1, 2, 3]
    assert np.isfinite(steps[["loss", "mask", "triplet", "gradient"]].to_numpy()).all()
    assert steps["validation"].notna().tolist() == [False, False, True]

    trained = read_json(scored.trained("v1s", "gavs", "0"))["runs"]["0"]
    assert trained["trained_parameters"] == 1_125_248
    origin = read_json(run / "provenance.json")
    assert origin["result"]["trained_parameters"] == 1_125_248
    assert (origin["device"], origin["precision"]) in {("cpu", "float32"), ("cuda", "bfloat16")}

    scores = pd.read_parquet(run / "scores.parquet")
    assert scores.query("metric == 'miou'").groupby("method").size().to_dict() == {
        "gavs": 2 * FRAMES,
        "gavs@mismatched": 2 * FRAMES,
    }
    assert scores["value"].between(0, 1).all()
    table = pd.read_csv(scored.result_table("table_benchmarks"))
    assert {"all_positive", "centre_disc", "gavs", "gavs@mismatched"} <= set(table["method"])

    _check_masks_at_original_size(scored, scores)


def _check_masks_at_original_size(layout, scores: pd.DataFrame) -> None:
    """The recorded logits, brought to each frame's own size, give the mIoU that was scored."""
    run = layout.run("v1s", "gavs", 0)
    logits = predict.read_predictions(run / "predictions.safetensors", "v1s/test")
    miou = scores.query("metric == 'miou' and method == 'gavs'").set_index(["clip", "frame"])["value"]
    sam = sam_models.load(layout.foundation("sam"))
    rows = frame_table.select(layout, ["v1s/test"])
    assert len(rows) == len(logits) == 2 * FRAMES
    for row in rows.itertuples():
        stored = torch.from_numpy(logits[row.clip, row.frame]).float()
        assert stored.shape == (SIZE // 4, SIZE // 4)
        on = sam.restore(stored[None, None], [(row.height, row.width)])[0] > 0
        mask = torch.from_numpy(media.read_mask(row.mask))
        assert on.shape == mask.shape == CLIPS[row.clip][3:1:-1]
        iou = (on & mask).sum() / (on | mask).sum()
        assert abs(iou.item() - miou[row.clip, row.frame]) < 1e-3  # logits are stored in fp16


def test_what_the_features_hold(handful):
    """Tap 9 of ViT-B in fp16 and one 128-d vector a second; five clips of two frames."""
    shards = [Store(handful.visual_shard(shard)) for shard in range(2)]
    assert sum(len(shard.rows) for shard in shards) == FRAMES * len(CLIPS)
    for shard in shards:
        assert shard.names == ("block9",)
        assert shard.shape("block9") == (SIZE // 16, SIZE // 16, 768) and shard.dtype("block9") == torch.float16
    sounds = Store(handful.audio_features)
    assert sounds.shape("embedding") == (128,)
    assert (sounds.read("embedding", sounds.rows) < 0).any()  # a ReLU is the models' choice
    assert len(sounds.rows) == FRAMES * len(CLIPS) + len(background.ROWS)  # silence and room noise behind the clips


def test_imported_weights_are_counted(handful):
    """At 256 pixels the position tables are smaller than the released ones; nothing else is."""
    printed = read_json(handful.foundation_quality("sam"))["quality"]["parameters"]
    grid, released = SIZE // 16, 64
    absolute = (released**2 - grid**2) * 768
    relative = 4 * 2 * ((2 * released - 1) - (2 * grid - 1)) * 64  # four blocks with global attention, heads of 64
    assert printed == STOCK - absolute - relative


def test_a_left_out_setting_takes_its_experiments_along():
    raw = p.read_base(REPOSITORY / "params.yaml")
    assert len(raw["experiments"]["table_benchmarks"]["settings"]) > 1
    others = raw["settings"].keys() - {"v1s"}
    left = p.validate(p.merge(raw, {"settings": dict.fromkeys(others)}))
    assert left.tables() == ["v1s"] and list(left.settings) == ["v1s"]
    assert "table_vggss" not in left.experiments and left.experiments["table_benchmarks"].settings == ("v1s",)
    seen_only = p.validate(p.merge(raw, {"settings": {"v3_0shot": None}}))
    assert not any(name.startswith("v3") for name in seen_only.settings), "few shots start from it"
    assert "table_v3" not in seen_only.experiments and "table_vggss" in seen_only.experiments
