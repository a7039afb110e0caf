"""A model in other people's code: what it says of arrays is what `predict` says of the film they come from."""

import csv
import math
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from films import RATE, SIZE, picture, wave, write_film, write_pictures
from PIL import Image

import soundprompt
from soundprompt.data import media
from soundprompt.errors import InputError
from soundprompt.prediction import run, runs
from soundprompt.prediction.request import Request

SECONDS = 10  # more than are asked at once


@pytest.fixture
def model(run_folder):
    return soundprompt.load(run_folder, device="cpu")


@pytest.fixture
def frames() -> np.ndarray:
    return np.stack([picture(second) for second in range(SECONDS)])


def test_what_predict_says_of_the_film(model, run_folder, frames, tmp_path):
    folder = write_pictures(tmp_path / "p", SECONDS)
    soundfile.write(tmp_path / "s.wav", wave(SECONDS, 44100), 44100, subtype="FLOAT")
    asked = Request(folder, tmp_path / "out.mp4", tmp_path / "s.wav")
    run.predict(asked, runs.load(run_folder))
    masks = model.segment(frames, wave(SECONDS, 44100), rate=44100)
    assert masks.shape == (SECONDS, *SIZE) and masks.dtype == np.float32
    with open(asked.table) as stream:
        written = [float(row["probability"]) for row in csv.DictReader(stream)]
    np.testing.assert_allclose(masks.mean((1, 2)), written, atol=1e-5)
    assert np.ptp(written) > 1e-4  # so that a shift by a second would show
    for number, mask in enumerate(masks):
        drawn = media.read_mask(asked.masks / f"{number:05d}.png")
        assert (drawn == (mask > 0.5))[np.abs(mask - 0.5) > 1e-4].all()


def test_arrays_of_every_kind(model, frames):
    sound = wave(SECONDS)
    wanted = model.segment(frames, sound, RATE)
    tensors = torch.from_numpy(frames).permute(0, 3, 1, 2)
    turned = [Image.fromarray(np.rot90(one)) for one in frames]  # as a phone held upright stores them
    for one in turned:
        one.getexif()[0x0112] = 6
    forms = {
        "list of arrays": list(frames),
        "PIL": [Image.fromarray(one) for one in frames],
        "PIL, turned": turned,
        "torch": tensors,
        "torch, 0 to 1": tensors / 255,
        "numpy, 0 to 1": frames / 255,
    }
    for name, given in forms.items():
        np.testing.assert_array_equal(model.segment(given, sound, RATE), wanted, err_msg=name)
    exact = np.round(sound * 2**14) / 2**14  # values that 16 bits hold
    wanted = model.segment(frames, exact, RATE)
    stereo = np.stack([exact * 0.5, exact * 1.5])
    sounds = {
        "torch": torch.from_numpy(exact),
        "16 bits": (exact * 2**15).astype(np.int16),
        "32 bits": (exact * 2.0**31).astype(np.int32),
        "16 bits unsigned": (exact * 2**15 + 2**15).astype(np.uint16),
        "channels last": stereo.T,
        "channels first": stereo,
    }
    for name, given in sounds.items():
        np.testing.assert_allclose(model.segment(frames, given, RATE), wanted, atol=1e-6, err_msg=name)


def test_all_frames_of_a_second_hear_that_second(model):
    sound = wave(3)
    times = np.arange(0, 3, 1 / 12.5)
    frames = np.stack([picture(0.0)] * len(times))
    masks = model.segment(frames, sound, RATE, fps=12.5)
    alone = model.segment(frames[:3], sound, RATE)
    for time, mask in zip(times, masks, strict=True):
        np.testing.assert_allclose(mask, alone[math.floor(time + 1e-9)], atol=1e-5)
    assert np.abs(alone[0] - alone[1]).max() > 1e-4


