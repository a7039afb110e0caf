"""How mistakes in settings are told: the key, its value, what is allowed, and the nearest right word."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from soundprompt.errors import InputError


class Refusal(InputError):
    """Settings that are refused: each of its problems is a line that begins with a key."""

    def __init__(self, problems: Iterable[str], path: Path | str | None = None, remedy: str | None = None):
        self.problems = list(dict.fromkeys(problems))
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"invalid settings\n{lines}", path=path, remedy=remedy or "correct the file")

    def in_files(self, contents: Iterable[tuple[Path | str, Any]], overlays: Iterable[Path | str]) -> Refusal:
        """The same with a remedy that names the files.

        contents: each file's settings, later ones over earlier. overlays: which of them may be why another is wrong.
        """
        contents, overlays = list(contents), [str(path) for path in overlays]
        places = dict.fromkeys(str(_file_of(problem.partition(":")[0], contents)) for problem in self.problems)
        others = [path for path in overlays if path not in places] if set(places) - set(overlays) else []
        over = f", over which {' and '.join(others)} is laid" if others else ""
        return Refusal(self.problems, self.path, f"correct {' and '.join(places)}{over}")


def refusal(problems: Iterable[str], path: Path | str | None = None) -> Refusal:
    """The error that lists problems, one a line, each once. path: the file, where it is known which."""
    return Refusal(problems, path, None if path else "correct the settings")


def _file_of(key: str, contents: list[tuple[Path | str, Any]]) -> Path | str:
    """The last file that holds a key, or of the files that hold a part of it the last with the longest."""

    def depth(node: Any) -> int:
        for number, part in enumerate(key.split(".")):
            if isinstance(node, list) and part.isdigit() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, dict) and part in node:
                node = node[part]
            else:
                return number
        return len(key.split("."))

    return max(reversed(contents), key=lambda item: depth(item[1]))[0]


def nearest(word: Any, known: Iterable[Any]) -> str:
    """'; did you mean 'gavs'?', or '' where nothing known is like it."""
    found = difflib.get_close_matches(str(word), [str(name) for name in known], n=1)
    return f"; did you mean '{found[0]}'?" if found else ""


def not_one_of(word: Any, known: Iterable[Any]) -> str:
    """That a word is not known, what is, and which of that it is like."""
    known = list(dict.fromkeys(known))
    return f"'{word}' is not one of {', '.join(map(str, known))}{nearest(word, known)}"


def describe(kind: type[BaseModel], problem: Any) -> str:
    """One pydantic error of settings of a kind as 'key: what is allowed, got value'."""
    place = problem["loc"][:-1] if problem["loc"][-1:] == ("[key]",) else problem["loc"]
    key, value = ".".join(map(_printable, place)) or "settings", problem["input"]
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if problem["type"] == "extra_forbidden":
        allowed = _fields(kind, place[:-1])
        return f"{key}: unknown key, known here are {', '.join(allowed)}{nearest(place[-1], allowed)}"
    if problem["type"] == "missing":
        return f"{key}: is not given, and has no default"
    if problem["type"] == "value_error":
        return f"{key}: {message}" + ("" if isinstance(value, dict | list) else f", got {value!r}")
    if problem["type"] == "literal_error":
        allowed = problem["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        return f"{key}: {message}, got {value!r}{nearest(value, allowed)}"
    if problem["type"] in ("int_type", "float_type", "bool_type") and isinstance(value, str):
        return f"{key}: {message}, got the text {value!r}; leave out the quotes"
    return f"{key}: {message}, got {value!r}"


def _printable(part: Any) -> str:
    return str(part) if str(part).isprintable() else repr(part)


def _fields(kind: Any, place: tuple[Any, ...]) -> list[str]:
    """The keys that settings have at a place."""
    for part in place:
        kind = _inside(kind, part)
    found = [each for each in _kinds(kind) if isinstance(each, type) and issubclass(each, BaseModel)]
    return [name for each in found for name in each.model_fields]


def _inside(kind: Any, part: Any) -> Any:
    for each in _kinds(kind):
        if isinstance(each, type) and issubclass(each, BaseModel) and part in each.model_fields:
            return each.model_fields[part].annotation
        if get_origin(each) in (dict, tuple):
            return get_args(each)[1 if get_origin(each) is dict else 0]
    return None


def _kinds(kind: Any) -> tuple[Any, ...]:
    """What a union is made of; else the one kind."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)
