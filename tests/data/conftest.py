"""Small datasets in exactly the released formats, and the reference data folder where there is one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from PIL import Image

from soundprompt.layout import Layout

HEADER = "vid,uid,s_min,s_sec,a_obj,split,label"
ROWS = [
    "__GOGlHL23s,__GOGlHL23s_4000_9000,0,4,bird,train,v1s",
    "__ZkQzOL9Ac,__ZkQzOL9Ac_1000_6000,0,1,h orse,train,v1s",
    "_-2Juad6tOo,_-2Juad6tOo_0_5000,0,0,mower,val,v1s",
    "gmVP1bAB_Jk_3,gmVP1bAB_Jk_3,0,0,man_dog,train,v1m",
    "baby_dog_2_1,baby_dog_2_1,0,0,baby,test,v1m",
    "mbGrFe9TUbI,mbGrFe9TUbI,0,0,background,train,v1m",
    "_-apT0tfo6U,_-apT0tfo6U_16000_26000,0,16,guitar,train,v2",
    "_-apT0tfo6U,_-apT0tfo6U_30000_40000,0,30,guitar_piano,val,v2",
    "_3pLesuLT4w,_3pLesuLT4w_60000_70000,1,0,guzheng,train,v2",
    "_3pLesuLT4w,_3pLesuLT4w_80000_90000,1,20,guzheng,test,v2",
    "NanMFkcGfrY,NanMFkcGfrY_10000_20000,0,10,off-the-screen,test,v2",
    "qbpzeMEPjlo,qbpzeMEPjlo_145000_155000,2,25,tank_baby,val,v2",
]
V3 = {
    "meta_v3_seen_train.csv": [
        "_-apT0tfo6U,_-apT0tfo6U_16000_26000,0,16,guitar,seen_train,v2",
        "gmVP1bAB_Jk_3,gmVP1bAB_Jk_3,0,0,man_dog,seen_train,v1m",
    ],
    "meta_v3_seen_val.csv": [
        "_-apT0tfo6U,_-apT0tfo6U_30000_40000,0,30,guitar_piano,seen_val,v2",
        "NanMFkcGfrY,NanMFkcGfrY_10000_20000,0,10,off-the-screen,seen_val,v2",
    ],
    "meta_v3_unseen.csv": [
        "_3pLesuLT4w,_3pLesuLT4w_60000_70000,1,0,guzheng,unseen,v2",
        "_3pLesuLT4w,_3pLesuLT4w_80000_90000,1,20,guzheng,unseen,v2",
        "baby_dog_2_1,baby_dog_2_1,0,0,baby,unseen,v1m",
    ],
    "v3_1_shot/train.csv": ["_3pLesuLT4w,_3pLesuLT4w_60000_70000,,,,v3_1_shot_train,v2"],
    "v3_1_shot/test.csv": [
        "_3pLesuLT4w,_3pLesuLT4w_80000_90000,,,,v3_1_shot_train,v2",
        "baby_dog,baby_dog_2_1,,,,v3_1_shot_train,v1m",
    ],
}
BOXES = [
    {"file": "zpWuikVorYg_000032", "class": "elk bugling", "bbox": [[0.4, 0.25, 0.6, 0.75]]},
    {"file": "Db6Hjt0x28k_000056", "class": "a, b", "bbox": [[0.3, 0.8, 0.6, -2.88e16], [0.05, 0.3, 0.7, 0.9]]},
]
SIZE = (20, 16)  # width, height


@pytest.fixture
def layout(tmp_path, monkeypatch) -> Layout:
    """Of a project in an empty folder, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return Layout("tiny")


@pytest.fixture
def avsbench_root(layout) -> Path:
    """AVSBench-semantic: clips of five frames in v1s and v1m, of ten in v2."""
    write_lines(layout.avsbench / "metadata.csv", [HEADER, *ROWS])
    for number, line in enumerate(ROWS):
        _, uid, *_, split, label = line.split(",")
        frames = 10 if label == "v2" else 5
        masks = 1 if (label, split) == ("v1s", "train") else frames
        write_clip(layout.avsbench / label / uid, frames, masks, seed=number)
    return layout.avsbench


@pytest.fixture
def v3_root(layout, avsbench_root) -> Path:
    for name, rows in V3.items():
        write_lines(layout.avs_v3 / name, [HEADER, *rows])
    return layout.avs_v3


@pytest.fixture
def vggss_root(layout) -> Path:
    root = layout.vggss
    for number, entry in enumerate(BOXES):
        write_picture(root / "frames" / f"{entry['file']}.jpg", number)
        write_sound(root / "audio" / f"{entry['file']}.wav", 10)
    (root / "vggss.json").write_text(json.dumps(BOXES))
    write_lines(root / "vggss_test.csv", [entry["file"] for entry in BOXES])
    return root


def write_clip(folder: Path, frames: int, masks: int, seed: int = 0) -> None:
    for frame in range(frames):
        write_picture(folder / "frames" / f"{frame}.jpg", seed * 100 + frame)
    for frame in range(masks):
        write_colour_mask(folder / "labels_rgb" / f"{frame}.png", seed * 100 + frame)
    write_sound(folder / "audio.wav", frames)


def write_picture(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_colour_mask(path: Path, seed: int = 0) -> None:
    """The palette's darkest colour, (64, 0, 0), in some pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    pixels[seed % SIZE[1], :, 0] = 64
    Image.fromarray(pixels).save(path)


def write_sound(path: Path, seconds: float, rate: int = 16000, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    wave = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(path, np.stack([wave] * channels, axis=1), rate)


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))


def rows_of(frames: pd.DataFrame, clip: str) -> pd.DataFrame:
    return frames[frames["clip"] == clip].sort_values("frame")
