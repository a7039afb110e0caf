"""A run of GAVS that the workflow itself trained, in a study of next to nothing; it has learnt nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
import yaml

from project_copy import Copy, copy_project, write_experiments
from soundprompt.files import read_json, write_json
from soundprompt.layout import Layout

STUDY = "tiny"
OVERLAY = {
    "study": STUDY,
    "seeds": [0],
    "world": {
        "size": 64,
        "levels": {"pitch": 4, "modulation": 1, "timbre": 3},
        "v1s_classes": 3,
        "v1s": {"train": 2, "val": 1, "test": 1},
        "v1m": {"train": 1, "val": 1, "test": 1},
        "v1m_unseen": 1,
        "v2": {"train": 1, "val": 1, "test": 1},
        "vggss": 2,
        "scenes": None,
    },
    "data": {"shots": [1]},
    "foundation": {
        "sam": {"source": "train", "image_size": 64, "pictures": 16, "steps": 4, "pictures_per_step": 4},
        "audio": {"source": "train", "sounds": 60, "epochs": 1},
    },
    "models": {"gavs": {"schedule": {"steps": 8, "validate_every": 4, "warmup": 2}}},
}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Copy:
    """A copy of the project with the study's weights and its run of GAVS on v1s; only to be read."""
    copy = copy_project(tmp_path_factory.mktemp("trained"))
    v1s = yaml.safe_load((copy.root / "params.yaml").read_text())["settings"]["v1s"]
    experiments = {"one": {"title": "One", "settings": ["v1s"], "methods": ["gavs"]}}
    write_experiments(copy.root, experiments, settings={"v1s": v1s})
    (copy.root / "studies" / f"{STUDY}.yaml").write_text(yaml.safe_dump(OVERLAY))
    copy.snakemake(STUDY, "--", f"runs/{STUDY}/v1s/gavs/trained-0.json")
    return copy


@pytest.fixture
def project(trained, tmp_path, monkeypatch) -> Layout:
    """The study in a folder of its own, which is the current one; its run is a copy."""
    for name in ("weights", "params.yaml", "experiments", "studies"):
        (tmp_path / name).symlink_to(trained.root / name)
    shutil.copytree(trained.root / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return Layout(STUDY)


@pytest.fixture
def run_folder(project) -> Path:
    return project.run("v1s", "gavs", 0)


@pytest.fixture
def other_run(project, run_folder):
    """Leaves the trained run under another name too: other_run(setting, model, seed, validation)."""

    def leave(setting: str, model: str, seed: int, validation: float) -> Path:
        folder = shutil.copytree(run_folder, project.run(setting, model, seed))
        write_json(folder / "params.json", read_json(folder / "params.json") | {"seed": seed})
        entry = read_json(project.trained("v1s", "gavs", "0"))["runs"]["0"] | {"validation": validation}
        write_json(project.trained(setting, model, str(seed)), {"runs": {str(seed): entry}})
        return folder

    return leave
