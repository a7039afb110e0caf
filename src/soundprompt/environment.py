"""Whether a job can run where it was put, found out in its first second instead of after an hour."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from soundprompt.errors import InputError

REMEDY = "build the environment again on a machine of the cluster: make env, environment.yml or containers/"
PRETEND = "SOUNDPROMPT_PRETEND_GPU"  # set for clusters whose GPUs are names only


def check(environment: Mapping[str, str] = os.environ) -> None:
    """Compares Python, packages, folder and GPU with what the project needs. Raises InputError with every problem.

    A GPU is looked for when Slurm has given one (CUDA_VISIBLE_DEVICES), through the driver alone: torch is
    not imported, so that the answer comes at once.
    """
    problems = [*wrong_packages(), *wrong_folder()]
    if environment.get("CUDA_VISIBLE_DEVICES") and not environment.get(PRETEND):
        problems += wrong_gpu()
    if problems:
        where = f"on {os.uname().nodename}, with {sys.executable}"
        raise InputError(f"this job cannot run {where}: " + "; ".join(problems), remedy=REMEDY)


def wrong_packages() -> Iterator[str]:
    """Packages that are missing, or not of the pinned version."""
    for requirement in requirements():
        name, _, rest = requirement.partition("==")
        name, pinned = re.split(r"[\s;\[<>=!~]", name)[0], rest.split(";")[0].strip()
        try:
            found = version(name)
        except PackageNotFoundError:
            yield f"package {name} is missing"
            continue
        if pinned and found.partition("+")[0] != pinned:  # torch's builds differ in what follows '+'
            yield f"package {name} is {found}, not {pinned}"


def requirements() -> list[str]:
    """What pyproject.toml asks of every job, the group `workflow` included; without that file, the metadata."""
    file = Path(__file__).parents[2] / "pyproject.toml"
    if file.exists():
        project = tomllib.loads(file.read_text())["project"]
        return project["dependencies"] + project["optional-dependencies"]["workflow"]
    lines = [line.partition(";") for line in requires("soundprompt") or []]
    return [need.strip() for need, _, group in lines if "extra" not in group or "'workflow'" in group.replace('"', "'")]


def wrong_folder() -> Iterator[str]:
    """The project's folder must be on a file system that compute nodes share, and writable."""
    here = Path.cwd()
    if not (here / "params.yaml").exists():
        yield f"{here} holds no params.yaml: is the project on a file system that this machine shares?"
    elif not os.access(here, os.W_OK):
        yield f"{here} cannot be written"


def wrong_gpu(library: str = "libcuda.so.1") -> Iterator[str]:
    """Slurm gave a GPU: the driver must load and show one, and torch must be a build for GPUs."""
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        yield f"Slurm gave a GPU, but its driver ({library}) cannot be loaded"
        return
    count = ctypes.c_int()
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value < 1:
        yield "Slurm gave a GPU, but the driver shows none"
    elif "+cpu" in version("torch"):
        yield f"Slurm gave a GPU, but torch {version('torch')} is a build for processors"
