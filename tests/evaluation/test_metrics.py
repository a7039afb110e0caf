"""Metrics against an independent slow implementation, worked examples and, if present, the reference cases."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import slow_reference as slow
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import of_logits
from soundprompt.evaluation import metrics
from soundprompt.evaluation.success import curve_areas, success_curves
from soundprompt.judge import semantic

few = settings(max_examples=30, deadline=None)
shapes = hnp.array_shapes(min_dims=3, max_dims=3, max_side=4)
logits_of = st.floats(-12, 12, width=32) | st.sampled_from([0.0, -100.0, 100.0, -0.4054651, 17.0])


@st.composite
def frames(draw):
    """Logits and a target of one small shape (N, H, W)."""
    shape = draw(shapes)
    return draw(hnp.arrays(np.float32, shape, elements=logits_of)), draw(hnp.arrays(bool, shape))


def logit(probability):
    return torch.logit(torch.tensor(probability, dtype=torch.float64)).float()


# ---------------------------------------------------------------------------------- mask_iou
@few
@given(frames(), st.sampled_from([0.4, 0.5, 0.73]))
def test_mask_iou_matches_the_slow_reference(sample, threshold):
    logits, target = map(torch.from_numpy, sample)
    assert of_logits.mask_iou(logits, target, threshold) == pytest.approx(slow.mask_iou(*sample, threshold), abs=1e-6)


def test_mask_iou_of_a_worked_example():
    # frame 0, truth 3 pixels: at 0.4 three are on, two of them rightly: 2/4; at 0.5 two, one rightly: 1/4.
    # frame 1: nothing to find, one pixel of four is on: 3/4.
    logits = torch.tensor([[[3.0, -0.3], [0.1, -4.0]], [[-2.0, 1.5], [-2.0, -2.0]]])
    target = torch.tensor([[[0, 1], [1, 1]], [[0, 0], [0, 0]]])
    assert of_logits.frame_iou(logits, target, 0.4).tolist() == pytest.approx([2 / 4, 3 / 4], abs=1e-6)
    assert of_logits.mask_iou(logits, target) == pytest.approx((1 / 4 + 3 / 4) / 2, abs=1e-6)


@pytest.mark.parametrize(("value", "full", "expected"), [(-4, 0, 1), (4, 0, 0), (-4, 1, 0), (4, 1, 1)])
def test_mask_iou_corner_cases(value, full, expected):
    assert of_logits.mask_iou(torch.full((1, 2, 2), value), torch.full((1, 2, 2), full)) == pytest.approx(expected)


def test_a_pixel_exactly_at_the_threshold_is_off():
    logits, target = torch.zeros(1, 1, 2), torch.tensor([[[1, 0]]])
    assert of_logits.mask_iou(logits, target, 0.5) == 0
    assert of_logits.mask_iou(logits, target, 0.4) == pytest.approx(0.5)


# ----------------------------------------------------------------------------------- f_score
@few
@given(frames())
def test_f_score_matches_the_slow_reference(sample):
    logits, target = map(torch.from_numpy, sample)
    assert of_logits.f_score(logits, target) == pytest.approx(slow.f_score(*sample), abs=1e-6)


@pytest.mark.parametrize("side", [-1, 0, 1])
def test_the_one_pass_curve_equals_255_comparisons_at_every_tie(side):
    """Every threshold itself and its float32 neighbours: >= must hold exactly there."""
    levels = torch.linspace(0, 1 - 1e-10, 255)
    if side:
        levels = torch.nextafter(levels, torch.tensor(float(side) * 2)).clamp(0, 1)
    probability = levels[None].repeat(3, 1)
    target = torch.arange(255).remainder(torch.tensor([[2], [3], [7]])) == 0
    curves, _ = metrics.f_curves(probability, target)
    expected = [
        [slow.f_at([(np.float32(p), bool(t)) for p, t in zip(ps, ts, strict=True)], th) for th in slow.thresholds()]
        for ps, ts in zip(probability.tolist(), target.tolist(), strict=True)
    ]
    assert curves.numpy() == pytest.approx(np.array(expected), abs=1e-12)


def test_threshold_cells_on_all_kinds_of_values():
    rng = torch.Generator().manual_seed(0)
    many = torch.rand(100_000, generator=rng)
    values = torch.cat([many, many**9, 1 - many**9, torch.sigmoid(30 * (many - 0.5)), torch.tensor([0.0, 1.0, 1e-30])])
    expected = torch.searchsorted(torch.linspace(0, 1 - 1e-10, 255), values, right=True) - 1
    assert torch.equal(metrics.threshold_cells(values).long(), expected)


def test_curves_of_many_frames_are_those_of_each_frame():
    rng = torch.Generator().manual_seed(3)
    frames = 2 * metrics.FRAMES_AT_ONCE + 3
    probability = torch.sigmoid(9 * torch.randn(frames, 50, generator=rng))
    target = torch.rand(frames, 50, generator=rng) < 0.2
    target[[0, -1]] = False
    together = metrics.f_curves(probability, target)
    singly = [metrics.f_curves(*pair) for pair in zip(probability.split(1), target.split(1), strict=True)]
    for part, whole in enumerate(together):
        assert torch.equal(whole, torch.cat([one[part] for one in singly]))


def test_row_counts_are_sums():
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, True]])
    assert metrics.row_counts(mask).tolist() == [2, 0, 3]
    assert metrics.row_counts(mask.T[:2]).tolist() == [2, 1]  # not contiguous


def test_f_score_takes_one_maximum_over_the_frames_of_a_call():
    # frame 0 is perfect between .3 and .7, frame 1 between .75 and .95: no threshold suits both
    probability = torch.tensor([[[0.7, 0.7], [0.3, 0.3]], [[0.95, 0.75], [0.75, 0.75]]])
    target = torch.tensor([[[1, 1], [0, 0]], [[1, 0], [0, 0]]])
    logits = torch.logit(probability)
    alone = [of_logits.f_score(logits[i : i + 1], target[i : i + 1]) for i in range(2)]
    assert alone == pytest.approx([1, 1])
    second_full = 1.3 * 0.25 / (0.3 * 0.25 + 1)  # between .3 and .7 frame 1 is all on
    assert of_logits.f_score(logits, target) == pytest.approx((1 + second_full) / 2, abs=1e-6)


def test_f_score_leaves_out_frames_with_nothing_to_find():
    logits, target = logit([[[0.8, 0.6], [0.2, 0.1]]] * 2), torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]])
    assert of_logits.f_score(logits, target) == pytest.approx(1)
    assert of_logits.f_score(logits[:1], target[1:]) == 0.0


def test_f_score_is_never_below_that_of_an_all_positive_mask():
    target = torch.tensor([[[1, 0], [0, 0]]])
    assert of_logits.f_score(torch.full((1, 2, 2), -100.0), target) == pytest.approx(1.3 * 0.25 / (0.3 * 0.25 + 1))


# --------------------------------------------------------------------------------------- boxes
edges = st.floats(-0.3, 1.3)


@few
@given(st.lists(st.tuples(edges, edges, edges, edges), max_size=3))
def test_box_mask_matches_the_slow_reference(boxes):
    assert np.array_equal(metrics.box_mask(boxes, 20).numpy(), slow.box_mask(boxes, 20))


def test_absurd_negative_corners_are_clamped():
    assert int(metrics.box_mask([[-2.9e16, -1, 0.5, 0.25]]).sum()) == 112 * 56


@pytest.mark.parametrize("kind", ["ramp", "noise", "ties", "binary", "constant", "zero", "negative", "faint"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ciou_matches_the_slow_reference(kind, dtype):
    rng = np.random.default_rng(3)
    heat = {
        "ramp": np.arange(224 * 224.0).reshape(224, 224),
        "noise": rng.normal(size=(224, 224)),
        "ties": rng.integers(0, 5, (224, 224)).astype(float),
        "binary": (rng.random((224, 224)) > 0.8).astype(float),
        "constant": np.full((224, 224), 0.3),
        "zero": np.zeros((224, 224)),
        "negative": np.full((224, 224), -0.3),
        "faint": 10.0 ** rng.uniform(-9, -5, (224, 224)) + (rng.random((224, 224)) > 0.9),
    }[kind]
    boxes = [[0.1, 0.2, 0.5, 0.9], [0.4, 0.1, 0.8, 0.3]]
    found = metrics.ciou(torch.from_numpy(heat), boxes, getattr(torch, dtype))
    assert found == pytest.approx(slow.ciou(heat, boxes, getattr(np, dtype)), abs=1e-12)


def confident_maps():
    """Probability maps (64, 64) float32 of which the published evaluator's figures are known."""
    for case in json.loads(Path(__file__).with_name("confident_maps.json").read_text())["cases"]:
        logits = np.array(case["background"], np.float16).repeat(4, 0).repeat(4, 1)
        top, bottom, left, right = case["object"]
        logits[top:bottom, left:right] = 8
        yield case, torch.sigmoid(torch.from_numpy(logits).float())


