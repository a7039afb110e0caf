"""A project with random encoders and one random run of GAVS, left on disk as the stages leave them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from encoders import save_encoders

from soundprompt import models
from soundprompt import params as p
from soundprompt.files import write_json
from soundprompt.foundation import sam
from soundprompt.layout import Layout
from soundprompt.training import checkpoint

STUDY = "tiny"
GAVS = {"visual": {"tune_from": 2, "dim": 8}, "cola": {"dim": 8}, "sap": {"hidden": 32}}


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def project_files(tmp_path_factory) -> Path:
    """weights/ and runs/ of the project; only to be read."""
    root = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        layout = Layout(STUDY)
        save_encoders(layout, seed=0)
        put_run(layout, "v1s", "gavs", 0, 0.6)
    return root


@pytest.fixture
def project(project_files, tmp_path, monkeypatch) -> Layout:
    """The project in a folder of its own, which is the current one."""
    (tmp_path / "weights").symlink_to(project_files / "weights")
    copy = tmp_path / "runs" / STUDY / "v1s" / "gavs"
    copy.parent.mkdir(parents=True)
    copy.symlink_to(project_files / "runs" / STUDY / "v1s" / "gavs")
    monkeypatch.chdir(tmp_path)
    return Layout(STUDY)


@pytest.fixture
def run_folder(project) -> Path:
    return project.run("v1s", "gavs", 0)


@pytest.fixture
def other_run(project):
    """Leaves another run: other_run(setting, model, seed, validation)."""

    def leave(setting: str, model: str, seed: int, validation: float) -> Path:
        return put_run(project, setting, model, seed, validation)

    return leave


def put_run(layout: Layout, setting: str, name: str, seed: int, validation: float) -> Path:
    """What training leaves, its weights random."""
    frozen = sam.load(layout.foundation("sam"))
    view = p.TrainView(
        study=STUDY,
        setting_name=setting,
        setting={"train": ["v1s/train"], "validate_on": ["v1s/val"], "test": ["v1s/test"]},
        model_name=name,
        model=GAVS,
        data={},
    )
    folder = layout.run(setting, name, seed)
    model = models.build(view.model, frozen, seed)
    torch.manual_seed(seed)
    stirred = {key: weight + 0.05 * torch.randn_like(weight) for key, weight in model.trained_parameters().items()}
    digest = checkpoint.save(stirred, folder / "checkpoint.safetensors", {"sam": frozen.digest})
    write_json(folder / "params.json", {**view.model_dump(mode="json"), "seed": seed})
    entry = {"checkpoint": digest, "validation": validation}
    write_json(layout.trained(setting, name, str(seed)), {"runs": {str(seed): entry}})
    return folder
