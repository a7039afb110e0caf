"""Where a result comes from: parameters, seed, input digests, code, commit, versions, machine, cost."""

from __future__ import annotations

import functools
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from soundprompt import closure, registry
from soundprompt.files import digest_bytes, digest_value

PACKAGES = ("torch", "torchvision", "segment-anything", "timm", "torchvggish", "numpy", "pandas", "pillow", "snakemake")


# What these show is called and coloured as it is registered.
FOR_READERS = ("table", "report")


def code_files(stage: str, chosen: Sequence[registry.Entry] = ()) -> list[Path]:
    """The source files that a stage executes.

    stage: a verb of the command line; 'pretrain/sam' says which foundation model. chosen: what it works with of what
    is registered; the files of other models and datasets are no concern of it. Where it chooses none, all that come
    with the program are meant.
    """
    return list(_modules(stage, chosen).values())


def _modules(stage: str, chosen: Sequence[registry.Entry]) -> dict[str, Path]:
    verb, _, foundation = stage.partition("/")
    models, datasets, metrics = (
        [entry for entry in chosen if isinstance(entry, kind)]
        for kind in (registry.Architecture, registry.Dataset, registry.Metric)
    )
    models = models or _built_in(registry.architectures())
    datasets = datasets or _built_in(registry.datasets())
    metrics += [metric for metric in _built_in(registry.metrics()) if metric.code]
    facts: dict[str, list[str]] = {
        "model": [foundation] if foundation else [],
        "model.reads": [models[0].reads] if len(models) == 1 else [],
        "architecture.module": [entry.module for entry in models],
        "dataset.module": [entry.module for entry in datasets],
        "metric.module": [entry.module for entry in metrics],
    }
    return closure.of_verb(verb, facts)


def _built_in(entries: Mapping[str, registry.Entry]) -> list[registry.Entry]:
    return [entry for entry in entries.values() if entry.built_in]


def code_digest(stage: str, chosen: Sequence[registry.Entry] = ()) -> str:
    """sha256 over the stage's source files: a rule's params, so that changed code makes its results stale.

    With them goes what they register, but for what it is called and how it looks: that counts for what shows it alone.
    """
    return _code_digest(stage, tuple((type(entry), entry.name) for entry in chosen))


@functools.cache
def _code_digest(stage: str, names: tuple[tuple[type[registry.Entry], str], ...]) -> str:
    chosen = [registry.find(kind, name) for kind, name in names]
    files = _modules(stage, chosen)
    code = {name: digest_bytes(registry.code_of(file)) for name, file in files.items()}
    facts = [entry.facts() for entry in registry.everything() if entry.module in files]
    shown = [entry.model_dump(mode="json") for entry in registry.everything()] if stage in FOR_READERS else []
    return digest_value([code, facts, shown])


def code_of(stage: str, view: BaseModel) -> str:
    """The same for a stage at work on what a view describes."""
    return code_digest(stage, view.chosen() if hasattr(view, "chosen") else ())


def key(stage: str, view: BaseModel, seed: int | None, inputs: dict[str, str]) -> str:
    """Names a result by everything it depends on.

    view: the settings the stage may read; inputs: name -> sha256 of each input file.
    Equal keys mean equal results, so that finished work is kept when a job is started again.
    """
    settings = view.model_dump(mode="json")
    return digest_value(
        {"stage": stage, "settings": settings, "seed": seed, "inputs": inputs, "code": code_of(stage, view)}
    )


class Stopwatch:
    """Measures a stage: wall time, processor time and the peak memory of the process."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Seconds since construction; peak memory of this process so far, MiB."""
        unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, KiB elsewhere
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
        return {
            "wall_s": round(time.perf_counter() - self.wall, 3),
            "cpu_s": round(time.process_time() - self.cpu, 3),
            "peak_mib": round(peak, 1),
        }


def record(
    stage: str, view: BaseModel, seed: int | None, inputs: dict[str, str], watch: Stopwatch, **facts: Any
) -> dict[str, Any]:
    """What is written as provenance.json beside a result. `facts` are added as they are."""
    return {
        "stage": stage,
        "key": key(stage, view, seed, inputs),
        "settings": view.model_dump(mode="json"),
        "seed": seed,
        "inputs": inputs,
        "code": code_of(stage, view),
        "commit": commit(),
        "packages": {name: version(name) for name in PACKAGES},
        "machine": machine(),
        "cost": watch.read(),
        **facts,
    }


@functools.cache
def commit() -> str:
    """Hash of the checked-out commit, with '+changes' when the tree differs; 'unknown' outside git."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        state = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("+changes" if state.stdout.strip() else "")


def machine() -> dict[str, Any]:
    """Processor, system and Python; no host name, so that reports can be shared."""
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
