"""AVS-V3: the released counts, every anomaly of its files."""

import pytest

from soundprompt.data import avs_v3, avsbench
from soundprompt.errors import InputError

from .conftest import HEADER, V3, write_lines


@pytest.fixture
def splits(avsbench_root, v3_root):
    return avs_v3.read_splits(v3_root, avsbench.read_metadata(avsbench_root), shots=[1])


def test_few_shot_rows_get_class_and_video_by_uid(splits):
    test = splits[splits["split"] == "1_shot_test"].set_index("uid")
    assert test["a_obj"].to_dict() == {"_3pLesuLT4w_80000_90000": "guzheng", "baby_dog_2_1": "baby"}
    assert test.loc["baby_dog_2_1", "video"] == "baby_dog_2_1"
    assert splits["split"].unique().tolist() == ["seen_train", "seen_val", "unseen", "1_shot_train", "1_shot_test"]


def test_unseen_validation_is_optional(avsbench_root, v3_root):
    rows = V3["meta_v3_unseen.csv"]
    write_lines(v3_root / "meta_v3_unseen.csv", [HEADER, *rows[1:]])
    write_lines(v3_root / "meta_v3_unseen_val.csv", [HEADER, rows[0].replace("unseen,", "unseen_val,")])
    splits = avs_v3.read_splits(v3_root, avsbench.read_metadata(avsbench_root), shots=[])
    assert splits["split"].value_counts().to_dict() == {"seen_train": 2, "seen_val": 2, "unseen": 2, "unseen_val": 1}


def test_bad_files(avsbench_root, v3_root):
    metadata = avsbench.read_metadata(avsbench_root)
    seen = v3_root / "meta_v3_seen_val.csv"
    whole = seen.read_text()
    for line, what in [
        ("x,x_0_10000,0,0,dog,seen_val,v2", r"row [45] names x_0_10000 \(1 such rows\)"),
        ("a,__GOGlHL23s_4000_9000,0,0,bird,seen_val,v1s", "row [45] names __GOGlHL23s_4000_9000"),
        (V3["meta_v3_seen_val.csv"][0], "twice"),
        (V3["meta_v3_seen_train.csv"][0], "in both seen_train and seen_val"),
    ]:
        seen.write_text(f"{whole}\n{line}\n")
        with pytest.raises(InputError, match=what):
            avs_v3.read_splits(v3_root, metadata, shots=[1])
    seen.write_text(whole)
    with pytest.raises(InputError, match="missing") as caught:
        avs_v3.read_splits(v3_root, metadata, shots=[1, 6])
    assert caught.value.path == v3_root / "v3_6_shot" / "train.csv"


@pytest.fixture(scope="module")
def released(reference_data):
    metadata = avsbench.read_metadata(reference_data / "avs_v3")
    return avs_v3.read_splits(reference_data / "avs_v3", metadata), metadata


def test_released_counts(released):
    splits, metadata = released
    sizes = splits.groupby(["split", "label"]).size().unstack(fill_value=0)
    found = {split: (int(row["v2"]), int(row["v1m"])) for split, row in sizes.iterrows()}
    assert found == {
        "seen_train": (4488, 319),
        "seen_val": (499, 36),
        "unseen": (726, 32),
        "1_shot_train": (11, 0),
        "1_shot_test": (500, 32),
        "3_shot_train": (33, 0),
        "3_shot_test": (478, 32),
        "5_shot_train": (54, 1),
        "5_shot_test": (457, 31),
    }
    outside = metadata["label"].isin(avs_v3.BASES) & ~metadata["uid"].isin(splits["uid"])
    assert outside.sum() == 324  # mostly those that mix seen and unseen classes


def test_released_classes(released):
    splits, _ = released
    tokens = {split: {t for a in rows["a_obj"] for t in a.split("_")} for split, rows in splits.groupby("split")}
    strings = splits.groupby("split")["a_obj"].nunique()
    assert [len(tokens[s]) for s in ("seen_train", "seen_val", "unseen", "1_shot_train")] == [58, 56, 14, 11]
    assert [strings[s] for s in ("seen_train", "unseen", "1_shot_train", "1_shot_test")] == [385, 15, 11, 12]
    assert not tokens["unseen"] & tokens["seen_train"]
    assert tokens["unseen"] - tokens["5_shot_test"] == {"harp", "bell", "squirrel"}
    unseen = splits[splits["split"] == "unseen"]["a_obj"].value_counts()
    assert (unseen["guzheng"], unseen["girl_boy"], unseen["boy"]) == (86, 5, 18)
    shots = splits[splits["split"] == "5_shot_train"]
    assert set(shots["a_obj"].value_counts()) == {5}
    assert shots[shots["label"] == "v1m"]["uid"].tolist() == ["1lL3jA960Nk_0"]


def test_released_videos(released):
    splits, metadata = released
    of = {split: set(rows["uid"]) for split, rows in splits.groupby("split")}
    assert of["1_shot_train"] < of["3_shot_train"] < of["5_shot_train"]
    assert of["1_shot_train"] | of["1_shot_test"] == of["5_shot_train"] | of["5_shot_test"]
    by_vid = splits.assign(video=splits["uid"].map(metadata.set_index("uid")["vid"]))
    vids = {split: set(rows["video"]) for split, rows in by_vid.groupby("split")}
    assert len((vids["seen_train"] | vids["seen_val"]) & vids["unseen"]) == 15
    assert len(vids["seen_train"] & vids["seen_val"]) == 287
