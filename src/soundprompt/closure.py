"""Which source files a verb of the command line executes: the transitive closure of its imports, read from the source.

Nothing is executed. Imports inside functions count, those for type checkers do not. A module that is named at run time,
as in `import_module(f"soundprompt.models.{module}")`, is resolved by `facts`; without a fact, all that fit are meant.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = "soundprompt"
ROOT = Path(__file__).parent
CLI = f"{PACKAGE}.cli"


def of_verb(verb: str, facts: Mapping[str, str] | None = None) -> list[Path]:
    """The source files that `soundprompt <verb>` executes, sorted.

    cli.py itself is not among them: of it only the verb's own imports count, lest each new verb make all results stale.
    facts: an expression in the name of a module (such as `model.reads`) -> what it stands for in this job.
    """
    found: set[str] = set()
    waiting = _resolved(_imports_of_verb(verb), facts or {})
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [name.rpartition(".")[0]] if "." in name else []  # packages run before what is in them
            waiting += _resolved(_imports_of_module(name), facts or {})
    return sorted(_file(name) for name in found)


# A dotted name, or the parts of one that is made at run time: texts, and expressions in braces.
Import = str | tuple[str, ...]


@functools.cache
def _imports_of_verb(verb: str) -> list[Import]:
    """What cli.py imports for all verbs, and what one verb's function imports."""
    tree = ast.parse(_file(CLI).read_text(encoding="utf-8"))
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == verb)
    return _imports([*(node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)), function])


@functools.cache
def _imports_of_module(name: str) -> list[Import]:
    tree = ast.parse(_file(name).read_text(encoding="utf-8"))
    if name == PACKAGE:  # what it offers to other people's code, no verb calls
        return _imports([node for node in tree.body if not isinstance(node, ast.FunctionDef)])
    return _imports([tree])


def _imports(nodes: list[ast.AST]) -> list[Import]:
    """This package's modules that some code imports."""
    names: list[str] = []
    made: list[Import] = []
    for node in _executed(nodes):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            made.append(_parts(node.args[0]))
    ours = [name for name in names if name.partition(".")[0] == PACKAGE and _file(name).exists()]
    return ours + [parts for parts in made if parts and parts[0].startswith(f"{PACKAGE}.")]


def _parts(argument: ast.AST) -> tuple[str, ...]:
    """The parts of a name that is made at run time; nothing of one that is no text at all."""
    values = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    if not isinstance(values[0], ast.Constant):
        return ()
    return tuple(
        str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}" for part in values
    )


def _resolved(imports: list[Import], facts: Mapping[str, str]) -> list[str]:
    """Dotted names of the modules that are meant."""
    found: list[str] = []
    for one in imports:
        if isinstance(one, str):
            found.append(one)
        else:
            name = "".join(facts.get(part[1:-1], "*") if part.startswith("{") else part for part in one)
            files = ROOT.parent.glob(name.replace(".", "/") + ".py")
            found += [".".join(file.relative_to(ROOT.parent).with_suffix("").parts) for file in files]
    return found


def _executed(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below some, but for what stands under `if TYPE_CHECKING`."""
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _executed(node.orelse)
        else:
            yield node
            yield from _executed(list(ast.iter_child_nodes(node)))


@functools.cache
def _file(name: str) -> Path:
    """The file of a module, or where it would be."""
    place = ROOT.parent.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
