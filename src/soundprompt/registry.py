"""What the program knows of its models, datasets, metrics, floors and probes.

Each is registered at the end of the file that holds its code, by a statement `REGISTERED = (...)` of the calls below
with plain values. The statement is read from the source, and the file is not executed: to list names nobody waits for
torch, and no stage depends on the code of a model that it does not use. Packages beside this one register theirs in
the same way, and name the module in an entry point of the group soundprompt.models, soundprompt.datasets or
soundprompt.metrics.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from soundprompt import closure
from soundprompt.errors import InputError

STATEMENT = "REGISTERED"
GROUPS = ("soundprompt.models", "soundprompt.datasets", "soundprompt.metrics")

When = dict[str, str | int | bool | None]  # setting of a model, dotted -> the value that it must have


class Entry(BaseModel):
    """What all registrations have.

    code: the class or function, of which the source tells the name; module: where it is, filled in by the reader.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    for_readers: ClassVar[frozenset[str]] = frozenset({"title", "colour", "label", "meaning"})

    name: str
    code: Any = None
    module: str = ""

    @property
    def built_in(self) -> bool:
        """Whether it comes with this package."""
        return self.module.partition(".")[0] == closure.PACKAGE

    def facts(self) -> dict[str, Any]:
        """All of it that results can depend on."""
        return self.model_dump(mode="json", exclude=set(self.for_readers))


class Architecture(Entry):
    """A trainable model: a `Segmenter`. `code` is its class, called with its settings, its encoder and a seed.

    title, colour: in tables and plots. reads: the image encoder that it stands on; it also says how pictures and masks
    lie on the square (`foundation/geometry.py`). cola: whether its decoder takes ColA.
    The next say under which of its settings the model has something; {}: always, None: never.
    hears: the sound changes its answer. temporal: it looks across the seconds of a clip. compares: it brings sound and
    visual cue into one space, for the triplet loss and the measures of alignment. sam_decoder: its decoder is SAM's,
    so that one can ask what of SAM's skill is left. presence: it can have a presence score (`models.presence`).
    options: its own settings (`options` of the model) with their defaults, which also give their types.
    """

    title: str
    colour: str | None = None
    reads: Literal["sam", "pyramid"] = "sam"
    cola: bool = False
    hears: When | None = {}
    temporal: When | None = None
    compares: When | None = None
    sam_decoder: When | None = None
    presence: When | None = None
    options: dict[str, Any] = {}


class Dataset(Entry):
    """A dataset that becomes a frame table. `code` is its reader: (TablesView, Layout) to a list of `Expected` clips.

    title: in tables. splits: by name; with `{shots}` in it one for each number of shots. splits_of: a setting whose
    keys are further splits. protocols: splits of the real data by published lists. tests_only: why it is not for
    training. downloads: what it is read from, of `acquire.NAMES`. files: further files that it is read from, whose
    change makes the table anew. generated: whether the mini world makes it; `only` there, `no`, or there `too`.
    first_mask_only: its training clips have a mask of their first frame.
    """

    title: str
    splits: tuple[str, ...] = ()
    splits_of: str | None = None
    protocols: tuple[str, ...] = ()
    tests_only: str = ""
    downloads: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    generated: Literal["no", "too", "only"] = "no"
    first_mask_only: bool = False


class Metric(Entry):
    """A number of a table.

    label, meaning: for table heads, in a word or two and in a sentence. higher_is_better: None where neither end is
    the good one. amount: a size, a count or a time, not a share of 1. stage: what measures it.
    of: what `code` judges: frames with masks (an `Answers`, to a value for each, NaN where there is none) or frames
    with boxes (heat map, boxes and settings, to one value). mean: over what the rows are averaged: `clips` of the means
    of their frames, `frames` all alike, `calls` of the published programs, or `successes`, the share of clips that
    reach 0.5, and `curves`, the area under such shares.
    some_frames: which frames have a value depends on the answer, so that methods and seeds differ in them.
    rows: the metric whose rows it is made from, where these are not its own. measures: what the stage examine has to
    look at (`Model.measures`).
    """

    label: str
    meaning: str
    higher_is_better: bool | None = True
    amount: bool = False
    stage: Literal["score", "examine", "cost", "train", "validation"] = "score"
    of: Literal["masks", "boxes"] = "masks"
    mean: Literal["clips", "frames", "calls", "successes", "curves"] = "frames"
    some_frames: bool = False
    rows: str = ""
    measures: Literal["", "alignment", "knowledge"] = ""


class Floor(Entry):
    """A method that needs no training. `code`: a row of the frame table to a mask (height, width), or None.

    dashes: of its line in plots. needs_objects: where the silent objects are not known it has no answer.
    """

    for_readers: ClassVar[frozenset[str]] = frozenset({"title", "dashes"})

    title: str
    dashes: tuple[float, ...] = ()
    needs_objects: bool = False


class Probe(Entry):
    """A sound at test time that is not the frame's own.

    masks_kept: whether the predictions under it are kept on disk. needs_silent: asks for silent objects that are known.
    """

    title: str
    masks_kept: bool = False
    needs_silent: bool = False


