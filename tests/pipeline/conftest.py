"""The smoke study, run once through make in a copy of the project, as a user would."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


class Study:
    """A copy of the project in which commands are run."""

    def __init__(self, root: Path):
        self.root = root

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess:
        path = f"{self.root}/.venv/bin:{os.environ['PATH']}"
        return subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, env={**os.environ, "PATH": path, **environment}
        )

    def snakemake(self, *arguments: str) -> str:
        """Output of a successful snakemake call on the smoke study."""
        answer = self.run("snakemake", "--cores", "2", "--configfile", "studies/smoke.yaml", *arguments)
        assert answer.returncode == 0, answer.stdout + answer.stderr
        return answer.stdout + answer.stderr


def copy_project(target: Path) -> Path:
    """What a clone would hold (plus uncommitted work), with the environment that is already there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (PROJECT / name).is_file() or (PROJECT / name).is_symlink():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name, follow_symlinks=False)
    (target / ".venv").symlink_to(PROJECT / ".venv")
    return target


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> Study:
    study = Study(copy_project(tmp_path_factory.mktemp("project")))
    study.answer = study.run("make", "report", "STUDY=smoke", "CORES=2")
    assert study.answer.returncode == 0, study.answer.stdout + study.answer.stderr
    return study