def test_a_stream_says_the_same(model, frames):
    rate, fps = 22050, 2
    sound = wave(SECONDS // fps, rate)
    whole = model.segment(frames, sound, rate, fps=fps)
    stream = model.stream(rate)
    parts = [
        stream(frames[fps * second : fps * (second + 1)], sound[second * rate : (second + 1) * rate])
        for second in range(SECONDS // fps)
    ]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)
    assert stream.second == SECONDS // fps
    with pytest.raises(InputError, match="sound: 22051 samples are more than a second"):
        stream(frames[:1], wave(1.1, rate)[:22051])


def test_sound_that_ends_early_is_followed_by_silence(model, frames):
    short = model.segment(frames[:4], wave(1.5), RATE)
    filled = model.segment(frames[:4], np.concatenate([wave(1.5), np.zeros(3 * RATE, np.float32)]), RATE)
    np.testing.assert_allclose(short, filled, atol=1e-6)
    assert model.segment(frames[:1], np.zeros(0, np.float32), RATE).shape == (1, *SIZE)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": []}, "there is none"),
        ({"frames": Image.new("RGB", (8, 8))}, "no sequence of pictures"),
        ({"frames": np.zeros((2, 3, 8, 8), np.uint8)}, r"frames\[0\] has shape \(3, 8, 8\)(.|\n)*\(H, W, 3\)"),
        ({"frames": torch.zeros(2, 8, 8, 3)}, r"frames\[0\] has shape \(8, 8, 3\)(.|\n)*\(3, H, W\)"),
        ({"frames": np.full((1, 8, 8, 3), 255.0)}, "floats outside 0 to 1"),
        ({"frames": np.full((1, 8, 8, 3), np.nan)}, "floats outside 0 to 1"),
        ({"frames": np.zeros((1, 8, 8, 3), np.int64)}, "type int64"),
        ({"frames": [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)]}, r"frames\[1\] is 9x8 pixels"),
        ({"sound": np.full(16000, np.nan)}, "not finite"),
        ({"sound": np.zeros((2, 2, 2))}, r"shape \(2, 2, 2\)"),
        ({"sound": np.zeros(8, complex)}, "type complex128"),
        ({"rate": 0}, "rate: 0 is no number"),
        ({"rate": float("nan")}, "rate: nan"),
        ({"fps": -1.0}, "fps: -1.0"),
    ],
)
def test_mistakes(model, changes, words):
    given = {"frames": np.zeros((1, 8, 8, 3), np.uint8), "sound": np.zeros(16000), "rate": RATE}
    with pytest.raises(InputError, match=words) as caught:
        model.segment(**{**given, **changes})
    assert caught.value.remedy


def test_a_device_that_is_none(run_folder):
    with pytest.raises(InputError, match="'tpu' is not one of cpu, cuda"):
        soundprompt.load(run_folder, device="tpu")


def test_a_run_of_another_folder(run_folder, project, tmp_path, monkeypatch):
    """The project's weights are found from anywhere."""
    wanted = soundprompt.load(run_folder).segment([picture(0)], wave(1), RATE)
    monkeypatch.chdir(tmp_path / "studies")
    np.testing.assert_array_equal(soundprompt.load(tmp_path / run_folder).segment([picture(0)], wave(1), RATE), wanted)


def test_a_film_at_its_own_rate(model, tmp_path):
    """Decoded with PyAV by the user: 3 s at 12.5 a second."""
    import av

    with av.open(str(write_film(tmp_path / "in.mp4", 3))) as film:
        frames = [frame.to_image() for frame in film.decode(video=0)]
    assert model.segment(frames, wave(3), RATE, fps=12.5).shape == (38, *SIZE)


def test_the_examples_of_the_manual(run_folder, tmp_path):
    """docs/travel.md, as it stands, with a run in place of its model."""
    text = (Path(__file__).parents[2] / "docs" / "travel.md").read_text()
    examples = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    assert len(examples) == 2
    known = {"frames": np.stack([picture(second) for second in range(3)]), "sound": wave(3, 44100)}
    exec(examples[0].replace("gavs-v2/", str(run_folder)), known)
    whole = known["masks"]
    assert whole.shape == (3, *SIZE)
    exec(examples[1], known)
    np.testing.assert_allclose(known["masks"][0], whole[1], atol=1e-5)
