"""The facts of a cluster (workflow/profiles/slurm/cluster.yaml), and what a job asks of Slurm because of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from soundprompt.params import Needs, Positive, Settings, describe, read_yaml, refusal


class Kind(Settings):
    """Where jobs of one kind go, and the most that they may ask for there."""

    partition: str | None = Field(None, description="null: Slurm's default partition")
    max_runtime: Positive = Field(1440, description="minutes; what grows on retry stays below")
    max_mem_mb: Positive = Field(64000, description="MB")


class Gpus(Kind):
    """The partition with GPUs."""

    type: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.]+$")] | None = Field(
        None, description="as in `sinfo -o %G`; null: any"
    )
    visible: bool = Field(True, description="a job stops at once when its GPU cannot be used; false: a pretend GPU")


class Site(Settings):
    """One cluster."""

    account: str | None = None
    cpu: Kind = Kind()
    gpu: Gpus = Gpus()
    extra: str | None = Field(None, description="more options for sbatch")
    setup: str | None = Field(None, description="shell line before each job, such as 'module load ...'")
    python: str | None = Field(None, description="Python of the jobs; null: the one that runs Snakemake")


def load(path: Path | str) -> Site:
    """Reads a site's facts. Raises InputError that names the key."""
    try:
        return Site.model_validate(read_yaml(path), strict=True)
    except ValidationError as error:
        raise refusal((describe(Site, problem) for problem in error.errors()), path) from error


def asked(needs: Needs, site: Site) -> dict[str, str | Callable[..., int]]:
    """A job's `resources` for Snakemake. Memory and time grow with each attempt, up to the site's limits."""
    kind = site.gpu if needs.gpus else site.cpu

    def mem_mb(wildcards: Any, attempt: int) -> int:
        return min(needs.mem_mb * attempt, max(kind.max_mem_mb, needs.mem_mb))

    def runtime(wildcards: Any, attempt: int) -> int:
        return min(needs.runtime * attempt, max(kind.max_runtime, needs.runtime))

    found: dict[str, Any] = {"mem_mb": mem_mb, "runtime": runtime}
    found |= {"slurm_partition": kind.partition, "slurm_account": site.account, "slurm_extra": site.extra}
    if needs.gpus:
        found["gres"] = ":".join(filter(None, ("gpu", site.gpu.type, str(needs.gpus))))
    return {name: value for name, value in found.items() if value is not None}
