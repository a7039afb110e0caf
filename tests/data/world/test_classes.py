"""Classes of the generated world: who is seen, who is new, and why that cannot be guessed."""

import itertools

import numpy as np
import pytest

from soundprompt.data.world.classes import (
    KNOWN_PITCHES,
    NEW_PITCH,
    all_classes,
    joined_kind,
    joined_name,
    of_role,
    v1s_classes,
)
from soundprompt.errors import InputError
from soundprompt.params import Levels

EVERY_SIZE = [
    Levels(pitch=a, modulation=b, timbre=c)
    for a, b, c in itertools.product((3, 4, 5), (1, 2, 3), (1, 2, 3))
    if b * c >= 2
]


def test_full_world_has_24_seen_12_combinations_9_new_level():
    kinds = [cls.kind for cls in all_classes(Levels())]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"seen": 24, "new combination": 12, "new level": 9}


@pytest.mark.parametrize("levels", EVERY_SIZE, ids=lambda v: f"{v.pitch}{v.modulation}{v.timbre}")
def test_new_combinations_hold_only_levels_that_seen_classes_have(levels):
    classes = all_classes(levels)
    for axis in range(3):
        met = {cls.levels[axis] for cls in classes if cls.kind == "seen"}
        assert {cls.levels[axis] for cls in classes if cls.kind == "new combination"} <= met
    new = {cls.levels[0] for cls in classes if cls.kind == "new level"}
    assert new == {levels.pitch - 1}


def test_every_pair_of_known_levels_is_seen():
    seen = [cls.levels for cls in all_classes(Levels()) if cls.kind == "seen"]
    for first, second in ((0, 1), (0, 2), (1, 2)):
        sizes = (4, 3, 3)
        assert len({(t[first], t[second]) for t in seen}) == sizes[first] * sizes[second]


@pytest.mark.parametrize("levels", EVERY_SIZE, ids=lambda v: f"{v.pitch}{v.modulation}{v.timbre}")
def test_each_unseen_kind_is_validated_and_tested(levels):
    classes = all_classes(levels)
    for kind in ("new combination", "new level"):
        roles = [cls.role for cls in classes if cls.kind == kind]
        assert roles.count("unseen") >= 1
        assert roles.count("unseen_val") >= (len(roles) >= 2)
        assert roles.count("unseen_val") <= max(1, len(roles) / 3)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_new_pitch_lies_between_known_ones_and_its_hue_is_no_interpolation(count):
    pitches = {cls.pitch for cls in all_classes(Levels(pitch=count))}
    known = sorted(pitches - {NEW_PITCH}, key=lambda pitch: pitch.hertz)
    assert known[0].hertz < NEW_PITCH.hertz < known[-1].hertz
    guess = np.interp(np.log(NEW_PITCH.hertz), [np.log(p.hertz) for p in known], [p.hue for p in known])
    assert abs(guess - NEW_PITCH.hue) > 0.15
    assert max(pitch.hue for pitch in KNOWN_PITCHES) < NEW_PITCH.hue


def test_names_are_unique_and_keep_the_joining_character_free():
    names = [cls.name for cls in all_classes(Levels())]
    assert len(set(names)) == len(names) == 45
    assert not any("_" in name for name in names)
    assert names[0] == "red-plain-blob"


def test_a_pair_takes_the_newest_kind():
    by_kind = {cls.kind: cls for cls in all_classes(Levels())}
    assert joined_kind([by_kind["new combination"], by_kind["new level"]]) == "new level"
    assert joined_kind([by_kind["seen"], by_kind["new combination"]]) == "new combination"
    assert joined_name([by_kind["seen"], by_kind["new level"]]).count("_") == 1


def test_v1s_classes_cover_all_levels_and_have_look_alikes():
    chosen = v1s_classes(all_classes(Levels()), 12)
    assert len(set(chosen)) == 12
    for axis, size in enumerate((4, 3, 3)):
        assert len({cls.levels[axis] for cls in chosen}) == size
    for cls in chosen:
        assert any(cls.shared_levels(other) == 2 for other in chosen)


@pytest.mark.parametrize("count", range(1, 25))
def test_any_number_of_v1s_classes_up_to_the_seen_ones(count):
    chosen = v1s_classes(all_classes(Levels()), count)
    assert len(set(chosen)) == count
    assert {cls.role for cls in chosen} == {"seen"}


def test_too_many_v1s_classes_is_an_error_that_says_how_many():
    with pytest.raises(InputError, match=r"world\.v1s_classes: 25 .* 24 seen"):
        v1s_classes(all_classes(Levels()), 25)


def test_a_world_without_combinations_is_an_error():
    with pytest.raises(InputError, match=r"world\.levels"):
        all_classes(Levels(modulation=1, timbre=1))


def test_roles_divide_the_classes():
    classes = all_classes(Levels())
    assert sum(len(of_role(classes, role)) for role in ("seen", "unseen_val", "unseen")) == 45
    assert len(of_role(classes, "unseen_val")) == 5
