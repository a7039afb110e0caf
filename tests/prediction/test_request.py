"""A request is checked before anything is loaded, and never overwrites what is not predict's own."""

from pathlib import Path

import pytest
from PIL import Image

from soundprompt.errors import InputError
from soundprompt.prediction.request import COLUMNS, Request, mask_marks


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
        ({"start": float("nan")}, "--start: nan"),
        ({"end": float("inf")}, "--end: inf"),
        ({"every": float("inf")}, "--every: inf"),
        ({"threshold": float("nan")}, "--threshold: nan"),
        ({"audio": Path()}, "--audio: is no file"),
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
    with pytest.raises(InputError, match=words) as caught:
        Request(**{"video": film, "out": film.with_name("out.mp4"), **changes})
    assert caught.value.remedy


def test_input_is_never_overwritten(film, tmp_path):
    with pytest.raises(InputError, match="overwrite what it is made from"):
        Request(film, film)
    link = tmp_path / "link.mp4"
    link.symlink_to(film)
    with pytest.raises(InputError, match="overwrite what it is made from"):
        Request(film, link)


def test_masks_that_are_the_input_are_not_replaced(tmp_path):
    masks = tmp_path / "out.masks"
    masks.mkdir()
    write_mask(masks / "00000.png")
    for given in (masks, masks / "00000.png"):
        with pytest.raises(InputError, match="overwrite what it is made from"):
            Request(given, tmp_path / "out.mp4")


def write_mask(path: Path, **options) -> None:
    Image.new("L", (8, 6)).save(path, **options)


def test_what_the_command_line_does_not_name_is_only_replaced_where_predict_wrote_it(film, tmp_path):
    out, masks, table = tmp_path / "out.mp4", tmp_path / "out.masks", tmp_path / "out.csv"
    masks.mkdir()
    table.write_text(",".join(COLUMNS) + "\n")
    write_mask(masks / "00000.png", pnginfo=mask_marks())
    Request(film, out)
    write_mask(masks / "00001.png")  # the user's own, under such a name
    with pytest.raises(InputError, match=r"holds '00001\.png', which predict did not write"):
        Request(film, out)
    (masks / "00001.png").unlink()
    (masks / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds 'notes.txt'"):
        Request(film, out)
    (masks / "notes.txt").unlink()
    for text in ("second,what\n0,a dog\n", "", ",".join(COLUMNS) + ",my notes\n"):
        table.write_text(text)
        with pytest.raises(InputError, match=r"out\.csv: is not a table of predict; it would be replaced"):
            Request(film, out)
        assert table.read_text() == text


def test_files_and_folders_in_each_other_s_place(film, tmp_path):
    (tmp_path / "out2.masks").touch()
    with pytest.raises(InputError, match="a folder is needed"):
        Request(film, tmp_path / "out2.mp4")
    (tmp_path / "out3.csv").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        Request(film, tmp_path / "out3.mp4")
