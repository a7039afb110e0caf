"""From a film to the painted film: it decodes, is as long, as large and as loud, and masks, table and veil agree."""

from __future__ import annotations

import csv
import shutil
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from encoders import save_encoders
from films import RATE, SIZE, frames_of, pitch, sound_of, wave, write_film, write_pictures, write_wav
from PIL import Image
from safetensors.torch import load_file

from recordings import heard, join, record, seen
from soundprompt import cli, models
from soundprompt.data import frame_table, media, tracks
from soundprompt.errors import InputError
from soundprompt.features import extract, plan
from soundprompt.features.frames import Frames
from soundprompt.files import digest_file, read_json, write_json, write_sealed
from soundprompt.foundation import sam as sam_models
from soundprompt.params import Features, FeaturesView
from soundprompt.prediction import run, runs
from soundprompt.prediction.overlay import Overlay
from soundprompt.prediction.request import Request
from soundprompt.training import checkpoint


@pytest.fixture
def paint(run_folder, tmp_path, monkeypatch):
    """Predicts on a video at a threshold that leaves some of it: paint(video, **options) -> rows of the table."""
    trained = runs.load(run_folder)
    monkeypatch.setattr(tracks, "_said", set())

    def predict(video: Path, out: str = "out.mp4", **options) -> list[dict[str, str]]:
        if "threshold" not in options:
            first = Request(video, tmp_path / "first.mp4", **options)
            run.predict(first, trained)
            options["threshold"] = float(np.median([float(row["probability"]) for row in rows_of(first.table)]))
        run.predict(Request(video, tmp_path / out, **options), trained)
        return rows_of(tmp_path / Path(out).with_suffix(".csv"))

    predict.run_folder = run_folder
    return predict


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as stream:
        return list(csv.DictReader(stream))


def masks_of(folder: Path) -> list[np.ndarray]:
    return [media.read_mask(path) for path in sorted(folder.glob("*.png"))]


def check_painted(before: np.ndarray, after: np.ndarray, mask: np.ndarray) -> None:
    """After the codec: as `before` off the mask, and as the overlay of it on the mask."""
    near = np.abs(after.astype(int) - before)
    # colour is stored for 2 x 2 pixels, so a contour bleeds by two
    edge = np.logical_or.reduce([np.roll(mask, (y, x), (0, 1)) for y in range(-2, 3) for x in range(-2, 3)])
    if (~edge).mean() > 0.01:
        assert near[~edge].mean() < 4
    if mask.any():
        assert near[mask].mean() > 15
        wanted = Overlay(mask).paint(before)
        assert np.abs(after.astype(int) - wanted)[mask].mean() < 0.6 * near[mask].mean()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_the_same_film_with_the_mask_of_each_second(paint, tmp_path, suffix):
    film = write_film(tmp_path / "in.mp4", 3)
    rows = paint(film, "out" + suffix)
    times, before = frames_of(film)
    found, after = frames_of(tmp_path / f"out{suffix}")
    np.testing.assert_allclose(found, times, atol=1e-3)
    assert all(a.shape == b.shape for a, b in zip(after, before, strict=True))
    masks = masks_of(tmp_path / "out.masks")
    assert len(masks) == len(rows) == 3
    assert any(0.02 < mask.mean() < 0.98 for mask in masks)
    for at, one, other in zip(times, before, after, strict=True):
        check_painted(one, other, masks[int(at + 1e-3)])


def test_table_and_masks_agree(paint, tmp_path):
    rows = paint(write_film(tmp_path / "in.mp4", 3.5))
    assert list(rows[0]) == list(run.COLUMNS)
    assert [(row["second"], row["start_s"], row["end_s"]) for row in rows] == [
        ("0", "0.000", "1.000"),
        ("1", "1.000", "2.000"),
        ("2", "2.000", "3.000"),
        ("3", "3.000", "3.520"),  # 44 pictures of 0.08 s
    ]
    for row, mask in zip(rows, masks_of(tmp_path / "out.masks"), strict=True):
        assert float(row["area"]) == pytest.approx(mask.mean(), abs=1e-6)
        threshold, overall = float(row["threshold"]), float(row["probability"])
        if mask.any():
            assert float(row["probability_inside"]) > max(threshold, overall) - 1e-6
        else:
            assert row["probability_inside"] == ""


