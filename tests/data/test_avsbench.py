"""Metadata of AVSBench-semantic: the released counts and every anomaly."""

import shutil

import pytest
from PIL import Image

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
    assert [mask and mask.name for mask in first.masks] == ["0.png", None, None, None, None]
    repeated = avsbench.find_clip(avsbench_root, row, {}, "repeat")
    assert [mask.name for mask in repeated.masks] == ["0.png"] * 5
    val = avsbench.find_clip(avsbench_root, row_of(avsbench_root, "_-2Juad6tOo_0_5000"), {}, "repeat")
    assert [mask.name for mask in val.masks] == [f"{number}.png" for number in range(5)]


def test_clip_facts(avsbench_root):
    row = row_of(avsbench_root, "gmVP1bAB_Jk_3")
    clip = avsbench.find_clip(avsbench_root, row, {"man_dog": "seen"})
    assert (clip.class_name, clip.kind, clip.n_sources, clip.split) == ("man_dog", "seen", 2, "train")
    assert clip.objects == (None,) * 5


def test_missing_parts(avsbench_root):
    row = row_of(avsbench_root, "gmVP1bAB_Jk_3")
    folder = avsbench_root / "v1m" / row.uid
    for part, words in [
        ("labels_rgb/1.png", "labels_rgb: lacks 1.png: 4 pictures are there; expected are 5, 0.png to 4.png"),
        ("labels_rgb/4.png", "labels_rgb: lacks 4.png"),
        ("audio.wav", "audio.wav: missing"),
        ("frames/0.jpg", "frames: lacks 0.jpg or 5.jpg: 4 pictures are there"),
        ("frames/4.jpg", "frames: lacks 4.jpg: 4 pictures are there; expected are 5, 0.jpg to 4.jpg"),
    ]:
        content = (folder / part).read_bytes()
        (folder / part).unlink()
        with pytest.raises(InputError, match=words) as caught:
            avsbench.find_clip(avsbench_root, row, {})
        assert caught.value.remedy and not isinstance(caught.value, ClipMissing)
        (folder / part).write_bytes(content)
    shutil.rmtree(folder / "frames")
    with pytest.raises(InputError, match="frames: missing"):
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
        ([HEADER, "a,a,0,0,dog,trian,v2"], "row 2: split 'trian' is not one of train, val, test"),
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


def spell(folder, name, ending):
    """Renames what stands in `folder` as {number}.{ending}."""
    for path in sorted(folder.glob(f"*.{ending}"), key=lambda path: -int(path.stem)):
        path.rename(folder / name(int(path.stem), ending))


@pytest.mark.parametrize(
    "name",
    [
        lambda number, ending: f"{number}.{ending.upper()}",
        lambda number, ending: f"{number}.{'jpeg' if ending == 'jpg' else 'Png'}",
        lambda number, ending: f"{number:05d}.{ending}",
        lambda number, ending: f"{number + 1}.{ending}",
        lambda number, ending: f"{number + 1:03d}.{ending.upper()}",
    ],
)
def test_frames_as_cameras_and_ffmpeg_name_them(avsbench_root, name):
    """The same clips, in the same order; a training clip of v1s has one mask."""
    uids = ("__GOGlHL23s_4000_9000", "_-2Juad6tOo_0_5000")
    rows = [row_of(avsbench_root, uid) for uid in uids]
    before = [contents(avsbench.find_clip(avsbench_root, row, {})) for row in rows]
    for uid in uids:
        for part, ending in (("frames", "jpg"), ("labels_rgb", "png")):
            spell(avsbench_root / "v1s" / uid / part, name, ending)
            (avsbench_root / "v1s" / uid / part / f"._0.{ending}").touch()  # what macOS adds
    assert [contents(avsbench.find_clip(avsbench_root, row, {})) for row in rows] == before


def contents(clip):
    return [path and path.read_bytes() for path in (*clip.images, *clip.masks)]


def test_frames_of_another_kind_or_number_are_named(avsbench_root):
    row = row_of(avsbench_root, "_-2Juad6tOo_0_5000")
    frames, labels = (avsbench_root / "v1s" / row.uid / part for part in ("frames", "labels_rgb"))
    for number in range(5):  # PNG frames are frames
        Image.open(frames / f"{number}.jpg").save(frames / f"{number}.png")
        (frames / f"{number}.jpg").unlink()
    assert avsbench.find_clip(avsbench_root, row, {}).images[4].name == "4.png"
    for change, words in [
        (lambda: shutil.copy(frames / "0.png", frames / "5.png"), "holds 6 pictures, among them 5.png; expected are 5"),
        (lambda: shutil.copy(frames / "0.png", frames / "00.jpg"), "holds both 0.png and 00.jpg|both 00.jpg and 0.png"),
        (lambda: spell(frames, lambda number, _: f"frame_{number}.png", "png"), "holds no pictures 0.jpg, 1.jpg, "),
    ]:
        kept = {path.name: path.read_bytes() for path in frames.iterdir()}
        change()
        with pytest.raises(InputError, match=words) as caught:
            avsbench.find_clip(avsbench_root, row, {})
        assert caught.value.path == frames and caught.value.remedy
        shutil.rmtree(frames)
        frames.mkdir()
        for name, content in kept.items():
            (frames / name).write_bytes(content)
    (labels / "0.png").rename(labels / "0.jpg")
    with pytest.raises(InputError, match=r"labels_rgb: lacks 0\.png or 5\.png: 4 pictures are there"):
        avsbench.find_clip(avsbench_root, row, {})


def test_the_one_mask_is_that_of_the_first_frame(avsbench_root):
    row = row_of(avsbench_root, "__GOGlHL23s_4000_9000")
    labels = avsbench_root / "v1s" / row.uid / "labels_rgb"
    (labels / "0.png").rename(labels / "1.png")
    with pytest.raises(InputError, match=r"lacks 0\.png, which labels the first frame; it holds 1\.png"):
        avsbench.find_clip(avsbench_root, row, {})
    spell(labels.with_name("frames"), lambda number, _: f"{number + 1}.jpg", "jpg")
    assert avsbench.find_clip(avsbench_root, row, {}).masks[0] == labels / "1.png"


@pytest.mark.parametrize(
    ("label", "uid", "frames"),
    [
        ("v1s", "__GOGlHL23s_4000_9000", 5),
        ("v2", "_-apT0tfo6U_16000_26000", 10),
        ("v2", "own_0_7000", 7),
        ("v1s", "own", 5),
        ("v2", "own", 10),
        ("v1s", "odd_9_1", 5),
        ("v1m", "baby_dog_2_1", 5),
        ("v1m", "x_0_9000", 5),
        ("scenes", "x_overlap_0_5000", 5),
    ],
)
def test_how_many_frames_a_clip_has(label, uid, frames):
    assert avsbench.seconds(label, uid) == frames
