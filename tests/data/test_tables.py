"""From folders to frame tables: memberships, masks, digests, the ledger, and what breaks."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from soundprompt.data import frame_table, ledger, masks, media, tables
from soundprompt.errors import InputError
from soundprompt.params import Data, TablesView

from .conftest import HEADER, ROWS, rows_of, write_lines, write_sound

GENERATED = Data(shots=(1,))
REAL = Data(source="avsbench", shots=(1,))


def make(dataset, layout, data=GENERATED):
    tables.make_table(TablesView(study="tiny", dataset=dataset, data=data), layout)
    return frame_table.read(layout.table(dataset))


def test_v1s(layout, avsbench_root):
    frames = make("v1s", layout)
    assert frames["clip"].nunique() == 3 and len(frames) == 15
    train = rows_of(frames, "__GOGlHL23s_4000_9000")
    assert train["second"].tolist() == [0, 1, 2, 3, 4]
    assert train["mask"].tolist() == [str(avsbench_root / "v1s/__GOGlHL23s_4000_9000/labels_rgb/0.png"), *[None] * 4]
    row = train.iloc[0]
    assert row["image_digest"] == hashlib.sha256(Path(row["image"]).read_bytes()).hexdigest()
    assert row["audio_digest"] == hashlib.sha256(Path(row["audio"]).read_bytes()).hexdigest()
    assert row["mask_digest"] == hashlib.sha256(Path(row["mask"]).read_bytes()).hexdigest()
    assert (row["width"], row["height"]) == (20, 16)
    assert rows_of(frames, "_-2Juad6tOo_0_5000")["mask"].notna().all()
    repeated = rows_of(make("v1s", layout, GENERATED.model_copy(update={"v1s_supervision": "repeat"})), row["clip"])
    assert repeated["mask"].tolist() == [row["mask"]] * 5 and repeated["mask_digest"].nunique() == 1


def test_masks_are_packed_beside_the_table(layout, avsbench_root):
    """Those that it names, each once, as they are read from their pictures."""
    frames = make("v1s", layout)
    packed, named = masks.Masks(layout.masks("v1s")), frames[frames["mask"].notna()]
    for row in named.itertuples():
        size = (row.height, row.width)
        pixels = np.unpackbits(packed.packed(row.mask_digest, size))[: row.height * row.width].reshape(size)
        assert np.array_equal(pixels.astype(bool), media.read_mask(row.mask)) and pixels.any()
    assert len(pd.read_parquet(layout.masks("v1s"))) == named["mask_digest"].nunique() > 1
    with pytest.raises(InputError, match="holds no packed masks"):
        masks.Masks(layout.table("v1s"))


def test_same_bytes_again(layout, avsbench_root):
    make("v2", layout)
    first = [path.read_bytes() for path in (layout.table("v2"), layout.masks("v2"))]
    make("v2", layout)
    assert [path.read_bytes() for path in (layout.table("v2"), layout.masks("v2"))] == first


def test_sources_and_kinds(layout, avsbench_root):
    (avsbench_root / "kinds.json").write_text(json.dumps({"man_dog": "seen", "baby": "new level"}))
    frames = make("v1m", layout).drop_duplicates("clip").set_index("clip")
    assert frames["n_sources"].to_dict() == {"gmVP1bAB_Jk_3": 2, "baby_dog_2_1": 1, "mbGrFe9TUbI": 0}
    assert frames["kind"].to_dict() == {"gmVP1bAB_Jk_3": "seen", "baby_dog_2_1": "new level", "mbGrFe9TUbI": ""}
    assert frames.loc["gmVP1bAB_Jk_3", "video"] == "gmVP1bAB_Jk"


def test_objects_of_the_generated_world(layout, avsbench_root):
    folder = avsbench_root / "v1m" / "gmVP1bAB_Jk_3"
    shutil.copytree(folder / "labels_rgb", folder / "objects")
    rows = rows_of(make("v1m", layout), "gmVP1bAB_Jk_3")
    assert rows["objects"].tolist() == [str(folder / f"objects/{i}.png") for i in range(5)]


def test_silent_classes_of_the_generated_world(layout, avsbench_root, vggss_root):
    assert (
        make("v1m", layout)["silent"].tolist() == [None] * 15 and make("vggss", layout)["silent"].tolist() == [None] * 2
    )
    silent = {"gmVP1bAB_Jk_3": "cat_hen", "baby_dog_2_1": "", "Db6Hjt0x28k_000056": "cat"}
    (avsbench_root / "silent.json").write_text(json.dumps(silent))
    frames = make("v1m", layout).drop_duplicates("clip").set_index("clip")
    assert frames["silent"].to_dict() == {"gmVP1bAB_Jk_3": "cat_hen", "baby_dog_2_1": "", "mbGrFe9TUbI": None}
    assert make("vggss", layout)["silent"].tolist() == [None, "cat"]


def test_v3_has_the_rows_of_v1m_and_v2(layout, v3_root):
    frames, v1m = make("v3", layout), make("v1m", layout)
    assert set(frames["dataset"]) == {"v3"}
    clips = frames.groupby("split", sort=False)["clip"].nunique().to_dict()
    assert clips == {"seen_train": 2, "seen_val": 2, "unseen": 3, "1_shot_train": 1, "1_shot_test": 2}
    one = frames[(frames["split"] == "1_shot_test") & (frames["clip"] == "baby_dog_2_1")]
    there = rows_of(v1m, "baby_dog_2_1")
    same = [name for name in frames.columns if name not in ("dataset", "split")]
    assert one[same].to_dict("records") == there[same].to_dict("records")


def test_vggss(layout, vggss_root):
    frames = make("vggss", layout)
    assert frames["second"].tolist() == [5, 5] and frames["mask"].tolist() == [None, None]
    assert frames["boxes"][1] == [[0.3, 0.8, 0.6, 0.0], [0.05, 0.3, 0.7, 0.9]]


def break_mask(folder):
    Image.new("RGB", (10, 8)).save(folder / "labels_rgb" / "0.png")


BREAKS = {
    "its image": break_mask,
    "gives 1 examples for 10 frames": lambda folder: write_sound(folder / "audio.wav", 1),
    "no samples": lambda folder: write_sound(folder / "audio.wav", 0),
    "not a readable picture": lambda folder: (folder / "frames" / "1.jpg").write_text("<html>"),
    "which is not there": shutil.rmtree,
    "lacks 1.jpg": lambda folder: (folder / "frames" / "1.jpg").unlink(),
    "lacks 9.jpg": lambda folder: (folder / "frames" / "9.jpg").unlink(),
    "smoothed, or is no mask": lambda folder: Image.open(folder / "frames" / "1.jpg").save(
        folder / "labels_rgb" / "0.png"
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_a_generated_world_must_be_whole(layout, avsbench_root, what):
    BREAKS[what](avsbench_root / "v2" / "_3pLesuLT4w_60000_70000")
    with pytest.raises(InputError, match=what) as caught:
        make("v2", layout)
    assert "_3pLesuLT4w_60000_70000" in str(caught.value.path) and caught.value.remedy
    assert not layout.table("v2").exists()


@pytest.mark.parametrize("what", BREAKS)
def test_of_real_data_the_ledger_names_the_rest(layout, v3_root, what, caplog):
    clip = "_3pLesuLT4w_60000_70000"
    BREAKS[what](layout.avsbench / "v2" / clip)
    frames = make("v2", layout, REAL)
    entries = ledger.read([ledger.path(layout, "v2")]).set_index("clip")
    short = what.startswith("gives")
    expected = "found" if short else "missing" if what == "which is not there" else "unusable"
    assert entries.loc[clip, "status"] == expected and what in entries.loc[clip, "reason"]
    assert len(entries) == 6 and (entries["status"] == "found").sum() == 5 + short
    if short:
        assert rows_of(frames, clip)["second"].tolist() == [0] * 10
        return
    assert clip not in set(frames["clip"]) and "1 of 6 clips" in caplog.text
    make("v3", layout, Data(source="avsbench", shots=()))
    entries = ledger.read([ledger.path(layout, "v3")])
    lost = entries[entries["status"] != "found"]
    assert lost[["split", "clip", "status"]].values.tolist() == [["unseen", clip, expected]]
    summary = ledger.summary(entries).set_index("split")
    assert summary.loc["unseen", ["expected", "found"]].tolist() == [3, 2]


def test_v3_of_a_broken_world(layout, v3_root):
    shutil.rmtree(layout.avsbench / "v1m" / "baby_dog_2_1")
    with pytest.raises(InputError, match="v1m clip baby_dog_2_1, which is not there"):
        make("v3", layout)
    write_lines(layout.avsbench / "metadata.csv", [HEADER, *(row for row in ROWS if "_3pLesu" not in row)])
    with pytest.raises(InputError, match="names _3pLesuLT4w_60000_70000"):
        make("v3", layout)


def test_nothing_there(layout, avsbench_root):
    shutil.rmtree(avsbench_root / "v2")
    with pytest.raises(InputError, match="none of 6 v2 clips is usable"):
        make("v2", layout, REAL)
    with pytest.raises(InputError, match="'v9' is not a dataset"):
        make("v9", layout)


def test_data_without_torch():
    code = "import sys, soundprompt.data.tables; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
