"""A dataset's values from score rows: which grouping each metric has."""

import numpy as np
import pandas as pd
import pytest
import slow_reference as slow

from soundprompt.evaluation import summary
from soundprompt.evaluation.scores import COLUMNS


def rows(values, metric, seed=0, method="gavs", selection="v1s/test"):
    """values: {clip: list of frame values}; a list of one stands for the whole clip."""
    listed = [
        {
            "selection": selection,
            "method": method,
            "seed": seed,
            "clip": clip,
            "video": clip.split("_")[0],
            "class_name": "dog",
            "kind": "seen" if clip.startswith("a") else "new level",
            "n_sources": 1,
            "frame": i if len(of_clip) > 1 else -1,
            "metric": metric,
            "value": value,
        }
        for clip, of_clip in values.items()
        for i, value in enumerate(of_clip)
    ]
    return pd.DataFrame(listed, columns=COLUMNS)


def test_miou_is_a_mean_over_clips_of_means_over_frames():
    scores = rows({"a": [1.0, 0.0], "b": [0.2, 0.2, 0.2, 0.2]}, "miou")
    assert summary.contributions(scores, "miou").values().tolist() == pytest.approx([(0.5 + 0.2) / 2])


SHARES = ("hit_rate", "wrong_rate", "iou_in_hits", "area", "alarm")
ALIGNMENT = ("retrieval", "retrieval_chance", "margin_kept", "modality_gap")


@pytest.mark.parametrize("metric", SHARES + ALIGNMENT)
def test_rates_are_shares_of_frames(metric):
    scores = rows({"a": [1.0, 0.0], "b": [1.0, 1.0, 1.0, 1.0]}, metric)
    assert summary.contributions(scores, metric).values().tolist() == pytest.approx([5 / 6])


def test_ciou_and_auc_come_from_the_overlaps_of_clips():
    overlaps = {"a": [0.1], "b": [0.5], "c": [0.9], "d": [0.3]}
    scores = rows(overlaps, "ciou")
    success, area = slow.ciou_summary([v[0] for v in overlaps.values()])
    assert summary.contributions(scores, "ciou").values().tolist() == pytest.approx([success])
    assert summary.contributions(scores, "auc").values().tolist() == pytest.approx([area])


def test_dataset_values_by_seed_and_kind():
    scores = pd.concat([rows({"a": [seed / 10.0], "b": [1.0]}, "f_score", seed=seed) for seed in (0, 1)])
    found = summary.dataset_values(scores, ["miou", "f_score"], by=["kind"])
    seen = found[found["kind"] == "seen"].set_index("seed")["value"]
    assert seen.to_dict() == pytest.approx({0: 0.0, 1: 0.1})
    assert set(found["metric"]) == {"f_score"}
    assert set(found["n_clips"]) == {1}


def test_clips_of_one_video_are_counted_together():
    scores = rows({"a_1": [0.0], "a_2": [0.0], "b_1": [1.0], "b_2": [1.0]}, "miou")
    assert summary.contributions(scores, "miou").videos == ("a", "b")


def test_difference_of_two_methods():
    one = pd.concat([rows({"a": [0.5], "b": [0.9]}, "miou", seed=seed) for seed in (0, 1)])
    other = rows({"a": [0.4], "b": [0.8]}, "miou", method="centre_disc")
    found = summary.lead(*(summary.contributions(part, "miou") for part in (one, other)), "miou")
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.over == "seeds and videos", "a floor has no other seeds"


def test_difference_where_the_methods_hit_different_videos():
    one, other = rows({"a": [0.8], "b": [0.6]}, "iou_in_hits"), rows({"a": [0.6]}, "iou_in_hits")
    parts = [summary.contributions(part, "iou_in_hits") for part in (one, other)]
    assert summary.lead(*parts, "iou_in_hits").value == pytest.approx(0.1)


def test_a_seed_that_lacks_a_clip_is_refused():
    scores = pd.concat([rows({"a_1": [0.5], "a_2": [0.5]}, "miou"), rows({"a_1": [0.5]}, "miou", seed=1)])
    with pytest.raises(ValueError, match="every clip"):
        summary.contributions(scores, "miou")


def test_rows_of_two_methods_are_refused():
    scores = pd.concat([rows({"a": [0.5]}, "miou"), rows({"a": [0.5]}, "miou", method="other")])
    with pytest.raises(ValueError, match="several"):
        summary.contributions(scores, "miou")


def test_coded_rows_add_up_as_plain_ones_do():
    """Against pandas' own grouping, with clips of one video, uneven frames and seeds in any order."""
    rng = np.random.default_rng(3)
    clips = {f"{video}_{i}": rng.random(rng.integers(2, 6)).tolist() for video in "cab" for i in range(3)}
    scores = pd.concat([rows({k: list(rng.permutation(v)) for k, v in clips.items()}, "miou", s) for s in (4, 1)])
    by_clip = scores.groupby(["seed", "video", "clip"])["value"].mean()
    expected = by_clip.groupby(["seed", "video"]).sum().unstack()
    for given in (scores, summary.coded(scores), summary.coded(scores).iloc[::-1]):
        found = summary.contributions(given, "miou")
        assert (found.seeds, found.videos) == ((1, 4), ("a", "b", "c"))
        np.testing.assert_allclose(found.totals, expected)
        assert found.weights.tolist() == [[3, 3, 3]] * 2


@pytest.mark.parametrize(("metric", "value"), [("alarm", 5 / 6), ("area", 5 / 6), ("knowledge", 0.75)])
def test_alarms_are_shares_of_frames_and_knowledge_a_mean_over_pictures(metric, value):
    scores = rows({"a": [1.0, 0.0], "b": [1.0, 1.0, 1.0, 1.0]}, metric)
    assert summary.contributions(scores, metric).values().tolist() == pytest.approx([value])


def test_clips_that_a_seed_lacks_are_refused():
    scores = pd.concat([rows({"a": [1.0], "b": [0.5]}, "miou", 0), rows({"a": [1.0]}, "miou", 1)])
    with pytest.raises(ValueError, match="not every seed"):
        summary.contributions(summary.coded(scores), "miou")


def test_the_overview_has_means_over_seeds_beside_the_floors(tmp_path):
    for seed, value in ((0, 0.25), (1, 0.75)):
        rows({"a": [value, value]}, "miou", seed).to_parquet(tmp_path / f"{seed}.parquet")
    rows({"a": [0.125, 0.125]}, "miou", method="centre_disc").to_parquet(tmp_path / "floors.parquet")
    text = summary.overview([tmp_path / "0.parquet", tmp_path / "1.parquet"], tmp_path / "floors.parquet")
    lines = {line.split()[-2]: line.split()[-1] for line in text.splitlines()[-2:]}
    assert lines == {"gavs": "0.500", "centre_disc": "0.125"}