def test_confident_maps_score_as_in_the_published_evaluator():
    lost = 0
    for case, heat in confident_maps():
        assert int(metrics.median_cut(heat).sum()) == case["pixels"]
        assert metrics.ciou(heat, case["boxes"]) == pytest.approx(case["ciou"], abs=1e-9)
        slowly = slow.stretch(heat.numpy())
        assert slow.ciou(slowly, case["boxes"]) == pytest.approx(case["ciou"], abs=1e-3)  # a pixel's last bit
        lost += abs(metrics.ciou(heat, case["boxes"], torch.float64) - case["ciou"]) > 0.02
    assert lost == 3, "in float64 half of the frame is on"


@pytest.mark.parametrize("background", [-4, -16, -17, -18, -20, -28])
@pytest.mark.parametrize("side", [64, 112, 224, 360])
def test_ciou_of_a_sure_model_in_float32_and_in_float64(background, side):
    """A perfect mask, ever surer of the rest: below a probability of 6e-8 the published arithmetic sees none of it."""
    rng = np.random.default_rng(side)
    logits = background + rng.normal(0, 0.5, (side, side))
    start, end = side // 8, side // 2
    logits[start:end, start:end] = 9
    heat = torch.sigmoid(torch.from_numpy(logits).float())
    box = [[start / side, start / side, end / side, end / side]]
    slowly = slow.stretch(heat.numpy())
    assert metrics.stretched(heat).numpy() == pytest.approx(slowly, abs=1e-5)
    found, exact = metrics.ciou(heat, box), metrics.ciou(heat, box, torch.float64)
    assert found == pytest.approx(slow.ciou(slowly, box), abs=0.005)
    assert exact < 0.35, "half of the frame is on, of which the box is a quarter"
    if background == -4:
        assert found == exact
    elif background <= -20:
        assert found > 0.85


