"""How long a study takes by figures that are given: sums by hand, what stands for what, and what jobs may ask for."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import yaml

from project_copy import PROJECT
from soundprompt import cluster, params
from soundprompt.errors import InputError
from soundprompt.planning import figures, hours
from soundprompt.planning.figures import Figure, Figures

PAPER = params.load(PROJECT / "studies" / "paper.yaml", PROJECT / "params.yaml")
PROFILE = PROJECT / "workflow" / "profiles" / "slurm"


def figure(kind, model="gavs", size=1024, frames=1, value=1.0, waiting=0.0):
    return Figure("pretend", kind, model, size, frames, value, "s", waiting, "made up")


def rows_of(plan, rule, what):
    (found,) = [kind for kind in plan.kinds if (kind.rule, kind.what) == (rule, what)]
    return found


@pytest.fixture(scope="module")
def h200():
    """The paper's study by the project's figures of a card, where nothing is measured here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        return hours.plan(PAPER, figures.named("h200"))


# ------------------------------------------------------------------------------ figures
def test_a_step_grows_evenly_between_what_was_measured():
    known = Figures([figure("step", frames=10, value=1.0, waiting=0.9), figure("step", frames=1, value=0.1)])
    assert known.of("step", "gavs", 1024, 1) == figures.Estimate(0.1, 0.0)
    assert known.of("step", "gavs", 1024, 10).seconds == pytest.approx(1.0)
    between = known.of("step", "gavs", 1024, 4)  # a third of the way
    assert (between.seconds, between.waiting) == (pytest.approx(0.4), pytest.approx(0.3 / 0.4))
    assert known.of("step", "gavs", 1024, 19).seconds == pytest.approx(1.9)
    alone = Figures([figure("step", frames=10, value=1.0)])
    assert alone.of("step", "gavs", 1024, 5).seconds == pytest.approx(0.5)


def test_what_was_not_measured_is_taken_from_the_next_thing_and_said():
    known = Figures([figure("validation", value=0.4, waiting=0.5), figure("encode", "vit_b", value=1.0)])
    smaller = known.of("validation", "gavs", 512)  # what it waits for stays, its own work goes with the pixels
    assert smaller.seconds == pytest.approx(0.2 + 0.2 / 4) and smaller.taken_from == "1024 pixels"
    assert known.of("score", "sam_fusion", 1024) == figures.Estimate(0.4, 0.5, "gavs, validation")
    assert known.of("score", "gavs", 1024).taken_from == "validation"
    assert known.of("encode", "vit_h", 1024) is None and known.of("sound", "vggish", 0) is None


def test_what_is_written_is_read(tmp_path):
    rows = [figure("step", value=0.123456, waiting=0.5), figure("table", "", 0)]
    figures.write(tmp_path / "own.csv", rows)
    found = figures.read(tmp_path / "own.csv").rows
    assert [row.value for row in found] == [0.1235, 1.0] and found[1] == rows[1]
    text = (tmp_path / "own.csv").read_text().replace("0.1235", "fast")
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(InputError, match=r"own\.csv: line 2 holds no figure"):
        figures.read(tmp_path / "own.csv")


def test_figures_of_a_card_are_what_bench_gpu_wrote(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="--gpu: benchmarks/results has no figures"):
        figures.named("a100")
    figures.write(figures.RESULTS / "a100.csv", [figure("step")])
    assert figures.named("a100").rows == [figure("step")]
    with pytest.raises(InputError, match="'b200' is not one of a100"):
        figures.named("b200")


def test_every_figure_of_the_project_says_how_it_was_measured():
    written = sorted((PROJECT / figures.RESULTS).glob("*.csv"))
    rows = [row for path in written for row in figures.read(path).rows]
    assert rows and all("make bench-gpu" in row.source and row.card in {path.stem for path in written} for row in rows)


# --------------------------------------------------------------------------------- hours
def test_a_run_is_its_steps_and_its_validations():
    """V3: 4,807 clips, one a step of ten frames, sixty epochs; after each the 5,170 frames of seen_val."""
    found = hours.plan(PAPER, Figures([figure("step", value=0.5, waiting=0.5), figure("validation", value=0.01)]))
    runs = rows_of(found, "train", "v3/seen_train, gavs")
    steps, validated = 60 * 4807, 60 * 5170
    assert runs.hours == pytest.approx([(steps * 0.5 * 10 + validated * 0.01) / 3600] * len(runs.hours))
    assert runs.waiting == pytest.approx(len(runs.hours) * steps * 0.25 * 10 / 3600)
    models = [PAPER.models[name] for setting, name, _ in PAPER.runs() if setting == "v3_0shot"]
    assert runs.runs == sum(model.architecture == "gavs" and model.visual.tune_from == 9 for model in models)


