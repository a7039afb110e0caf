"""The facts of a cluster (workflow/profiles/slurm/cluster.yaml), and how a job's needs are put to Slurm there."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from soundprompt.params import Positive, Settings, describe, read_yaml, refusal


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

    def asks(self, mem_mb: int, runtime: int, gpus: int = 0) -> dict[str, str | int]:
        """What a job asks of Slurm, as `set-resources` of a profile take it.

        mem_mb and runtime (minutes) are those of the first attempt; they grow with each, up to the site's limits.
        `turn` counts inside groups only: four jobs at a time, those with a GPU one by one.
        """
        kind = self.gpu if gpus else self.cpu
        found: dict[str, str | int | None] = {
            "mem_mb": f"min({mem_mb} * attempt, {max(kind.max_mem_mb, mem_mb)})",
            "runtime": f"min({runtime} * attempt, {max(kind.max_runtime, runtime)})",
            **{"slurm_partition": kind.partition, "slurm_account": self.account, "slurm_extra": self.extra},
        }
        if gpus:
            found["gres"] = ":".join(filter(None, ("gpu", self.gpu.type, str(gpus))))
        for name in ("slurm_partition", "slurm_account", "slurm_extra", "gres"):
            if isinstance(value := found.get(name), str):
                found[name] = repr(value)  # Snakemake evaluates what a profile says, and a name may be one of Python's
        found |= {"turn": 4, "processes": gpus} if gpus else {"turn": 1}
        return {name: value for name, value in found.items() if value is not None}


def load(path: Path | str) -> Site:
    """Reads a site's facts. Raises InputError that names the key."""
    try:
        return Site.model_validate(read_yaml(path), strict=True)
    except ValidationError as error:
        raise refusal((describe(Site, problem) for problem in error.errors()), path) from error
