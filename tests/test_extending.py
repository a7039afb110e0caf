"""The examples of docs/extending.md do what they say, as they stand."""

import re

import pytest
import yaml

from project_copy import PROJECT, copy_project, planned_jobs

pytestmark = pytest.mark.pipeline
TEXT = (PROJECT / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"```(yaml|python)\n(.*?)```", TEXT, re.DOTALL)
ABLATION, MODEL_SETTINGS = (block for kind, block in BLOCKS if kind == "yaml")
MODEL, ENTRY = (block for kind, block in BLOCKS if kind == "python")
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
    assert text.count("experiments: [\n") == 1
    path.write_text(text.replace("experiments: [\n", f"experiments: [\n  {experiment},\n"))


def plan(copy, *targets):
    return copy.good("snakemake", "--cores", "2", "-n", *targets)


def test_an_ablation_is_a_change_of_settings_alone(copy):
    (copy.root / "experiments/ablation_narrow.yaml").write_text(ABLATION)
    list_first(copy, "ablation_narrow")
    text = plan(copy, "ablation_narrow")
    for model in ("gavs-cola_dim8", "gavs-cola_dim16", "gavs"):
        assert f"train {model} on v3_0shot" in text
    counts = planned_jobs(text)
    assert counts["train"] == counts["score"] == counts["examine"] == 3, "not the main comparison's further seeds"
    assert counts["table"] == 1


def test_a_model_is_one_file_and_one_entry(copy):
    (copy.root / "src/soundprompt/models/loudness.py").write_text(MODEL)
    params = copy.root / "src/soundprompt/params/models.py"
    text = params.read_text()
    assert text.count("ARCHITECTURES = {\n") == 1
    params.write_text(text.replace("ARCHITECTURES = {\n", f"ARCHITECTURES = {{\n{ENTRY}"))
    (copy.root / "own.yaml").write_text(f"study: mini\n{MODEL_SETTINGS}")
    assert "train loudness on v1s" in plan(copy, "--configfile", "own.yaml", "--", "table_benchmarks")
    answer = copy.good("python", "-c", TRAIN).splitlines()[-1]
    assert answer == "['prompt.bias', 'prompt.weight'] True"


def test_the_blocks_are_whole():
    assert yaml.safe_load(ABLATION)["models"] and yaml.safe_load(MODEL_SETTINGS)["models"]
    compile(MODEL, "loudness.py", "exec")
