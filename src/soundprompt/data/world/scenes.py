"""Scenes: clips made so that two versions of one differ in nothing but what was asked for.

`make_clip` draws a clip from one stream after another, so that one more draw anywhere changes all that
follows. Here everything random has its own stream, objects and voices each one of theirs, and
looks and places are drawn in the base domain before they move to another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from soundprompt.data.world import drawing, sound
from soundprompt.data.world.classes import Class
from soundprompt.data.world.clips import DRIFT, Clip, choose_silent, switch
from soundprompt.data.world.domains import domain_at, rim_at
from soundprompt.params import SceneSplit, World

STREAMS = (
    "cast",
    "switches",
    "looks",
    "sizes",
    "ways",
    "places",
    "layers",
    "ground",
    "light",
    "grain",
    "voices",
    "room",
    "microphone",
)
FREE = ("saturation", "value", "radius", "rotation", "stripe_angle", "stripe_phase")  # what no class decides
CLEAN = (120.0, 120.0)  # signal-to-noise ratio of a room, dB: none of its own noise is left after 16 bits

Streams = Mapping[str, np.random.Generator]


def make_scene(
    rng: np.random.Generator,
    sources: Sequence[Class],
    pool: Sequence[Class],
    world: World,
    length: int,
    split: SceneSplit,
) -> Clip:
    """Draws and sounds one clip of `length` seconds as `split` asks.

    pool: classes that may stand silent, as in `make_clip`.
    """
    streams = dict(zip(STREAMS, rng.spawn(len(STREAMS)), strict=True))
    count = world.distractors if split.distractors is None else split.distractors
    alike = world.lookalike if split.lookalike is None else split.lookalike
    silent = choose_silent(streams["cast"], sources, pool, count, alike)
    if split.overlap is None:
        on = switch(streams["switches"], length, len(sources))
    else:
        on = take_turns(streams["switches"], length, len(sources), split.overlap)
    frames, owners = _film(streams, (*sources, *silent), world.size, length, split.shift)
    wave = _record(streams, sources, on, domain_at(split.shift).channel)
    return Clip(tuple(sources), silent, tuple(range(length)), frames, owners, on, wave)


def take_turns(rng: np.random.Generator, length: int, sources: int, overlap: float) -> np.ndarray:
    """(length, sources) bool: all sources in a share `overlap` of the seconds, exactly one in each other.

    The share holds on average over clips. Those alone take turns in random order, so that each is
    heard (length >= sources). With a larger overlap, the same draws only switch more on.
    """
    order, turn = rng.permutation(length), rng.permutation(sources)
    together = int(length * overlap + rng.random())
    on = np.zeros((length, sources), bool)
    on[order, turn[np.arange(length) % sources]] = True
    on[order[:together]] = True
    return on


def _film(
    streams: Streams, cast: Sequence[Class], size: int, length: int, shift: float
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    looks, style = _base_looks(streams, cast, size), domain_at(shift).style
    ways = streams["ways"].normal(0, DRIFT * size / drawing.REFERENCE_SIZE, (len(cast), 1, 2))
    travel = ways * np.linspace(0, 1, length)[None, :, None]
    # With the radii of the base domain, so that nobody stands elsewhere in another.
    centres = drawing.place(streams["places"], [look.radius for look in looks], size, travel)
    order = streams["layers"].permutation(len(cast))
    ground = drawing.draw_ground(streams["ground"], style, size)
    light = drawing.draw_light(streams["light"], style, size)
    sprites = [_sprite(restyle(look, style, size), rim_at(shift)) for look in looks]
    frames, owners = [], []
    for second, grain in enumerate(streams["grain"].spawn(length)):
        picture, owner = drawing.compose(ground, sprites, centres[:, second], order)
        frames.append(drawing.develop(grain, picture, style, light))
        owners.append(owner)
    return frames, owners


def _base_looks(streams: Streams, cast: Sequence[Class], size: int) -> list[drawing.Look]:
    """Looks in the base domain. What no class decides is the same for object i, whatever its class."""
    looks = []
    for own, free, cls in zip(streams["looks"].spawn(len(cast)), streams["sizes"].spawn(len(cast)), cast, strict=True):
        at_large = drawing.any_look(free, drawing.BASE, size)
        look = drawing.class_look(own, cls, drawing.BASE, size)
        looks.append(replace(look, **{name: getattr(at_large, name) for name in FREE}))
    return looks


def restyle(look: drawing.Look, style: drawing.Style, size: int) -> drawing.Look:
    """A look of the base domain as the same object has it in `style`: at the same place of each range."""
    base, scale = drawing.BASE, size / drawing.REFERENCE_SIZE
    return replace(
        look,
        hue=look.hue + style.hue_shift - base.hue_shift,
        saturation=_carry(look.saturation, base.saturation, style.saturation),
        value=_carry(look.value, base.value, style.value),
        radius=_carry(look.radius / scale, base.radius, style.radius) * scale,
    )


def _carry(value: float, old: drawing.Range, new: drawing.Range) -> float:
    return new[0] + (value - old[0]) / (old[1] - old[0]) * (new[1] - new[0])


def _sprite(look: drawing.Look, rim: float) -> drawing.Sprite:
    plain = drawing.draw_sprite(look)
    rimmed = drawing.draw_sprite(look, outline=True).colour
    return drawing.Sprite(np.float32(1 - rim) * plain.colour + np.float32(rim) * rimmed, plain.mask)


def _record(streams: Streams, sources: Sequence[Class], on: np.ndarray, channel: sound.Channel) -> np.ndarray:
    """int16 (n,). Room and microphone apart: a longer echo takes more draws and must not change the noise."""
    samples = len(on) * sound.RATE
    voices = streams["voices"].spawn(len(sources))
    wave = sum(
        sound.class_sound(voice, source, samples, channel) * sound.gate(on[:, i], samples)
        for i, (voice, source) in enumerate(zip(voices, sources, strict=True))
    )
    heard = sound.master(streams["room"], wave, replace(channel, noise_db=CLEAN))
    return sound.to_pcm(sound.master(streams["microphone"], heard, sound.Channel(noise_db=channel.noise_db)))
