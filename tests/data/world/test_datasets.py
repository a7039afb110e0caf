"""The generated world on disk: layouts, splits, regeneration, impossible worlds."""

import hashlib
import json
import re
import shutil
import wave

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from soundprompt.data import frame_table, tables
from soundprompt.data.world.classes import all_classes, of_role
from soundprompt.data.world.datasets import make_part
from soundprompt.data.world.parts import PARTS, plan_part
from soundprompt.data.world.writing import bounding_box, class_colour
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params import TablesView, World, WorldView

TINY = {
    "size": 64,
    "levels": {"pitch": 4, "modulation": 1, "timbre": 3},
    "v1s_classes": 4,
    "v1s": {"train": 1, "val": 1, "test": 1},
    "v1m": {"train": 4, "val": 1, "test": 2},
    "v1m_unseen": 2,
    "v2": {"train": 2, "val": 1, "test": 1},
    "vggss": 8,
}
SCENES = {"alone": {"clips": 2}, "both": {"clips": 3, "sources": 2, "overlap": 1, "shift": 1, "classes": "all"}}
# Who sounds, who stands silent, when and in which split, in the four parts of TINY before there were scenes.
STORY = "6d3098667ec55a4777678d432637e5bb0db816f3201db2a4bd210139b5a2248a"


def view(shots=(1, 2), **changes):
    return WorldView(study="tiny", world=World(**{**TINY, **changes}), shots=shots)


def build(folder, monkeypatch, workers=1, parts=(*PARTS, "index")):
    folder.mkdir()
    monkeypatch.chdir(folder)
    for part in parts:
        make_part(part, view(), Layout("tiny"), workers)
    return folder / "data" / "tiny"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield build(tmp_path_factory.mktemp("world") / "a", monkeypatch)


@pytest.fixture(scope="module")
def with_scenes(world, tmp_path_factory):
    """The same world with scenes beside its other parts."""
    copy = tmp_path_factory.mktemp("world") / "data" / "tiny"
    shutil.copytree(world, copy)
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(copy.parents[1])
        for part in ("scenes", "index"):
            make_part(part, view(scenes=SCENES), Layout("tiny"))
    return copy


def table(path):
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def digests(root):
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_metadata_has_avsbench_columns_and_ids(world):
    rows = table(world / "avsbench" / "metadata.csv")
    assert list(rows) == ["vid", "uid", "s_min", "s_sec", "a_obj", "split", "label"]
    assert rows["uid"].is_unique
    assert rows["label"].value_counts().to_dict() == {"v1s": 12, "v1m": 9, "v2": 48}
    for row in rows.itertuples():
        if row.label == "v1m":
            assert row.vid == row.uid and re.fullmatch(r"[\w-]{11}(_0)?", row.uid)
        else:
            start = (int(row.s_min) * 60 + int(row.s_sec)) * 1000
            assert row.uid == f"{row.vid}_{start}_{start + (5000 if row.label == 'v1s' else 10000)}"
            assert len(row.vid) == 11


def test_every_clip_has_its_files(world):
    for row in table(world / "avsbench" / "metadata.csv").itertuples():
        folder = world / "avsbench" / row.label / row.uid
        length = 10 if row.label == "v2" else 5
        labelled = 1 if (row.label, row.split) == ("v1s", "train") else length
        for name, suffix, count in (("frames", "jpg", length), ("objects", "png", length)):
            assert {p.name for p in (folder / name).iterdir()} == {f"{i}.{suffix}" for i in range(count)}
        assert {p.name for p in (folder / "labels_rgb").iterdir()} == {f"{i}.png" for i in range(labelled)}
        with wave.open(str(folder / "audio.wav")) as wav:
            assert wav.getparams()[:4] == (1, 2, 16000, length * 16000)