def test_the_sound_is_kept(paint, tmp_path):
    paint(write_film(tmp_path / "in.mp4", 3), threshold=0.5)
    samples, rate, begins = sound_of(tmp_path / "out.mp4")
    assert rate == RATE and abs(begins) < 0.1 and abs(len(samples) / rate - 3) < 0.15
    for second in range(3):
        assert pitch(samples[second * rate + 3000 : (second + 1) * rate - 3000], rate) == pytest.approx(
            300 * (second + 1), abs=6
        )


def test_a_part_of_a_film(paint, tmp_path):
    film = write_film(tmp_path / "in.mp4", 5)
    rows = paint(film, threshold=0.5, start=1.2, end=3.6)
    assert [row["start_s"] for row in rows] == ["1.200", "2.200", "3.200"] and rows[-1]["end_s"] == "3.600"
    times, after = frames_of(tmp_path / "out.mp4")
    assert times[0] == 0 and len(after) == 30 and abs(times[-1] - 2.32) < 0.01
    samples, rate, _ = sound_of(tmp_path / "out.mp4")
    assert abs(len(samples) / rate - 2.4) < 0.1
    assert pitch(samples[: round(0.7 * rate)], rate) == pytest.approx(600, abs=6)
    whole = paint(film, "whole.mp4", threshold=0.5)
    assert len(whole) == 5
    _, before = frames_of(film)
    masks = masks_of(tmp_path / "out.masks")
    check_painted(before[15], after[0], masks[0])  # 15 / 12.5 = 1.2 s
    check_painted(before[44], after[29], masks[2])


def test_every_other_second(paint, tmp_path):
    film = write_film(tmp_path / "in.mp4", 5)
    rows = paint(film, every=2)
    assert [(row["second"], row["start_s"], row["end_s"]) for row in rows] == [
        ("0", "0.000", "2.000"),
        ("1", "2.000", "4.000"),
        ("2", "4.000", "4.960"),  # 62 pictures of 0.08 s
    ]
    _, before = frames_of(film)
    times, after = frames_of(tmp_path / "out.mp4")
    masks = masks_of(tmp_path / "out.masks")
    for at, one, other in zip(times, before, after, strict=True):
        check_painted(one, other, masks[int((at + 1e-3) / 2)])


@pytest.mark.parametrize("rate", [30000 / 1001, 7.5, [0.0, 0.1, 0.35, 0.97, 1.03, 1.5, 2.02, 2.3]])
def test_odd_and_variable_frame_rates(paint, tmp_path, rate):
    film = write_film(tmp_path / "in.mp4", 2.4, rate, sound=2.4)
    paint(film, threshold=0.5)
    times, found = frames_of(film)[0], frames_of(tmp_path / "out.mp4")[0]
    np.testing.assert_allclose(found, times, atol=1e-3)


def test_a_picture_that_stays_gets_the_mask_of_each_second(paint, tmp_path):
    film = write_film(tmp_path / "in.mkv", 4, [0.0, 0.2, 3.2, 3.5], sound=4)
    assert len(paint(film)) == 4
    times, after = frames_of(tmp_path / "out.mp4")
    np.testing.assert_allclose(times, [0, 0.2, 1, 2, 3, 3.2, 3.5], atol=2e-3)
    _, before = frames_of(film)
    for number, mask in enumerate(masks_of(tmp_path / "out.masks")[1:]):
        check_painted(before[1], after[2 + number], mask)


def test_a_film_on_its_side_comes_out_upright(paint, tmp_path):
    film = write_film(tmp_path / "in.mp4", 1, rotation=90)
    paint(film, threshold=0.999)
    _, after = frames_of(tmp_path / "out.mp4")
    _, stored = frames_of(film)
    assert after[0].shape[:2] == SIZE[::-1]
    check_painted(np.rot90(stored[0]), after[0], masks_of(tmp_path / "out.masks")[0])
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert next(container.decode(video=0)).rotation == 0


