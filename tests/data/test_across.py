"""`soundprompt leaks --across`: what two datasets share, from metadata and from pictures."""

import csv
import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from soundprompt.data import across, lookalikes
from soundprompt.errors import InputError

HEADER = "vid,uid,s_min,s_sec,a_obj,split,label"
PLANTED, OTHERS = 100, 1000


# ---------------------------------------------------------------------------------- metadata
def test_vggss_shares_160_videos_with_avsbench(reference_data):
    found = across.compare(reference_data / "vggss", reference_data / "avs_v3")
    videos = {item.one.video for item in found.shared}
    in_train = {item.one.video for item in found.shared if item.two.part.endswith("/train")}
    in_v2_train = {item.one.video for item in found.shared if item.two.part == "v2/train"}
    assert found.videos[0] == 5017
    assert (len(videos), len(in_train), len(in_v2_train)) == (160, 101, 14)
    assert found.sentences()[0].startswith("160 of 5017 source videos of vggss also stand in avs_v3")


def write_metadata(root: Path, *rows: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "metadata.csv").write_text("\n".join([HEADER, *rows]) + "\n")
    return root


def test_videos_are_compared_with_their_times(tmp_path):
    one = write_metadata(
        tmp_path / "one",
        "aaaaaaaaaaa,aaaaaaaaaaa_0_10000,0,0,dog,test,v2",
        "bbbbbbbbbbb,bbbbbbbbbbb_30000_40000,0,30,dog,test,v2",
        "ccccccccccc_1,ccccccccccc_1,0,0,dog,test,v1m",
    )
    two = write_metadata(
        tmp_path / "two",
        "aaaaaaaaaaa,aaaaaaaaaaa_5000_10000,0,5,dog,train,v1s",
        "bbbbbbbbbbb,bbbbbbbbbbb_40000_50000,0,40,dog,val,v2",
        "ccccccccccc,ccccccccccc_0_10000,0,0,dog,val,v2",
        "ddddddddddd,ddddddddddd_0_10000,0,0,dog,train,v2",
    )
    across.run(one, two, tmp_path / "shared.csv")
    rows = list(csv.DictReader((tmp_path / "shared.csv").read_text().splitlines()))
    assert [(row["video"][0], row["other_set"], row["times"]) for row in rows] == [
        ("a", "v1s/train", "overlap"),
        ("b", "v2/val", "apart"),
        ("c", "v2/val", "unknown"),
    ]


def test_a_folder_of_no_dataset(tmp_path):
    with pytest.raises(InputError, match=r"metadata\.csv"):
        across.compare(tmp_path, tmp_path)


# ---------------------------------------------------------------------------------- pictures
def scene(draw: np.random.Generator) -> Image.Image:
    """A picture of smooth colours with discs and bars, 160 x 120."""
    height, width = 120, 160
    ground = Image.fromarray(draw.integers(0, 256, (4, 5, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    pixels = np.asarray(ground).astype(float)
    rows, columns = np.mgrid[:height, :width]
    for _ in range(draw.integers(2, 6)):
        y, x, radius = draw.uniform(0, height), draw.uniform(0, width), draw.uniform(8, 30)
        inside = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        if draw.uniform() < 0.3:
            inside = (abs(rows - y) < radius) & (abs(columns - x) < radius / 3)
        pixels[inside] = draw.integers(0, 256, 3)
    return Image.fromarray((pixels + draw.normal(0, 4, pixels.shape)).clip(0, 255).astype(np.uint8))


def near_duplicate(picture: Image.Image, number: int, draw: np.random.Generator) -> bytes:
    """Encoded anew; and by turns cropped by 5 % at all edges or at random ones, mirrored, made smaller, or several."""
    width, height = picture.size
    if number % 5 in (1, 4):
        picture = picture.crop((0.05 * width, 0.05 * height, 0.95 * width, 0.95 * height))
    if number % 5 == 2:
        left, top = draw.uniform(0, 0.05, 2)
        picture = picture.crop((left * width, top * height, (0.95 + left) * width, (0.95 + top) * height))
    if number % 5 in (3, 4):
        picture = ImageOps.mirror(picture)
    if number % 2:
        picture = picture.resize((100, 90))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=int(draw.integers(35, 95)))
    return stream.getvalue()


def write_vggss(root: Path, pictures: dict[str, bytes]) -> Path:
    (root / "frames").mkdir(parents=True)
    for name, content in pictures.items():
        (root / "frames" / f"{name}.jpg").write_bytes(content)
    entries = ", ".join(f'{{"file": "{name}", "class": "a", "bbox": [[0, 0, 1, 1]]}}' for name in pictures)
    (root / "vggss.json").write_text(f"[{entries}]")
    (root / "vggss_test.csv").write_text("\n".join(pictures))
    return root


def encoded(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()


def test_planted_near_duplicates_are_all_found_and_hardly_another(tmp_path):
    draw = np.random.default_rng(11)
    pictures = [scene(draw) for _ in range(PLANTED + OTHERS)]
    originals = {f"original{i:04d}_000000": encoded(picture) for i, picture in enumerate(pictures)}
    copies = {f"copy{i:08d}_000000": near_duplicate(pictures[i], i, draw) for i in range(PLANTED)}
    copies |= {f"other{i:06d}_000000": encoded(scene(draw)) for i in range(OTHERS)}
    one, two = write_vggss(tmp_path / "one", originals), write_vggss(tmp_path / "two", copies)
    found = {(item.one.clip, item.two.clip) for item in across.compare(one, two).shared if item.what == "look"}
    planted = {(f"original{i:04d}_000000", f"copy{i:08d}_000000") for i in range(PLANTED)}
    assert not planted - found
    assert len({clip for _, clip in found - planted}) <= OTHERS / 1000


def test_the_same_bytes_are_found_and_black_pictures_are_like_nothing(tmp_path):
    black = encoded(Image.new("RGB", (64, 48)))
    same = encoded(scene(np.random.default_rng(1)))
    one = write_vggss(tmp_path / "one", {"aaaaaaaaaaa_000000": same, "bbbbbbbbbbb_000000": black})
    shutil.copytree(one, tmp_path / "two")
    found = across.compare(one, tmp_path / "two")
    kinds = [(item.what, item.one.clip[0], item.two.clip[0]) for item in found.shared]
    assert kinds == [
        ("video", "a", "a"),
        ("video", "b", "b"),
        ("picture", "a", "a"),
        ("picture", "b", "b"),
        ("look", "a", "a"),
    ]


def test_a_damaged_picture_is_named(tmp_path):
    path = tmp_path / "bad.jpg"
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"bad\.jpg"):
        lookalikes.thumbnails([path])
