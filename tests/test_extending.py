"""The examples of docs/extending.md do what they say, as they stand."""

import os
import re
import tomllib

import numpy as np
import pandas as pd
import pytest
import soundfile
import yaml
from PIL import Image

import minute_study
from project_copy import PROJECT, copy_project, planned_jobs, write_experiments

pytestmark = pytest.mark.pipeline
TEXT = (PROJECT / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"```(yaml|python|toml)\n(.*?)```", TEXT, re.DOTALL)
ABLATION, MODEL_SETTINGS = (block for kind, block in BLOCKS if kind == "yaml")
MODEL, DATASET, METRIC = (block for kind, block in BLOCKS if kind == "python")
(ENTRIES,) = (block for kind, block in BLOCKS if kind == "toml")
TRAIN = """
import torch
from soundprompt import models, params
from soundprompt.features.frames import Batch
from soundprompt.foundation import sam

frozen = sam.FrozenSam(sam.build("mini", 64), "mini", "none")
model = models.build(params.load("own.yaml").models["loudness"], frozen, 0)
grid, cells = frozen.grid, frozen.cells
batch = Batch(torch.randn(2, frozen.prompt_dim, grid, grid), torch.randn(2, 128), torch.ones(2, grid, grid, dtype=bool),
              [(64, 64)] * 2, None, None, torch.ones(2, 1, cells, cells, dtype=bool), [], [], [])
logits = model(batch).logits
logits.mean().backward()
assert logits.shape == (2, 1, cells, cells)
print(sorted(model.trained_parameters()), all(p.grad is not None for p in model.trained_parameters().values()))
"""


@pytest.fixture
def copy(tmp_path):
    return copy_project(tmp_path)


def list_first(copy, experiment):
    path = copy.root / "params.yaml"
    text = path.read_text()
    assert text.count("experiments:\n") == 1
    path.write_text(text.replace("experiments:\n", f"experiments:\n  - {experiment}\n"))


def plan(copy, *targets):
    return copy.good("snakemake", "--cores", "2", "-n", *targets)


def test_an_ablation_is_a_change_of_settings_alone(copy):
    (copy.root / "experiments/ablation_narrow.yaml").write_text(ABLATION)
    list_first(copy, "ablation_narrow")
    text = plan(copy, "ablation_narrow")
    for model in ("gavs-cola_dim8", "gavs-cola_dim24", "gavs"):
        assert f"train {model} on v3_0shot" in text
    counts = planned_jobs(text)
    assert counts["train"] == counts["score"] == counts["examine"] == 3, "not the main comparison's further seeds"
    assert counts["table"] == 1


def test_a_model_is_one_file(copy):
    (copy.root / "src/soundprompt/models/loudness.py").write_text(MODEL)
    (copy.root / "own.yaml").write_text(f"study: mini\n{MODEL_SETTINGS}")
    assert "train loudness on v1s" in plan(copy, "--configfile", "own.yaml", "--", "table_benchmarks")
    answer = copy.good("python", "-c", TRAIN).splitlines()[-1]
    assert answer == "['prompt.bias', 'prompt.weight'] True"
    (copy.root / "own.yaml").write_text(f"study: mini\n{MODEL_SETTINGS.replace('scale: 0.5', 'scales: 1.0')}")
    refused = copy.run("soundprompt", "settings", "--study", "own.yaml")
    assert refused.returncode == 1 and "'scales' is not one of scale" in refused.stderr


def test_the_blocks_are_whole():
    assert yaml.safe_load(ABLATION)["models"] and yaml.safe_load(MODEL_SETTINGS)["models"]
    for block in (MODEL, DATASET, METRIC):
        compile(block, "block.py", "exec")


# ------------------------------------------------------------------------- a package of one's own
STUDY = {
    **minute_study.OVERLAY,
    "study": "mine",
    "models": {"loudness": {**yaml.safe_load(MODEL_SETTINGS)["models"]["loudness"], "schedule": {"steps": 8}}},
}
EXPERIMENT = {
    "title": "What is mine",
    "settings": ["v3_0shot", "recordings"],
    "methods": ["all_positive", "centre_disc", "loudness"],
    "metrics": ["miou", "spill"],
}
SETTINGS = {
    "v3_0shot": {"train": ["v3/seen_train"], "validate_on": ["v3/seen_val"], "test": ["v3/unseen"]},
    "recordings": {"model_of": "v3_0shot", "test": ["recordings/test"]},
}


