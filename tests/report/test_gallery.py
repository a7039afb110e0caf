import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from safetensors.numpy import save_file

import artifacts
from soundprompt.data import frame_table
from soundprompt.files import digest_file
from soundprompt.report import gallery


def area(path: str) -> float:
    """Area inside the outlines of a path, holes subtracted by their direction."""
    total = 0.0
    for part in filter(None, path.split("M")):
        x, y = np.array([pair.split() for pair in part.rstrip("Z").split("L")], float).T
        total += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return total


def test_outline_lies_where_the_mask_is():
    logits = np.full((32, 32), -5.0, np.float16)
    logits[8:16, 4:20] = 5
    outline = gallery._outline(logits, 128, 128)
    assert area(outline) == pytest.approx(32 * 64, rel=0.05)
    xs, ys = np.array(re.findall(r"([-\d.]+) ([-\d.]+)", outline), float).T
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx((16, 80, 32, 64), abs=0.6)


def test_masks_that_touch_the_border_are_closed_and_empty_ones_have_no_outline():
    full = gallery._outline(np.full((8, 8), 4.0, np.float16), 64, 64)
    assert area(full) >= 64 * 64
    assert gallery._outline(np.full((8, 8), -4.0, np.float16), 64, 64) == ""
    assert gallery._outline(None, 64, 64) == ""


def test_outlines_of_large_frames_keep_their_place_with_few_points():
    y, x = np.mgrid[:720, :1280]
    disc = 200.0 - np.hypot(y - 300, x - 900)
    outline = gallery._outline(disc.astype(np.float32), 228, 128)
    points = np.array(re.findall(r"([-\d.]+) ([-\d.]+)", outline), float)
    centre, scale = np.array([900.5 * 228 / 1280, 300.5 * 128 / 720]), np.array([228 / 1280, 128 / 720])
    assert np.hypot(*((points - centre) / scale / 200).T) == pytest.approx(1, abs=0.01)
    assert len(points) < 250 < 1600, "one for each pixel that the outline crosses would be 1,600"


BOX = (0.125, 0.5, 0.25, 0.8)  # top, bottom, left, right of what everybody finds, shares of the frame


def not_square(params, layout, setting, models, size):
    """Gives the setting's frames another size, and the models predictions of BOX on the square that each sees."""
    selection = params.settings[setting].test[0]
    path = layout.table(selection.split("/")[0])
    frames = frame_table.read(path).assign(height=size[0], width=size[1])
    top, bottom, left, right = BOX
    for row in frames[frames["split"] == selection.split("/")[1]].itertuples():
        truth = np.zeros(size, np.uint8)
        truth[round(top * size[0]) : round(bottom * size[0]), round(left * size[1]) : round(right * size[1])] = 255
        Path(row.image).unlink()  # a hard link into what other tests use, as are all pictures
        Image.fromarray(truth // 2 + 60).convert("RGB").save(row.image)
        Path(row.mask).unlink()
        Image.fromarray(truth).save(row.mask)
        frames.loc[row.Index, ["image_digest", "mask_digest"]] = [digest_file(row.image), digest_file(row.mask)]
    frame_table.write(frames, path)
    kept = [[row.clip, int(row.frame)] for row in frame_table.select(layout, [selection]).itertuples()]
    for model, padded in models.items():
        middle = (np.arange(64) + 0.5) / 64
        y, x = (middle * max(size) / edge for edge in size) if padded else (middle, middle)
        inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
        logits = np.where(inside, 6, -6).astype(np.float16)[None].repeat(len(kept), 0)
        folder = layout.run(setting, model, params.seeds[0])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "predictions.safetensors").unlink(missing_ok=True)
        name = f"{selection}|own"
        save_file({name: logits}, folder / "predictions.safetensors", {"frames": json.dumps({name: kept})})


@pytest.mark.parametrize("size", [(120, 200), (200, 120), (128, 128), (90, 300)])
def test_masks_of_every_model_lie_on_the_truth_in_frames_that_are_not_square(study, size):
    """The padded square of SAM and the stretched one of the pyramid, in one case of the gallery."""
    params, layout = study
    not_square(params, layout, "v3_0shot", {"gavs": True, "avsbench_tpavi": False}, size)
    setting = next(setting for setting in gallery.run(params, layout) if setting.setting == "v3_0shot")
    assert setting.cases, setting.notes
    case = setting.cases[0]
    top, bottom, left, right = BOX
    expected = np.array([left * case.frame_width, right * case.frame_width, top * case.height, bottom * case.height])
    outlines = {overlay.label: overlay.paths for overlay in case.overlays}
    assert {"truth", "GAVS", "AVSBench (TPAVI)"} <= set(outlines)
    for label in ("truth", "GAVS", "AVSBench (TPAVI)"):
        for path in outlines[label]:
            xs, ys = np.array(re.findall(r"([-\d.]+) ([-\d.]+)", path), float).T
            assert [xs.min(), xs.max(), ys.min(), ys.max()] == pytest.approx(expected, abs=3), label