def test_odd_sizes_pixel_shape_and_colours(paint, tmp_path):
    folder = write_pictures(tmp_path / "p", 1, (47, 61))
    paint(folder, threshold=0.999, audio=write_wav(tmp_path / "s.wav", 1))
    assert frames_of(tmp_path / "out.mp4")[1][0].shape[:2] == (48, 62)
    assert masks_of(tmp_path / "out.masks")[0].shape == (47, 61)
    film = write_film(tmp_path / "in.mp4", 1, pixel_shape=Fraction(4, 3), colours=1)
    paint(film, threshold=0.999)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
        assert container.streams.video[0].codec_context.colorspace == 1
    check_painted(frames_of(film)[1][0], frames_of(tmp_path / "out.mp4")[1][0], masks_of(tmp_path / "out.masks")[0])


def test_a_name_that_looks_like_an_address(run_folder, tmp_path):
    film = write_film(tmp_path / "12:15.mp4", 1)
    run.predict(Request(film.relative_to(tmp_path), Path("12:30.mp4")), runs.load(run_folder))
    assert len(frames_of(tmp_path / "12:30.mp4")[0]) == 12


def test_a_film_shorter_than_a_second(paint, tmp_path):
    rows = paint(write_film(tmp_path / "in.mp4", 0.4), threshold=0.5)
    assert [(row["start_s"], row["end_s"]) for row in rows] == [("0.000", "0.400")]
    assert len(frames_of(tmp_path / "out.mp4")[0]) == 5


def test_sound_that_ends_before_the_pictures(paint, tmp_path):
    rows = paint(write_film(tmp_path / "in.mp4", 4, sound=1.5), threshold=0.5)
    assert len(rows) == 4 and len(frames_of(tmp_path / "out.mp4")[0]) == 50


def test_a_film_that_was_cut_short_is_named(paint, tmp_path, capsys):
    film = write_film(tmp_path / "in.mkv", 4)
    paint(film, threshold=0.5)
    assert "is it whole?" not in capsys.readouterr().err
    film.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    rows = paint(film, threshold=0.5)
    said = capsys.readouterr().err
    assert len(rows) < 4 and f"{len(rows)}/{len(rows)} in" in said
    assert "its pictures end at" in said and "not at 4.0" in said


