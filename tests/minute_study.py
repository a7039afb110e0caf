"""A study of a minute, in a copy of the project: every stage, on next to nothing. What it learns is worth nothing."""

import os
import shutil
import subprocess
from pathlib import Path

import yaml

PROJECT = Path(__file__).parents[1]
NAME = "minute"

OVERLAY = {
    "study": NAME,
    "seeds": [0],
    "world": {
        "levels": {"pitch": 4, "modulation": 1, "timbre": 3},
        "v1s_classes": 3,
        "v1s": {"train": 2, "val": 1, "test": 1},
        "v1m": {"train": 3, "val": 1, "test": 2},
        "v1m_unseen": 2,
        "v2": {"train": 3, "val": 1, "test": 2},
        "vggss": 4,
    },
    "data": {"shots": [1]},
    "foundation": {
        "sam": {"pictures": 16, "steps": 4, "pictures_per_step": 4},
        "audio": {"sounds": 60, "epochs": 1},
    },
    "models": {"gavs": {"schedule": {"steps": 16, "validate_every": 4, "warmup": 2, "shot_epochs": 1}}},
    "evaluation": {"bootstrap": 50},
    "resources": {
        "train": {"mem_mb": 1500, "runtime": 10, "gpus": 1},
        "score": {"mem_mb": 1500, "runtime": 5, "gpus": 1},
        "pretrain": {"mem_mb": 1500, "runtime": 10},
    },
}
EXPERIMENTS = {
    "table_v3": {
        "title": "Unseen classes, zero and one shot",
        "settings": ["v3_0shot", "v3_1shot"],
        "methods": ["all_objects", "gavs"],
    },
    "ablation_sap": {
        "title": "What noise is worth",
        "settings": ["v3_0shot"],
        "methods": ["gavs", "gavs-no_noise"],
        "reference": "gavs",
    },
}
TABLES = [f"results/tables/{name}.csv" for name in EXPERIMENTS]


class Copy:
    """A clone of the project that knows the study; commands run in it as a user's would."""

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

    def tables(self) -> dict[str, bytes]:
        return {name: (self.root / name).read_bytes() for name in TABLES}


def make(root: Path) -> Copy:
    """What a clone would hold (with uncommitted work), plus the study; in a git repository of its own."""
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
    write_study(root)
    copy = Copy(root)
    copy.good("soundprompt", "stages", "--study", NAME)
    commit(copy, "the study", first=True)
    return copy


def write_study(root: Path) -> None:
    """The study's overlay, and params.yaml with its experiments alone."""
    path = root / "params.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["experiments"] = EXPERIMENTS
    settings["settings"] = {name: settings["settings"][name] for name in ("v3_0shot", "v3_1shot")}
    settings["settings"]["v3_0shot"]["test"] = ["v3/unseen", "v3/1_shot_test"]
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    (root / "studies" / f"{NAME}.yaml").write_text(yaml.safe_dump(OVERLAY, sort_keys=False))


def commit(copy: Copy, message: str, *, first: bool = False) -> None:
    if first:
        (copy.root / ".gitignore").open("a").write("/.venv\n")  # here it is a link, not a folder
        copy.good("git", "init", "--quiet")
    copy.good("git", "add", "--all")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    copy.good("git", *who, "commit", "--quiet", "--message", message)
