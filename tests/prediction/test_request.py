"""A request is checked before anything is loaded, and never overwrites what is not predict's own."""

from pathlib import Path

import pytest

from soundprompt.errors import InputError
from soundprompt.prediction.request import Request


@pytest.fixture
def film(tmp_path) -> Path:
    path = tmp_path / "in.mp4"
    path.write_bytes(b"film")
    return path


def test_outputs_stand_beside_the_video(film, tmp_path):
    asked = Request(film, tmp_path / "trip.v2.mp4")
    assert asked.masks == tmp_path / "trip.v2.masks"
    assert asked.table == tmp_path / "trip.v2.csv"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": -1.0}, "--start: -1"),
        ({"start": float("nan")}, "--start"),
        ({"start": 2.0, "end": 2.0}, "--end: 2 s is not behind --start"),
        ({"every": 0.01}, "--every"),
        ({"threshold": 1.0}, "--threshold: 1 is not between 0 and 1"),
        ({"device": "tpu"}, "'tpu' is not one of cpu, cuda"),
        ({"audio": Path("none.wav")}, "none.wav: --audio: there is no such file"),
        ({"video": Path("none.mp4")}, "none.mp4: VIDEO: there is no such file"),
        ({"out": Path("out.webm")}, r"ends in none of \.mp4"),
        ({"out": Path("out")}, r"ends in none of \.mp4"),
    ],
)
def test_mistakes(film, changes, words):
    with pytest.raises(InputError, match=words):
        Request(**{"video": film, "out": film.with_name("out.mp4"), **changes})


def test_input_is_never_overwritten(film, tmp_path):
    with pytest.raises(InputError, match="overwrite what it is made from"):
        Request(film, film)
    link = tmp_path / "link.mp4"
    link.symlink_to(film)
    with pytest.raises(InputError, match="overwrite what it is made from"):
        Request(film, link)


def test_a_folder_with_other_files_is_not_replaced(film, tmp_path):
    out = tmp_path / "out.mp4"
    masks = tmp_path / "out.masks"
    masks.mkdir()
    (masks / "00000.png").touch()
    Request(film, out)
    (masks / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds 'notes.txt'"):
        Request(film, out)
    (tmp_path / "out2.masks").touch()
    with pytest.raises(InputError, match="a folder is needed"):
        Request(film, tmp_path / "out2.mp4")
    (tmp_path / "out3.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        Request(film, tmp_path / "out3.mp4")
