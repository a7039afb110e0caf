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

    With chance `alike` each shares two of three levels with a source (the sources take turns),
    else at most one; where the pool has no such class left, any other.
    """
    chosen: list[Class] = []
    for turn in range(count):
        source = sources[turn % len(sources)]
        close = rng.random() < alike
        left = [cls for cls in pool if cls not in sources and cls not in chosen]
        fitting = [cls for cls in left if (cls.shared_levels(source) == 2) == close] or left
        chosen.append(fitting[rng.integers(len(fitting))])
    return tuple(chosen)


def switch(rng: np.random.Generator, length: int, sources: int) -> np.ndarray:
    """(length, sources) bool: who sounds when. Each of several sources is heard at least once."""
    if sources == 1:
        return np.ones((length, 1), bool)
    while True:
        on = rng.random((length, sources)) < ON_SHARE
        if on.any(axis=0).all():
            return on


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