def test_masks_are_the_sounding_objects_in_their_class_colour(world):
    labels = json.loads((world / "avsbench" / "label2idx.json").read_text())
    assert labels["background"] == 0
    for row in table(world / "avsbench" / "metadata.csv").itertuples():
        folder = world / "avsbench" / row.label / row.uid
        mask, owner = Image.open(folder / "labels_rgb" / "0.png"), np.array(Image.open(folder / "objects" / "0.png"))
        pixels = np.array(mask.convert("RGB"))
        shown = {tuple(map(int, colour)) for colour in pixels.reshape(-1, 3)} - {(0, 0, 0)}
        names = row.a_obj.split("_")
        assert shown <= {class_colour(labels[name]) for name in names}
        foreground = np.array(mask.convert("L")) > 0
        assert np.array_equal(foreground, pixels.any(axis=-1))
        if len(names) == 1:
            assert np.array_equal(foreground, owner == 1)


def test_palette_is_avsbench_s():
    assert [class_colour(i) for i in (0, 1, 2, 3, 4, 8)] == [
        (0, 0, 0),
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 0),
        (0, 0, 128),
        (64, 0, 0),
    ]
    assert len({class_colour(i) for i in range(46)}) == 46


def test_kinds_cover_every_class_string(world):
    kinds = json.loads((world / "avsbench" / "kinds.json").read_text())
    rows = table(world / "avsbench" / "metadata.csv")
    assert set(rows["a_obj"]) <= set(kinds)
    assert set(kinds.values()) == {"seen", "new combination", "new level"}
    unseen = rows[(rows["label"] == "v1m") & (rows["split"] == "unseen")]
    assert len(unseen) == 2 and all(kinds[name] != "seen" for name in unseen["a_obj"])
    others = rows[(rows["label"] != "v2") & (rows["split"] != "unseen")]
    assert {kinds[name] for name in others["a_obj"]} == {"seen"}


def test_v3_divides_v2_and_v1m(world):
    v3, rows = world / "avs_v3", table(world / "avsbench" / "metadata.csv")
    parts = {name: set(table(v3 / f"meta_v3_{name}.csv")["uid"]) for name in ("seen", "unseen", "unseen_val")}
    train, val = (set(table(v3 / f"meta_v3_seen_{name}.csv")["uid"]) for name in ("train", "val"))
    assert train | val == parts["seen"] and not train & val
    assert len(val) == round(len(parts["seen"]) / 10)
    assert set.union(*parts.values()) == set(rows[rows["label"] != "v1s"]["uid"])
    assert sum(map(len, parts.values())) == len(set.union(*parts.values()))
    kinds = json.loads((world / "avsbench" / "kinds.json").read_text())
    unseen = table(v3 / "meta_v3_unseen.csv")
    assert set(unseen["split"]) == {"unseen"}
    assert {kinds[name] for name in unseen["a_obj"]} == {"new combination", "new level"}


def test_few_shots_are_nested_and_look_like_the_published_files(world):
    unseen = table(world / "avs_v3" / "meta_v3_unseen.csv")
    classes = {name for name in unseen["a_obj"] if "_" not in name}
    previous = set()
    for shot in (1, 2):
        train, test = (table(world / "avs_v3" / f"v3_{shot}_shot" / f"{name}.csv") for name in ("train", "test"))
        assert set(pd.concat([train, test])["split"]) == {"v3_1_shot_train"}
        assert set(pd.concat([train[["s_min", "s_sec", "a_obj"]], test[["s_min", "s_sec", "a_obj"]]]).stack()) == {""}
        assert set(train["uid"]) | set(test["uid"]) == set(unseen["uid"])
        assert len(train) == shot * len(classes) and len(test) == len(unseen) - len(train)
        joined = train[["uid"]].merge(unseen, on="uid")
        assert (joined["a_obj"].value_counts() == shot).all()
        assert previous < set(train["uid"])
        previous = set(train["uid"])
    v1m = test[test["label"] == "v1m"]
    assert len(v1m) and any(v1m["vid"] != v1m["uid"])


