"""VGG-SS: the released counts, impossible boxes, and which second belongs to the picture."""

import json

import pytest

from soundprompt.data import vggss
from soundprompt.data.clip import ClipMissing, inspect, middle_second
from soundprompt.errors import InputError


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
        ([{"file": "x_000001", "class": "a", "bbox": [[0, 0, 1]]}], "another form"),
        ([{"file": "x_000001", "class": "a", "bbox": [[0, 0, 1, float("nan")]]}], "another form"),
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
    (vggss_root / "vggss_test.csv").write_text("\n")
    with pytest.raises(InputError, match="lists no clips"):
        vggss.read_annotations(vggss_root)


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
