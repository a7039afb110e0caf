"""`soundprompt judge` from files to figures."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import seeded
from PIL import Image
from small_sets import PALETTE, npy, png, write_avsbench, write_masks, write_vggss

from soundprompt.judge.truth import s4_mask

TOY = Path(__file__).parents[2] / "docs" / "judge_toy"


def by_clip(values: np.ndarray, frames: int, name: str = "clip{:02d}_0") -> dict[str, np.ndarray]:
    return {name.format(i): values[i * frames : (i + 1) * frames] for i in range(len(values) // frames)}


@pytest.fixture
def few(tmp_path):
    """Six clips of five frames in a v1m folder, and the logits of a method."""
    logits, truth = seeded.clips(5, 6, h=24, w=32, empty_truth=0.1)
    root = write_avsbench(tmp_path / "data", "v1m", by_clip(truth, 5), ("dog", "cat_dog"))
    return root, logits.astype(np.float32), truth


# --------------------------------------------------------------------------------- the toy
def test_the_toy_of_the_documentation(judge):
    answer = judge(TOY / "prediction", "--dataset", "v1m", "--root", TOY / "truth")
    found, expected = (
        list(csv.DictReader(path.read_text().splitlines()))
        for path in (answer.out / "judgement.csv", TOY / "expected.csv")
    )
    numbers = ("value", "printed", "low", "high")
    for one, other in zip(found, expected, strict=True):
        for name in numbers:
            assert (one[name] == other[name] == "") or float(one[name]) == pytest.approx(float(other[name]), abs=1e-9)
        assert {k: v for k, v in one.items() if k not in numbers} == {
            k: v for k, v in other.items() if k not in numbers
        }
    assert "mIoU .283 to .766, F .729 to .854" in answer.text
    assert "<h1>v1m</h1>" in (answer.out / "judgement.html").read_text()


# --------------------------------------------------------------- figures of programs, from files
def test_the_same_predictions_by_the_conventions_of_the_field(judge, tmp_path):
    """40 clips of 5 frames: one set of masks, mIoU from .354 to .661 and F from .576 to .768."""
    case = seeded.published("binary_sets")["spread_200"]
    logits, truth = seeded.clips(**case["recipe"])
    root = write_avsbench(tmp_path / "data", "v1m", by_clip(truth, 5))
    masks = write_masks(tmp_path / "masks", by_clip(logits.astype(np.float32), 5), npy)
    answer = judge(masks, "--dataset", "v1m", "--root", root)
    assert "mIoU .354 to .661" in answer.text and "F .576 to .768" in answer.text
    value = answer.values()
    for size in ("1", "2", "4", "8"):
        assert [value[f"miou_clips{size}"], value[f"f_clips{size}"]] == pytest.approx(case["clips"][size], abs=1e-5)
    assert [value["miou_picture"], value["f_picture"]] == pytest.approx(case["frames"]["1"], abs=1e-5)
    assert value["fpr"] == pytest.approx(case["fpr"]["1"], abs=1e-5)
    assert 100 * value["miou_picture_04"] == pytest.approx(case["acl"]["0.4|1"][0], abs=1e-4)
    assert [100 * value["miou_acl_median"], 100 * value["f_whole"]] == pytest.approx(case["acl"]["None|1"], abs=1e-4)
    printed = {name: row["printed"] for name, row in answer.rows().items()}
    cavp = case["cavp"]
    assert printed["miou_cavp_clip"] == cavp["picture"] and printed["miou_cavp_dataset"] == cavp["set"]["miou"]
    assert printed["f_cavp_dataset"] == cavp["set"]["f03"] and printed["f_cavp_foreground"] == cavp["foreground"]["f03"]
    assert value["iou_dataset"] == pytest.approx(cavp["by_class"][1], abs=1e-6)


@pytest.mark.parametrize("form", ["numbers", "colours", "palette"])
def test_71_classes(judge, tmp_path, form):
    case = seeded.published("label_maps")["plain_8"]
    guess, truth = seeded.label_maps(**case["recipe"])
    root = write_avsbench(tmp_path / "data", "v2", by_clip(truth, 10, "video{:06d}_0_10000"))

    def palette(path, labels):
        picture = Image.fromarray(labels, mode="P")
        picture.putpalette(PALETTE.ravel().tolist())
        picture.save(path.with_name(f"{path.name}.png"))

    write = {"numbers": npy, "colours": lambda path, labels: png(path, PALETTE[labels]), "palette": palette}[form]
    masks = write_masks(tmp_path / "masks", by_clip(guess, 10, "video{:06d}_0_10000"), write)
    answer = judge(masks, "--dataset", "v2", "--root", root)
    value = answer.values()
    expected = {
        f"{name[: name.index('_')] if '_' in name else name}71": figure for name, figure in case["picture"].items()
    }
    assert value["miou71"] == pytest.approx(case["picture"]["miou"], abs=1e-5)
    assert value["f71_met"] == pytest.approx(case["picture"]["f_met"], abs=1e-5)
    assert value["miou71_no_background"] == pytest.approx(case["picture"]["miou_no_background"], abs=1e-5)
    assert "class 70" in answer.rows()["miou71_no_background"]["caution"] and expected
    printed = {name: row["printed"] for name, row in answer.rows().items()}
    assert [printed["miou_cavp71"], printed["f_cavp71_no_background"], printed["accuracy_cavp71_many"]] == [
        case["cavp"]["miou"],
        case["no_background"]["f03"],
        case["many"]["accuracy"],
    ]
    for part in ("", " Seen", " Unseen", " Harmonic"):
        name = (part or " all").strip().lower()
        assert value[f"miou_ovavss_{name}"] == pytest.approx(case["ovavss_224"][f"Mean IoU{part}"], abs=1e-5)
    assert value["f_ovavss_picture"] == pytest.approx(case["ovavss_picture_224"]["f"], abs=1e-5)
    assert value["miou_picture"] == pytest.approx(
        np.mean([iou(one > 0, true > 0) for one, true in zip(guess, truth, strict=True)])
    )


def iou(on, true):
    return (on & true).sum() / (on | true).sum() if true.any() else 1 - on.mean()


@pytest.mark.parametrize("title", ["cosine_14", "masks_equal_truth"])
def test_heat_maps_against_boxes(judge, tmp_path, title):
    case = seeded.published("heat_maps")[title]
    maps, _, names = seeded.localisation(case["recipe"])
    root = write_vggss(tmp_path / "data", dict(zip(names, seeded.boxes_of(case["recipe"]["boxes"]), strict=True)))
    masks = tmp_path / "maps"
    masks.mkdir()
    for name, heat in zip(names, maps, strict=True):
        np.save(masks / f"{name}.npy", heat)
    answer = judge(masks, "--dataset", "vggss", "--root", root)
    value = answer.values()
    for cut in ("median", "adaptive"):
        expected = case["aligned"][cut]
        found = [value[f"{name}_{cut}"] for name in ("ciou", "auc", "iiou", "iauc")]
        assert found == pytest.approx([expected[name] for name in ("ciou", "auc", "iiou", "iauc")], abs=1e-5)
        assert value[f"ciou_flipped_{cut}"] == pytest.approx(case["flipped"][cut]["ciou"], abs=1e-5)
    assert value["ciou_median_reached"] == pytest.approx(case["median_reached"][1], abs=1e-5)
    for name, key in (("acl_0.50", "0.5|1"), ("acl_median", "None|1"), ("acl_median_batch", "None|4")):
        assert [100 * value[f"ciou_{name}"], 100 * value[f"auc_{name}"]] == pytest.approx(
            case["acl"][key][1:], abs=1e-4
        )
    hard = title == "masks_equal_truth"
    assert ("perfect one scores 0" in answer.rows()["ciou_adaptive"]["caution"]) == hard
    assert (value["ciou_adaptive"] == 0 and value["ciou_vggss"] == 1) == hard


def test_maps_under_silence_noise_and_an_off_screen_sound(judge, tmp_path):
    case = seeded.published("other_sounds")["plain"]
    maps, _, names = seeded.other_sounds(case["recipe"])
    root = write_vggss(tmp_path / "data", dict(zip(names, seeded.boxes_of(case["recipe"]["boxes"]), strict=True)))
    for sound, values in zip(("true", "silence", "noise", "offscreen"), maps, strict=True):
        write_masks(tmp_path / sound, {name: [heat] for name, heat in zip(names, values, strict=True)}, npy)
    others = [item for kind in ("silence", "noise", "offscreen") for item in (f"--{kind}", tmp_path / kind)]
    value = judge(tmp_path / "true", "--dataset", "vggss", "--root", root, *others).values()
    for kind in ("silence", "noise", "offscreen"):
        for cut in ("half", "median", "adaptive", "max", "max10", "max_q3"):
            for name in ("pia", "aoc"):
                expected = case["figures"][f"{name}_{kind}_{cut}"]
                assert 100 * value[f"{name}_{kind}_{cut}"] == pytest.approx(expected, abs=1e-4)
    assert 100 * value["f_all"] == pytest.approx(case["figures"]["f_all"], abs=1e-4)
    assert 100 * value["f_auc_all"] == pytest.approx(case["figures"]["f_auc_all"], abs=1e-4)
    assert 100 * value["ciou_vssl"] == pytest.approx(case["figures"]["ciou"], abs=1e-4)


def test_masks_under_silence_keep_the_visible_object_as_truth(judge, tmp_path, few):
    root, logits, truth = few
    masks = write_masks(tmp_path / "masks", by_clip(logits, 5), npy)
    silent = write_masks(tmp_path / "silent", by_clip(np.where(truth, 5, -5).astype(np.float32), 5), npy)
    answer = judge(masks, "--dataset", "v1m", "--root", root, "--silence", silent)
    value = answer.values()
    assert value["silence_fpr"] == pytest.approx(truth.mean(), abs=1e-6)
    assert value["silence_miou"] == pytest.approx(1) and not answer.rows()["silence_miou"]["higher_is_better"]
    assert "VISIBLE" in answer.rows()["silence_miou"]["rule"]


# ------------------------------------------------------------------------------- methods
def test_methods_are_compared_on_the_same_videos(judge, tmp_path, few):
    root, logits, truth = few
    write_masks(tmp_path / "weak", by_clip(logits, 5), npy)
    write_masks(tmp_path / "same", by_clip(logits, 5), npy)
    write_masks(tmp_path / "perfect", by_clip(np.where(truth, 9, -9).astype(np.float32), 5), npy)
    answer = judge(*(tmp_path / name for name in ("weak", "same", "perfect")), "--dataset", "v1m", "--root", root)
    found = {(one["first"], one["second"], one["name"]): one for one in answer.content["differences"]}
    same = found["weak", "same", "miou_picture"]
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)
    lead = found["weak", "perfect", "miou_picture"]
    assert lead["low"] <= lead["value"] <= lead["high"] < 0
    assert lead["value"] == pytest.approx(
        answer.values("weak")["miou_picture"] - answer.values("perfect")["miou_picture"]
    )
    assert "differences to weak" in answer.text


def test_figures_by_sources_and_by_class(judge, tmp_path, few):
    root, logits, _ = few
    masks = write_masks(tmp_path / "masks", by_clip(logits, 5), npy)
    answer = judge(masks, "--dataset", "v1m", "--root", root)
    parts = {(row["part"], row["name"]): row["value"] for row in answer.content["figures"]}
    one, two, all_ = (parts[part, "miou_picture"] for part in ("sources: 1", "sources: 2", "all"))
    assert (one + two) / 2 == pytest.approx(all_)
    assert parts["class: cat", "f_clips1"] == parts["sources: 2", "f_clips1"]
    assert parts["class: dog", "hit"] == parts["all", "hit"]


# ------------------------------------------------------------------------- where it cannot judge
def test_a_set_without_truth_is_not_judged_by_f(judge, tmp_path):
    nothing = np.zeros((10, 16, 16), np.uint8)
    root = write_avsbench(tmp_path / "data", "v1m", by_clip(nothing, 5))
    masks = write_masks(tmp_path / "masks", by_clip(nothing, 5), png)
    answer = judge(masks, "--dataset", "v1m", "--root", root)
    rows = answer.rows()
    assert rows["miou_picture"]["value"] == pytest.approx(1)
    assert rows["f_clips4"]["value"] == 0 and rows["f_whole"]["value"] is None
    assert "F says nothing" in rows["f_clips4"]["caution"]


def test_nan_counts_as_off_and_is_said(judge, tmp_path, few):
    root, logits, truth = few
    logits = np.where(truth, 5, -5).astype(np.float32)
    logits[0][truth[0] > 0] = np.nan
    masks = write_masks(tmp_path / "masks", by_clip(logits, 5), npy)
    rows = judge(masks, "--dataset", "v1m", "--root", root).rows()
    assert rows["miou_picture"]["value"] == pytest.approx(29 / 30) and rows["miou_cavp_clip"]["value"] == pytest.approx(
        1
    )
    assert "NaN" in rows["miou_picture"]["caution"]


def test_help_does_not_load_torch():
    code = "import sys, soundprompt.cli, soundprompt.judge; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# ------------------------------------------------------------------------------- datasets
def write_object(root: Path, masks: dict[str, np.ndarray]) -> Path:
    """MS3 of AVSBench-object. masks: {clip: (5, H, W) uint8 as stored}."""
    data = root / "Multi-sources" / "ms3_data"
    for clip, frames in masks.items():
        for folder in (data / "visual_frames" / clip, data / "gt_masks" / "test" / clip, data / "audio_wav" / "test"):
            folder.mkdir(parents=True, exist_ok=True)
        (data / "audio_wav" / "test" / f"{clip}.wav").write_bytes(b"RIFF")
        for number, mask in enumerate(frames, 1):
            Image.fromarray(mask).save(data / "gt_masks" / "test" / clip / f"{clip}_{number}.png")
            Image.fromarray(mask).save(data / "visual_frames" / clip / f"{clip}.mp4_{number}.png")
    (root / "Multi-sources" / "ms3_meta_data.csv").write_text(
        "name,split\n" + "".join(f"{clip},test\n" for clip in masks)
    )
    return root


def test_avsbench_object_numbers_its_frames_from_1(judge, tmp_path):
    _, truth = seeded.clips(3, 2, h=20, w=20)
    root = write_object(tmp_path / "data", by_clip(truth * 255, 5, "aaaaaaaaa{:02d}"))
    for i, mask in enumerate(truth):
        path = tmp_path / "masks" / f"aaaaaaaaa{i // 5:02d}" / str(i % 5 + 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        png(path, mask * 255)
    value = judge(tmp_path / "masks", "--dataset", "v1m", "--root", root).values()
    assert value["miou_picture"] == pytest.approx(1) and value["f_whole"] == pytest.approx(1)


def test_truth_that_a_program_would_misread_is_said(judge, tmp_path):
    """MS3's loader divides by 255: a mask stored as 0 and 1 becomes 1/255."""
    _, truth = seeded.clips(3, 1, h=20, w=20)
    root = write_object(tmp_path / "data", by_clip(truth, 5, "aaaaaaaaa{:02d}"))
    masks = write_masks(tmp_path / "masks", by_clip(truth, 5, "aaaaaaaaa{:02d}"), png)
    answer = judge(masks, "--dataset", "v1m", "--root", root, "--first", "0")
    assert answer.values()["miou_picture"] == pytest.approx(1 / 255, abs=1e-4)
    assert "5 frames of the truth hold values between 0 and 1" in answer.text


