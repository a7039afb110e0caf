"""A clip: sources that sound, look-alikes and others that stand silent, and the sound of it all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from soundprompt.data.world import drawing, sound
from soundprompt.data.world.classes import Class
from soundprompt.params import World

ON_SHARE = 0.7  # chance that one of several sources is on in a second
DRIFT = 6.0  # sd of an object's way over the whole clip, pixels of a 128-pixel frame


@dataclass(frozen=True)
class Domain:
    """How a clip looks and how it was recorded."""

    style: drawing.Style
    channel: sound.Channel


DOMAINS = {
    "base": Domain(drawing.BASE, sound.BASE),
    "shifted": Domain(drawing.SHIFTED, sound.SHIFTED),
}


@dataclass(frozen=True)
class Clip:
    """One generated clip.

    seconds: which second each frame shows. frames: uint8 (H, W, 3) RGB. owners: uint8 (H, W),
    0 ground, i + 1 object i; the first len(sources) objects are the sources. on: (all seconds,
    sources) bool. wave: int16 (n,), 16 kHz.
    """

    sources: tuple[Class, ...]
    silent: tuple[Class, ...]
    seconds: tuple[int, ...]
    frames: list[np.ndarray]
    owners: list[np.ndarray]
    on: np.ndarray
    wave: np.ndarray

    def sounding(self, position: int) -> np.ndarray:
        """uint8 (H, W) of frame `position`: i + 1 where source i is seen and heard, else 0."""
        owner = self.owners[position]
        heard = np.zeros(256, np.uint8)
        for i in range(len(self.sources)):
            heard[i + 1] = (i + 1) * self.on[self.seconds[position], i]
        return heard[owner]


def make_clip(
    rng: np.random.Generator,
    sources: Sequence[Class],
    pool: Sequence[Class],
    world: World,
    length: int,
    domain: Domain,
    seconds: Sequence[int] | None = None,
) -> Clip:
    """Draws and sounds one clip of `length` seconds.

    pool: classes that may stand silent; at least as many beyond the sources as world.distractors.
    seconds: the ones to draw, None for all; the others leave no trace in those drawn.
    One source sounds all the time; several are on in a second with chance ON_SHARE each.
    """
    casting, stage, recording = rng.spawn(3)
    silent = choose_silent(casting, sources, pool, world.distractors, world.lookalike)
    on = switch(casting, length, len(sources))
    wanted = tuple(range(length)) if seconds is None else tuple(seconds)
    frames, owners = _film(stage, (*sources, *silent), world.size, length, domain.style, wanted)
    wave = sum(
        sound.class_sound(recording, source, length * sound.RATE, domain.channel)
        * sound.gate(on[:, i], length * sound.RATE)
        for i, source in enumerate(sources)
    )
    recorded = sound.to_pcm(sound.master(recording, wave, domain.channel))
    return Clip(tuple(sources), silent, wanted, frames, owners, on, recorded)


def choose_silent(
    rng: np.random.Generator, sources: Sequence[Class], pool: Sequence[Class], count: int, alike: float
) -> tuple[Class, ...]:
    """`count` different classes of `pool` that do not sound.

    Any two objects of a clip are look-alikes (two of three levels shared) with chance `alike`, as
    far as `pool` has such classes and at most 2 / objects of the time. If only source and silent
    objects were look-alikes, the source would be the one that resembles all others, and could be
    picked without listening.
    """
    edges = _likeness(rng, len(sources) + count, alike)
    cast = dict(enumerate(sources))
    waiting = list(range(len(sources), len(sources) + count))
    while waiting:
        # From the sources outwards, so that a look-alike of a look-alike finds its model in place.
        turn = next((i for i in waiting if edges[i, list(cast)].any()), waiting[0])
        waiting.remove(turn)
        left = [cls for cls in pool if cls not in cast.values()]
        faults = [sum((cls.shared_levels(other) == 2) != edges[turn, i] for i, other in cast.items()) for cls in left]
        fitting = [cls for cls, fault in zip(left, faults, strict=True) if fault == min(faults)]
        cast[turn] = fitting[rng.integers(len(fitting))]
    return tuple(cast[i] for i in range(len(sources), len(sources) + count))


def switch(rng: np.random.Generator, length: int, sources: int) -> np.ndarray:
    """(length, sources) bool: who sounds when. Each of several sources is heard at least once."""
    if sources == 1:
        return np.ones((length, 1), bool)
    while True:
        on = rng.random((length, sources)) < ON_SHARE
        if on.any(axis=0).all():
            return on


def _likeness(rng: np.random.Generator, objects: int, alike: float) -> np.ndarray:
    """Which objects shall be look-alikes, (objects, objects) bool: part of a random tree over them.

    A tree, because three classes that all share two levels with each other are rare. Each pair
    is in it with chance 2 / objects, whichever of them sounds.
    """
    edges = np.zeros((objects, objects), bool)
    order = rng.permutation(objects)
    for i in range(1, objects):
        parent = order[rng.integers(i)]
        edges[order[i], parent] = edges[parent, order[i]] = rng.random() < alike * objects / 2
    return edges


def _film(
    rng: np.random.Generator,
    cast: Sequence[Class],
    size: int,
    length: int,
    style: drawing.Style,
    seconds: Sequence[int],
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    looks = [drawing.class_look(rng, cls, style, size) for cls in cast]
    ways = rng.normal(0, DRIFT * size / drawing.REFERENCE_SIZE, (len(cast), 1, 2))
    travel = ways * np.linspace(0, 1, length)[None, :, None]
    centres = drawing.place(rng, [look.radius for look in looks], size, travel)
    order = rng.permutation(len(cast))
    ground, light = drawing.draw_ground(rng, style, size), drawing.draw_light(rng, style, size)
    sprites = [drawing.draw_sprite(look, style.outline) for look in looks]
    grain = rng.spawn(length)
    frames, owners = [], []
    for second in seconds:
        picture, owner = drawing.compose(ground, sprites, centres[:, second], order)
        frames.append(drawing.develop(grain[second], picture, style, light))
        owners.append(owner)
    return frames, owners
