"""What predict writes besides the painted video, and what people bring to it."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from films import RATE, frames_of, wave, write_film

from soundprompt.data import media
from soundprompt.errors import InputError
from soundprompt.judge.coco import Annotation, run_lengths
from soundprompt.prediction import folder, run, runs
from soundprompt.prediction.overlay import COLOUR
from soundprompt.prediction.request import Request
from soundprompt.prediction.timeline import Timeline

TALL = (128, 160)  # with room for the line


@pytest.fixture
def answering(run_folder):
    return runs.load(run_folder)


def middle(video: Path, answering, tmp_path) -> float:
    """A threshold that leaves some of the picture."""
    rows = run.predict(Request(video, tmp_path / "first" / "first.mp4"), answering)
    return float(np.median([float(row["probability"]) for row in rows]))


# ------------------------------------------------------------------------------------ COCO
def test_run_lengths_in_the_published_form():
    """By hand from the rule of COCO's maskApi; and whatever is written can be read."""
    mask = np.zeros((4, 4), bool)
    mask[1:3, 1:3] = True
    assert run_lengths(mask) == "52203"  # runs 5, 2, 2, and then differences: 2 - 2, 5 - 2
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (7, 5), (90, 333)):
        for share in (0, 0.01, 0.5, 1):
            mask = rng.random(shape) < share
            read = Annotation("", {"counts": run_lengths(mask)}, shape).mask()
            np.testing.assert_array_equal(read, mask)


def test_run_lengths_are_the_masks(answering, tmp_path):
    film = write_film(tmp_path / "in.mp4", 3)
    asked = Request(film, tmp_path / "o.mp4", threshold=middle(film, answering, tmp_path), coco=True)
    run.predict(asked, answering)
    content = json.loads((tmp_path / "o.coco.json").read_text())
    masks = [media.read_mask(path) for path in sorted(asked.masks.glob("*.png"))]
    assert [image["file_name"] for image in content["images"]] == [f"{number:05d}.png" for number in range(3)]
    assert content["annotations"] and len(content["annotations"]) == sum(mask.any() for mask in masks)
    for one in content["annotations"]:
        mask = masks[one["image_id"]]
        np.testing.assert_array_equal(Annotation("", one["segmentation"], mask.shape).mask(), mask)
        left, top, width, height = one["bbox"]
        assert one["area"] == mask.sum() == mask[top : top + height, left : left + width].sum()
        assert mask[top].any() and mask[:, left].any() and 0 < one["score"] <= 1
    (tmp_path / "o.coco.json").write_text("{}")
    with pytest.raises(InputError, match="not run lengths of predict"):
        Request(film, tmp_path / "o.mp4", coco=True)


# ------------------------------------------------------------------------------- time line
def test_the_line_tells_how_much_sounds(answering, tmp_path):
    film = write_film(tmp_path / "in.mp4", 4, size=TALL)
    threshold = middle(film, answering, tmp_path)
    rows = run.predict(Request(film, tmp_path / "o.mp4", threshold=threshold), answering)
    run.predict(Request(film, tmp_path / "plain.mp4", threshold=threshold, timeline=False), answering)
    (_, drawn), (_, plain) = frames_of(tmp_path / "o.mp4"), frames_of(tmp_path / "plain.mp4")
    line = Timeline(TALL, 4)
    last, quarter = drawn[-1].astype(int), TALL[1] // 4
    for number, row in enumerate(rows):
        part = last[-line.height :, number * quarter + 4 : (number + 1) * quarter - 4]
        coloured = (np.abs(part - COLOUR).sum(2) < 120).mean()
        assert coloured == pytest.approx(float(row["area"]) ** 0.5, abs=0.17)
    early = drawn[5].astype(int)[-line.height :, 2 * quarter :]
    assert (np.abs(early - COLOUR).sum(2) < 120).mean() < 0.02  # what comes is not known yet
    above = slice(0, TALL[0] - line.height - 20)
    assert np.abs(drawn[-1][above].astype(int) - plain[-1][above]).mean() < 2
    assert drawn[-1][-line.height - 12 :, :20].max() > 200  # the second is written