def test_s4_truth_is_dithered_where_it_is_grey(tmp_path):
    Image.fromarray(np.full((4, 4), 128, np.uint8)).save(tmp_path / "grey.png")
    assert s4_mask(tmp_path / "grey.png").sum() == 8


def test_frames_appended_to_short_clips_are_scored_by_some_and_not_by_others(judge, tmp_path):
    _, truth = seeded.label_maps(1, 2, frames=5, h=16, w=16, empty_truth=0)
    root = write_avsbench(tmp_path / "data", "v1m", by_clip(truth, 5))
    painted = {name: np.concatenate([maps, np.full_like(maps, 70)]) for name, maps in by_clip(truth, 5).items()}
    value = judge(write_masks(tmp_path / "masks", painted, npy), "--dataset", "avss", "--root", root).values()
    assert value["miou_picture"] == pytest.approx(1)
    assert value["miou_cavp71"] == pytest.approx(len(np.unique(truth)) / 71)  # all that are annotated are right
    assert value["miou71_met"] < 1


def test_open_vocabulary_needs_classes(judge, tmp_path, few):
    root, logits, _ = few
    masks = write_masks(tmp_path / "masks", by_clip(logits, 5), npy)
    answer = judge(masks, "--dataset", "v1m", "--root", root, "--protocol", "open-vocabulary")
    assert answer.code == 1 and "label maps" in answer.errors
