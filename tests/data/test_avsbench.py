"""Metadata of AVSBench-semantic: the released counts and every anomaly."""

import shutil

import pytest

from soundprompt.data import avsbench
from soundprompt.data.clip import ClipMissing
from soundprompt.errors import InputError

from .conftest import HEADER, ROWS, write_lines


def row_of(root, uid):
    rows = avsbench.read_metadata(root)
    return next(row for row in rows.itertuples() if row.uid == uid)


def test_metadata_is_mended(avsbench_root):
    rows = avsbench.read_metadata(avsbench_root).set_index("uid")
    assert rows.loc["__ZkQzOL9Ac_1000_6000", "a_obj"] == "horse"
    assert rows.loc["gmVP1bAB_Jk_3", "video"] == "gmVP1bAB_Jk"
    assert rows.loc["baby_dog_2_1", "video"] == "baby_dog_2_1"
    assert rows.loc["mbGrFe9TUbI", "video"] == "mbGrFe9TUbI"
    assert rows.loc["_-apT0tfo6U_30000_40000", "video"] == "_-apT0tfo6U"


def test_sources():
    assert avsbench.sources("emergency-car_man") == ("emergency-car", "man")
    assert avsbench.sources("off-the-screen") == avsbench.sources("background") == ()


def test_v1s_training_masks(avsbench_root):
    row = row_of(avsbench_root, "__GOGlHL23s_4000_9000")
    first = avsbench.find_clip(avsbench_root, row, {})
    assert [mask and mask.name for mask in first.masks] == ["0.png", None]
    repeated = avsbench.find_clip(avsbench_root, row, {}, "repeat")
    assert [mask.name for mask in repeated.masks] == ["0.png", "0.png"]
    val = avsbench.find_clip(avsbench_root, row_of(avsbench_root, "_-2Juad6tOo_0_5000"), {}, "repeat")
    assert [mask.name for mask in val.masks] == ["0.png", "1.png"]


def test_clip_facts(avsbench_root):
    row = row_of(avsbench_root, "gmVP1bAB_Jk_3")
    clip = avsbench.find_clip(avsbench_root, row, {"man_dog": "seen"})
    assert (clip.class_name, clip.kind, clip.n_sources, clip.split) == ("man_dog", "seen", 2, "train")
    assert clip.objects == (None, None)


def test_missing_parts(avsbench_root):
    row = row_of(avsbench_root, "gmVP1bAB_Jk_3")
    folder = avsbench_root / "v1m" / row.uid
    for part in ("labels_rgb/1.png", "audio.wav", "frames/0.jpg"):
        content = (folder / part).read_bytes()
        (folder / part).unlink()
        with pytest.raises(InputError, match="missing") as caught:
            avsbench.find_clip(avsbench_root, row, {})
        assert caught.value.path == folder / part and caught.value.remedy
        assert not isinstance(caught.value, ClipMissing)
        (folder / part).write_bytes(content)
    shutil.rmtree(folder / "frames")
    with pytest.raises(InputError, match="holds no frames"):
        avsbench.find_clip(avsbench_root, row, {})
    shutil.rmtree(folder)
    with pytest.raises(ClipMissing, match="gmVP1bAB_Jk_3, which is not there"):
        avsbench.find_clip(avsbench_root, row, {})


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ([HEADER.replace(",a_obj", ""), "a,a,0,0,train,v2"], "row 1 lacks the columns a_obj; it has: vid,"),
        ([HEADER, ROWS[0], "x,../x,0,0,dog,train,v2"], "row 3: the name '../x' leaves its folder"),
        ([HEADER, ROWS[0], "x,x/y,0,0,dog,train,v2"], "row 3: the name 'x/y' leaves its folder"),
        ([HEADER, *ROWS, ROWS[0]], "row 14: clip __GOGlHL23s_4000_9000 occurs twice"),
        ([HEADER, "a,a,0,0,dog,train,v9"], "row 2: label 'v9' is not a subset"),
        ([HEADER, "a,a,0,0,,train,v2"], "row 2 lacks its a_obj"),
        ([HEADER, ROWS[0], ROWS[1][:20]], "row 3 has 2 values where the first row names 7"),
        ([""], "is empty"),
    ],
)
def test_bad_metadata(tmp_path, lines, what):
    write_lines(tmp_path / "metadata.csv", lines)
    with pytest.raises(InputError, match=what):
        avsbench.read_metadata(tmp_path)


def test_no_metadata(tmp_path):
    with pytest.raises(InputError, match=r"metadata\.csv: missing"):
        avsbench.read_metadata(tmp_path)


def test_released_counts(reference_data):
    rows = avsbench.read_metadata(reference_data / "avs_v3")
    counts = rows.groupby(["label", "split"]).size().to_dict()
    assert counts == {
        ("v1s", "train"): 3452,
        ("v1s", "val"): 740,
        ("v1s", "test"): 740,
        ("v1m", "train"): 296,
        ("v1m", "val"): 64,
        ("v1m", "test"): 64,
        ("v2", "train"): 4750,
        ("v2", "val"): 500,
        ("v2", "test"): 750,
    }
    assert len(rows) == 11356
    tokens = {token for a_obj in rows["a_obj"] for token in a_obj.split("_")}
    assert len(tokens) == 72 and "horse" in tokens  # 73 with the misspelt one
    silent = rows[[not avsbench.sources(a_obj) for a_obj in rows["a_obj"]]]
    assert silent["a_obj"].value_counts().to_dict() == {"off-the-screen": 27, "background": 5}
