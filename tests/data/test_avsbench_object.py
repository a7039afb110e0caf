"""AVSBench-object: S4 and MS3 folders with their odd names."""

import pytest
from PIL import Image

from soundprompt.data import avsbench_object, frame_table, ledger, tables
from soundprompt.data.clip import ClipMissing
from soundprompt.errors import InputError
from soundprompt.params import Data, TablesView

from .conftest import write_lines, write_sound

S4 = [("-2sOH8XovEE_484", "484", "male_speech", "train"), ("KVBxIzVNVoA_45_50", "45", "dog_barking", "val")]
MS3 = [("-2HrjfOSNUo_1", "train"), ("V3_4J7DHGPkbXs", "test")]


def pictures(folder, names):
    folder.mkdir(parents=True)
    for name in names:
        Image.new("P", (224, 224), 1).save(folder / name)


@pytest.fixture
def root(layout):
    single, multi = layout.avsbench / "Single-source", layout.avsbench / "Multi-sources"
    write_lines(single / "s4_meta_data.csv", ["name,start,category,split", *map(",".join, S4)])
    for name, _, category, split in S4:
        place = f"{split}/{category}"
        pictures(single / "s4_data/visual_frames" / place / name, [f"{name}_{i}.png" for i in range(1, 6)])
        count = 1 if split == "train" else 5
        pictures(single / "s4_data/gt_masks" / place / name, [f"{name}_{i}.png" for i in range(1, count + 1)])
        write_sound(single / "s4_data/audio_wav" / place / f"{name}.wav", 5)
    write_lines(multi / "ms3_meta_data.csv", ["video_id,split", *map(",".join, MS3)])
    for name, split in MS3:
        pictures(multi / "ms3_data/visual_frames" / name, [f"{name}.mp4_{i}.png" for i in range(1, 6)])
        pictures(multi / "ms3_data/gt_masks" / split / name, [f"{name}_{i}.png" for i in range(1, 6)])
        write_sound(multi / "ms3_data/audio_wav" / split / f"{name}.wav", 5)
    return layout.avsbench


def make(dataset, layout, **data):
    view = TablesView(study="tiny", dataset=dataset, data=Data(source="avsbench", **data))
    tables.make_table(view, layout)
    return frame_table.read(layout.table(dataset))


def test_s4(layout, root):
    frames = make("v1s", layout).set_index(["clip", "frame"])
    assert len(frames) == 10 and set(frames["width"]) == {224} and set(frames["n_sources"]) == {1}
    row = frames.loc[("-2sOH8XovEE_484", 0)]
    assert (row["class_name"], row["video"], row["split"], row["second"]) == ("male-speech", "-2sOH8XovEE", "train", 0)
    assert row["image"].endswith("visual_frames/train/male_speech/-2sOH8XovEE_484/-2sOH8XovEE_484_1.png")
    assert row["mask"].endswith("gt_masks/train/male_speech/-2sOH8XovEE_484/-2sOH8XovEE_484_1.png")
    assert frames.loc["-2sOH8XovEE_484", "mask"].isna().tolist() == [False] + [True] * 4
    assert frames.loc["KVBxIzVNVoA_45_50", "mask"].notna().all()
    assert frames.loc[("KVBxIzVNVoA_45_50", 0), "video"] == "KVBxIzVNVoA"
    repeated = make("v1s", layout, v1s_supervision="repeat").set_index("clip").loc["-2sOH8XovEE_484"]
    assert set(repeated["mask"]) == {row["mask"]}


def test_ms3(layout, root):
    frames = make("v1m", layout).set_index(["clip", "frame"])
    row = frames.loc[("-2HrjfOSNUo_1", 4)]
    assert row["image"].endswith("visual_frames/-2HrjfOSNUo_1/-2HrjfOSNUo_1.mp4_5.png")
    assert row["mask"].endswith("gt_masks/train/-2HrjfOSNUo_1/-2HrjfOSNUo_1_5.png")
    assert (row["class_name"], row["n_sources"], row["video"]) == ("", -1, "-2HrjfOSNUo")
    assert frames.loc[("V3_4J7DHGPkbXs", 0), "video"] == "V3_4J7DHGPkbXs"


def test_missing_files(layout, root):
    row = next(avsbench_object.read_metadata(root, "v1m").itertuples())
    audio = root / "Multi-sources/ms3_data/audio_wav/train" / f"{row.uid}.wav"
    audio.unlink()
    with pytest.raises(InputError, match="missing") as caught:
        avsbench_object.find_clip(root, "v1m", row)
    assert caught.value.path == audio
    make("v1m", layout)
    entries = ledger.read([ledger.path(layout, "v1m")]).set_index("clip")
    assert entries["status"].to_dict() == {"-2HrjfOSNUo_1": "unusable", "V3_4J7DHGPkbXs": "found"}
    frames = root / "Multi-sources/ms3_data/visual_frames" / row.uid
    frames.rename(frames.with_name("elsewhere"))
    with pytest.raises(ClipMissing):
        avsbench_object.find_clip(root, "v1m", row)


def test_bad_metadata(root):
    path = root / "Single-source" / "s4_meta_data.csv"
    for lines, what in [
        (["name,split", "a,train"], "row 1 has the columns name,split"),
        (["name,start,category,split", "x,0,dog,val", "x,0,dog,val"], "row 3: clip x occurs twice"),
        (["name,start,category,split", "x,0,..,val"], r"row 2, category: the name '\.\.' leaves its folder"),
        (["name,start,category,split", "x,0,dog,../val"], "row 2, split: the name '../val' leaves its folder"),
    ]:
        write_lines(path, lines)
        with pytest.raises(InputError, match=what):
            avsbench_object.read_metadata(root, "v1s")
