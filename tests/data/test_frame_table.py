"""The frame table refuses what breaks its schema, and gives back what it was given."""

import pandas as pd
import pytest

from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.files import publish
from soundprompt.layout import Layout


def table(**changes) -> pd.DataFrame:
    digest = "0123456789abcdef" * 4
    row = {
        "dataset": "v1s",
        "clip": "a_0_5000",
        "video": "a",
        "class_name": "dog",
        "kind": "",
        "split": "train",
        "frame": 0,
        "second": 0,
        "n_sources": 1,
        "silent": None,
        "image": "data/0.jpg",
        "audio": "data/audio.wav",
        "mask": "data/0.png",
        "objects": None,
        "boxes": None,
        "width": 20,
        "height": 16,
        "image_digest": digest,
        "audio_digest": digest,
        "mask_digest": digest,
    }
    second = row | {"frame": 1, "second": 1, "mask": None, "mask_digest": None, "boxes": [[0.0, 0.1, 0.5, 1.0], []]}
    return pd.DataFrame([row, second | changes])


def test_round_trip(tmp_path):
    path = tmp_path / "v1s.parquet"
    frame_table.write(table(), path)
    frames = frame_table.read(path)
    assert list(frames.columns) == frame_table.SCHEMA.names
    assert frames["mask"].tolist() == ["data/0.png", None] and frames["objects"].tolist() == [None, None]
    assert frames["boxes"].tolist() == [None, [[0.0, 0.1, 0.5, 1.0], []]]
    assert frames["frame"].dtype == "int32"
    assert frames["silent"].tolist() == [None, None]
    frame_table.write(frames, tmp_path / "again.parquet")
    assert path.read_bytes() == (tmp_path / "again.parquet").read_bytes()


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"frame": 0}, "same frame occurs twice"),
        ({"mask": "x.png"}, "do not go together"),
        ({"image_digest": "abc"}, "not a sha256"),
        ({"width": 0}, "not positive"),
        ({"second": -1}, "negative"),
        ({"clip": None}, "null"),
        ({"split": ""}, "is empty"),
        ({"frame": "first"}, "does not fit"),
        ({"colour": "red"}, "'colour' is not known"),
    ],
)
def test_refusals(tmp_path, changes, what):
    path = tmp_path / "t.parquet"
    with pytest.raises(InputError, match=what):
        frame_table.write(table(**changes), path)
    assert not list(tmp_path.iterdir())


def test_no_rows(tmp_path):
    with pytest.raises(InputError, match="without rows"):
        frame_table.write(table().iloc[:0], tmp_path / "t.parquet")


def test_missing_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "t.parquet"
    with pytest.raises(InputError, match="missing"):
        frame_table.read(path)
    frame_table.write(table(), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged"):
        frame_table.read(path)
    with publish(path) as aside:  # another's: it has no record
        table().drop(columns="mask").to_parquet(aside)
    with pytest.raises(InputError, match="'mask' is missing"):
        frame_table.read(path)


def test_select(layout: Layout):
    frames = table()
    frames.loc[1, "split"] = "val"
    frame_table.write(frames, layout.table("v1s"))
    chosen = frame_table.select(layout, ["v1s/val", "v1s/train"])
    assert chosen["selection"].tolist() == ["v1s/val", "v1s/train"]
    assert chosen["frame"].tolist() == [1, 0]
    with pytest.raises(InputError, match=r"no frames in split 'test'(.|\n)*choose among: train, val"):
        frame_table.select(layout, ["v1s/test"])
    with pytest.raises(InputError, match="not a selection"):
        frame_table.select(layout, ["v1s"])
    with pytest.raises(InputError, match="missing"):
        frame_table.select(layout, ["v2/train"])
