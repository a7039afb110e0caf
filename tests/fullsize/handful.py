"""A project with five clips in AVSBench's layout and full-size models with random weights, made in seconds."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import yaml
from PIL import Image
from torchvggish.torchvggish import VGG, make_layers

from published_sam import segment_anything
from soundprompt import cli
from soundprompt import params as p
from soundprompt.layout import Layout

STUDY = "clip"
REPOSITORY = Path(__file__).parents[2]
FRAMES = 2
SIZE = 256  # of SAM's input, pixels: a sixteenth of the tokens of 1024, and every weight but the position tables
# uid: (class, split, width, height, rate of the sound, its channels)
CLIPS = {
    "AAAAAAAAAAA_0_2000": ("dog", "train", 320, 240, 16000, 1),
    "BBBBBBBBBBB_0_2000": ("baby", "train", 240, 320, 44100, 2),
    "CCCCCCCCCCC_0_2000": ("dog", "val", 320, 240, 16000, 1),
    "DDDDDDDDDDD_0_2000": ("baby", "test", 300, 100, 48000, 1),
    "EEEEEEEEEEE_0_2000": ("dog", "test", 320, 240, 16000, 1),
}
CHECKPOINTS = {"sam": "data/downloads/sam_vit_b_01ec64.pth", "audio": "data/downloads/vggish-10086976.pth"}
CHANGES: dict[str, Any] = {
    "foundation": {"sam": {"image_size": SIZE}},
    "features": {"shards": 2, "batch_size": 4, "precision": "float32"},
    "models": {
        "gavs": {
            "schedule": {
                "epochs": None, "steps": 3, "validate_every": 3, "warmup": 0, "clips_per_step": 2, "frames_per_clip": 1,
                "precision": "auto",
            },
        },
    },
}  # fmt: skip
"""What is different from the study that users are given for a handful of clips."""


def soundprompt(*words: str, study: str = STUDY) -> None:
    """One verb of the command line, in this process; the current folder is the project's root."""
    cli.app([*words, "--study", study], standalone_mode=False)


def write_project(root: Path, changes: Mapping[str, Any] | None = None) -> Layout:
    """Settings, overlay and clips of the study; the current folder must be `root`."""
    layout = Layout(STUDY)
    shutil.copy(REPOSITORY / "params.yaml", root / "params.yaml")
    shutil.copytree(REPOSITORY / "experiments", root / "experiments")
    (root / "studies").mkdir()
    given = p.read_yaml(REPOSITORY / "studies" / f"{STUDY}.yaml")
    (root / "studies" / f"{STUDY}.yaml").write_text(yaml.safe_dump(p.merge(given, dict(changes or CHANGES))))
    lines = ["vid,uid,s_min,s_sec,a_obj,split,label"]
    for number, (uid, (kind, split, width, height, rate, channels)) in enumerate(CLIPS.items()):
        lines.append(f"{uid[:11]},{uid},0,0,{kind},{split},v1s")
        folder = layout.avsbench / "v1s" / uid
        for frame in range(FRAMES):
            labelled = frame == 0 or split != "train"
            _write_frame(folder, frame, width, height, seed=10 * number + frame, labelled=labelled)
        soundfile.write(folder / "audio.wav", _sound(number, rate, channels), rate)
    (layout.avsbench / "metadata.csv").write_text("\n".join(lines) + "\n")
    return layout


def write_released(root: Path) -> None:
    """Random weights in the files and under the names in which SAM and torchvggish were released."""
    for path in CHECKPOINTS.values():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    torch.save(random_vit_b().state_dict(), root / CHECKPOINTS["sam"])
    torch.save(random_vggish().state_dict(), root / CHECKPOINTS["audio"])


def random_vit_b() -> torch.nn.Module:
    """SAM ViT-B at 1024 pixels; position tables and norms of the neck, which start as zeros and ones, too."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        sam = segment_anything.sam_model_registry["vit_b"]()
        for name, weight in sam.named_parameters():
            if "pos" in name or (name.startswith("image_encoder.neck.") and weight.ndim == 1):
                torch.nn.init.normal_(weight, std=0.3)
    return sam


def random_vggish() -> VGG:
    """VGGish with weights of a size that keeps activations alive through its layers."""
    generator = torch.Generator().manual_seed(0)
    vgg = VGG(make_layers(), postprocess=False)
    with torch.no_grad():
        for weight in vgg.parameters():
            fan = weight[0].numel() if weight.ndim > 1 else 100
            weight.normal_(0, (2 / fan) ** 0.5, generator=generator)
    return vgg


def _write_frame(folder: Path, frame: int, width: int, height: int, seed: int, *, labelled: bool) -> None:
    """A bright disc on noise, and its mask in a colour of the palette."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    radius, y, x = 0.2 * height, *(rng.uniform(0.3, 0.7, 2) * (height, width))
    disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    pixels = rng.integers(0, 160, (height, width, 3), dtype=np.uint8)
    pixels[disc] = (220, 60 + 40 * (seed % 3), 30)
    for name in ("frames", "labels_rgb"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / "frames" / f"{frame}.jpg", quality=95)
    if labelled:
        mask = np.zeros((height, width, 3), np.uint8)
        mask[disc] = (128, 0, 0)
        Image.fromarray(mask).save(folder / "labels_rgb" / f"{frame}.png")


def _sound(number: int, rate: int, channels: int) -> np.ndarray:
    """FRAMES seconds of a chord, (samples, channels)."""
    time = np.arange(FRAMES * rate) / rate
    chord = sum(np.sin(2 * np.pi * 220 * (number + 1) * k * time) / k for k in (1, 2, 5))
    return np.stack([0.3 * chord] * channels, axis=1)