def test_ciou_cuts_at_the_median_and_a_fixed_mask_does_not():
    heat = torch.zeros(224, 224)
    heat[:, :168] = torch.linspace(0.6, 0.9, 168)  # above one half on three quarters of the map
    box = [[0.0, 0.0, 0.75, 1.0]]
    assert metrics.fixed_ciou(heat, box) == pytest.approx(1.0, abs=0.01)
    assert metrics.ciou(heat, box) == pytest.approx(111 / 168, abs=0.01)


def test_a_small_map_is_stretched():
    heat = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    assert metrics.ciou(heat, [[0.5, 0, 1, 1]]) > 0.98
    assert metrics.ciou(heat, [[0, 0, 0.5, 1]]) < 0.02


def test_an_empty_mask_on_empty_boxes_scores_zero():
    assert metrics.fixed_ciou(torch.zeros(8, 8), [[0.5, 0.5, 0.5, 0.5]]) == 0.0


def test_soft_truth_weighs_the_overlap():
    truth, on = torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([[True, True, True]])
    assert metrics.box_overlap(on, truth) == pytest.approx(1.5 / 2.5)


def summary(values):
    """cIoU and AUC of a set's overlaps."""
    curves = success_curves(np.array(values, float))
    return curves[:, 10].mean(), curve_areas(curves).mean()


@few
@given(st.lists(st.floats(0, 1) | st.sampled_from([0.05 * i for i in range(21)] + [0.3, 0.35]), min_size=1))
def test_ciou_summary_matches_the_slow_reference(values):
    assert summary(values) == pytest.approx(slow.ciou_summary(values), abs=1e-9)


def test_ciou_summary_of_a_worked_example():
    # 0.3 is below 0.05 * 6 = 0.30000000000000004; 0.5 reaches 0.05 * 10
    success, area = summary([0.3, 0.5])
    assert success == 0.5
    assert area == pytest.approx(0.05 * ((6 - 0.5) + (11 - 0.5)) / 2)


# ----------------------------------------------------------------------- the reference's cases
def reference_cases():
    folder = Path(os.environ.get("SOUNDPROMPT_REFERENCE_DATA", Path(__file__).parents[2] / "../shared/data"))
    path = folder / "metric_cases.json"
    return {case["name"]: case for case in json.loads(path.read_text())} if path.exists() else {}


def flat(expected):
    """Every number below a nested result."""
    return np.array([np.nan if v is None else v for v in np.ravel(expected)], float)


def check(name, computed):
    """Compares {key of `expected`: value}."""
    for key, value in computed.items():
        assert flat(value) == pytest.approx(flat(CASES[name]["expected"][key]), abs=1e-6, nan_ok=True), key


CASES = reference_cases()
needs_cases = pytest.mark.skipif(not CASES, reason="no metric_cases.json in the reference data folder")


@needs_cases
def test_reference_mask_iou():
    first, strict = (CASES[name]["inputs"] for name in ("iou_threshold_and_empty_gt", "iou_strict_inequality"))
    logits, target = torch.tensor(first["logits"]), torch.tensor(first["target"])
    at = {
        "thr_0_4_gavs": of_logits.mask_iou(logits, target, 0.4),
        "thr_0_5_avsbench": of_logits.mask_iou(logits, target),
    }
    check("iou_threshold_and_empty_gt", at)
    logits, target = torch.tensor(strict["logits"]), torch.tensor(strict["target"])
    both = {"thr_0_4": of_logits.mask_iou(logits, target, 0.4), "thr_0_5": of_logits.mask_iou(logits, target)}
    check("iou_strict_inequality", both)
    corners = {
        f"{state}_vs_{truth}": of_logits.mask_iou(torch.full((1, 2, 2), z), torch.full((1, 2, 2), t))
        for state, z in (("off", -4), ("on", 4))
        for truth, t in (("empty", 0), ("full", 1))
    }
    check("iou_corner_cases", corners)


