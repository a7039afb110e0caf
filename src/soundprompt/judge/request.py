"""What a user asks of `soundprompt judge`, checked, and the answer."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from soundprompt.errors import InputError
from soundprompt.judge import judging, negatives, truth, writing


@dataclass(frozen=True)
class Options:
    """The options of the command line, as they were given."""

    dataset: str
    root: Path | None
    split: str | None
    protocol: str | None
    lists: Path | None
    values: str
    missing: str
    first: int | None
    constants: str
    confidences: Path | None
    out: Path | None


def run(masks: Sequence[Path], asked: Options, others: Mapping[str, Sequence[Path]]) -> None:
    """Judges the folders, prints the table and writes the files. others: folders under other sounds, by kind."""
    if asked.missing not in ("error", "empty"):
        raise InputError(f"--missing: '{asked.missing}' is not one of error, empty")
    methods = _methods(masks, others)
    if asked.protocol == "robust" and not any(others.values()):
        remedy = "give --silence, --noise or --offscreen, a folder for each method"
        raise InputError("--protocol: robust is about masks under other sounds", remedy=remedy)
    options = judging.Options(
        values=asked.values,
        empty=asked.missing == "empty",
        first=asked.first,
        confidences=judging.read_confidences(asked.confidences) if asked.confidences else None,
        constants=_constants(asked.constants),
        protocol=asked.protocol,
    )
    true = truth.load(asked.dataset, asked.root, asked.split, asked.protocol, asked.lists)
    result = judging.judge(methods, true, options)
    paths = writing.write(result, asked.out or _beside(masks))
    print(writing.text(result))
    print(f"\n{', '.join(map(str, paths))}")


def _methods(masks: Sequence[Path], others: Mapping[str, Sequence[Path]]) -> list[judging.Method]:
    for kind, folders in others.items():
        if folders and len(folders) != len(masks):
            what = f"--{kind}: {len(folders)} folders for {len(masks)} methods"
            raise InputError(what, remedy=f"give --{kind} once for each folder of masks, in the same order")
    given = [{kind: folders[i] for kind, folders in others.items() if folders} for i in range(len(masks))]
    return [judging.Method(folder, negative) for folder, negative in zip(masks, given, strict=True)]


def _constants(text: str) -> tuple[float, float, float]:
    if text in negatives.CONSTANTS:
        return negatives.CONSTANTS[text]
    try:
        one, two, three = map(float, text.split(","))
    except ValueError as error:
        known = ", ".join(negatives.CONSTANTS)
        raise InputError(f"--constants: '{text}' is not three numbers or one of {known}") from error
    return one, two, three


def _beside(masks: Sequence[Path]) -> Path:
    """In the folder of masks; of several, in the one that holds them all."""
    return masks[0] if len(masks) == 1 else Path(os.path.commonpath([folder.resolve() for folder in masks]))