def test_damage_in_the_middle_of_a_film(paint, tmp_path, capfd):
    film = write_film(tmp_path / "in.mp4", 4)
    content = bytearray(film.read_bytes())
    content[len(content) // 4 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 4)
    film.write_bytes(content)
    assert len(paint(film, threshold=0.5)) == 4
    with pytest.raises(InputError, match=r"in\.mp4: none of its (pictures|sound) can be decoded"):
        content[48 : content.index(b"moov") - 4] = bytes(content.index(b"moov") - 52)
        film.write_bytes(content)
        run.predict(Request(film, tmp_path / "o" / "out.mp4"), runs.load(paint.run_folder))
    assert not (tmp_path / "o").exists()


def test_another_sound_ends_with_the_film(paint, tmp_path):
    film = write_film(tmp_path / "in.mp4", 2, sound=None)
    rows = paint(film, threshold=0.5, audio=write_wav(tmp_path / "s.wav", 6))
    samples, rate, _ = sound_of(tmp_path / "out.mp4")
    assert len(rows) == 2 and abs(len(samples) / rate - 2) < 0.15


def test_what_predict_says_is_what_scoring_would_say(paint, project, run_folder, tmp_path):
    """The same pictures and seconds of sound through frame table, feature cache and batches."""
    folder, seconds = write_pictures(tmp_path / "p", 3), wave(3)
    soundfile.write(tmp_path / "s.wav", seconds, RATE)
    paint(folder, audio=tmp_path / "s.wav")
    threshold = float(rows_of(tmp_path / "out.csv")[0]["threshold"])
    table = []
    for second in range(3):
        sound = tmp_path / f"{second}.wav"
        soundfile.write(sound, soundfile.read(tmp_path / "s.wav")[0][second * RATE : second * RATE + 15600], RATE)
        table.append(frame_row(folder / f"{second}.png", sound, second))
    frame_table.write(pd.DataFrame(table), project.table("v2"))
    features = Features(shards=1, dtype="float32")
    view = FeaturesView(study="tiny", tables=("v2",), taps=(2,), features=features, bgr=False)
    plan.run(view, project)
    extract.run_shard(0, view, project)
    extract.run_audio(view, project)
    sam = sam_models.load(project.foundation("sam"))
    model = models.build(runs.load(run_folder).view.model, sam, 0).eval()
    checkpoint.load_into(model, run_folder / "checkpoint.safetensors")
    batch = Frames(frame_table.select(project, ["v2/test"]), project, 2, sam).batch([0, 1, 2])
    with torch.inference_mode():
        wanted = [torch.sigmoid(one).numpy() for one in sam.restore(model(batch).logits, batch.sizes)]
    for row, mask, probability in zip(
        rows_of(tmp_path / "out.csv"), masks_of(tmp_path / "out.masks"), wanted, strict=True
    ):
        assert float(row["probability"]) == pytest.approx(probability.mean(), abs=2e-6)
        sure = np.abs(probability - threshold) > 1e-5
        assert (mask == (probability > threshold))[sure].all() and sure.mean() > 0.9
    assert len({row["probability"] for row in rows_of(tmp_path / "out.csv")}) == 3


def frame_row(image: Path, sound: Path, second: int) -> dict:
    return {
        "dataset": "v2",
        "clip": f"clip{second}",
        "video": "video",
        "class_name": "",
        "kind": "",
        "split": "test",
        "frame": 0,
        "second": 0,
        "n_sources": 1,
        "silent": None,
        "image": str(image),
        "audio": str(sound),
        "mask": None,
        "objects": None,
        "boxes": None,
        "width": SIZE[1],
        "height": SIZE[0],
        "image_digest": digest_file(image),
        "audio_digest": digest_file(sound),
        "mask_digest": None,
    }


def test_nothing_is_left_of_a_failure(run_folder, tmp_path):
    film = write_film(tmp_path / "in.mkv", 4)
    content = film.read_bytes()
    film.write_bytes(content[: len(content) // 2] + b"\0" * 2000)
    out = tmp_path / "o" / "out.mp4"
    trained = runs.load(run_folder)
    with pytest.raises(InputError, match=r"the video ends at .* before 3 s"):
        run.predict(Request(film, out, start=3.0), trained)
    assert list(out.parent.iterdir()) == []


def test_earlier_outputs_stay_when_a_later_try_fails(paint, run_folder, tmp_path):
    film = write_film(tmp_path / "in.mp4", 1)
    paint(film, threshold=0.5)
    before = {path: path.read_bytes() for path in tmp_path.rglob("out*") if path.is_file()}
    with pytest.raises(InputError, match="before 9 s"):
        run.predict(Request(film, tmp_path / "out.mp4", start=9.0), runs.load(run_folder))
    assert {path: path.read_bytes() for path in tmp_path.rglob("out*") if path.is_file()} == before


def test_the_same_bytes_again(paint, tmp_path, float32_is_kept):
    film = write_film(tmp_path / "in.mp4", 2)
    paint(film, "a.mp4", threshold=0.5)
    assert float32_is_kept()
    paint(film, "b.mp4", threshold=0.5)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


def test_encoders_other_than_those_of_the_run(trained, project, run_folder, tmp_path):
    """The workflow writes down what a run was trained on; it answers with that and with nothing else."""
    asked = Request(write_film(tmp_path / "in.mp4", 1), tmp_path / "out.mp4")
    run.predict(asked, runs.load(run_folder))
    (tmp_path / "weights").unlink()
    with pytest.raises(InputError, match=r"sam.safetensors"):
        run.predict(asked, runs.load(run_folder))
    for name in ("sam", "audio"):
        shutil.rmtree(tmp_path / "weights", ignore_errors=True)
        save_encoders(project, seed=7)
        other = project.foundation(name).read_bytes()
        shutil.copytree(trained.root / "weights", tmp_path / "weights", dirs_exist_ok=True)
        project.foundation(name).write_bytes(other)
        project.foundation_quality(name).unlink()  # it tells of the others
        with pytest.raises(InputError, match=rf"{name}.safetensors: not the weights that .*seed0 was trained on"):
            run.predict(asked, runs.load(run_folder))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there(run_folder, tmp_path):
    film = write_film(tmp_path / "in.mp4", 1)
    with pytest.raises(InputError, match="no CUDA GPU"):
        run.predict(Request(film, tmp_path / "out.mp4", device="cuda"), runs.load(run_folder))


@pytest.fixture
def soundprompt(project, tmp_path):
    """The command line in the project's folder."""

    def call(*arguments, **options) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "soundprompt", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, **options)

    return call


def test_the_verb(soundprompt, run_folder, tmp_path):
    film = write_film(tmp_path / "in.mp4", 1)
    for choice in (["--model", run_folder], ["--study", "tiny"], []):  # without a choice, the study trained last
        answer = soundprompt("predict", film, "--out", "o.mp4", *choice)
        assert answer.returncode == 0, answer.stderr
        assert "model: runs/tiny/v1s/gavs/seed0 (validation mIoU" in answer.stderr
        assert "predicting in.mp4: 1/1" in answer.stderr and "o.mp4: 1 predictions" in answer.stdout
        assert Image.open(tmp_path / "o.masks" / "00000.png").size == SIZE[::-1]
    shutil.rmtree(tmp_path / "runs")
    answer = soundprompt("predict", film, "--out", "o.mp4")
    assert answer.returncode == 1 and "Traceback" not in answer.stderr
    assert "make report STUDY=smoke" in answer.stderr


@pytest.mark.parametrize("option", ["--start", "--end", "--every", "--threshold"])
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "-1"])
def test_numbers_that_make_no_sense(project, tmp_path, option, value):
    film = write_film(tmp_path / "in.mp4", 1)
    with pytest.raises(InputError, match="remedy:") as refused:
        cli.app(["predict", str(film), "--out", "o.mp4", f"{option}={value}"], standalone_mode=False)
    assert option in str(refused.value) and value in str(refused.value)
    assert not list(tmp_path.glob("o.*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_who_is_told_to_end_leaves_nothing(project, run_folder, tmp_path, number):
    film = write_film(tmp_path / "in.mp4", 60)
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "soundprompt", "predict", film, "--out", "out/o.mp4", "--every", "0.1"]
    # Whoever started the tests (nohup) may have them ignore it.
    heard = {"preexec_fn": lambda: signal.signal(number, signal.SIG_DFL)}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, **heard)
    while not list((tmp_path / "out").rglob("*.png")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(60) == 128 + number, process.stderr.read().decode()
    assert list((tmp_path / "out").iterdir()) == []


# ------------------------------------------------------------------------- what people bring
def test_a_part_of_a_broadcast(paint, tmp_path):
    film = record(tmp_path / "in.ts", 9, key_frames=200)
    assert [row["start_s"] for row in paint(film, threshold=0.5, start=3, end=6)] == ["3.000", "4.000", "5.000"]
    _, pictures = frames_of(tmp_path / "out.mp4")
    assert [seen(pixels) for pixels in pictures[10::25]] == [3, 4, 5]
    assert heard(*sound_of(tmp_path / "out.mp4")[:2]) == [3, 4, 5]


def test_a_join_is_painted_to_its_end(paint, tmp_path):
    parts = [record(tmp_path / f"{first}.ts", 3, first=first) for first in (0, 3)]
    assert len(paint(join(tmp_path / "in.ts", *parts), threshold=0.5)) == 6
    times, pictures = frames_of(tmp_path / "out.mp4")
    assert np.diff(times).max() < 0.2 and [seen(pixels) for pixels in pictures[10::25]] == list(range(6))
    assert heard(*sound_of(tmp_path / "out.mp4")[:2]) == list(range(6))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_a_still_picture_stays_to_the_end_of_its_sound(paint, tmp_path, suffix):
    film = record(tmp_path / f"in.{suffix}", 0.04, sound_seconds=5)
    rows = paint(film, threshold=0.5)
    assert len(rows) == 5 and float(rows[-1]["end_s"]) == pytest.approx(5, abs=0.1)
    mute = record(tmp_path / f"mute.{suffix}", 0.04, sound_seconds=0)
    assert len(paint(mute, threshold=0.5, audio=write_wav(tmp_path / "s.wav", 4))) == 4


def test_a_film_whose_sound_is_longer_says_so(paint, tmp_path, caplog):
    assert len(paint(record(tmp_path / "in.mp4", 2, sound_seconds=5), threshold=0.5)) == 5
    assert "its pictures end at 2.00 s, its sound at 5.0" in caplog.text


@pytest.mark.parametrize("suffix", ["aiff", "au", "wav", "mp3"])
def test_a_sound_that_ends_early_is_followed_by_silence(paint, tmp_path, suffix):
    film = write_film(tmp_path / "in.mp4", 4, sound=None)
    sound = tmp_path / f"s.{suffix}"
    soundfile.write(sound, wave(2.4), RATE)
    rows = paint(film, threshold=0.5, audio=sound)
    silent = paint(film, threshold=0.5, audio=write_wav(tmp_path / "none.wav", 0))
    assert len(rows) == len(silent) == 4
    assert rows[3]["probability"] == silent[3]["probability"]
    assert rows[0]["probability"] != silent[0]["probability"]


def test_a_sound_of_eight_channels(paint, tmp_path):
    film = write_film(tmp_path / "in.mp4", 2, sound=None)
    eight, one = tmp_path / "eight.wav", write_wav(tmp_path / "one.wav", 2)
    soundfile.write(eight, np.repeat(wave(2)[:, None], 8, axis=1), RATE)
    several, single = (paint(film, threshold=0.5, audio=audio) for audio in (eight, one))
    assert [row["probability"] for row in several] == [row["probability"] for row in single]


def test_a_model_that_looks_across_time_gets_its_moments_as_one_clip(project, tmp_path, monkeypatch):
    """A run of the pyramid: no SAM is opened; five moments go together, and the order of rows is the order of time."""
    from soundprompt import params
    from soundprompt.foundation import pyramid
    from soundprompt.prediction import listener as listening
    from soundprompt.training import checkpoint

    torch.manual_seed(0)
    pyramid.save(pyramid.build("mini_pyramid"), params.Pyramid(image_size=64), project.foundation("pyramid"))
    settings = params.Model(
        architecture="avsbench_tpavi",
        cola={"enabled": False},
        triplet={"weight": 0},
        pyramid={"mask_stride": 4},
        tpavi={"width": 8, "dilations": (1,), "head": (4, 4), "norm": "frame"},  # an untrained norm passes little on
    )
    setting = {"train": ["v1s/train"], "validate_on": ["v1s/val"], "test": ["v1s/test"]}
    view = params.TrainView(
        study=project.study, setting_name="v1s", setting=setting, model_name="t", model=settings, data={}
    )
    model = models.build(settings, pyramid.load(project.foundation("pyramid")), 0)
    for fusion in model.fusions:
        torch.nn.init.ones_(fusion.scale.weight)
    folder = tmp_path / "run"
    checkpoint.save(model.trained_state(), folder / "checkpoint.safetensors", {})
    listener = listening.Listener(runs.TrainedRun(folder, view, 0))
    assert listener.together == listening.WINDOW
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 255, (48, 80, 3), dtype=np.uint8) for _ in range(3)]
    sounds = listener.embed([rng.normal(size=15600).astype(np.float32) * 0.1 for _ in range(3)])
    whole, alone = listener.logits(pictures, sounds), listener.logits(pictures[:1], sounds[:1])
    assert whole.shape == (3, 1, 16, 16) and not torch.allclose(whole[:1], alone, atol=1e-4)
    turned = listener.logits(pictures[::-1], sounds.flip(0))
    assert torch.allclose(turned.flip(0), whole, atol=1e-4)
    assert [one.shape for one in listener.probabilities(pictures, sounds)] == 3 * [(48, 80)]


def test_a_model_that_answers_nan_leaves_nothing(project, other_run, tmp_path):
    folder = other_run("v2", "gavs", 0, 0.5)
    path = folder / "checkpoint.safetensors"
    facts, weights = checkpoint.facts(path), load_file(path)
    digest = checkpoint.save({name: torch.full_like(each, 3e38) for name, each in weights.items()}, path, facts)
    origin = read_json(folder / "provenance.json")
    write_sealed(folder / "provenance.json", {**origin, "files": {**origin["files"], path.name: digest}})
    write_json(project.trained("v2", "gavs", "0"), {"runs": {"0": {"checkpoint": digest, "validation": 0.5}}})
    asked = Request(write_film(tmp_path / "in.mp4", 1), tmp_path / "out" / "out.mp4")
    with pytest.raises(InputError, match=r"seed0: its logits are not finite"):
        run.predict(asked, runs.load(folder))
    assert list((tmp_path / "out").iterdir()) == []
