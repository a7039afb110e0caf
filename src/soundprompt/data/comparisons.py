"""Which selections a setting compares: what must know nothing of what, and which side can spare clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from soundprompt.params import Setting


@dataclass(frozen=True)
class Comparison:
    """One pair of selections ("dataset/split") of a setting.

    selection, role: what is trained on ("train") or selected on ("validation"). other, other_role: what must be new
    to it: a test, or, for a validation, what is trained on ("train"; that a model is validated on what it
    was trained on makes its choice worse, not its test).
    own: whether the setting itself trains on `selection`, and not the one whose model it continues or borrows.
    """

    setting: str
    selection: str
    role: str
    other: str
    other_role: str
    own: bool

    def gives_up(self, few: bool) -> tuple[str, str]:
        """(selection that gives up the clips which both have, selection that stays whole).

        Tests stay whole, so that they are those of others. Not so the tests of few shots, whose training clips
        cannot spare any, and tests of another dataset than the training, which has tests of its own.
        few: whether the setting is one of few shots.
        """
        across = self.selection.partition("/")[0] != self.other.partition("/")[0]
        test_gives = self.other_role == "test" and ((few and self.own and self.role == "train") or across)
        return (self.other, self.selection) if test_gives else (self.selection, self.other)


def of_setting(settings: Mapping[str, Setting], name: str) -> list[Comparison]:
    """Every comparison of a setting. A selection that stands on both sides is one with itself."""
    spec = settings[name]
    found: dict[tuple[str, ...], Comparison] = {}
    for origin in origins(settings, name):
        there = settings[origin]
        for role, selections in (("train", there.train), ("validation", there.validate_on)):
            for selection in selections:
                for test in spec.test:
                    own = origin == name
                    found.setdefault((selection, role, test), Comparison(name, selection, role, test, "test", own))
    for validation in spec.validate_on:
        for train in spec.train:
            pair = (validation, "validation", train, "train")
            found.setdefault(pair, Comparison(name, validation, "validation", train, "train", True))
    return list(found.values())


def origins(settings: Mapping[str, Setting], name: str) -> list[str]:
    """The settings whose clips a setting's model has met: itself, what it starts from, what it borrows from."""
    found: list[str] = []
    waiting = [name]
    while waiting:
        one = waiting.pop(0)
        if one not in found:
            found.append(one)
            waiting += filter(None, (settings[one].start_from, settings[one].model_of))
    return found


def given_up(settings: Mapping[str, Setting], dataset: str) -> list[tuple[str, str]]:
    """(split of `dataset` that gives up clips, selection whose source videos it gives up), for all settings."""
    pairs: dict[tuple[str, str], None] = {}
    for name, spec in settings.items():
        for comparison in of_setting(settings, name):
            giving, staying = comparison.gives_up(spec.start_from is not None)
            place, _, split = giving.partition("/")
            if place == dataset and giving != staying:
                pairs.setdefault((split, staying))
    return list(pairs)
