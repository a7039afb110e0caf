"""Which source files a verb of the command line executes: the transitive closure of its imports, read from the source.

Nothing is executed. Imports inside functions count, those for type checkers do not. A module that is named at run time,
as in `import_module(dataset.module)`, is resolved by `facts`: what such an expression stands for. In a name such as
f"soundprompt.foundation.{model}" an expression without a fact stands for all that fit; one that is the whole name has
its fact. Modules of other packages (plug-ins, `registry.py`) are followed as far as their own package and this one go.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "soundprompt"
ROOT = Path(__file__).parent
CLI = f"{PACKAGE}.cli"

Facts = Mapping[str, Sequence[str]]


def of_verb(verb: str, facts: Facts | None = None) -> dict[str, Path]:
    """The modules that `soundprompt <verb>` executes, with their source files, sorted.

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
    files = {name: file_of(name) for name in sorted(found)}
    return {name: file for name, file in files.items() if file is not None}


# A dotted name, or the parts of one that is made at run time: texts, and expressions in braces.
Import = str | tuple[str, ...]


@functools.cache
def _imports_of_verb(verb: str) -> list[Import]:
    """What cli.py imports for all verbs, and what one verb's function imports."""
    tree = _tree(CLI)
    function = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == verb)
    return _imports([*(node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)), function], CLI)


@functools.cache
def _imports_of_module(name: str) -> list[Import]:
    tree = _tree(name)
    if name == PACKAGE:  # what it offers to other people's code, no verb calls
        return _imports([node for node in tree.body if not isinstance(node, ast.FunctionDef)], name)
    return _imports([tree], name)


def _tree(name: str) -> ast.Module:
    file = file_of(name)
    return ast.parse(file.read_text(encoding="utf-8") if file is not None else "")


def _imports(nodes: list[ast.AST], importer: str) -> list[Import]:
    """The modules of this package, and of the importer's own, that some code imports."""
    names: list[str] = []
    made: list[Import] = []
    ours = importer.partition(".")[0] == PACKAGE
    for node in _executed(nodes):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = ".".join(filter(None, (_base(importer, node.level), node.module)))
            names += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        elif ours and isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            made.append(_parts(node.args[0]))
    followed = {PACKAGE, importer.partition(".")[0]}
    return [name for name in names if name.partition(".")[0] in followed and file_of(name) is not None] + made


def _base(importer: str, level: int) -> str:
    """The package that a relative import of this level starts from; '' for an absolute one."""
    if not level:
        return ""
    file = file_of(importer)
    package = importer if file is not None and file.name == "__init__.py" else importer.rpartition(".")[0]
    return package if level == 1 else package.rsplit(".", level - 1)[0]


def _parts(argument: ast.AST) -> tuple[str, ...]:
    """The parts of a name that is made at run time."""
    values = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    parts = (part.value if isinstance(part, ast.FormattedValue) else part for part in values)
    return tuple(str(part.value) if isinstance(part, ast.Constant) else f"{{{ast.unparse(part)}}}" for part in parts)


def _resolved(imports: list[Import], facts: Facts) -> list[str]:
    """Dotted names of the modules that are meant."""
    found: list[str] = []
    for one in imports:
        if isinstance(one, str):
            found.append(one)
        elif len(one) == 1 and one[0].startswith("{"):
            found += facts[one[0][1:-1]]
        elif one[0].startswith(f"{PACKAGE}."):
            pattern = "".join((*facts.get(part[1:-1], ()), "*")[0] if part.startswith("{") else part for part in one)
            found += [name for name, _ in named(ROOT.parent.glob(pattern.replace(".", "/") + ".py"))]
    return found


def _executed(nodes: list[ast.AST]) -> Iterator[ast.AST]:
    """All nodes below some, but for what stands under `if TYPE_CHECKING`."""
    for node in nodes:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _executed(node.orelse)
        else:
            yield node
            yield from _executed(list(ast.iter_child_nodes(node)))


def named(files: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """Files of this package with the names of their modules."""
    for file in files:
        parts = file.relative_to(ROOT.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), file


@functools.cache
def file_of(module: str) -> Path | None:
    """The source file of a module, none of whose packages is executed to find it; None where there is none."""
    top, *rest = module.split(".")
    place = ROOT if top == PACKAGE else _installed(top)
    if place is None or (rest and not place.is_dir()):
        return None
    place = place.joinpath(*rest)
    file = place / "__init__.py" if place.is_dir() else place if place.suffix == ".py" else place.with_suffix(".py")
    return file if file.is_file() else None


def _installed(top: str) -> Path | None:
    """The folder of a package, or the file of a module that is none."""
    spec = find_spec(top)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    file = Path(spec.origin)
    return file.parent if file.name == "__init__.py" else file
