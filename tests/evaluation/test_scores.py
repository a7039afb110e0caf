"""Score rows against the metrics called clip by clip."""

import numpy as np
import pandas as pd
import pytest
import slow_reference as slow
import torch

import of_logits
from soundprompt import params as p
from soundprompt.evaluation import metrics, scores, summary

RNG = np.random.default_rng(0)
SIZES = {"a": (5, 7), "b": (6, 6), "c": (5, 7), "d": (4, 4), "e": (6, 6)}
N_FRAMES = 3


def table():
    return pd.DataFrame(
        [
            {"clip": clip, "video": clip, "class_name": "dog", "kind": kind, "n_sources": 1, "frame": frame}
            for clip, kind in zip(SIZES, ["seen", "seen", "seen", "seen", "new level"], strict=True)
            for frame in range(N_FRAMES)
        ]
    )


@pytest.fixture
def measured():
    """A tally of all frames, and the logits and masks it was made from, {clip: (frames, H, W)}."""
    rng = np.random.default_rng(0)
    logits = {c: torch.from_numpy(rng.normal(0, 2, (N_FRAMES, *s))).float() for c, s in SIZES.items()}
    masks = {c: torch.from_numpy(rng.random((N_FRAMES, *s)) < 0.4) for c, s in SIZES.items()}
    masks["a"][1] = False
    masks["d"][:] = False
    masks["b"][0] = logits["b"][0] > 0  # a hit
    masks["c"][2] = logits["c"][2] <= 0  # wrong all over

    def make(**evaluation):
        tally = scores.Tally(len(SIZES) * N_FRAMES, scores.Conventions(p.Evaluation(**evaluation)))
        order = RNG.permutation(len(SIZES) * N_FRAMES)  # answers come in any order and of any size
        clips = list(SIZES)
        picked = [(clips[i // N_FRAMES], i % N_FRAMES) for i in order]
        maps = [torch.sigmoid(logits[c][f]) for c, f in picked]
        tally.add_masks(order, maps, [masks[c][f] for c, f in picked])
        return tally

    return make, logits, masks


def values(rows, metric):
    return rows[rows["metric"] == metric].set_index(["clip", "frame"])["value"].to_dict()


def test_frame_rows_equal_the_metrics(measured):
    make, logits, masks = measured
    rows = make(threshold=0.6).rows(np.arange(15), table(), selection="v1s/test", method="gavs", seed=1)
    for metric, threshold in (("miou", 0.6), ("miou_04", 0.4)):
        found = values(rows, metric)
        for clip in SIZES:
            expected = of_logits.frame_iou(logits[clip], masks[clip], threshold)
            assert [found[clip, f] for f in range(N_FRAMES)] == pytest.approx(expected.tolist())
    assert list(rows.columns) == scores.COLUMNS
    assert set(rows["method"]) == {"gavs"}


def test_hits_are_judged_where_something_sounds(measured):
    make, _, masks = measured
    rows = make().rows(np.arange(15), table(), selection="s", method="m", seed=0)
    hit, wrong, inside = (values(rows, name) for name in ("hit_rate", "wrong_rate", "iou_in_hits"))
    sounding = {(clip, f) for clip in SIZES for f in range(N_FRAMES) if masks[clip][f].any()}
    assert set(hit) == set(wrong) == sounding
    assert hit["b", 0] == 1
    assert inside["b", 0] == pytest.approx(1)
    assert (hit["c", 2], wrong["c", 2]) == (0, 1)
    assert set(inside) == {key for key, value in hit.items() if value}


def test_f_score_rows_are_one_call_a_clip(measured):
    make, logits, masks = measured
    rows = make().rows(np.arange(15), table(), selection="s", method="m", seed=0)
    found = values(rows, "f_score")
    assert found == pytest.approx({(c, -1): of_logits.f_score(logits[c], masks[c]) for c in SIZES})
    assert found["d", -1] == 0.0


def clips_of_the_published_programs():
    """Seven clips of several sizes: two together without truth, single silent frames, sure and unsure ones."""
    rng = np.random.default_rng(5)
    found = {}
    for number, spread in enumerate((2, 9, 3, 1, 2, 4, 2)):
        shape = (N_FRAMES, 4 + number % 3, 5)
        masks = rng.random(shape) < 0.3
        masks[0] &= number != 4
        masks[:] &= number not in (2, 3)
        logits = rng.normal(0, spread, shape) + 2 * spread * (masks - 0.5)
        found[f"clip{number}"] = logits.astype(np.float32), masks
    return found


def rows_of_clips(clips, **evaluation):
    frames = pd.DataFrame(
        [
            {"clip": clip, "video": clip, "class_name": "dog", "kind": "seen", "n_sources": 1, "frame": frame}
            for clip in clips
            for frame in range(N_FRAMES)
        ]
    )
    tally = scores.Tally(len(frames), scores.Conventions(p.Evaluation(**evaluation)))
    maps = [torch.sigmoid(frame) for logits, _ in clips.values() for frame in torch.from_numpy(logits)]
    masks = [mask for _, masks in clips.values() for mask in torch.from_numpy(masks)]
    for some in np.array_split(np.random.default_rng(0).permutation(len(frames)), 4):  # in our own batches, any order
        tally.add_masks(some, [maps[i] for i in some], [masks[i] for i in some])
    return tally.rows(np.arange(len(frames)), frames, selection="s", method="m", seed=0)


def test_f_of_the_batches_of_each_published_program():
    clips = clips_of_the_published_programs()
    rows = rows_of_clips(clips)
    names = ["f_score_clip", "f_score_batch2", "f_score_batch4", "f_score"]
    found = summary.dataset_values(rows, names).set_index("metric")["value"].to_dict()
    expected = {size: slow.f_of_batches(list(clips.values()), size) for size in (1, 2, 4)}
    assert found == pytest.approx(dict(zip(names, [*expected.values(), expected[1]], strict=True)), abs=1e-9)
    assert len({round(value, 3) for value in expected.values()}) == 3
    assert rows["metric"].value_counts()[names].tolist() == [7, 4, 2, 7]
    assert values(rows, "f_score_batch2")["clip2", -1] == 0, "a batch without truth counts 0"


@pytest.mark.parametrize("group", ["clip", "batch2", "batch4"])
def test_f_score_takes_the_batches_of_the_settings(group):
    clips = clips_of_the_published_programs()
    rows = rows_of_clips(clips, f_group=group)
    assert values(rows, "f_score") == values(rows, f"f_score_{group}")


def test_f_score_in_calls_of_four_clips():
    """Frames of one size, so that the reference function can take four clips at once."""
    rng = np.random.default_rng(1)
    logits = torch.from_numpy(rng.normal(0, 2, (15, 4, 4))).float()
    masks = torch.from_numpy(rng.random((15, 4, 4)) < 0.4)
    tally = scores.Tally(15, scores.Conventions(p.Evaluation(f_group="batch4")))
    tally.add_masks(range(15), list(torch.sigmoid(logits)), list(masks))
    rows = tally.rows(np.arange(15), table(), selection="s", method="m", seed=0)
    expected = {
        ("a", -1): of_logits.f_score(logits[:12], masks[:12]),
        ("e", -1): of_logits.f_score(logits[12:], masks[12:]),
    }
    assert values(rows, "f_score") == pytest.approx(expected)


def test_box_rows_take_soft_map_and_fixed_mask():
    tally = scores.Tally(2, scores.Conventions(p.Evaluation()))
    boxes, heat = [[0.0, 0.0, 0.5, 1.0]], torch.rand(20, 30, generator=torch.Generator().manual_seed(0))
    tally.add_boxes(0, heat, boxes)
    rows = tally.rows(np.array([0]), table().iloc[:1], selection="s", method="m", seed=0)
    assert values(rows, "ciou") == {("a", -1): pytest.approx(metrics.ciou(heat, boxes))}
    assert values(rows, "ciou_fixed") == {("a", -1): pytest.approx(metrics.fixed_ciou(heat, boxes))}
    assert set(rows["metric"]) == {"ciou", "ciou_float64", "ciou_fixed"}


def test_a_sure_perfect_mask_is_a_success_in_float32_alone():
    """The published evaluator's figure, and the same steps in float64, side by side in scores and in the summary."""
    tally = scores.Tally(1, scores.Conventions(p.Evaluation()))
    heat = torch.sigmoid(-22 + torch.randn(120, 160, generator=torch.Generator().manual_seed(0)))
    heat[30:60, 40:80] = torch.sigmoid(torch.tensor(9.0))
    tally.add_boxes(0, heat, [[0.25, 0.25, 0.5, 0.5]])
    rows = tally.rows(np.array([0]), table().iloc[:1], selection="s", method="m", seed=0)
    assert values(rows, "ciou")["a", -1] > 0.9 and values(rows, "ciou_float64")["a", -1] < 0.15
    found = summary.dataset_values(rows, ["ciou", "auc", "ciou_float64", "auc_float64"]).set_index("metric")["value"]
    assert found["ciou"] == 1 and found["ciou_float64"] == 0 and found["auc"] > 0.9 > 0.2 > found["auc_float64"]


def test_reference_crop_takes_the_central_square():
    wide = torch.arange(30.0).expand(10, 30)
    assert scores.central_square(wide).tolist() == wide[:, 10:20].tolist()
    assert scores.central_square(wide.T).tolist() == wide.T[10:20].tolist()
    tally = scores.Tally(1, scores.Conventions(p.Evaluation(), "reference"))
    tally.add_boxes(0, wide / 30, [[0.5, 0, 1, 1]])
    assert tally.values["ciou"][0] == pytest.approx(metrics.ciou(wide[:, 10:20], [[0.5, 0, 1, 1]]))


def test_unlabelled_frames_have_no_rows():
    tally = scores.Tally(3, scores.Conventions(p.Evaluation()))
    rows = tally.rows(np.arange(3), table().iloc[:3], selection="s", method="m", seed=0)
    assert rows.empty
    assert list(rows.columns) == scores.COLUMNS


def test_area_is_the_share_of_pixels_on_and_alarm_whether_that_is_more_than_a_limit(measured):
    make, logits, _ = measured
    rows = make(threshold=0.6, alarm_area=0.35).rows(np.arange(15), table(), selection="v1s/test", method="g", seed=1)
    area, alarm = values(rows, "area"), values(rows, "alarm")
    assert len(area) == len(alarm) == 15, "frames with an empty mask too"
    for (clip, frame), found in area.items():
        expected = float((torch.sigmoid(logits[clip][frame]) > 0.6).double().mean())
        assert found == pytest.approx(expected) and alarm[clip, frame] == (expected > 0.35)
    assert 0 < sum(alarm.values()) < 15
