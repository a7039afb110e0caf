"""dvc.yaml follows from the settings: who owns which runs, and on what each stage depends."""

import functools
from pathlib import Path

import pytest
import yaml

from soundprompt import artifacts, params
from soundprompt.errors import InputError

STUDIES = sorted(path.stem for path in Path("studies").glob("*.yaml"))


@functools.cache
def stages(study="mini", **options):
    return yaml.safe_load(artifacts.Stages(study, **options).text())["stages"]


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
    keys = stages()["ablation_sap"]["params"]
    assert {"models.gavs", "models.gavs-no_noise", "settings.v3_0shot", "experiments.ablation_sap"} <= set(keys)
    assert not {"models.sam_fusion", "settings.v1s", "experiments.table_v3", "resources"} & set(keys)


def test_an_overlay_is_a_file_of_params_of_its_own():
    keys = stages("smoke")["foundation"]["params"]
    assert "world" in keys and "world" in keys[-1]["studies/smoke.yaml"]


def test_everything_made_by_snakemake_is_left_in_place():
    for stage in stages().values():
        for out in [*stage["outs"], *stage.get("metrics", []), *stage.get("plots", [])]:
            assert next(iter(out.values()))["persist"] is True


def test_large_things_can_be_left_out_of_the_cache():
    outs = {path: facts for out in stages(large=False)["foundation"]["outs"] for path, facts in out.items()}
    assert outs["features/mini"]["cache"] is False and "cache" not in outs["weights/mini"]


def test_a_changed_experiment_is_noticed(tmp_path, monkeypatch):
    settings = params.read_yaml("params.yaml")
    text = artifacts.Stages("mini").text()
    monkeypatch.chdir(tmp_path)
    settings["experiments"]["ablation_sap"]["methods"].append("sam_fusion")
    Path("params.yaml").write_text(yaml.safe_dump(settings))
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
