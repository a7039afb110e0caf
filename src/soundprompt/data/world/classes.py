"""Classes of the generated world: triples of levels, each of which can be seen and heard.

| level      | heard as                    | seen as                          |
|------------|-----------------------------|----------------------------------|
| pitch      | fundamental frequency       | hue                              |
| modulation | rate of amplitude change    | stripes: none, wide, narrow      |
| timbre     | pure, bright, noisy         | outline and core of the object   |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

from soundprompt.errors import InputError
from soundprompt.params import Levels

Item = TypeVar("Item")
Kind = Literal["seen", "new combination", "new level"]
Role = Literal["seen", "unseen_val", "unseen"]


class Pitch(NamedTuple):
    """Fundamental frequency (Hz) and the hue (0..1) that goes with it."""

    name: str
    hertz: float
    hue: float


class Modulation(NamedTuple):
    """Amplitude modulation (Hz, 0: none) and the stripe period (pixels of a 128-pixel frame) that goes with it."""

    name: str
    hertz: float
    period: float | None


KNOWN_PITCHES = (
    Pitch("red", 190.0, 0.00),
    Pitch("yellow", 360.0, 0.15),
    Pitch("green", 690.0, 0.38),
    Pitch("blue", 1300.0, 0.62),
)
# Heard between green and blue, but seen outside their range: neither an extended nor an
# interpolated rule from pitch to hue (about .5 at 950 Hz) points to it.
NEW_PITCH = Pitch("purple", 950.0, 0.80)
MODULATIONS = (Modulation("plain", 0.0, None), Modulation("wide", 4.0, 15.0), Modulation("narrow", 12.0, 6.0))
TIMBRES = ("blob", "square", "star")

# With fewer levels the outermost pitches stay, so that the new one lies between known ones.
_KNOWN_OF_COUNT = {5: (0, 1, 2, 3), 4: (0, 2, 3), 3: (0, 3)}


@dataclass(frozen=True)
class Class:
    """One class. `timbre` is 0 (pure, blob), 1 (bright, square) or 2 (noisy, star).

    levels: indices (pitch, modulation, timbre).
    kind: seen; new combination of levels that seen classes have; or with the new pitch level.
    role: which side of the seen / unseen split it is on.
    """

    index: int
    levels: tuple[int, int, int]
    pitch: Pitch
    modulation: Modulation
    kind: Kind
    role: Role

    @property
    def name(self) -> str:
        """For example 'red-plain-blob': hyphens inside, as AVSBench; '_' joins classes."""
        return f"{self.pitch.name}-{self.modulation.name}-{TIMBRES[self.timbre]}"

    @property
    def timbre(self) -> int:
        return self.levels[2]

    def shared_levels(self, other: Class) -> int:
        """0 to 3."""
        return sum(mine == theirs for mine, theirs in zip(self.levels, other.levels, strict=True))


def pitch_levels(count: int) -> tuple[Pitch, ...]:
    """`count` pitch levels, the last one being the new level."""
    return (*(KNOWN_PITCHES[i] for i in _KNOWN_OF_COUNT[count]), NEW_PITCH)


def all_classes(levels: Levels) -> tuple[Class, ...]:
    """Every class, in the order of its levels.

    Seen classes have a known pitch and (a + b + c) mod 3 != 0; what is left of the known pitches
    is a Latin square, so that every level still occurs among the seen classes. About a quarter
    of each kind of unseen classes is `unseen_val` (at least one of two or more).
    Raises InputError when there are too few levels for unseen combinations.
    """
    if levels.modulation * levels.timbre < 2:
        raise InputError(
            f"world.levels: modulation {levels.modulation} and timbre {levels.timbre} leave no level to combine with "
            "a pitch; allowed is modulation x timbre of at least 2"
        )
    triples = [(a, b, c) for a in range(levels.pitch) for b in range(levels.modulation) for c in range(levels.timbre)]
    kinds = [_kind(triple, levels) for triple in triples]
    held = _validation_classes(kinds)
    pitches = pitch_levels(levels.pitch)
    return tuple(
        Class(
            index=i,
            levels=triple,
            pitch=pitches[triple[0]],
            modulation=MODULATIONS[triple[1]],
            kind=kind,
            role="seen" if kind == "seen" else "unseen_val" if i in held else "unseen",
        )
        for i, (triple, kind) in enumerate(zip(triples, kinds, strict=True))
    )


def of_role(classes: Sequence[Class], *roles: Role) -> list[Class]:
    """The classes with one of these roles, in order."""
    return [c for c in classes if c.role in roles]


def v1s_classes(classes: Sequence[Class], count: int) -> list[Class]:
    """`count` seen classes that spread over all levels and come in look-alike pairs.

    Pairs share pitch and modulation. Without them no distractor of v1s could share two levels
    with the source. Raises InputError when there are fewer seen classes.
    """
    seen = of_role(classes, "seen")
    if count > len(seen):
        raise InputError(f"world.v1s_classes: {count} is more than the {len(seen)} seen classes that world.levels make")
    groups: dict[tuple[int, int], list[Class]] = {}
    for each in seen:
        groups.setdefault(each.levels[:2], []).append(each)
    pairs = list(groups.values())
    for wanted in range(-(-count // 2), len(pairs) + 1):
        chosen = [each for pair in spread(pairs, min(wanted, len(pairs))) for each in pair]
        if len(chosen) >= count:
            return chosen[:count]
    return seen[:count]


def joined_name(sources: Sequence[Class]) -> str:
    """'red-plain-blob_blue-wide-star': the class string of a clip."""
    return "_".join(each.name for each in sources)


def joined_kind(sources: Sequence[Class]) -> Kind:
    """The newest kind among the sources: a clip with a new level is of kind 'new level'."""
    order: tuple[Kind, ...] = ("seen", "new combination", "new level")
    return max((each.kind for each in sources), key=order.index)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """`count` items at even distances, none of them twice."""
    return [items[int((i + 0.5) * len(items) / count)] for i in range(count)]


def _kind(triple: tuple[int, int, int], levels: Levels) -> Kind:
    if triple[0] == levels.pitch - 1:
        return "new level"
    return "new combination" if sum(triple) % 3 == 0 else "seen"


def _validation_classes(kinds: Sequence[Kind]) -> set[int]:
    held: set[int] = set()
    for kind in ("new combination", "new level"):
        members = [i for i, other in enumerate(kinds) if other == kind]
        if len(members) >= 2:
            held.update(spread(members, max(1, round(len(members) / 4))))
    return held
