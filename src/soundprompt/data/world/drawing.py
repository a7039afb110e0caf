"""Pictures of the generated world: objects with hue, stripes and outline on a cluttered ground.

Lengths are given for a frame of 128 pixels and scale with the frame. Colours are RGB floats in
[0, 1] until `develop` makes bytes. An object is drawn once, as a sprite, and moves by whole pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from soundprompt.data.world.classes import Class

REFERENCE_SIZE = 128
Range = tuple[float, float]


@dataclass(frozen=True)
class Style:
    """How a domain renders: the same classes look different in another style.

    hue_shift: added to every hue. saturation, value, radius: drawn uniformly (radius in pixels of
    a 128-pixel frame). ground_saturation: at most. noise: sd per pixel. outline: a dark rim.
    light: strength of a lighting gradient.
    """

    hue_shift: float = 0.0
    saturation: Range = (0.6, 0.95)
    value: Range = (0.75, 0.98)
    radius: Range = (16.0, 23.0)
    ground_saturation: float = 0.35
    noise: float = 0.02
    outline: bool = False
    light: float = 0.0


BASE = Style()
SHIFTED = Style(
    hue_shift=0.03,
    saturation=(0.45, 0.75),
    value=(0.5, 0.85),
    radius=(14.0, 20.0),
    ground_saturation=0.15,
    noise=0.05,
    outline=True,
    light=0.35,
)


@dataclass(frozen=True)
class Look:
    """Appearance of one object. Lengths in pixels of the actual frame, angles in radians.

    The radius at angle t is radius * (1 + spike * wave(lobes * t)), wave being a cosine or, for
    pointed outlines, a triangle wave. core: brightness of the disc in the middle, None for none.
    """

    hue: float
    saturation: float
    value: float
    radius: float
    rotation: float
    lobes: int
    spike: float
    pointed: bool
    core: float | None
    period: float | None
    stripe_angle: float
    stripe_phase: float


@dataclass(frozen=True)
class Sprite:
    """An object, drawn: colour (s, s, 3) float32 and mask (s, s) bool, centred, s odd."""

    colour: np.ndarray
    mask: np.ndarray


WHITE_CORE, BLACK_CORE = 0.95, 0.04


def class_look(rng: np.random.Generator, cls: Class, style: Style, size: int) -> Look:
    """A member of a class: its levels with the variation that the class allows."""
    period = cls.modulation.period
    if cls.timbre == 0:
        lobes, spike, pointed, core = 2, rng.uniform(0.0, 0.08), False, None
    elif cls.timbre == 1:
        lobes, spike, pointed, core = 4, rng.uniform(0.13, 0.18), False, WHITE_CORE
    else:
        lobes, spike, pointed, core = int(rng.integers(6, 9)), rng.uniform(0.28, 0.34), True, BLACK_CORE
    return Look(
        hue=cls.pitch.hue + style.hue_shift + rng.uniform(-0.025, 0.025),
        period=None if period is None else period * rng.uniform(0.88, 1.12) * size / REFERENCE_SIZE,
        lobes=lobes,
        spike=spike,
        pointed=pointed,
        core=core,
        **_free_attributes(rng, style, size),
    )


def any_look(rng: np.random.Generator, style: Style, size: int) -> Look:
    """An object at large: any hue, stripes and outline, of no class."""
    striped = rng.random() >= 0.33
    return Look(
        hue=rng.random(),
        period=float(np.exp(rng.uniform(np.log(4.5), np.log(18.0)))) * size / REFERENCE_SIZE if striped else None,
        lobes=int(rng.integers(2, 10)),
        spike=rng.uniform(0.0, 0.35),
        pointed=bool(rng.random() < 0.5),
        core=(None, BLACK_CORE, WHITE_CORE)[rng.integers(3)],
        **_free_attributes(rng, style, size),
    )


def look_alike(rng: np.random.Generator, look: Look, model: Look) -> Look:
    """`look` with two of the three groups of attributes (hue; stripes; outline) copied from `model`."""
    groups = (("hue",), ("period",), ("lobes", "spike", "pointed", "core"))
    copied = [name for group in rng.permutation(3)[:2] for name in groups[group]]
    return replace(look, **{name: getattr(model, name) for name in copied})


def draw_sprite(look: Look, outline: bool = False) -> Sprite:
    """Draws an object once; outline: with a dark rim."""
    half = int(look.radius * (1 + look.spike)) + 1
    axis = np.arange(-half, half + 1, dtype=np.float32)
    dy, dx = axis[:, None], axis[None, :]
    distance = np.hypot(dy, dx)
    wave = np.cos(look.lobes * (np.arctan2(dy, dx) + look.rotation))
    if look.pointed:
        wave = 2 / np.pi * np.arcsin(wave)
    edge = look.radius * (1 + look.spike * wave)
    colour = np.empty((*distance.shape, 3), np.float32)
    colour[:] = rgb(look.hue, look.saturation, look.value)
    if look.period:
        across = dy * np.sin(look.stripe_angle) + dx * np.cos(look.stripe_angle)
        colour[np.sin(2 * np.pi * across / look.period + look.stripe_phase) > 0] *= 0.3
    if look.core is not None:
        colour[distance < 0.45 * look.radius] = look.core
    if outline:
        colour[distance > edge - 0.09 * look.radius] = 0.08
    return Sprite(colour, distance < edge)


def draw_ground(rng: np.random.Generator, style: Style, size: int) -> np.ndarray:
    """Coloured low-frequency background with thin bars and dots, (size, size, 3) float32."""
    base = rgb(rng.random(), rng.random() * style.ground_saturation, rng.uniform(0.25, 0.75))
    cells = int(rng.integers(2, 6))
    weights = _interpolation(size, cells)
    knots = rng.normal(0, 0.08, (3, cells + 1, cells + 1)).astype(np.float32)
    ground = base + np.moveaxis(weights @ knots @ weights.T, 0, -1)
    scale = size / REFERENCE_SIZE
    for _ in range(int(rng.integers(4, 10))):
        colour = rgb(rng.random(), rng.uniform(0.3, 0.9), rng.uniform(0.3, 0.95))
        y, x = rng.integers(0, int(size - 6 * scale), 2)
        if rng.random() < 0.5:
            length, width = round(rng.integers(8, 40) * scale), max(1, round(rng.integers(1, 4) * scale))
            high, wide = (width, length) if rng.random() < 0.5 else (length, width)
        else:
            high = wide = max(1, round(rng.integers(2, 4) * scale))
        ground[y : y + high, x : x + wide] = colour
    return ground


def place(
    rng: np.random.Generator, radii: Sequence[float], size: int, travel: np.ndarray | None = None, tries: int = 60
) -> np.ndarray:
    """Whole-pixel centres that keep objects apart as far as `tries` draws allow.

    travel: (objects, frames, 2) displacement in pixels of each object in each frame; None: one
    frame. Returns (objects, frames, 2) int, order y, x, at least a radius from the edge.
    """
    travel = np.zeros((len(radii), 1, 2)) if travel is None else travel
    paths: np.ndarray = np.empty(travel.shape)
    sizes, placed = np.asarray(radii), list[int]()
    for i in rng.permutation(len(radii)):  # in no fixed order: the first one has the freest choice
        starts = rng.uniform(sizes[i] * 1.1, size - sizes[i] * 1.1, (tries, 1, 2))
        candidates = np.clip(starts + travel[i], sizes[i], size - sizes[i])
        gaps = np.full(tries, np.inf)
        if placed:
            apart = np.hypot(*np.moveaxis(candidates[:, None] - paths[None, placed], -1, 0))
            gaps = (apart - sizes[i] - sizes[placed][None, :, None]).min(axis=(1, 2))
        free = gaps > 8 * size / REFERENCE_SIZE
        paths[i] = candidates[free.argmax() if free.any() else gaps.argmax()]
        placed.append(i)
    return np.rint(paths).astype(int)


def compose(
    ground: np.ndarray, sprites: Sequence[Sprite], centres: np.ndarray, order: Sequence[int] | np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lays sprites over the ground, the last of `order` on top.

    centres: (objects, 2) int, order y, x. Returns the picture (H, W, 3) float32 and the owner of
    each pixel (H, W) uint8: 0 ground, i + 1 object i.
    """
    picture, owner = ground.copy(), np.zeros(ground.shape[:2], np.uint8)
    size = ground.shape[0]
    for i in order:
        half = sprites[i].mask.shape[0] // 2
        y, x = centres[i] - half
        inside = np.s_[max(0, -y) : size - y, max(0, -x) : size - x]
        mask, colour = sprites[i].mask[inside], sprites[i].colour[inside]
        window = np.s_[max(0, y) : max(0, y) + mask.shape[0], max(0, x) : max(0, x) + mask.shape[1]]
        picture[window][mask] = colour[mask]
        owner[window][mask] = i + 1
    return picture, owner


