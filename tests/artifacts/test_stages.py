"""dvc.yaml is written by hand: it has a stage for each experiment of the default study, and misses no setting."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from soundprompt import params, registry
from soundprompt.report import tables

CONTENT = yaml.safe_load(Path("dvc.yaml").read_text())
STAGES, STUDY = CONTENT["stages"], params.load()
OTHERS = ("foundation", "report")
# Settings that no result depends on, and those that say which results there are: of one experiment, its file.
ASIDE = {"study", "seeds_per_job", "resources", "experiments"}


def outputs(stage):
    """{path: facts} of what a stage keeps, without the records of digests beside it."""
    kept = {
        path: facts
        for kind in ("outs", "metrics", "plots")
        for out in stage.get(kind, ())
        for path, facts in out.items()
    }
    return {path: facts for path, facts in kept.items() if not path.endswith(".sha256")}


def files(stage):
    """{file: keys, None for all of it} that a stage depends on."""
    found = {}
    for entry in stage["params"]:
        found |= entry if isinstance(entry, dict) else {"params.yaml": [*found.get("params.yaml", []), entry]}
    return found


def test_every_experiment_has_a_stage_that_keeps_its_results():
    assert [*OTHERS[:1], *STUDY.experiments, *OTHERS[1:]] == list(STAGES)
    layout = STUDY.layout
    for name in STUDY.experiments:
        made = {layout.result_table(name), layout.result_metrics(name), layout.result_plots(name)}
        assert set(outputs(STAGES[name])) == {str(path) for path in made}
    kept = outputs(STAGES["foundation"]) | outputs(STAGES["report"])
    folders = {layout.data, layout.foundation("sam").parent, layout.features, layout.runs}
    assert {str(path) for path in (*folders, layout.report, layout.claims, layout.data_ledger)} == set(kept)


def test_each_artifact_belongs_to_one_stage_and_snakemake_finds_it_in_place():
    owned = [path for stage in STAGES.values() for path in outputs(stage)]
    assert len(owned) == len(set(owned))
    assert all(facts == {"persist": True} for stage in STAGES.values() for facts in outputs(stage).values())


@pytest.mark.parametrize("name", STUDY.experiments)
def test_a_stage_depends_on_every_setting_that_its_jobs_read(name):
    found = files(STAGES[name])
    written = yaml.safe_load(Path("params.yaml").read_text())
    assert set(found["params.yaml"]) == set(written) - ASIDE
    here = {"params.yaml", *found} - {"params.yaml"}
    defined = set(written["models"]).union(*(yaml.safe_load(Path(path).read_text()).get("models", ()) for path in here))
    assert here == {f"experiments/{name}.yaml"}
    assert {params.model_of(method) for method in STUDY.experiments[name].methods} <= defined | set(registry.floors())


def test_the_report_depends_on_all_settings():
    files_of_all = {"params.yaml", *(f"experiments/{name}.yaml" for name in STUDY.experiments)}
    assert files(STAGES["report"]) == dict.fromkeys(files_of_all)


def test_learning_curves_are_of_runs_that_there_are():
    runs = {str(STUDY.layout.run(*run) / "metrics.csv") for run in STUDY.runs()}
    assert {path for plot in CONTENT["plots"] for facts in plot.values() for path in facts["y"]} <= runs


def test_metrics_nest_the_means(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(
        "setting,selection,kind,method,metric,mean\n"
        "v1s,v1s/test,all,gavs,miou,0.5\nv1s,v1s/test,new level,gavs,miou,0.1\nv1s,v1s/test,all,gavs,f_score,\n"
    )
    assert tables.means(pd.read_csv(path)) == {"gavs": {"v1s: v1s/test": {"miou": 0.5}}}
