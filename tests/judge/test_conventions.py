"""Every convention against the figures that the published programs gave on the same seeded inputs."""

import numpy as np
import pytest
import seeded

from soundprompt.judge import binary, boxes, conventions, measured, negatives, ranking, semantic

CLOSE, PERCENT, PRINTED = {"abs": 1e-5}, {"abs": 1e-4}, {"abs": 1e-4}


def near(expected, **tolerance):
    """pytest.approx with null for NaN, in lists and dictionaries too."""
    if isinstance(expected, dict):
        return {name: near(value, **tolerance) for name, value in expected.items()}
    if isinstance(expected, list):
        return [near(value, **tolerance) for value in expected]
    return pytest.approx(np.nan if expected is None else expected, nan_ok=True, **(tolerance or CLOSE))


def cases(name):
    return [pytest.param(case, id=title) for title, case in seeded.published(name).items()]


def values(register, measured_set):
    return {one.name: one.of(measured_set).value() for one in register}


def clips(names):
    return [measured.Clip(name, name, "", 1) for name in names]


# ------------------------------------------------------------------------------------- masks
def of_masks(logits, truth, clip_of):
    tally = measured.MaskTally()
    for one, true, clip in zip(logits, truth, clip_of, strict=True):
        tally.add(int(clip), binary.Answer.of_logits(one), true)
    return values(conventions.MASKS, tally.measured(clips(map(str, range(clip_of[-1] + 1)))))


@pytest.mark.parametrize("kind", seeded.published("binary_frames"))
def test_one_frame(kind):
    expected = seeded.published("binary_frames")[kind]
    logits, truth = seeded.frame(kind, expected["seed"])
    assert seeded.digest(logits, truth) == expected["digest"]
    value = of_masks([logits], [truth], np.array([0]))
    names = {"half": "miou_picture", "softmax": "miou_combo", "argmax": "miou_cavp_clip", "area": "fpr"}
    names |= {"f": "f_clips1", "softmax_f": "f_combo"}
    assert {name: value[ours] for name, ours in names.items()} == near({name: expected[name] for name in names})
    assert [100 * value["miou_acl_median"], 100 * value["f_whole"]] == near(
        [expected["median"], expected["whole_f"]], **PERCENT
    )
    assert {name: value[ours] for name, ours in CAVP.items()} == near(expected["cavp"], **PRINTED)


CAVP = {
    "miou": "miou_cavp_dataset",
    "accuracy": "accuracy_cavp",
    "false_discovery": "false_discovery_cavp",
    "f1": "f1_cavp_dataset",
    "f03": "f_cavp_dataset",
}