def test_vggss_boxes_bound_the_sounding_object(world):
    entries = json.loads((world / "vggss" / "vggss.json").read_text())
    names = (world / "vggss" / "vggss_test.csv").read_text().split()
    assert [entry["file"] for entry in entries] == names and len(names) == 8
    for entry in entries:
        assert re.fullmatch(r"[\w-]{11}_\d{6}", entry["file"])
        assert Image.open(world / "vggss" / "frames" / f"{entry['file']}.jpg").size == (64, 64)
        with wave.open(str(world / "vggss" / "audio" / f"{entry['file']}.wav")) as wav:
            assert wav.getnframes() == 160000
        ((left, top, right, bottom),) = entry["bbox"]
        assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    mask = np.zeros((10, 20), bool)
    mask[2:5, 4:8] = True
    assert bounding_box(mask) == [0.2, 0.2, 0.4, 0.5]
    assert bounding_box(mask & False) == []


def test_regeneration_is_byte_identical_whatever_the_workers(world, tmp_path, monkeypatch):
    parts = ("v1m", "vggss")
    again = build(tmp_path / "b", monkeypatch, workers=2, parts=parts)
    expected = {
        k: v for k, v in digests(world).items() if k.startswith(("avsbench/v1m/", "vggss/", "world-v1m", ".world-v1m"))
    }
    found = {k: v for k, v in digests(again).items() if "world-vggss.csv" not in k}
    assert found == expected


def colours(path):
    """(r, g, b) of all that occur in a mask, sorted."""
    packed = np.unique(np.array(Image.open(path), np.uint32) @ np.array((1 << 16, 1 << 8, 1), np.uint32))
    return [(int(each) >> 16, int(each) >> 8 & 255, int(each) & 255) for each in packed]


def test_the_story_of_the_world_is_the_same_as_ever(world):
    silent = json.loads((world / "avsbench" / "silent.json").read_text())
    lines = []
    for row in table(world / "avsbench" / "metadata.csv").itertuples():
        masks = sorted((world / "avsbench" / row.label / row.uid / "labels_rgb").iterdir())
        lines.append(f"{','.join(row[1:])} {silent[row.uid]} {[colours(mask) for mask in masks]}")
    entries = json.loads((world / "vggss" / "vggss.json").read_text())
    lines += [f"{entry['file']} {entry['class']} {silent[entry['file']]}" for entry in entries]
    lines += [path.read_text() for path in sorted((world / "avs_v3").rglob("*.csv"))]
    assert hashlib.sha256("\n".join(lines).encode()).hexdigest() == STORY


def test_silent_classes_are_the_other_objects(world):
    silent = json.loads((world / "avsbench" / "silent.json").read_text())
    rows = table(world / "avsbench" / "metadata.csv")
    assert len(silent) == len(rows) + 8
    for row in rows.itertuples():
        names, sources = silent[row.uid].split("_"), row.a_obj.split("_")
        assert len(names) == 2 and not set(names) & set(sources)
        owner = np.array(Image.open(world / "avsbench" / row.label / row.uid / "objects" / "0.png"))
        assert owner.max() == len(names) + len(sources)


def test_scenes_change_nothing_else(world, with_scenes):
    plain, more = digests(world), digests(with_scenes)
    for part in PARTS:
        assert plan_part(part, view().world) == plan_part(part, view(scenes=SCENES).world)
    joined = {f"avsbench/{name}" for name in ("metadata.csv", ".metadata.csv.sha256", "kinds.json", "silent.json")}
    assert {name for name in plain if plain[name] != more[name]} <= joined
    new = set(more) - set(plain)
    assert new and all(name.startswith("avsbench/scenes/") or "world-scenes.csv" in name for name in new)
    rows, before = (table(root / "avsbench" / "metadata.csv") for root in (with_scenes, world))
    assert rows[rows["label"] != "scenes"].reset_index(drop=True).equals(before)
    there = rows[rows["label"] == "scenes"]
    assert there["split"].value_counts().to_dict() == {"alone": 2, "both": 3}
    named = set().union(*(table(path)["uid"] for path in (with_scenes / "avs_v3").rglob("*.csv")))
    assert not named & set(there["uid"])