class Mine:
    """A study with what a package of one's own registers: a folder on PYTHONPATH, as `pip install` would fill one."""

    def __init__(self, root, package):
        self.copy, self.package = copy_project(root), package
        for name, block in (("loudness", MODEL), ("recordings", DATASET), ("spill", METRIC)):
            (package / f"{name}.py").write_text(block)
        information = package / "mine-1.0.dist-info"
        information.mkdir()
        (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        groups = tomllib.loads(ENTRIES)["project"]["entry-points"]
        lines = [
            line
            for name, points in groups.items()
            for line in (f"[{name}]", *(f"{k} = {v}" for k, v in points.items()))
        ]
        (information / "entry_points.txt").write_text("\n".join(lines) + "\n")
        write_recordings(root / "data/downloads/recordings")
        write_experiments(root, {"mine": EXPERIMENT}, settings=SETTINGS, models=without_bases(root))
        (root / "studies/mine.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
        self.make()

    def make(self, *arguments):
        path = f"{self.copy.root}/src{os.pathsep}{self.package}"
        given = ("snakemake", "--cores", "2", "--configfile", "studies/mine.yaml", *arguments)
        return self.copy.good(*given, PYTHONPATH=path)

    def planned(self, file, old, new):
        """The jobs that a change in one of the package's files asks for."""
        path = self.package / file
        good = path.read_text()
        assert good.count(old) == 1
        path.write_text(good.replace(old, new))
        try:
            return planned_jobs(self.make("--dry-run"))
        finally:
            path.write_text(good)


def without_bases(root):
    """The study needs no model of the project's own."""
    return {"gavs": yaml.safe_load((root / "params.yaml").read_text())["models"]["gavs"]}


def write_recordings(folder):
    """Two clips of 40 x 30 pixels, each with a bright square on the left half that sounds."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("one", "two"):
        mask = np.zeros((30, 40), np.uint8)
        mask[5:25, 2:18] = 255
        Image.fromarray(np.stack([mask // 2 + 50] * 3, -1)).save(folder / f"{name}.jpg")
        Image.fromarray(mask).save(folder / f"{name}.png")
        soundfile.write(folder / f"{name}.wav", rng.normal(0, 0.1, 17600), 16000)
    (folder / "index.csv").write_text("clip,sound,video\none,bell,video1\ntwo,horn,video2\n")


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    return Mine(tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("package"))


@pytest.mark.slow
def test_what_another_package_registers_stands_in_table_and_report(mine):
    table = pd.read_csv(mine.copy.root / "results/mine/tables/mine.csv")
    here = table[(table["setting"] == "recordings") & (table["kind"] == "all")]
    means = here.set_index(["method", "metric"])["mean"]
    assert means["all_positive", "spill"] == 1
    y, x = ((np.arange(n) + 0.5) * 2 / n - 1 for n in (30, 40))
    disc, off = x[None] ** 2 + y[:, None] ** 2 <= 2 / np.pi, np.ones((30, 40), bool)
    off[5:25, 2:18] = False
    assert means["centre_disc", "spill"] == pytest.approx((disc & off).sum() / off.sum())
    assert {("loudness", "miou"), ("loudness", "spill")} <= set(means.index)
    assert set(table[table["metric"] == "spill"]["setting"]) == {"v3_0shot", "recordings"}
    page = (mine.copy.root / "results/report.html").read_text()
    assert all(words in page for words in ("Loudness alone", "Recordings, test", "spill"))
    assert "Nothing to be done" in mine.make("--dry-run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "stale", "kept"),
    [
        ("loudness.py", "audio.norm(dim=1", "audio.norm(p=1, dim=1", {"train", "score"}, {"pretrain", "floors"}),
        ("spill.py", "off.sum((1, 2))", "(off.sum((1, 2)) + 1)", {"score", "floors"}, {"train", "frame_table"}),
        ("recordings.py", 'kind=""', 'kind="seen"', {"frame_table"}, {"world_part", "pretrain"}),
        ("loudness.py", "Loudness alone", "How loud it is", {"table", "report"}, {"train", "score", "floors"}),
        ("spill.py", "off the object that", "elsewhere that", {"table", "report"}, {"train", "score", "floors"}),
    ],
)
def test_a_change_in_its_files_makes_stale_what_they_made(mine, file, old, new, stale, kept):
    jobs = mine.planned(file, old, new)
    assert stale <= set(jobs) and not kept & set(jobs)
    assert jobs.get("frame_table", 1) == 1, "the other datasets have readers of their own"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("reads=", "reads=", ()),
        ('title="Loudness alone"', 'title=f"Loud{1}"', ("loudness.py", "line", "plain value")),
        ('colour="#6f6f2f"', 'tint="#6f6f2f"', ("loudness.py", "tint", "extra inputs")),
        ('name="loudness"', 'name="gavs"', ("'gavs' is registered by", "loudness")),
        ("code=Loudness", "code=Loudest", ("loudness.py", "no class or function 'Loudest'")),
        ("REGISTERED =", "REGISTRED =", ("loudness.py", "registers nothing", "mine")),
    ],
)
def test_a_registration_that_cannot_be_read_is_refused(mine, old, new, words):
    path = mine.package / "loudness.py"
    good = path.read_text()
    path.write_text(good.replace(old, new))
    try:
        places = f"{mine.copy.root}/src{os.pathsep}{mine.package}"
        answer = mine.copy.run("soundprompt", "settings", "--study", "mine", PYTHONPATH=places)
    finally:
        path.write_text(good)
    assert answer.returncode == bool(words) and "Traceback" not in answer.stderr
    assert all(word in answer.stderr for word in words)
