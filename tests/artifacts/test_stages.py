"""dvc.yaml follows from the settings: who owns which runs, and on what each stage depends."""

import functools
import shutil
from pathlib import Path

import pytest
import yaml

from soundprompt import artifacts, params
from soundprompt.errors import InputError

STUDIES = sorted(path.stem for path in Path("studies").glob("*.yaml"))


@functools.cache
def stages(study="mini", **options):
    return yaml.safe_load(artifacts.Stages(study, **options).text())["stages"]


def keys_of(stage, study="mini"):
    """The keys of params.yaml that a stage depends on, and those of other files."""
    keys = stages(study)[stage]["params"]
    base = {key for key in keys if isinstance(key, str)}
    return base, {path: of for key in keys if isinstance(key, dict) for path, of in key.items()}


def outputs(stage):
    return [next(iter(out)) for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]


def test_the_committed_file_is_the_mini_study():
    artifacts.check_stages("mini")


@pytest.mark.parametrize("study", STUDIES)
def test_every_run_has_exactly_one_owner(study):
    made = stages(study)
    owned = [out for stage in made.values() for out in outputs(stage)]
    assert len(owned) == len(set(owned))
    runs = {
        f"runs/{each.study}/{setting}/{model}"
        for each in params.load(study).studies().values()
        for setting, model, _ in each.evaluations() + each.runs()
    }
    assert runs == {out for out in owned if out.startswith("runs/") and not out.endswith(("/floors", "/cost"))}


@pytest.mark.parametrize("study", STUDIES)
def test_an_experiment_needs_no_run_of_another_alone(study):
    made = stages(study)
    experiments = params.load(study).experiments
    for name in experiments:
        foreign = {out for other in experiments if other != name for out in outputs(made[other])}
        assert not foreign & set(made[name]["deps"])


def test_a_table_depends_on_its_models_and_on_what_they_are_made_from():
    base, files = keys_of("ablation_sap")
    assert {"models.gavs", "schedule", "settings.v3_0shot"} <= base
    assert not {"models.sam_fusion", "settings.v1s", "experiments", "resources"} & base
    assert files == {"experiments/ablation_sap.yaml": None}  # the whole of it, with its models


def test_a_table_depends_on_the_models_that_it_borrows_from_another_experiment():
    _, files = keys_of("study_domains")
    borrowed = [f"models.gavs-{part}" for part in ("no_cue", "no_noise", "no_triplet", "audio_only")]
    assert files == {"experiments/ablation_sap.yaml": borrowed, "experiments/study_domains.yaml": None}
    _, files = keys_of("ablation_cola", "paper")
    assert "experiments.ablation_cola" in files["studies/paper.yaml"]


def test_shared_runs_depend_on_what_experiments_ask_of_them_and_not_on_their_titles_and_plots():
    _, files = keys_of("runs_v3_0shot_gavs")
    assert files["experiments/table_v3.yaml"] == ["settings", "methods", "seeds"]
    assert not {"models.gavs-no_noise", "title", "dots"} & set(files["experiments/ablation_sap.yaml"])


def test_an_overlay_is_a_file_of_params_of_its_own():
    base, files = keys_of("foundation", "smoke")
    assert "world" in base and "world" in files["studies/smoke.yaml"]


def test_everything_made_by_snakemake_is_left_in_place():
    for stage in stages().values():
        for out in [*stage["outs"], *stage.get("metrics", []), *stage.get("plots", [])]:
            assert next(iter(out.values()))["persist"] is True


def test_large_things_can_be_left_out_of_the_cache():
    outs = {path: facts for out in stages(large=False)["foundation"]["outs"] for path, facts in out.items()}
    assert outs["features/mini"]["cache"] is False and "cache" not in outs["weights/mini"]


def test_a_changed_experiment_is_noticed(tmp_path, monkeypatch):
    text = artifacts.Stages("mini").text()
    shutil.copy("params.yaml", tmp_path)
    shutil.copytree("experiments", tmp_path / "experiments")
    monkeypatch.chdir(tmp_path)
    ablation = Path("experiments/ablation_sap.yaml")
    ablation.write_text(ablation.read_text().replace("  - gavs\n", "  - gavs\n  - sam_fusion\n"))
    Path("studies").mkdir()
    Path("studies/mini.yaml").write_text("study: mini\n")
    Path("dvc.yaml").write_text(text)
    with pytest.raises(InputError, match="soundprompt stages --study mini"):
        artifacts.check_stages("mini")
    artifacts.write_stages("mini")
    artifacts.check_stages("mini")


def test_metrics_nest_the_means(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text(
        "setting,selection,kind,method,metric,mean\n"
        "v1s,v1s/test,all,gavs,miou,0.5\nv1s,v1s/test,new level,gavs,miou,0.1\nv1s,v1s/test,all,gavs,f_score,\n"
    )
    artifacts.write_metrics(table, tmp_path / "m.json")
    assert yaml.safe_load((tmp_path / "m.json").read_text()) == {"gavs": {"v1s: v1s/test": {"miou": 0.5}}}