def test_cases_are_chosen_by_score_and_without_looking():
    judged = pd.Series({f"clip{i:02d}": i / 20 for i in range(20)})
    chosen = gallery._choose(judged)
    by = {why: {clip for clip, reason in chosen.items() if reason == why} for why in gallery.CHOSEN}
    assert by["best"] == {"clip19", "clip18"} and by["worst"] == {"clip00", "clip01"}
    assert len(by["unselected"]) == 2
    assert gallery._choose(judged.sample(frac=1, random_state=1)) == chosen
    assert len(gallery._choose(judged.head(3))) == 3


def test_cases_hold_what_a_reader_needs(study):
    shown = {setting.setting: setting for setting in gallery.run(*study)}
    case = shown["v3_0shot"].cases[0]
    assert case.strip.startswith("data:image/jpeg;base64,") and case.sound.startswith("data:audio/")
    assert [overlay.label for overlay in case.overlays][:2] == ["truth", "GAVS"]
    assert all(len(overlay.paths) == case.n_frames == 5 for overlay in case.overlays)
    assert "v3_1shot" not in shown  # few-shot settings share the clips of 0 shots


def test_unreadable_pictures_and_sounds_do_not_stop_the_report(study):
    params, layout = study
    for path in layout.data.rglob("v3_unseen_*/audio.wav"):
        path.unlink()
        path.write_bytes(b"")
    assert gallery.run(params, layout)[0].cases[0].sound is None
    for path in layout.data.rglob("v3_unseen_*/0.jpg"):
        path.unlink()
    setting = gallery.run(params, layout)[0]
    assert not setting.cases and "0.jpg" in setting.notes[0]


def test_opening_clips_are_the_same_whatever_the_scores(study):
    """They are drawn before any score is read: turned upside down, the scores bring other best clips, not these."""
    params, layout = study
    before = gallery.run(params, layout)
    path = layout.run("v3_0shot", "gavs", params.seeds[0]) / "scores.parquet"
    scores = pd.read_parquet(path)
    path.unlink()
    scores.assign(value=1 - scores["value"]).to_parquet(path, index=False)
    after = gallery.run(params, layout)
    assert [case.clip for case in gallery.opening(after)] == [case.clip for case in gallery.opening(before)]
    assert [case.clip for case in after[0].cases][:2] != [case.clip for case in before[0].cases][:2]


def test_the_score_under_an_opening_mask_is_that_of_the_frame_shown(study):
    params, layout = study
    scores = pd.read_parquet(layout.run("v3_0shot", "gavs", params.seeds[0]) / "scores.parquet")
    of_masks = scores[
        (scores["method"] == "gavs") & (scores["metric"] == "miou") & (scores["selection"] == "v3/unseen")
    ].set_index(["clip", "frame"])["value"]
    opening = gallery.opening(gallery.run(params, layout))
    assert 4 <= len(opening) <= gallery.OPENING
    for case in opening:
        assert case.n_frames == 1
        assert float(case.overlays[1].score) == pytest.approx(of_masks[case.clip, 2], abs=0.006)


def test_the_opening_rival_is_the_first_that_has_converged(study):
    params, layout = study
    for seed in params.seeds:
        path = layout.run("v3_0shot", "sam_fusion", seed) / "provenance.json"
        record = json.loads(path.read_text())
        record["result"]["validation"] = 0.0
        path.unlink()
        path.write_text(json.dumps(record))
    opening = gallery.opening(gallery.run(params, layout))
    assert opening and all([o.label for o in case.overlays] == ["truth", "GAVS"] for case in opening)


def test_masks_over_boxes_are_scored_as_they_are_drawn(tmp_path, monkeypatch):
    """Not as the map cut at its median, which makes half of every picture positive."""
    monkeypatch.chdir(tmp_path)
    params = artifacts.small_study("table_vggss")
    layout = artifacts.make(params, clips=4)
    case = gallery.opening(gallery.run(params, layout))[0]
    scores = pd.read_parquet(layout.run("vggss", "gavs", params.seeds[0]) / "scores.parquet")
    drawn = scores[(scores["clip"] == case.clip) & (scores["metric"] == "ciou_fixed") & (scores["method"] == "gavs")]
    assert case.overlays[1].score == f"{drawn['value'].item():.2f}"
