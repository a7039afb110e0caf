"""Where a result comes from: parameters, seed, input digests, code, commit, versions, machine, cost."""

from __future__ import annotations

import ast
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

from soundprompt.files import digest_bytes, digest_value
from soundprompt.params import ARCHITECTURES

ROOT = Path(__file__).parent

# What each stage executes: a change in these files, and only in these, makes its results stale.
DATASETS = ("avs_v3", "avsbench", "avsbench_object", "vggss")
READERS = (*DATASETS, "clip", "comparisons", "frame_table", "ledger", "media", "tables")
# Each foundation model has a stage of its own: what makes one of them is no reason to make the others again.
MAKING = tuple(
    f"foundation/{name}.py" for name in ("making", "pictures", "probes", "process", "quality", "resume", "weights")
)
PICTURES = tuple(f"data/world/{name}.py" for name in ("classes", "drawing", "pretraining"))
SOUNDS = tuple(f"data/world/{name}.py" for name in ("classes", "sound", "pretraining"))
SAM = tuple(f"foundation/{name}.py" for name in ("sam", "geometry", "pretrain_sam", "prompting", "torchvision_ops"))
AUDIO = ("foundation/audio.py", "foundation/pretrain_audio.py")
PYRAMID = tuple(f"foundation/{name}.py" for name in ("pyramid", "pretrain_pyramid", "pyramid_quality"))
FROZEN = tuple(f"foundation/{name}.py" for name in ("sam", "geometry", "audio", "weights"))
ENCODERS = tuple(f"foundation/{name}.py" for name in ("encoders", "geometry", "pyramid", "sam", "weights"))
READING = tuple(f"features/{name}.py" for name in ("background", "frames", "inputs", "store"))
RUNS = ("devices.py", "models/build.py", *READING, *ENCODERS)
SCORING = tuple(f"evaluation/{name}.py" for name in ("metrics", "floors", "pack", "predict", "scores", "run"))
LOOKS = ("alignment", "examine", "knowledge", "pack", "predict", "scores")
EXAMINING = tuple(f"evaluation/{name}.py" for name in LOOKS)
HELD_OUT = tuple(f"foundation/{name}.py" for name in ("pictures", "prompting", "quality"))
CODE = {
    "world": ("data/world",),
    "tables": tuple(f"data/{name}.py" for name in READERS),
    "leaks": tuple(f"data/{name}.py" for name in ("leaks", "comparisons", "frame_table")),
    "foundation/sam": (*SAM, *MAKING, *PICTURES),
    "foundation/audio": (*AUDIO, *MAKING, *SOUNDS),
    "foundation/pyramid": (*PYRAMID, *SAM, *MAKING, *PICTURES),  # SAM: the losses they share
    "features": (
        "features/background.py",
        "features/plan.py",
        "features/store.py",
        "features/extract.py",
        "data/media.py",
        "devices.py",
        *FROZEN,
    ),
    "train": ("training", "models/draws.py", *RUNS),
    "score": (*SCORING, "training/checkpoint.py", *RUNS),
    "examine": (*EXAMINING, "training/checkpoint.py", *HELD_OUT, *PICTURES, *RUNS),
    "cost": ("models", "evaluation/cost.py", "evaluation/flops.py", *AUDIO, "foundation/process.py", *RUNS),
    "report": (
        "report",
        "evaluation/summary.py",
        "evaluation/statistics.py",
        "evaluation/metrics.py",
        "data/leaks.py",
        "foundation/geometry.py",
    ),
}
PACKAGES = ("torch", "torchvision", "segment-anything", "timm", "torchvggish", "numpy", "pandas", "pillow", "snakemake")


# What these do with a model depends on the model's own files.
OF_A_MODEL = ("train", "score", "examine")


def code_files(stage: str, architecture: str | None = None) -> list[Path]:
    """The source files that a stage executes, sorted; Snakemake takes them as inputs of its rules.

    architecture: of the model that a stage of OF_A_MODEL works on: other models' files are no concern of it.
    """
    files: set[Path] = set()
    for part in CODE[stage]:
        place = ROOT / part
        inside = place.rglob("*") if place.is_dir() else [place]
        files.update(path for path in inside if path.is_file() and path.suffix != ".pyc")
    return sorted(files | (model_files(ARCHITECTURES[architecture].module) if architecture else set()))


@functools.cache
def model_files(module: str) -> frozenset[Path]:
    """The file of a model and those in `models` that it imports, by what stands in them."""
    found: set[Path] = set()
    waiting = [ROOT / "models" / f"{module}.py"]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        names = [node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        inner = [name.removeprefix("soundprompt.models.") for name in names if name and ".models." in name]
        waiting += [ROOT / "models" / f"{name}.py" for name in inner]
    return frozenset(found)


@functools.cache
def code_digest(stage: str, architecture: str | None = None) -> str:
    """sha256 over the stage's source files."""
    files = code_files(stage, architecture)
    return digest_value([[str(file.relative_to(ROOT)), digest_bytes(file.read_bytes())] for file in files])


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