@pytest.mark.parametrize("case", cases("binary_sets"))
def test_a_set_of_clips(case):
    logits, truth = seeded.clips(**case["recipe"])
    assert seeded.digest(logits, truth) == case["digest"]
    numbers = np.arange(len(logits))
    by_clip, by_frame = of_masks(logits, truth, numbers // 5), of_masks(logits, truth, numbers)
    for size in ("1", "2", "4", "8"):
        for value, name in ((by_clip, "clips"), (by_frame, "frames")):
            assert [value[f"miou_clips{size}"], value[f"f_clips{size}"]] == near(case[name][size]), f"{size} {name}"
    assert [by_clip["miou_combo"], by_clip["f_combo"]] == near(case["combo"]["1"])
    assert by_clip["fpr"] == near(case["fpr"]["1"])
    for threshold, name in (("0.4", "miou_picture_04"), ("0.5", "miou_picture"), ("None", "miou_acl_median")):
        assert [100 * by_clip[name], 100 * by_clip["f_whole"]] == near(case["acl"][f"{threshold}|1"], **PERCENT)
    cavp = case["cavp"]
    assert {name: by_clip[ours] for name, ours in CAVP.items()} == near(cavp["set"], **PRINTED)
    assert by_clip["iou_dataset"] == near(cavp["by_class"][1])
    assert by_clip["f_cavp_foreground"] == near(cavp["foreground"]["f03"], **PRINTED)
    assert by_clip["miou_cavp_clip"] == near(cavp["picture"], **PRINTED)


@pytest.mark.parametrize("case", cases("binary_sets"))
def test_the_confusion_matrix_of_a_set(case):
    logits, truth = seeded.clips(**case["recipe"])
    frames = [binary.measure(binary.Answer.of_logits(one), true) for one, true in zip(logits, truth, strict=True)]
    counts = sum(frame.counts for frame in frames)
    rates = binary.cavp_rates(counts, slice(1, None))
    assert counts.tolist() == case["cavp"]["confusion"]
    assert {name: rates[name] for name in case["cavp"]["foreground"]} == near(case["cavp"]["foreground"], **PRINTED)


def test_infinite_logits_count_as_on_in_all_programs_but_combo():
    logits = np.full((4, 4), -np.inf, np.float32)
    logits[:2] = np.inf
    truth = (logits > 0).astype(np.float32)
    frame = binary.measure(binary.Answer.of_logits(logits), truth)
    assert [frame.iou[name] for name in ("half", "argmax", "softmax")] == [pytest.approx(1), pytest.approx(1), 0]


def test_sizes_that_differ_are_an_error():
    with pytest.raises(ValueError, match="differ in size"):
        binary.measure(binary.Answer.of_probabilities(np.zeros((4, 4))), np.zeros((4, 5)))


# ------------------------------------------------------------------------------------ labels
def counted(case, at_224=False):
    guess, truth = seeded.label_maps(**case["recipe"])
    assert seeded.digest(guess, truth) == case["digest"]
    if at_224:
        guess, truth = map(semantic.prediction_at_224, guess), map(semantic.truth_at_224, truth)
    return np.stack([semantic.counts(one, true) for one, true in zip(guess, truth, strict=True)])


def by_class(values):
    return {str(i): value for i, value in enumerate(values) if value and not np.isnan(value)}


@pytest.mark.parametrize("case", cases("label_maps"))
def test_71_classes_by_picture(case):
    counts = counted(case)
    terms = semantic.avsbench_terms(counts).sum(0)
    scores = semantic.frame_scores(terms)
    assert {name: float(scores[name]) for name in case["picture"]} == near(case["picture"])
    for name in ("miou_by_class", "f_by_class"):
        assert by_class(scores[name]) == near(case[name])
    assert by_class(terms[2]) == near(case["count_by_class"])
    pixels = np.full(len(counts), counts[0, semantic.WANTED].sum())
    assert semantic.avsbench_foreground_iou(counts, pixels).mean() == near(case["foreground"])


@pytest.mark.parametrize("case", cases("label_maps"))
def test_71_classes_as_cavp_sums_them(case):
    counts = counted(case)
    padded = case["recipe"].get("padded", 0)
    counts = counts[np.arange(len(counts)) % 10 < 10 - padded]  # frames appended to short clips are not annotated
    for name, frames, classes in (
        ("cavp", counts, slice(None)),
        ("no_background", counts, slice(1, None)),
        ("many", counts[semantic.many_sources(counts)], slice(None)),
    ):
        scores = semantic.cavp_scores(frames.sum(0), classes)
        assert {one: float(scores[one]) for one in case[name]} == near(case[name], **PRINTED), name
    assert by_class(semantic.cavp_scores(counts.sum(0))["iou_by_class"]) == near(case["cavp_by_class"])


@pytest.mark.parametrize("at_224", [False, True], ids=["same size", "at 224"])
@pytest.mark.parametrize("case", cases("label_maps"))
def test_open_vocabulary(case, at_224):
    counts, suffix = counted(case, at_224), "_224" if at_224 else ""
    scores = semantic.ovavss_scores(counts.sum(0))
    assert {name: float(scores[name]) for name in case[f"ovavss{suffix}"]} == near(case[f"ovavss{suffix}"])
    pictures = semantic.frame_scores(semantic.ovavss_terms(counts).sum(0))
    expected = case[f"ovavss_picture{suffix}"]
    assert {name: float(pictures[name]) for name in expected} == near(expected)
    if not at_224:
        assert by_class(scores["iou_by_class"]) == near(case["ovavss_by_class"])


def test_truth_and_prediction_are_resized_to_other_pixels():
    """Pillow samples the middle of each cell of the target, torch its first corner."""
    labels = np.arange(27 * 48, dtype=np.uint8).reshape(27, 48) % 71
    cells = [(np.arange(224) * side / 224, (np.arange(224) + 0.5) * side / 224) for side in labels.shape]
    corner, middle = (labels[np.ix_(*(edge[i].astype(int) for edge in cells))] for i in (0, 1))
    assert (semantic.prediction_at_224(labels) == corner).all()
    assert (semantic.truth_at_224(labels) == middle).all()
    assert (corner != middle).any()


def test_softmax_ties_that_the_logits_do_not_have():
    logits = np.zeros((71, 1, 1), np.float32)
    logits[[3, 5]] = np.reshape([30, np.nextafter(np.float32(30), np.float32(31))], (2, 1, 1))
    assert semantic.argmax(logits, softmax=False).item() == 5
    assert semantic.argmax(np.zeros((71, 1, 1))).item() == 0


# --------------------------------------------------------------------------------- heat maps
def overlaps(maps, truth, cut, reached=False):
    compare = np.greater_equal if reached else np.greater
    return np.array(
        [boxes.overlap(compare(heat, cut(heat, true)), true) for heat, true in zip(maps, truth, strict=True)]
    )


CUTS = {"median": lambda heat, true: boxes.median(heat), "adaptive": boxes.adaptive}


@pytest.mark.parametrize("case", cases("heat_maps"))
def test_heat_maps_in_the_register(case):
    maps, truth, names = seeded.localisation(case["recipe"])
    tally = measured.BoxTally()
    for heat, true in zip(maps, truth, strict=True):
        tally.add(heat.astype(np.float32), true)
    value = values(conventions.BOXES, tally.measured(clips(names)))
    for cut in ("median", "adaptive"):
        for name in ("ciou", "auc", "iiou", "iauc"):
            assert value[f"{name}_{cut}"] == near(case["aligned"][cut][name])
        for name in ("ciou", "auc"):
            assert value[f"{name}_flipped_{cut}"] == near(case["flipped"][cut][name])
    for ours, key in (("acl_0.50", "0.5|1"), ("acl_median", "None|1"), ("acl_median_batch", "None|4")):
        assert [100 * value[f"ciou_{ours}"], 100 * value[f"auc_{ours}"]] == near(case["acl"][key][1:], **PERCENT)


@pytest.mark.parametrize("case", cases("heat_maps"))
def test_heat_maps_by_median_and_adaptive_cut(case):
    maps, truth, _ = seeded.localisation(case["recipe"])
    assert seeded.digest(maps, truth) == case["digest"]
    scaled = [boxes.normalised(boxes.aligned(heat)) for heat in maps]
    for name, shown in (
        ("aligned", scaled),
        ("flipped", [boxes.flipped_twice(boxes.half_pixel(heat)) for heat in maps]),
    ):
        for cut, of in CUTS.items():
            assert overlaps(shown, truth, of).tolist() == near(case[name][cut]["overlap"]), name
    reached = overlaps(scaled, truth, CUTS["median"], reached=True)
    assert [reached.tolist(), boxes.ciou(reached)] == near(case["median_reached"])
    objects = [boxes.normalised(boxes.aligned(heat)) for heat in seeded.peaks(999, len(maps))]
    mixed = [0.4 * heat + 0.6 * one for heat, one in zip(scaled, objects, strict=True)]
    assert [boxes.ciou(overlaps(mixed, truth, of)) for of in CUTS.values()] == near(case["objects"])


@pytest.mark.parametrize("case", cases("heat_maps"))
def test_heat_maps_by_fixed_cuts(case):
    maps, truth, _ = seeded.localisation(case["recipe"])
    shown = [boxes.aligned(heat) for heat in maps]
    for key, expected in case["fixed"].items():
        above, reached = (overlaps(shown, truth, lambda *_, at=np.float32(key): at, one) for one in (False, True))
        found = {
            "above": above.tolist(),
            "reached": reached.tolist(),
            "ciou": boxes.ciou(above),
            "auc": boxes.auc(above),
        }
        assert found | {"reached_ciou": boxes.ciou(reached)} == near(expected), key
    for key, expected in case["acl"].items():
        threshold, size = key.split("|")
        first = [boxes.median(shown[i - i % int(size)]) for i in range(len(shown))]
        cuts = first if threshold == "None" else [np.float32(threshold)] * len(shown)
        values = np.array(
            [boxes.acl_overlap(one >= cut, true) for one, cut, true in zip(shown, cuts, truth, strict=True)]
        )
        assert values.tolist() == near(expected[0]), key
        assert [100 * boxes.ciou(values), 100 * boxes.auc(values)] == near(expected[1:], **PERCENT), key


# ------------------------------------------------------------------------------ extended sets
@pytest.mark.parametrize("title", [title for title in seeded.published("pairs") if not title.startswith("maps:")])
def test_pairs_with_confidences(title):
    case = seeded.published("pairs")[title]
    pairs = ranking.Pairs(*(np.array(case[name]) for name in ("boxes", "overlap", "confidence")))
    pairs = ranking.Pairs(pairs.positive > 0, pairs.overlap, pairs.confidence)
    assert 100 * ranking.average_precision(pairs) == near(case["ap"], **PERCENT)
    assert 100 * ranking.max_f1(pairs) == near(case["max_f1"], **PERCENT)
    assert np.round(100 * ranking.f1_curve(pairs), 1).tolist() == near(case["f1_curve"])
    assert ranking.f1_at(pairs, [0.5])[0] == near(case["f1_at_half"])
    assert ranking.location_accuracy(pairs) == near(case["loc_acc"])
    assert boxes.auc(pairs.overlap[pairs.positive]) == near(case["auc"])
    sounding = pairs.take(pairs.positive)
    assert ranking.average_precision(sounding) == near(case["sounding"]["ap"])
    assert np.round(100 * ranking.f1_curve(sounding), 1).tolist() == near(case["sounding"]["f1_curve"])


@pytest.mark.parametrize("title", [title for title in seeded.published("pairs") if title.startswith("maps:")])
def test_pairs_from_maps(title):
    case = seeded.published("pairs")[title]
    maps, truth, _ = seeded.localisation(case["recipe"])
    shown = [boxes.aligned(heat) for heat in maps]
    for key in [key for key in case if key.startswith(("acl", "sslalign"))]:
        expected, ap, f1 = case[key]
        if key == "sslalign median":
            values = overlaps([boxes.normalised(one) for one in shown], truth, CUTS["median"], reached=True)
        else:
            threshold, size = key.removeprefix("acl ").split("|")
            first = [boxes.median(shown[i - i % int(size)]) for i in range(len(shown))]
            cuts = first if threshold == "None" else [np.float32(threshold)] * len(shown)
            masks = [one >= cut for one, cut in zip(shown, cuts, strict=True)]
            values = np.array(
                [boxes.overlap(on, true, boxes.ACL_EPSILON) for on, true in zip(masks, truth, strict=True)]
            )
        assert values.tolist() == near(expected), key
        pairs = ranking.Pairs(truth.any((1, 2)), values, np.array(case["confidence"]))
        assert 100 * ranking.average_precision(pairs) == near(ap, **PERCENT)
        assert f1 is None or 100 * ranking.max_f1(pairs) == near(f1, **PERCENT)


# ------------------------------------------------------------------------------- other sounds
@pytest.mark.parametrize("case", cases("other_sounds"))
def test_maps_under_other_sounds(case):
    (positive, *others), truth, names = seeded.other_sounds(case["recipe"])
    assert seeded.digest(positive, *others, truth) == case["digest"]
    objects = [boxes.aligned(heat) for heat in seeded.peaks(998, len(truth))]
    found = {}
    for label, mixed in (("", [None] * len(truth)), ("objects ", objects)):
        pictures = [
            negatives.measure(
                heat, dict(zip(negatives.KINDS, rest, strict=True)), true, negatives.CONSTANTS["ezvsl"], one
            )
            for heat, *rest, true, one in zip(positive, *others, truth, mixed, strict=True)
        ]
        value = values(conventions.negative_boxes(negatives.KINDS), measured.NegativeBoxes(clips(names), pictures))
        found |= {label + name.removesuffix("_vssl"): 100 * figure for name, figure in value.items()}
        if not label:
            plain = pictures
    assert {name: found[name] for name in case["figures"]} == near(case["figures"], **PERCENT)
    for sound, expected in case["span"].items():
        low, high = np.array([one.span[sound] for one in plain]).T
        assert [low.mean(), high.mean(), np.median(low), np.median(high)] == near(expected)
    assert [plain[0].overlap[cut] for cut in negatives.LISTED] == near(case["first"])
    for kind in negatives.KINDS:
        assert [one.area[kind]["half"] for one in plain] == near(case["by_picture"][kind])
    assert [one.overlap["half"] for one in plain] == near(case["by_picture"]["half"])
