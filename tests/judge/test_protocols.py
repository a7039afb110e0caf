"""Protocols: pinned lists, their counts, and what is refused."""

import json

import numpy as np
import pytest
from small_sets import npy, write_masks, write_vggss

from soundprompt.data import protocols
from soundprompt.errors import InputError
from soundprompt.judge import coco, lists, truth

HEARD, UNHEARD = (protocols.PROTOCOLS[name] for name in ("heard", "unheard"))


@pytest.mark.parametrize(("name", "count"), [("heard", 2564), ("unheard", 2575)])
def test_vggss_by_heard_and_unheard_classes(reference_data, name, count):
    found = truth.load("vggss", reference_data / "vggss", protocol=name, lists=reference_data / "protocols")
    assert len(found.clips) == len({clip.name for clip in found.clips}) == count
    assert len({clip.class_name for clip in found.clips}) == 110


def test_heard_and_unheard_classes_are_apart(reference_data):
    both = [
        {clip.class_name for clip in truth.load("vggss", reference_data / "vggss", None, name, lists).clips}
        for name, lists in (("heard", reference_data / "protocols"), ("unheard", reference_data / "protocols"))
    ]
    assert not both[0] & both[1]


def test_extended_vggss_has_as_many_silent_pairs(reference_data):
    found = truth.load("vggss", reference_data / "vggss", protocol="extended", lists=reference_data / "protocols")
    assert len(found.frames) == 2 * 5158 and len(found.silent) == 5158
    assert sum(pair.picture != pair.sound for pair in found.silent) == 4779
    assert not found.read(found.frames[-1].source).any() and found.read(found.frames[0].source).any()
    assert len({found.key(frame) for frame in found.frames}) == 2 * 5158


@pytest.mark.parametrize(("name", "count"), [("vpo-single", 890), ("vpo-multi", 2157)])
def test_vpo(reference_data, name, count):
    protocol = protocols.PROTOCOLS[name]
    path = lists.list_file(protocol.file, reference_data / "protocols", reference_data)
    samples = protocols.read_vpo(path, protocol)
    assert len(samples) == count
    assert len(samples[0].image) == 12 and samples[0].name == f"{samples[0].image}_{samples[0].annotation}"


def test_open_vocabulary_has_40_base_and_30_novel_classes():
    assert (len(protocols.BASE_CLASSES), len(protocols.NOVEL_CLASSES)) == (40, 30)
    assert sorted(protocols.BASE_CLASSES + protocols.NOVEL_CLASSES) == list(range(1, 71))
    assert {1, 3, 5, 13, 69} < set(protocols.NOVEL_CLASSES)


def test_a_list_that_is_not_the_published_one_is_refused(judge, tmp_path):
    root = write_vggss(tmp_path / "data", {"abcdefghijk_000001": [[10, 10, 90, 90]]})
    (tmp_path / "lists").mkdir()
    arguments = ("--dataset", "vggss", "--root", root, "--protocol", "heard", "--lists", tmp_path / "lists")
    lacking = judge(tmp_path, *arguments)
    assert lacking.code == 1 and "vggss_heard_test.csv" in lacking.errors and "https://" in lacking.errors
    (tmp_path / "lists" / "vggss_heard_test.csv").write_text("abcdefghijk_000001\n")
    other = judge(tmp_path, *arguments)
    assert other.code == 1 and "not the published list" in other.errors and "Traceback" not in other.errors


def test_counts_are_held(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("a_000001\nb_000002\n")
    with pytest.raises(InputError, match="2 different samples, heard has 2564"):
        protocols.read_ids(path, HEARD)
    path.write_text("\n".join(f"a_{i:06d}" for i in range(2575)))  # without a newline at the end, as published
    assert len(protocols.read_ids(path, UNHEARD)) == 2575


def write_coco(root, annotations):
    (root / "annotations").mkdir(parents=True)
    content = {
        "images": [{"id": 1, "height": 6, "width": 8}],
        "categories": [{"id": 18, "name": "dog"}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 18, "segmentation": s} for i, s in annotations.items()],
    }
    (root / "annotations" / "instances_val2017.json").write_text(json.dumps(content))


def test_objects_of_coco(tmp_path):
    """The same rectangle, rows 1 to 3 and columns 2 to 5, as polygon, as run lengths and as compressed run lengths."""
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:6] = True
    runs = [13, 3, 3, 3, 3, 3, 3, 3, 14]  # down the columns, off first
    compressed = "=3300000;"  # from the fourth on, differences to the run before the last
    write_coco(
        tmp_path,
        {
            7: [[2, 1, 5, 1, 5, 3, 2, 3]],
            8: {"counts": runs, "size": [6, 8]},
            9: {"counts": compressed, "size": [6, 8]},
        },
    )
    found = coco.read_annotations(tmp_path, {7, 8, 9})
    for number in (7, 8, 9):
        assert (found[number].mask() == expected).all(), number
    assert found[7].category == "dog"
    with pytest.raises(InputError, match="annotation 10"):
        coco.read_annotations(tmp_path, {7, 10})


def test_boxes_of_is3(judge, tmp_path):
    root = tmp_path / "is3"
    root.mkdir()
    rows = [
        {"image": f"/x/{name}.jpg", "audio": "", "gt_box": [20.0, 30.0, 120.0, 130.0]}
        for name in ("a_b_1_a", "a_b_1_b")
    ]
    (root / "synthetic3240_bbox.json").write_text(json.dumps(rows))
    heat = np.zeros((224, 224), np.float32)
    heat[30:130, 20:120] = 1
    masks = write_masks(tmp_path / "masks", {name: [heat] for name in ("a_b_1_a", "a_b_1_b")}, npy)
    value = judge(masks, "--dataset", "is3", "--root", root).values()
    assert value["ciou_vggss"] == value["iiou_median"] == value["ciou_acl_best"] == 1


def test_confidences_rank_the_pairs_of_an_extended_set(tmp_path):
    """AP and max-F1 from maps: two sounding pictures, one of them found, and two that do not sound."""
    from soundprompt.judge import conventions, measured

    tally = measured.BoxTally()
    box = truth.box_mask([[0.1, 0.1, 0.6, 0.6]]).numpy().astype(float)
    inside, outside = box.astype(np.float32), 1 - box.astype(np.float32)
    for heat, true, confidence in (
        (inside, box, 0.9),
        (outside, box, 0.8),
        (inside, box * 0, 0.7),
        (outside, box * 0, 0.1),
    ):
        tally.add(heat, true, confidence)
    m = tally.measured([measured.Clip(f"c{i}", f"c{i}", "", 1) for i in range(4)])
    value = {one.name: one.of(m).value() for one in conventions.PAIRS}
    assert value["max_f1_extended_half"] == pytest.approx(2 / 3, abs=1e-3)  # at 0.9: precision 1, recall 1/2
    assert value["loc_acc_extended_half"] == 0.5