# ------------------------------------------------------------------------ folder of videos
def test_a_folder_of_videos(project, run_folder, tmp_path):
    films = tmp_path / "films"
    films.mkdir()
    write_film(films / "b.mp4", 2)
    write_film(films / "a.mkv", 1)
    write_film(films / "a.mp4", 1)
    write_film(films / "mute.mp4", 1, sound=None)
    (films / "thumbnail.jpg").write_bytes(b"")
    command = [sys.executable, "-m", "soundprompt", "predict", "films", "--out", "heard", "--threshold", "0.01"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    assert "heard: 3 of 4 videos, figures in heard/summary.csv" in done.stdout
    assert "has no sound" in done.stderr and "--audio" in done.stderr
    with open(tmp_path / "heard" / folder.SUMMARY) as stream:
        rows = {row["video"]: row for row in csv.DictReader(stream)}
    assert list(rows) == ["a.mkv", "a.mp4", "b.mp4", "mute.mp4"]
    assert rows["mute.mp4"]["trouble"] == "has no sound" and rows["mute.mp4"]["predictions"] == ""
    made = {path.name for path in (tmp_path / "heard").iterdir()}
    assert made >= {"a.mkv.mp4", "a.mp4.mp4", "b.mp4", "b.csv", "b.masks"} and "mute.mp4" not in made
    with open(tmp_path / "heard" / "b.csv") as stream:
        areas = [float(row["area"]) for row in csv.DictReader(stream)]
    assert float(rows["b.mp4"]["mean_area"]) == pytest.approx(np.mean(areas), abs=1e-6)
    assert float(rows["b.mp4"]["largest_area"]) == pytest.approx(max(areas))
    assert (rows["b.mp4"]["predictions"], rows["b.mp4"]["seconds"]) == ("2", "2.000")


def test_a_folder_is_not_painted_onto_itself(answering, tmp_path):
    write_film(tmp_path / "a.mp4", 1)
    with pytest.raises(InputError, match="needs another folder"):
        folder.predict(tmp_path, tmp_path, {}, answering)


# ---------------------------------------------------------------------- what people bring
@pytest.mark.parametrize(("subtype", "channels"), [("PCM_24", 1), ("PCM_24", 2), ("PCM_32", 2), ("FLOAT", 1)])
def test_sounds_of_many_bits_and_channels_say_the_same(answering, tmp_path, subtype, channels):
    film = write_film(tmp_path / "in.mp4", 2, sound=None)
    samples = np.round(wave(2) * 2**14) / 2**14
    soundfile.write(tmp_path / "plain.wav", samples, RATE, subtype="PCM_16")
    soundfile.write(tmp_path / "s.wav", np.repeat(samples[:, None], channels, 1), RATE, subtype=subtype)
    plain, other = (
        run.predict(Request(film, tmp_path / f"{name}.mp4", tmp_path / f"{name}.wav"), answering)
        for name in ("plain", "s")
    )
    assert [row["probability"] for row in plain] == [row["probability"] for row in other]
    assert plain[0]["probability"] != plain[1]["probability"]


def test_sound_that_begins_late_is_preceded_by_silence(answering, tmp_path):
    late = write_film(tmp_path / "late.mp4", 3, sound=2, sound_from=1)
    rows = run.predict(Request(late, tmp_path / "o.mp4"), answering)
    soundfile.write(tmp_path / "none.wav", np.zeros(3 * RATE), RATE)
    silent = run.predict(Request(late, tmp_path / "silent.mp4", tmp_path / "none.wav"), answering)
    same = [a["probability"] == b["probability"] for a, b in zip(rows, silent, strict=True)]
    assert same[2] is False and abs(float(rows[0]["probability"]) - float(silent[0]["probability"])) < 1e-3


def test_without_sound_it_says_what_to_do(answering, tmp_path):
    with pytest.raises(InputError, match=r"has no sound(.|\n)*--audio file.wav"):
        run.predict(Request(write_film(tmp_path / "in.mp4", 1, sound=None), tmp_path / "o.mp4"), answering)
    assert not list(tmp_path.glob("o.*")) and not shutil.os.path.exists(tmp_path / "o.masks")