KINDS: dict[str, type[Entry]] = {kind.__name__: kind for kind in (Architecture, Dataset, Metric, Floor, Probe)}
Kind = TypeVar("Kind", bound=Entry)


def architectures() -> dict[str, Architecture]:
    """Every architecture, by its name."""
    return _of_kind(Architecture)


def datasets() -> dict[str, Dataset]:
    """Every dataset, by its name."""
    return _of_kind(Dataset)


def metrics() -> dict[str, Metric]:
    """Every metric, by its name."""
    return _of_kind(Metric)


def metrics_of(*stages: str) -> tuple[str, ...]:
    """The names of the metrics that these stages measure."""
    return tuple(name for name, metric in metrics().items() if metric.stage in stages)


def floors() -> dict[str, Floor]:
    """The methods that need no training, by name."""
    return _of_kind(Floor)


def probes() -> dict[str, Probe]:
    """The other sounds at test time, by name."""
    return _of_kind(Probe)


@functools.cache
def _of_kind(kind: type[Kind]) -> dict[str, Kind]:
    found: dict[str, Kind] = {}
    for entry in everything():
        if isinstance(entry, kind):
            if entry.name in found:
                other = found[entry.name]
                what = f"{kind.__name__} '{entry.name}' is registered by {other.module} and by {entry.module}"
                raise InputError(what, remedy="give one of them another name")
            found[entry.name] = entry
    return found


def find(kind: type[Kind], name: str) -> Kind:
    """One of them. Raises KeyError."""
    return _of_kind(kind)[name]


@functools.cache
def everything() -> list[Entry]:
    """All registrations, in a stable order."""
    own = [path for path in sorted(closure.ROOT.rglob("*.py")) if path != Path(__file__)]
    return [entry for module, path in (*closure.named(own), *_plugged_in()) for entry in _read(module, path)]


def _plugged_in() -> Iterator[tuple[str, Path]]:
    """Module and file of each entry point of other packages, once."""
    points = {point.module: point for group in GROUPS for point in metadata.entry_points(group=group)}
    for module, point in sorted(points.items()):
        path = closure.file_of(module)
        if path is None:
            what = f"entry point '{point.name}' of {point.dist.name}: there is no module {module}"
            raise InputError(what, remedy="install that package again, or remove it")
        if _statement(path) is None:
            what = f"registers nothing, and the entry point '{point.name}' of {point.dist.name} names it"
            raise InputError(what, path=path, remedy=f"end it with {STATEMENT} = (...) (docs/extending.md)")
        yield module, path


def _read(module: str, path: Path) -> list[Entry]:
    """What a file registers. Raises InputError where that cannot be read."""
    statement = _statement(path)
    if statement is None:
        return []
    value = statement.value
    calls = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return [_entry(call, module, path) for call in calls]


def _entry(call: ast.expr, module: str, path: Path) -> Entry:
    where = f"line {call.lineno}: {STATEMENT}"
    kind = KINDS.get(ast.unparse(call.func).rpartition(".")[2]) if isinstance(call, ast.Call) else None
    if kind is None or call.args:
        remedy = f"write calls of {', '.join(KINDS)} with named values (docs/extending.md)"
        raise InputError(f"{where} holds `{ast.unparse(call)[:60]}`", path=path, remedy=remedy)
    try:
        entry = kind(**{word.arg or "**": _value(word.value) for word in call.keywords}, module=module)
    except ValidationError as error:
        problem = error.errors()[0]
        what = f"{where}: {'.'.join(map(str, problem['loc']))}: {problem['msg'].lower()}"
        raise InputError(what, path=path, remedy="see soundprompt/registry.py for what it takes") from error
    except ValueError as error:
        what = f"{where} is read without being executed, and this is no plain value: {error}"
        raise InputError(what, path=path, remedy="write texts, numbers, lists and names of this file") from error
    if entry.code is not None and entry.code not in _defined(path):
        what = f"{where}: code: the file defines no class or function '{entry.code}'"
        raise InputError(what, path=path, remedy="give the name of one that stands above it")
    return entry


def _value(node: ast.expr) -> Any:
    """A plain value; of what is defined in the file, its name."""
    try:
        return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
    except ValueError as error:
        raise ValueError(f"`{ast.unparse(node)[:60]}`") from error


def _defined(path: Path) -> set[str]:
    """The classes and functions of a file, and what it imports."""
    body = ast.parse(path.read_bytes()).body
    found = {node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    imported = [alias for node in body if isinstance(node, ast.Import | ast.ImportFrom) for alias in node.names]
    return found | {alias.asname or alias.name for alias in imported}


@functools.cache
def _statement(path: Path) -> ast.Assign | None:
    source = path.read_bytes()
    if f"\n{STATEMENT} = ".encode() not in source:
        return None
    return next((node for node in ast.parse(source).body if _registers(node)), None)


def _registers(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == STATEMENT


def code_of(path: Path) -> bytes:
    """A source file without its registrations: what they say for readers alone changes no result."""
    statement = _statement(path)
    lines = path.read_bytes().splitlines(keepends=True)
    if statement is not None:
        del lines[statement.lineno - 1 : statement.end_lineno]
    return b"".join(lines)
