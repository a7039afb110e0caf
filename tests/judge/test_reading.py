"""Anybody's masks: forms, names and sizes of files, and what is wrong with them."""

import numpy as np
import pytest
import seeded
from PIL import Image
from small_sets import npy, png, write_avsbench, write_masks

CLIPS = ("aaaaaaaaaaa_0", "bbbbbbbbbbb")


@pytest.fixture
def data(tmp_path):
    """Two clips of five frames, and hard masks (10, 20, 28) that overlap the truth in part."""
    _, truth = seeded.clips(9, 2, frames=5, h=20, w=28)
    maps = {clip: truth[i * 5 : i * 5 + 5] for i, clip in enumerate(CLIPS)}
    return write_avsbench(tmp_path / "data", "v1m", maps), np.roll(truth, 2, 1)


def clips(values):
    return {clip: values[i * 5 : i * 5 + 5] for i, clip in enumerate(CLIPS)}


def options(root):
    return "--dataset", "v1m", "--root", root


def probabilities(masks):
    draw = np.random.default_rng(1)
    return np.where(masks, draw.uniform(0.6, 0.9, masks.shape), draw.uniform(0.1, 0.3, masks.shape)).astype(np.float32)


FORMS = {
    "png of 0 and 1": lambda masks: (png, masks.astype(np.uint8)),
    "png of 0 and 255": lambda masks: (png, masks.astype(np.uint8) * 255),
    "png of one bit": lambda masks: (png, masks.astype(bool)),
    "grey png": lambda masks: (png, (probabilities(masks) * 255).astype(np.uint8)),
    "16-bit png": lambda masks: (png, (probabilities(masks) * 65535).astype(np.uint16)),
    "probabilities": lambda masks: (npy, probabilities(masks)),
    "half precision": lambda masks: (npy, probabilities(masks).astype(np.float16)),
    "logits": lambda masks: (npy, np.where(masks, 3.0, -3.0)),
    "two channels": lambda masks: (npy, np.stack([np.where(masks, -3.0, 3.0), np.where(masks, 3.0, -3.0)], 1)),
    "one channel": lambda masks: (npy, probabilities(masks)[:, None]),
    "npz": lambda masks: (lambda path, values: np.savez_compressed(path, mask=values), probabilities(masks)),
    "classes": lambda masks: (npy, masks.astype(np.uint8) * 5),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_masks(judge, tmp_path, data, form):
    root, masks = data
    write, values = FORMS[form](masks)
    answer = judge(write_masks(tmp_path / "masks", clips(values), write), *options(root))
    truth = [np.asarray(Image.open(path)).any(2) for path in sorted(root.glob("v1m/*/labels_rgb/*.png"))]
    overlap = [(on & true).sum() / (on | true).sum() for on, true in zip(masks > 0, truth, strict=True)]
    assert answer.values()["miou_picture"] == pytest.approx(np.mean(overlap), abs=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "{clip}/{frame}.png",
        "{clip}_{frame}.png",
        "{clip}/{clip}_{frame}.png",
        "{clip}/{frame:05d}.png",
        "x/{clip}/{frame}.png",
    ],
)
def test_names_of_files(judge, tmp_path, data, name):
    root, masks = data
    for i, mask in enumerate(masks):
        path = tmp_path / "masks" / name.format(clip=CLIPS[i // 5], frame=i % 5)
        path.parent.mkdir(parents=True, exist_ok=True)
        png(path.with_suffix(""), mask.astype(np.uint8) * 255)
    assert judge(tmp_path / "masks", *options(root)).values()["miou_picture"] > 0.5


def test_frames_that_are_missing_are_named(judge, tmp_path, data):
    root, masks = data
    folder = write_masks(tmp_path / "masks", clips(masks.astype(np.uint8)), png)
    (folder / CLIPS[1] / "1.png").unlink()
    answer = judge(folder, *options(root))
    assert answer.code == 1 and f"{CLIPS[1]}/1" in answer.errors and "--missing empty" in answer.errors
    assert "Traceback" not in answer.errors and not answer.out.exists()
    whole = judge(folder, *options(root), "--missing", "empty")
    assert whole.content["frames_listed"]["masks"]["missing"] == [f"{CLIPS[1]}/1"]
    assert "1 frames are missing and count as empty masks" in whole.text


def test_frames_numbered_otherwise(judge, tmp_path, data):
    root, masks = data
    for i, mask in enumerate(masks):
        (tmp_path / "masks" / CLIPS[i // 5]).mkdir(parents=True, exist_ok=True)
        png(tmp_path / "masks" / CLIPS[i // 5] / str(i % 5 + 1), mask.astype(np.uint8))
    answer = judge(tmp_path / "masks", *options(root))
    assert answer.code == 1 and "--first 1" in answer.errors
    assert judge(tmp_path / "masks", *options(root), "--first", "1").values()["miou_picture"] > 0.5


def test_surplus_files_are_listed(judge, tmp_path, data):
    root, masks = data
    folder = write_masks(tmp_path / "masks", clips(masks.astype(np.uint8)), png)
    png(folder / CLIPS[0] / "5", masks[0].astype(np.uint8))
    answer = judge(folder, *options(root))
    assert answer.content["frames_listed"]["masks"]["surplus"] == [str(folder / CLIPS[0] / "5.png")]
    assert "1 files belong to no frame" in answer.text


@pytest.mark.parametrize("content", [b"", b"no picture", "cut"])
@pytest.mark.parametrize("write", [png, npy])
def test_files_that_cannot_be_read_are_listed(judge, tmp_path, data, content, write):
    root, masks = data
    folder = write_masks(tmp_path / "masks", clips(masks.astype(np.uint8)), write)
    bad = sorted(folder.rglob("*.*"))[1], sorted(folder.rglob("*.*"))[4]
    for path in bad:
        path.write_bytes(path.read_bytes()[:60] if content == "cut" else content)
    answer = judge(folder, *options(root))
    assert answer.code == 1 and all(str(path) in answer.errors for path in bad) and "Traceback" not in answer.errors
    counted = judge(folder, *options(root), "--missing", "empty")
    assert len(counted.content["frames_listed"]["masks"]["unreadable"]) == 2


def test_sizes_that_differ_are_resized_and_said(judge, tmp_path, data):
    root, masks = data
    large = masks.repeat(2, 1).repeat(2, 2)
    answer = judge(write_masks(tmp_path / "masks", clips(large.astype(np.uint8)), png), *options(root))
    same = judge(write_masks(tmp_path / "small", clips(masks.astype(np.uint8)), png), *options(root))
    assert answer.values()["miou_picture"] == same.values()["miou_picture"]
    assert "10 masks resized from 56x40 to 28x20" in answer.text


@pytest.mark.parametrize(
    ("values", "arguments", "words"),
    [
        (np.full((10, 20, 28), 40, np.uint8), (), ["--values labels", "--values probabilities"]),
        (np.full((10, 20, 28), 40, np.uint8), ("--values", "greys"), ["greys", "mask, probabilities"]),
        (np.full((10, 20, 28, 3), [200, 10, 3], np.uint8), (), ["palette of 71 classes"]),
    ],
)
def test_numbers_that_are_not_clear(judge, tmp_path, data, values, arguments, words):
    root, _ = data
    answer = judge(write_masks(tmp_path / "masks", clips(values), png), *options(root), *arguments)
    assert answer.code == 1 and all(word in answer.errors for word in words) and "Traceback" not in answer.errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--dataset", "v9"), ["v9", "v1s"]),
        (("--dataset", "v1m"), ["--root"]),
        (("--dataset", "v1m", "--root", "nowhere"), ["nowhere"]),
        (("--dataset", "v1m", "--root", ".", "--protocol", "heard"), ["heard", "vggss"]),
        (("--dataset", "v1m", "--root", ".", "--missing", "zero"), ["zero", "empty"]),
        (("--dataset", "vpo", "--root", "."), ["vpo-single"]),
    ],
)
def test_options_that_cannot_be(judge, tmp_path, data, arguments, words):
    answer = judge(tmp_path / "masks", *arguments)
    assert answer.code == 1 and all(word in answer.errors for word in words) and "Traceback" not in answer.errors


def test_two_masks_for_one_frame(judge, tmp_path, data):
    root, masks = data
    folder = write_masks(tmp_path / "masks", clips(masks.astype(np.uint8)), png)
    png(folder / f"{CLIPS[0]}_1", masks[0].astype(np.uint8))
    answer = judge(folder, *options(root))
    assert answer.code == 1 and "keep one mask a frame" in answer.errors
