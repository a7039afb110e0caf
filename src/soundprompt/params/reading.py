"""YAML files of settings, read strictly: what YAML would quietly take for something else is refused.

PyYAML, Snakemake's own reader and DVC's differ in what they make of some numbers, and all keep the last of two equal
keys. Here such a spelling is an error with its line. `1e-3`, text to YAML 1.1, is read as the number that it is.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Any

import yaml

from soundprompt.errors import InputError

NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
EXPONENT = r"[eE][-+]?[0-9]+"
# Those that everybody reads alike. The last are numbers to YAML too, and refused where a value must be finite.
PLAIN = re.compile(rf"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)({EXPONENT})?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """PyYAML's, in C where it has it; it takes `1e-3` for a number, as YAML 1.2 does, and dates for text."""


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(rf"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+){EXPONENT}$"),
    list("-+0123456789."),
)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises InputError with the lines that are wrong."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="run from the root of the project") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as text ({error})", path=path, remedy="write it as UTF-8 text") from error
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        problems = list(_problems(node, (), set(), loader)) if node else []
        content = None if problems or not node else loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:
        raise InputError(f"not valid YAML: {error}", path=path, remedy="correct the line") from error
    if problems:
        raise InputError("\n  ".join(["not what it seems", *problems]), path=path, remedy="correct these lines")
    if not isinstance(content, dict):
        raise InputError("must hold a mapping of settings", path=path, remedy="write lines such as `study: mine`")
    return content


def read_given(value: Any) -> Any:
    """What was given on Snakemake's command line, `--config seeds=[1]`, where what is inside comes as text."""
    if isinstance(value, dict):
        return {key: read_given(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [read_given(inside) for inside in value]
    try:
        read = yaml.load(value, _Loader) if isinstance(value, str) else value
    except (yaml.YAMLError, ValueError):
        return value
    return value if isinstance(read, dict | list) else read


def _problems(node: yaml.Node, place: tuple[str, ...], seen: set[int], loader: _Loader) -> Iterator[str]:
    """What a reader would not expect of a node and those below it, as sentences with line and key."""
    if id(node) in seen:  # an alias of what was looked at where it stands
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        yield from _of_keys(node, place, loader)
        for key, value in node.value:
            yield from _problems(value, (*place, str(key.value)), seen, loader)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _problems(value, (*place, str(number)), seen, loader)
    elif node.tag in NUMBERS and not node.style and not PLAIN.fullmatch(node.value):
        value, key = loader.construct_object(node), ".".join(place)
        yield f"{_line(node)}: {key}: YAML reads {node.value} as {value}, write {value} if that is meant"


def _of_keys(node: yaml.MappingNode, place: tuple[str, ...], loader: _Loader) -> Iterator[str]:
    lines: dict[Hashable, int] = {}
    for key, _ in node.value:
        at = ".".join((*place, str(key.value)))
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        if key.tag != "tag:yaml.org,2002:str":
            yield f"{_line(key)}: {at}: YAML reads this key as {loader.construct_object(key)!r}, put it into quotes"
        elif key.value in lines:
            yield f"{_line(key)}: {at}: stands in line {lines[key.value]} already, and one would hide the other"
        else:
            lines[key.value] = key.start_mark.line + 1


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
