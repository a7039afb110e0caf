"""One clip on disk, in the layouts of AVSBench-semantic and VGG-SS."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from PIL import Image

from soundprompt.data.world.classes import joined_name
from soundprompt.data.world.clips import DOMAINS, Clip, make_clip
from soundprompt.data.world.parts import SCENES, SECONDS, Plan
from soundprompt.data.world.scenes import make_scene
from soundprompt.data.world.sound import RATE
from soundprompt.params import World

JPEG_QUALITY = 92


def write_avsbench_clip(plan: Plan, world: World, folder: Path) -> str:
    """Makes and writes `{folder}/{uid}`: frames, labels_rgb, objects and audio.wav.

    objects/*.png are ours, not AVSBench's: 0 ground, i object i, the sources first.
    v1s training clips have a mask for frame 0 only, as in AVSBench. Returns the classes that stand
    silent, joined by '_'.
    """
    length = SECONDS[plan.part]
    if plan.part == SCENES:
        clip = make_scene(plan.rng(), plan.sources, plan.pool, world, length, world.scenes[plan.split])
    else:
        clip = make_clip(plan.rng(), plan.sources, plan.pool, world, length, DOMAINS["base"])
    here = folder / plan.uid
    for name in ("frames", "labels_rgb", "objects"):
        (here / name).mkdir(parents=True)
    colours = source_colours(plan)
    labelled = 1 if (plan.part, plan.split) == ("v1s", "train") else len(clip.frames)
    for i, frame in enumerate(clip.frames):
        _write_jpeg(frame, here / "frames" / f"{i}.jpg")
        _write_png(clip.owners[i], here / "objects" / f"{i}.png")
        if i < labelled:
            _write_png(colours[clip.sounding(i)], here / "labels_rgb" / f"{i}.png")
    _write_wav(clip, here / "audio.wav")
    return joined_name(clip.silent)


def write_vggss_clip(plan: Plan, world: World, folder: Path) -> tuple[str, list[list[float]]]:
    """Makes and writes `frames/{uid}.jpg`, the middle frame in the shifted domain, and `audio/{uid}.wav`.

    Returns the classes that stand silent, joined by '_', and the boxes of the sounding objects: xmin,
    ymin, xmax, ymax as fractions of the frame.
    """
    length = SECONDS[plan.part]
    clip = make_clip(plan.rng(), plan.sources, plan.pool, world, length, DOMAINS["shifted"], [length // 2])
    _write_jpeg(clip.frames[0], folder / "frames" / f"{plan.uid}.jpg")
    _write_wav(clip, folder / "audio" / f"{plan.uid}.wav")
    sounding = clip.sounding(0)
    boxes = [box for i in range(len(plan.sources)) if (box := bounding_box(sounding == i + 1))]
    return joined_name(clip.silent), boxes


def bounding_box(mask: np.ndarray) -> list[float]:
    """xmin, ymin, xmax, ymax of a bool (H, W) mask as fractions of the frame; empty for an empty mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return []
    height, width = mask.shape
    return [columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height]


def class_colour(index: int) -> tuple[int, int, int]:
    """Palette colour of label `index`, as AVSBench's: its bits in turn go to R, G, B from the top bit down.

    0 is black, the background; no other label is.
    """
    channels = [0, 0, 0]
    for bit in range(index.bit_length()):
        if index >> bit & 1:
            channels[bit % 3] |= 128 >> (bit // 3)
    red, green, blue = channels
    return red, green, blue


def source_colours(plan: Plan) -> np.ndarray:
    """(1 + sources, 3) uint8: black, then the colour of each source's class (label = class index + 1)."""
    return np.array([(0, 0, 0), *(class_colour(cls.index + 1) for cls in plan.sources)], np.uint8)


def _write_jpeg(frame: np.ndarray, path: Path) -> None:
    # Full colour resolution: the classes' hues are what the study is about.
    Image.fromarray(frame).save(path, quality=JPEG_QUALITY, subsampling=0)


def _write_png(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, compress_level=4)


def _write_wav(clip: Clip, path: Path) -> None:
    # Through a plain file, so that a full disk is an OSError like everywhere else.
    with open(path, "wb") as stream, wave.open(stream, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(RATE)
        wav.writeframes(clip.wave.astype("<i2").tobytes())