@needs_cases
def test_reference_f_score():
    joint = CASES["fscore_joint_vs_separate"]["inputs"]
    a, b, truth = logit(joint["prob_A"]), logit(joint["prob_B"]), torch.tensor(joint["gt"])
    both = torch.stack([a, b])
    alone = [of_logits.f_score(frame[None], truth[None]) for frame in (a, b)]
    curves, counted = of_logits.f_curves(both, truth.expand(2, 2, 2))
    mean = curves[counted].mean(0)
    best = int(mean.argmax())
    computed = {"F_A": alone[0], "F_B": alone[1], "mean_of_separate": sum(alone) / 2}
    computed |= {"F_A_and_B_one_call": of_logits.f_score(both, truth.expand(2, 2, 2)), "argmax_index_joint": best}
    computed |= {"threshold_joint": float(metrics.f_thresholds()[best])}
    computed |= {"A_at_that": float(curves[0, best]), "B_at_that": float(curves[1, best])}
    check("fscore_joint_vs_separate", computed)
    for name in ("fscore_empty_gt_skipped", "fscore_all_empty"):
        inputs = CASES[name]["inputs"]
        check(name, {"F": of_logits.f_score(logit(inputs["prob"]), torch.tensor(inputs["gt"]))})
    truth = torch.tensor([CASES["fscore_constant_zero_pred"]["inputs"]["gt"]])
    check("fscore_constant_zero_pred", {"F": of_logits.f_score(torch.full(truth.shape, -100.0), truth)})


@needs_cases
def test_reference_colour():
    inputs = CASES["colour_metrics"]["inputs"]
    pairs = zip(inputs["pred_labels"], inputs["target_labels"], strict=True)
    terms = np.stack([semantic.avsbench_terms(semantic.counts(*map(np.array, pair))) for pair in pairs])
    sums = terms.sum(0)
    scores = semantic.frame_scores(sums)
    classes = inputs["nclass"]
    with np.errstate(invalid="ignore"):
        by_class = sums[0, :classes] / sums[2, :classes]
    computed = {
        "iou_sum": sums[0, :classes],
        "fscore_sum": sums[1, :classes],
        "class_count": sums[2, :classes],
        "iou_per_class": by_class,
        "miou_mean_over_all_nclass": scores["miou"] * semantic.CLASSES / classes,
        "miou_over_present_classes": scores["miou_met"],
        "fscore_mean_over_all_nclass": scores["f"] * semantic.CLASSES / classes,
        "vid_miou": terms[:, 0].sum(1) / terms[:, 2].sum(1),
    }
    check("colour_metrics", computed)


@needs_cases
@pytest.mark.parametrize("name", ["vggss_ramp", "vggss_binary_exact", "vggss_constant_map", "vggss_binary_large"])
def test_reference_ciou(name):
    boxes = [[0.25, 0.5, 0.75, 1.0]]
    rows = torch.arange(224.0)[:, None].expand(224, 224)
    heat = {
        "vggss_ramp": rows,
        "vggss_binary_exact": metrics.box_mask(boxes).float(),
        "vggss_constant_map": torch.zeros(224, 224),
        "vggss_binary_large": (rows >= 45).float(),
    }[name]
    on, truth = metrics.median_cut(heat), metrics.box_mask(boxes)
    computed = {"ciou": metrics.ciou(heat, boxes), "n_pred": on.sum(), "inter": (on & truth).sum()}
    check(name, computed | {"union": (on | truth).sum()})


@needs_cases
def test_reference_boxes_and_summary():
    mask = metrics.box_mask(CASES["vggss_gt_union"]["inputs"]["boxes"])
    row = mask[30].nonzero().flatten()
    check("vggss_gt_union", {"gt_pixels": mask.sum(), "first_last_col_on_at_row_30": [row[0], row[-1]]})
    values = CASES["vggss_summary"]["inputs"]["ciou_list"]
    success, area = summary(values)
    curve = success_curves(np.array(values)).mean(0)
    computed = {"success_curve": curve, "cIoU_at_0_5": success, "AUC": area, "mean_iou": np.mean(values)}
    check("vggss_summary", computed)


@needs_cases
def test_no_reference_case_is_left_out():
    ours = Path(__file__).read_text()
    assert [name for name in CASES if name not in ours] == []
