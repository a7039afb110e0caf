"""VGG-SS: the released counts, impossible boxes, and which second belongs to the picture."""

import json

import pytest

from soundprompt.data import vggss
from soundprompt.data.clip import ClipMissing, inspect, middle_second
from soundprompt.errors import InputError

from .conftest import BOXES


def test_annotations(vggss_root):
    one, two = vggss.read_annotations(vggss_root)
    assert (one.file, one.video, one.class_name) == ("zpWuikVorYg_000032", "zpWuikVorYg", "elk bugling")
    assert two.boxes == [[0.3, 0.8, 0.6, 0.0], [0.05, 0.3, 0.7, 0.9]]


def test_frame_row(vggss_root):
    annotation = vggss.read_annotations(vggss_root)[1]
    (row,) = inspect("vggss", vggss.find_clip(vggss_root, annotation, {"a, b": "seen"})).rows
    assert row["boxes"] == annotation.boxes and row["mask"] is None
    assert (row["split"], row["frame"], row["second"], row["n_sources"], row["kind"]) == ("test", 0, 5, 1, "seen")


@pytest.mark.parametrize(("seconds", "index"), [(10, 5), (9.5, 4), (5, 2), (1, 0), (0.975, 0)])
def test_middle_second(seconds, index):
    assert middle_second(round(seconds * 16000)) == index


@pytest.mark.parametrize("ending", [".JPG", ".jpeg", ".png"])
def test_pictures_with_other_endings(vggss_root, ending):
    annotation = vggss.read_annotations(vggss_root)[0]
    picture = vggss_root / "frames" / f"{annotation.file}.jpg"
    renamed = picture.rename(picture.with_suffix(ending))
    assert vggss.find_clip(vggss_root, annotation, {}).images == (renamed,)


def test_missing_files(vggss_root):
    annotation = vggss.read_annotations(vggss_root)[0]
    (vggss_root / "audio" / f"{annotation.file}.wav").unlink()
    with pytest.raises(InputError, match="missing") as caught:
        vggss.find_clip(vggss_root, annotation, {})
    assert caught.value.path.suffix == ".wav" and not isinstance(caught.value, ClipMissing)
    (vggss_root / "frames" / f"{annotation.file}.jpg").unlink()
    with pytest.raises(ClipMissing):
        vggss.find_clip(vggss_root, annotation, {})


@pytest.mark.parametrize(
    ("entries", "what"),
    [
        ({"file": "x"}, "is not a list"),
        ([{"file": "x_000001", "class": "a"}], "another form"),
        ([{"file": "x_000001", "class": "a", "bbox": "none"}], "another form"),
        ([{"file": "../evil", "class": "a", "bbox": []}], "entry 1: the name '../evil' leaves its folder"),
        ([{"file": "a/b", "class": "a", "bbox": []}], "entry 1: the name 'a/b' leaves its folder"),
        ([{"file": ".", "class": "a", "bbox": []}], "entry 1: the name '.' leaves its folder"),
        ([{"file": "x_000001", "class": "a", "bbox": []}] * 2, "names x_000001 twice"),
        ([{"file": "x_000001", "class": "a", "bbox": []}], "has no boxes for"),
    ],
)
def test_bad_annotations(vggss_root, entries, what):
    (vggss_root / "vggss.json").write_text(json.dumps(entries))
    with pytest.raises(InputError, match=what):
        vggss.read_annotations(vggss_root)


def test_the_csv_chooses(vggss_root):
    (vggss_root / "vggss_test.csv").write_text("Db6Hjt0x28k_000056\n")
    assert [item.file for item in vggss.read_annotations(vggss_root)] == ["Db6Hjt0x28k_000056"]
    (vggss_root / "vggss_test.csv").write_text("file\n")
    with pytest.raises(InputError, match="lists no clips"):
        vggss.read_annotations(vggss_root)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([0, 0, 1.2, 1], r"xmax of the box \[0, 0, 1.2, 1\] is 1.2, outside 0 to 1"),
        ([-0.1, 0, 1, 1], "xmin of the box .* is -0.1, outside"),
        ([0.1, 0, 1, -0.1], "ymax of the box .* is -0.1, outside"),
        ([-3e16, 0, 1, 1], "xmin of the box .* outside"),
        ([10, 20, 100, 120], "xmin of the box .* is 10, outside"),
        ([0, 0, 1, float("nan")], "ymax of the box .* is nan"),
        ([0, 0, 1, float("inf")], "ymax of the box .* is inf"),
        ([0, 0, float("-inf"), 1], "xmax of the box .* is -inf"),
        ([0.5, 0, 0.4, 1], "ends before it begins: xmax 0.4 is below xmin 0.5"),
        ([0.5, 0.9, 0.6, 0.1], "ends before it begins: ymax 0.1 is below ymin 0.9"),
        ([0, 0, 1], "is not four numbers"),
        ([0, 0, 1, "1"], "is not four numbers"),
        ([0, 0, 1, True], "is not four numbers"),
        (0.5, "is not four numbers"),
    ],
)
def test_a_box_that_is_none_is_named(vggss_root, box, words):
    """With its clip; `cli` prints the message as it is."""
    entries = [*BOXES, {"file": "x_000001", "class": "a", "bbox": [[0, 0, 1, 1], box]}]
    (vggss_root / "vggss.json").write_text(json.dumps(entries))
    with pytest.raises(InputError, match=f"vggss.json: clip x_000001: .*{words}"):
        vggss.read_annotations(vggss_root)


def test_boxes_at_the_limits_are_read(vggss_root):
    boxes = [[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], [0.2, 0.3, 0.4, -2.8823037615171176e16], [-1e-9, 0, 1.0000001, 1]]
    (vggss_root / "vggss.json").write_text(json.dumps([{"file": "x_000001", "class": "a", "bbox": boxes}]))
    (vggss_root / "vggss_test.csv").write_text("x_000001")
    (found,) = vggss.read_annotations(vggss_root)
    assert found.boxes == [[0, 0, 1, 1], [0.5, 0.5, 0.5, 0.5], [0.2, 0.3, 0.4, 0], [0, 0, 1, 1]]


def test_released_counts(reference_data):
    annotations = vggss.read_annotations(reference_data / "vggss")
    assert len(annotations) == 5158
    assert len({item.class_name for item in annotations}) == 221
    boxes = [len(item.boxes) for item in annotations]
    assert [boxes.count(n) for n in range(1, 8)] == [4619, 385, 94, 37, 18, 3, 2]
    corners = [[int(224 * value) for value in box] for item in annotations for box in item.boxes]
    assert sum(x1 <= x0 or y1 <= y0 for x0, y0, x1, y1 in corners) == 18
    empty = [
        all(int(224 * x1) <= int(224 * x0) or int(224 * y1) <= int(224 * y0) for x0, y0, x1, y1 in item.boxes)
        for item in annotations
    ]
    assert sum(empty) == 2
    assert all(len(item.video) == 11 for item in annotations)