def test_v1s_learns_from_a_frame_a_clip_and_a_temporal_model_sees_them_all():
    gavs, tpavi = (PAPER.on("v1s", name) for name in ("gavs", "avsbench_tpavi"))
    assert hours.shown(gavs, 5, 1) == 1
    assert hours.shown(tpavi, 5, 1) == 4 * 5  # four clips a step, with their frames without a mask
    assert hours.shown(PAPER.on("v2", "gavs"), 10, 10) == 10


def test_every_job_of_the_workflow_that_has_a_figure_is_in_it(h200):
    jobs = {rule: sum(len(kind.hours) for kind in h200.kinds if kind.rule == rule) for rule in ("train", "score")}
    studies = PAPER.studies().values()
    assert jobs == {
        "train": sum(len(study.runs()) for study in studies),
        "score": sum(len(study.evaluations()) for study in studies),
    }
    assert sum(len(kind.hours) for kind in h200.kinds if kind.rule == "visual_features") == 4 * 256


def test_seeds_of_a_pack_are_one_job():
    packed = PAPER.model_copy(update={"seeds_per_job": 3})
    found = hours.plan(packed, Figures([figure("step"), figure("validation")]))
    alone = hours.plan(PAPER, Figures([figure("step"), figure("validation")]))
    assert found.longest("train") == pytest.approx(3 * alone.longest("train"))
    assert found.hours == pytest.approx(alone.hours)


def test_the_papers_table_stands_in_the_docs(h200):
    text = (PROJECT / "docs" / "reproducing.md").read_text()
    assert hours.table(h200) in text, "run: soundprompt cost --plan --gpu h200 --study paper"


# ------------------------------------------------------------------------- what jobs ask for
def asked():
    """Rule -> (minutes, GPUs) that the paper's jobs ask for at first."""
    block = (PROFILE / "config.v9+.yaml").read_text().split("?else:")[0]
    found = re.findall(r"^    (\w+): \?asks\(\d+, (\d+)(?:, gpus=(\d))?\)", block, re.M)
    return {rule: (int(minutes), int(gpus or 0)) for rule, minutes, gpus in found}


def test_the_papers_jobs_fit_what_they_ask_for(h200):
    """Those that go on where they stopped in all their attempts together, the others in the first."""
    retries = int(re.search(r"^retries: (\d+)", (PROFILE / "config.v9+.yaml").read_text(), re.M)[1])
    site = cluster.load(PROFILE / "cluster.yaml")
    for rule in {kind.rule for kind in h200.kinds}:
        minutes, gpus = asked()[rule]
        most = max((site.gpu if gpus else site.cpu).max_runtime, minutes)
        attempts = [min(minutes * attempt, most) for attempt in range(1, retries + 2)]
        limit = sum(attempts) if rule in ("train", "pretrain") else attempts[0]
        assert 60 * h200.longest(rule) < limit / 2, rule  # a card may be half as fast


# ------------------------------------------------------------------------------ by the verb
def soundprompt(folder, *arguments):
    return subprocess.run([sys.executable, "-m", "soundprompt", *arguments], cwd=folder, capture_output=True, text=True)


def test_the_verb_prints_a_plan_and_refuses_a_card_that_nobody_measured():
    answer = soundprompt(PROJECT, "cost", "--plan", "--gpu", "h200", "--study", "paper")
    assert answer.returncode == 0 and answer.stdout.startswith("Study paper on h200; clips counted from published")
    answer = soundprompt(PROJECT, "cost", "--plan", "--gpu", "pocket calculator")
    assert answer.returncode == 1 and "'pocket calculator' is not one of " in answer.stderr
    assert "make bench-gpu" in answer.stderr and "Traceback" not in answer.stderr


@pytest.mark.slow
def test_without_a_gpu_named_it_measures_here(tmp_path):
    """A study of one model; nothing of it is made, and every kind of its work has a time."""
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump(
            {
                "study": "own",
                "settings": {"sources_count": None},
                "experiments": {
                    **dict.fromkeys(params.load(PROJECT / "studies/smoke.yaml", PROJECT / "params.yaml").experiments),
                    "table_v3": {"settings": ["v3_0shot"], "methods": ["gavs"]},
                },
            }
        )
    )
    study = params.read([PROJECT / "studies/smoke.yaml", tmp_path / "own.yaml"], PROJECT / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        written = params.write(study)
    answer = soundprompt(tmp_path, "cost", "--plan", "--study", "own", "--settings", str(written))
    assert answer.returncode == 0, answer.stderr
    rules = re.findall(r"^\| (\w+) \| .* \| \d+ \| \d* \| ([\d.e-]+) \| ", answer.stdout, re.M)
    assert {rule for rule, _ in rules} == {
        "pretrain",
        "visual_features",
        "audio_features",
        "frame_table",
        "train",
        "score",
    }
    assert all(float(longest) > 0 for _, longest in rules)
    assert "Not in it" not in answer.stdout and "not measured" in answer.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs", "own.yaml"]
