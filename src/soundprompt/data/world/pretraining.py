"""What the foundation models are pre-trained on: pictures without sound, sounds without pictures.

No clip of any split, no class label and no pair of picture and sound enters. What does enter, and
must be said beside every result: half of the objects in the pictures have the appearance of some
class (all classes, unseen ones included, as the released SAM has seen most things), and the
sounds cover the whole range of pitches, the new level's among them.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from soundprompt.data.world.classes import Class, all_classes
from soundprompt.data.world.drawing import (
    REFERENCE_SIZE,
    Look,
    Style,
    any_look,
    class_look,
    compose,
    develop,
    draw_ground,
    draw_light,
    draw_sprite,
    look_alike,
    place,
)
from soundprompt.data.world.sound import RATE, Channel, class_sound, master, synthesise
from soundprompt.params import Levels, Scene

PITCH_RANGE = (150.0, 1700.0)  # Hz
MODULATION_RANGE = (2.0, 16.0)  # Hz
# Parts of the tag vector that `sound` returns: soft bins over log pitch, modulation rate and timbre.
TAGS = {"pitch": slice(0, 16), "modulation": slice(16, 24), "timbre": slice(24, 29)}
TAG_COUNT = 29


def picture(rng: np.random.Generator, scene: Scene | None = None) -> tuple[np.ndarray, list[np.ndarray]]:
    """A class-agnostic picture with 2 to 5 objects: uint8 (H, W, 3) RGB and their bool (H, W) masks.

    Half of the objects have attributes at large, half those of a random class; half are made
    look-alikes of the object before them. The rendering style is drawn anew for each picture.
    Objects of which fewer than 60 pixels (of 128 x 128) are visible have no mask.
    """
    scene = scene or Scene()
    style = _any_style(rng)
    looks: list[Look] = []
    for _ in range(int(rng.integers(2, 6))):
        if rng.random() < 0.5:
            look = any_look(rng, style, scene.size)
        else:
            look = class_look(rng, _any_class(rng, scene.levels), style, scene.size)
        if looks and rng.random() < 0.5:
            look = look_alike(rng, look, looks[-1])
        looks.append(look)
    image, owner = _render(rng, looks, style, scene.size)
    masks = [owner == i + 1 for i in range(len(looks))]
    return image, [mask for mask in masks if mask.sum() > 60 * (scene.size / REFERENCE_SIZE) ** 2]


def sound(rng: np.random.Generator, scene: Scene | None = None) -> tuple[np.ndarray, np.ndarray]:
    """A broad one-second sound: (16000,) float32 in [-1, 1], and its soft tags, (29,) float32 in [0, 1].

    Pitch, modulation and timbre are continuous, whatever levels `scene` has; three in ten are
    mixtures of two, with the tags of both. `TAGS` says where each attribute's bins are.
    """
    channel = Channel(
        reverb=0.15 if rng.random() < 0.25 else 0.0, tilt=float(rng.uniform(0, 0.6)), noise_db=(5.0, 30.0)
    )
    wave, tags = np.zeros(RATE, np.float32), np.zeros(TAG_COUNT, np.float32)
    for _ in range(2 if rng.random() < 0.3 else 1):
        hertz = float(np.exp(rng.uniform(*np.log(PITCH_RANGE))))
        modulation = 0.0 if rng.random() < 0.3 else float(rng.uniform(*MODULATION_RANGE))
        timbre = float(rng.uniform(0, 2))
        wave += synthesise(rng, hertz, modulation, timbre, RATE) * np.float32(rng.uniform(0.7, 1.2))
        tags = np.maximum(tags, soft_tags(hertz, modulation, timbre))
    return master(rng, wave, channel), tags


def soft_tags(hertz: float, modulation: float, timbre: float) -> np.ndarray:
    """(29,) float32: a bump of width 0.6 bins on each attribute's scale."""
    low, high = np.log(PITCH_RANGE)
    shares = {
        "pitch": (np.log(hertz) - low) / (high - low),
        "modulation": modulation / MODULATION_RANGE[1],
        "timbre": timbre / 2,
    }
    tags = np.zeros(TAG_COUNT, np.float32)
    for name, where in TAGS.items():
        bins = where.stop - where.start
        tags[where] = np.exp(-0.5 * ((np.arange(bins) - shares[name] * (bins - 1)) / 0.6) ** 2)
    return tags


def probe_picture(
    rng: np.random.Generator, scene: Scene | None = None
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """A picture with three objects of random classes: image, masks and their levels (objects, 3) int.

    For measuring what F_V knows of hue, stripes and outline; never for training an encoder.
    """
    scene = scene or Scene()
    chosen = [_any_class(rng, scene.levels) for _ in range(3)]
    style = Style()
    looks = [class_look(rng, cls, style, scene.size) for cls in chosen]
    image, owner = _render(rng, looks, style, scene.size)
    return image, [owner == i + 1 for i in range(3)], np.array([cls.levels for cls in chosen])


def probe_sound(rng: np.random.Generator, scene: Scene | None = None) -> tuple[np.ndarray, np.ndarray]:
    """One second of a random class: (16000,) float32 and its levels (3,) int; for measuring only."""
    cls = _any_class(rng, (scene or Scene()).levels)
    channel = Channel()
    return master(rng, class_sound(rng, cls, RATE, channel), channel), np.array(cls.levels)


def _render(rng: np.random.Generator, looks: list[Look], style: Style, size: int) -> tuple[np.ndarray, np.ndarray]:
    centres = place(rng, [look.radius for look in looks], size, tries=12)[:, 0]
    sprites = [draw_sprite(look, style.outline) for look in looks]
    drawn, owner = compose(draw_ground(rng, style, size), sprites, centres, range(len(looks)))
    return develop(rng, drawn, style, draw_light(rng, style, size)), owner


def _any_style(rng: np.random.Generator) -> Style:
    return Style(
        hue_shift=float(rng.uniform(-0.05, 0.05)),
        saturation=(0.4, 0.95),
        value=(0.45, 0.98),
        radius=(13.0, 24.0),
        ground_saturation=float(rng.uniform(0.1, 0.45)),
        noise=float(rng.uniform(0.0, 0.06)),
        outline=bool(rng.random() < 0.3),
        light=float(rng.uniform(0, 0.4)),
    )


def _any_class(rng: np.random.Generator, levels: Levels) -> Class:
    classes = _classes(levels.pitch, levels.modulation, levels.timbre)
    return classes[rng.integers(len(classes))]


@lru_cache(maxsize=8)
def _classes(pitch: int, modulation: int, timbre: int) -> tuple[Class, ...]:
    return all_classes(Levels(pitch=pitch, modulation=modulation, timbre=timbre))
