"""Which clips each part of the world holds: a list of plans, each with its own seed.

A clip's seed is (world seed, part, split, group, number): more training clips change no test clip. That of
a scene leaves out its split, so that number i of two splits is the same scene under other conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from soundprompt.data.world.classes import Class, all_classes, joined_name, of_role, v1s_classes
from soundprompt.errors import InputError
from soundprompt.params import Clips, SceneSplit, World

PARTS = ("v1s", "v1m", "v2", "vggss")
SCENES = "scenes"  # the part that a world has only if it declares splits of it
SPLITS = ("train", "val", "test", "unseen")
SECONDS = {"v1s": 5, "v1m": 5, "v2": 10, "vggss": 10, SCENES: 5}
MOST_DISTRACTORS = 6
MOST_OBJECTS = MOST_DISTRACTORS + 2
SMALLEST_FRAME = 32
ID_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True)
class Plan:
    """All that makes one clip. key: its seed. start: second at which it begins in its made-up video."""

    part: str
    split: str
    uid: str
    vid: str
    start: int
    sources: tuple[Class, ...]
    pool: tuple[Class, ...]
    key: tuple[int, ...]

    @property
    def class_name(self) -> str:
        """The a_obj column: sounding classes joined by '_'."""
        return joined_name(self.sources)

    def rng(self) -> np.random.Generator:
        """The generator that the clip is made with."""
        return np.random.default_rng([*self.key, 1])


def parts_of(world: World) -> tuple[str, ...]:
    """The parts that the world has."""
    return (*PARTS, SCENES) if world.scenes else PARTS


def plan_part(part: str, world: World) -> list[Plan]:
    """The clips of v1s, v1m, v2, vggss or scenes in a stable order. Raises InputError for impossible worlds."""
    check_world(world)
    classes = all_classes(world.levels)
    seen = of_role(classes, "seen")
    if part == "v1s":
        # Silent objects are of the same classes as sources: a class that only ever stood silent
        # would tell a model without ears where not to look.
        chosen = v1s_classes(classes, world.v1s_classes)
        return _per_class(part, world, world.v1s, chosen, lambda cls: chosen)
    if part == "v1m":
        known = _pairs(part, world, _counts(world.v1m), seen, seen)
        return known + _pairs(part, world, {"unseen": world.v1m_unseen}, of_role(classes, "unseen"), classes)
    if part == "v2":
        return _per_class(part, world, world.v2, classes, lambda cls: _silent_pool(cls, seen, classes))
    if part == "vggss":
        return _shifted(world, classes, seen)
    if part == SCENES:
        return _scenes(world, classes, seen)
    raise InputError(f"--part: '{part}' is not one of {', '.join(PARTS)}, {SCENES}, index")


def check_world(world: World, shots: Sequence[int] = ()) -> None:
    """Raises InputError that names the key, its value and what is allowed."""
    classes = all_classes(world.levels)
    seen, unseen = of_role(classes, "seen"), of_role(classes, "unseen")
    _at_most("world.distractors", world.distractors, MOST_DISTRACTORS, "objects that fit into a frame")
    if world.size < SMALLEST_FRAME:
        raise InputError(f"world.size: {world.size} is too small, at least {SMALLEST_FRAME} pixels are allowed")
    v1s_classes(classes, world.v1s_classes)
    least = world.distractors + 1
    if world.v1s_classes < least:
        raise InputError(
            f"world.v1s_classes: {world.v1s_classes} is too few for world.distractors {world.distractors} "
            f"of other classes than the source, at least {least} are allowed"
        )
    _at_most("world.distractors", world.distractors, len(seen) - 2, "seen classes beside two sources in v1m")
    if world.v1m_unseen and len(unseen) < 2:
        raise InputError(
            f"world.v1m_unseen: {world.v1m_unseen} needs two unseen test classes, world.levels make {len(unseen)}; "
            "allowed is 0, or more levels"
        )
    for name, split in world.scenes.items():
        _check_scenes(f"world.scenes.{name}", split, world, len(seen))
    per_class = sum(_counts(world.v2).values())
    for shot in shots:
        _at_most("data.shots", shot, per_class - 1, "the clips per class of world.v2 without one to test on")


def _check_scenes(key: str, split: SceneSplit, world: World, seen: int) -> None:
    if split.overlap is not None and split.sources == 1:
        raise InputError(f"{key}.overlap: {split.overlap:g} needs two sources or three; null is allowed with one")
    silent = world.distractors if split.distractors is None else split.distractors
    _at_most(f"{key}.distractors", silent, MOST_OBJECTS - split.sources, "objects that fit into a frame")
    _at_most(f"{key}.distractors", silent, seen - split.sources, "seen classes beside the sources")


def _at_most(key: str, value: int, most: int, why: str) -> None:
    if value > most:
        raise InputError(f"{key}: {value} is too many, at most {most} are allowed ({why})")


def _counts(clips: Clips) -> dict[str, int]:
    return {"train": clips.train, "val": clips.val, "test": clips.test}


def _silent_pool(cls: Class, seen: Sequence[Class], classes: Sequence[Class]) -> Sequence[Class]:
    """Unseen classes never appear beside a seen source, not even silent: seen data must not show them."""
    return seen if cls.role == "seen" else classes


def _per_class(
    part: str,
    world: World,
    clips: Clips,
    classes: Sequence[Class],
    pool_of: Callable[[Class], Sequence[Class]],
) -> list[Plan]:
    return [
        _plan(part, world, split, cls.index, number, (cls,), pool_of(cls))
        for split, count in _counts(clips).items()
        for cls in classes
        for number in range(count)
    ]


def _pairs(
    part: str, world: World, counts: dict[str, int], classes: Sequence[Class], pool: Sequence[Class]
) -> list[Plan]:
    """Clips of two different classes each, drawn from `classes`."""
    plans = []
    for split, count in counts.items():
        for number in range(count):
            draw = np.random.default_rng([world.seed, PARTS.index(part), SPLITS.index(split), 0, number, 2])
            first, second = sorted(draw.choice(len(classes), 2, replace=False))
            plans.append(_plan(part, world, split, 0, number, (classes[first], classes[second]), pool))
    return plans


def _shifted(world: World, classes: Sequence[Class], seen: Sequence[Class]) -> list[Plan]:
    """The classes take turns in a random order, so that any number of clips is balanced."""
    order = np.random.default_rng([world.seed, PARTS.index("vggss"), 2]).permutation(len(classes))
    turns = [classes[order[number % len(classes)]] for number in range(world.vggss)]
    return [
        _plan("vggss", world, "test", 0, number, (cls,), _silent_pool(cls, seen, classes))
        for number, cls in enumerate(turns)
    ]


def _scenes(world: World, classes: Sequence[Class], seen: Sequence[Class]) -> list[Plan]:
    """The first sources take turns as in vggss; further ones are drawn, the third after the second."""
    plans = []
    for name, split in world.scenes.items():
        among = seen if split.classes == "seen" else classes
        turns = np.random.default_rng([world.seed, len(PARTS), 2]).permutation(len(among))
        for number in range(split.clips):
            key = (world.seed, len(PARTS), 0, 0, number)
            first = turns[number % len(among)]
            others = np.random.default_rng([*key, 2]).permutation(np.delete(np.arange(len(among)), first))
            sources = tuple(among[i] for i in (first, *others[: split.sources - 1]))
            pool = seen if all(cls.role == "seen" for cls in sources) else classes
            # The video is the scene, whatever its conditions; the clip is one of its versions.
            video, _ = _made_up_video(key)
            plans.append(Plan(SCENES, name, f"{video}_{name}", video, 0, sources, tuple(pool), key))
    return plans


def _plan(
    part: str, world: World, split: str, group: int, number: int, sources: Sequence[Class], pool: Sequence[Class]
) -> Plan:
    key = (world.seed, PARTS.index(part), SPLITS.index(split), group, number)
    video, start = _made_up_video(key)
    if part == "v1m":  # as in AVSBench: vid and uid are the same, most with a number, no start time
        video, start = video if number % 8 == 0 else f"{video}_0", 0
        uid = video
    elif part == "vggss":
        uid = f"{video}_{start:06d}"
    else:
        uid = f"{video}_{start * 1000}_{(start + SECONDS[part]) * 1000}"
    return Plan(part, split, uid, video, start, tuple(sources), tuple(pool), key)


def _made_up_video(key: tuple[int, ...]) -> tuple[str, int]:
    """An id like YouTube's, and the second at which a clip of it begins."""
    draw = np.random.default_rng([*key, 0])
    # Real ids may begin with a hyphen; ours do not, so that no tool takes one for an option.
    letters = [ID_LETTERS[draw.integers(len(ID_LETTERS) - 2 * (i == 0))] for i in range(11)]
    return "".join(letters), int(draw.integers(0, 300))