def test_a_scene_lies_on_disk_as_any_clip(with_scenes):
    rows = table(with_scenes / "avsbench" / "metadata.csv")
    for row in rows[rows["label"] == "scenes"].itertuples():
        folder = with_scenes / "avsbench" / "scenes" / row.uid
        assert row.uid == f"{row.vid}_{row.split}"
        for name, suffix in (("frames", "jpg"), ("labels_rgb", "png"), ("objects", "png")):
            assert {path.name for path in (folder / name).iterdir()} == {f"{i}.{suffix}" for i in range(5)}
        owner = np.array(Image.open(folder / "objects" / "3.png"))
        sounding = np.array(Image.open(folder / "labels_rgb" / "3.png")).any(axis=-1)
        assert np.array_equal(sounding, (owner > 0) & (owner <= 1 + (row.split == "both")))


def test_scenes_and_silent_classes_reach_the_frame_table(with_scenes, monkeypatch):
    monkeypatch.chdir(with_scenes.parents[1])
    silent = json.loads((with_scenes / "avsbench" / "silent.json").read_text())
    layout = Layout("tiny")
    for dataset in ("scenes", "vggss"):
        tables.make_table(TablesView(study="tiny", dataset=dataset, data={}), layout)
        frames = frame_table.read(layout.table(dataset))
        assert frames["silent"].tolist() == [silent[clip] for clip in frames["clip"]]
    scenes = frame_table.select(layout, ["scenes/both"])
    assert set(scenes["n_sources"]) == {2} and scenes["clip"].nunique() == 3 and scenes["mask"].notna().all()
    alone = frame_table.select(layout, ["scenes/alone"])
    assert set(alone["kind"]) == {"seen"}
    assert alone["video"].unique().tolist() == scenes["video"].unique().tolist()[:2]


def test_a_world_without_scenes_has_no_such_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"world\.scenes: declares no clips"):
        make_part("scenes", view(), Layout("tiny"))
    assert not list(tmp_path.iterdir())


def test_another_seed_is_another_world():
    first, second = (plan_part("v2", view(seed=seed).world) for seed in (0, 1))
    assert not {plan.uid for plan in first} & {plan.uid for plan in second}


def test_more_training_clips_change_no_test_clip():
    more = view(v2={"train": 5, "val": 1, "test": 1}).world
    tests = [{plan for plan in plan_part("v2", w) if plan.split == "test"} for w in (view().world, more)]
    assert tests[0] == tests[1] and tests[0]


def test_seen_clips_never_show_an_unseen_class():
    world = view().world
    seen = set(of_role(all_classes(world.levels), "seen"))
    for part in PARTS:
        for plan in plan_part(part, world):
            if set(plan.sources) <= seen:
                assert set(plan.pool) <= seen, plan


@pytest.mark.parametrize(
    ("changes", "shots", "says"),
    [
        ({"v1s_classes": 7}, (), r"world\.v1s_classes: 7 .* 6 seen"),
        ({"v1s_classes": 2}, (), r"world\.v1s_classes: 2 .* at least 3"),
        ({"distractors": 7}, (), r"world\.distractors: 7 .* at most 6"),
        ({"distractors": 5, "v1s_classes": 6}, (), r"world\.distractors: 5 .* at most 4"),
        ({"size": 16}, (), r"world\.size: 16 .* at least 32"),
        ({"levels": {"pitch": 4, "modulation": 1, "timbre": 1}}, (), r"world\.levels"),
        ({}, (1, 4), r"data\.shots: 4 .* at most 3"),
    ],
)
def test_impossible_worlds_are_named_before_anything_is_written(changes, shots, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in ("v2", "index"):
        with pytest.raises(InputError, match=says):
            make_part(part, view(shots, **changes), Layout("tiny"))
    assert not list(tmp_path.iterdir())


def test_unknown_part_and_missing_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="'v9' is not one of v1s, v1m, v2, vggss, scenes, index"):
        make_part("v9", view(), Layout("tiny"))
    with pytest.raises(InputError, match=r"(?s)world-v1s\.csv: missing.*soundprompt world --part v1s"):
        make_part("index", view(), Layout("tiny"))
