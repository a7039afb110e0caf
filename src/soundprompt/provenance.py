"""Where a result comes from: parameters, seed, input digests, code, commit, versions, machine, cost."""

from __future__ import annotations

import functools
import os
import platform
import resource
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from soundprompt import closure
from soundprompt.files import digest_bytes, digest_value
from soundprompt.params import ARCHITECTURES

PACKAGES = ("torch", "torchvision", "segment-anything", "timm", "torchvggish", "numpy", "pandas", "pillow", "snakemake")


# What these do with a model depends on the model's own files.
OF_A_MODEL = ("train", "score", "examine")


def code_files(stage: str, architecture: str | None = None) -> list[Path]:
    """The source files that a stage executes, sorted.

    stage: a verb of the command line; 'pretrain/sam' says which foundation model. architecture: of the model that a
    stage of OF_A_MODEL works on: other models' files are no concern of it.
    """
    verb, _, foundation = stage.partition("/")
    facts = {"model": foundation} if foundation else {}
    if architecture:
        place = ARCHITECTURES[architecture]
        facts |= {"place.module": place.module, "model.reads": place.reads}
    return closure.of_verb(verb, facts)


@functools.cache
def code_digest(stage: str, architecture: str | None = None) -> str:
    """sha256 over the stage's source files: a rule's params, so that changed code makes its results stale."""
    files = code_files(stage, architecture)
    return digest_value([[str(file.relative_to(closure.ROOT)), digest_bytes(file.read_bytes())] for file in files])


def code_of(stage: str, view: BaseModel) -> str:
    """The same for a stage at work on what a view describes."""
    model = getattr(view, "model", None) if stage in OF_A_MODEL else None
    return code_digest(stage, model.architecture if model is not None else None)


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
