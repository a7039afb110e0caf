"""A copy of the project in which commands run as a user's would, with the environment that is already there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[1]


class Copy:
    """A folder that holds what a clone would hold (with uncommitted work)."""

    def __init__(self, root: Path):
        self.root = root

    @property
    def environment(self) -> dict[str, str]:
        """The copy's own source goes before the project's, which is installed in the environment."""
        places = {"PATH": f"{PROJECT}/.venv/bin:{os.environ['PATH']}", "PYTHONPATH": f"{self.root}/src"}
        return {**os.environ, **places, "OMP_NUM_THREADS": "1", "GIT_CONFIG_GLOBAL": "/dev/null"}

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        given = {**self.environment, **environment}
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, env=given)

    def good(self, *command: str, **environment: str) -> str:
        """Output of a command that must succeed."""
        answer = self.run(*command, **environment)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout + answer.stderr

    def make(self, *arguments: str) -> subprocess.CompletedProcess:
        """make in the copy; the environment counts as ready, lest it be installed from the copy."""
        return self.run("make", "-o", ".venv/.ready", "CORES=2", *arguments)

    def snakemake(self, study: str, *arguments: str) -> str:
        """Output of a successful snakemake call on a study."""
        return self.good("snakemake", "--cores", "2", "--configfile", f"studies/{study}.yaml", *arguments)


def copy_project(root: Path) -> Copy:
    """Copies the project into an empty folder; the environment is a link."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = PROJECT / name, root / name
        if source.is_file() or source.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    (root / ".venv").symlink_to(PROJECT / ".venv")
    return Copy(root)


def write_experiments(root: Path, experiments: dict[str, Any], **settings: Any) -> None:
    """Gives a copy these experiments alone; settings replace blocks of its params.yaml.

    Models say nothing of single settings then, as these may be gone.
    """
    path = root / "params.yaml"
    content = yaml.safe_load(path.read_text()) | settings | {"experiments": list(experiments)}
    content["models"] = {name: {**model, "per_setting": {}} for name, model in content["models"].items()}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    for name, experiment in experiments.items():
        (root / "experiments" / f"{name}.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))


def planned_jobs(text: str) -> dict[str, int]:
    """{rule: how many jobs} of what a dry run printed; empty when there is nothing to do."""
    if "Job stats:" not in text:
        return {}
    rows = [line.split() for line in text[text.index("Job stats:") :].splitlines()[3:]]
    rows = rows[: next(i for i, row in enumerate(rows) if row[:1] == ["total"])]
    return {rule: int(count) for rule, count in rows}