def develop(rng: np.random.Generator, picture: np.ndarray, style: Style, light: np.ndarray | None = None) -> np.ndarray:
    """Light and sensor noise; returns uint8 (H, W, 3). `light` from `draw_light`."""
    noisy = rng.standard_normal(picture.shape, dtype=np.float32)
    noisy *= np.float32(style.noise)
    noisy += picture if light is None else picture * light
    return (np.clip(noisy, 0, 1, out=noisy) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def draw_light(rng: np.random.Generator, style: Style, size: int) -> np.ndarray | None:
    """A lighting gradient (size, size, 1) float32 around 1, or None when the style has none."""
    if not style.light:
        return None
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    down, right = rng.uniform(-0.5, 0.5, 2) * style.light
    return (1 + down * axis[:, None] + right * axis[None, :])[..., None].astype(np.float32)


def rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """HSV to RGB, (3,) float32; the hue wraps around at 1."""
    distance = np.abs((hue % 1.0) * 6 - np.array((3.0, 2.0, 4.0)))
    chroma = np.array((distance[0] - 1, 2 - distance[1], 2 - distance[2])).clip(0, 1)
    return (value * (1 - saturation * (1 - chroma))).astype(np.float32)


def _free_attributes(rng: np.random.Generator, style: Style, size: int) -> dict[str, float]:
    """What varies freely in every object."""
    return {
        "saturation": rng.uniform(*style.saturation),
        "value": rng.uniform(*style.value),
        "radius": rng.uniform(*style.radius) * size / REFERENCE_SIZE,
        "rotation": rng.uniform(0, 2 * np.pi),
        "stripe_angle": rng.uniform(0, np.pi),
        "stripe_phase": rng.uniform(0, 2 * np.pi),
    }


def _interpolation(size: int, cells: int) -> np.ndarray:
    """(size, cells + 1) weights of linear interpolation between evenly spaced knots."""
    where = np.linspace(0, cells, size, dtype=np.float32)
    return np.maximum(0, 1 - np.abs(where[:, None] - np.arange(cells + 1, dtype=np.float32)))
