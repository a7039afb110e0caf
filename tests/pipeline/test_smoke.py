"""The whole pipeline at smoke scale: it learns, it does nothing twice, it reruns what a change touches."""

import json

import pandas as pd
import pytest

from project_copy import planned_jobs
from soundprompt.evaluation import summary

pytestmark = pytest.mark.pipeline


def test_it_says_what_it_does_and_where_the_report_is(smoke):
    assert "train gavs on v1s" in smoke.answer.stderr
    assert "left" in smoke.answer.stderr
    assert "results/smoke/report.html" in smoke.answer.stdout
    page = smoke.root / "results" / "smoke" / "report.html"
    assert page.stat().st_size > 100_000
    latest = smoke.root / "results" / "report.html"
    assert latest.read_bytes() == page.read_bytes() and not latest.is_symlink()


def test_every_experiment_has_a_table_and_plots(smoke):
    for name in ("table_benchmarks", "table_v3", "table_vggss", "ablation_sap"):
        table = pd.read_csv(smoke.root / "results" / "smoke" / "tables" / f"{name}.csv")
        assert len(table) and table["mean"].notna().any()
        assert list((smoke.root / "results" / "smoke" / "plots" / name).glob("*.svg"))


def test_it_learns_something(smoke):
    """Hearing must pay even at smoke scale: GAVS is above the mask of all objects."""
    table = pd.read_csv(smoke.root / "results" / "smoke" / "tables" / "table_benchmarks.csv")
    scores = table[(table.setting == "v1s") & (table.metric == "miou")].set_index("method")["mean"]
    assert scores["gavs"] > scores["all_objects"]


def test_its_masks_judged_give_its_scores_again(smoke):
    """To the digit: `masks` writes what scoring measured, `judge` measures it by the same formulas."""
    same = {
        "v1m": {
            **{"miou": "miou_clips1", "miou_04": "miou_gavs", "f_score": "f_clips1"},
            **{"hit_rate": "hit", "wrong_rate": "wrong", "iou_in_hits": "iou_in_hits"},
        },
        "vggss": {
            "ciou": "ciou_vggss",
            "auc": "auc_vggss",
            "ciou_fixed": "ciou_vggss_half",
            "auc_fixed": "auc_vggss_half",
        },
    }
    for dataset, setting, trained_on in (("v1m", "v1m", "v1m"), ("vggss", "vggss", "v2")):
        run = f"runs/smoke/{trained_on}/gavs/seed0"
        smoke.good("soundprompt", "masks", "--model", run, "--dataset", dataset, "--out", f"ours/{dataset}")
        smoke.good("soundprompt", "judge", f"ours/{dataset}", "--dataset", f"mini/{dataset}", "--root", "data/smoke")
        rows = json.loads((smoke.root / "ours" / dataset / "judgement.json").read_text())["figures"]
        judged = {row["name"]: row["value"] for row in rows if row["part"] == "all"}
        scores = pd.read_parquet(smoke.root / "runs" / "smoke" / setting / "gavs" / "seed0" / "scores.parquet")
        scores = scores[(scores["selection"] == f"{dataset}/test") & (scores["method"] == "gavs")]
        values = summary.dataset_values(scores, list(same[dataset])).set_index("metric")["value"]
        for metric, name in same[dataset].items():
            assert judged[name] == pytest.approx(values[metric], abs=1e-12), metric


def test_a_second_call_does_nothing(smoke):
    answer = smoke.make("report", "STUDY=smoke")
    assert answer.returncode == 0 and "nothing to do" in answer.stderr


def test_the_scheduler_looks_for_jobs_only_when_one_has_ended(smoke):
    """Snakemake's limit of jobs a second would have it look once a second for each of them (see onstart)."""
    floors = [f"runs/smoke/{setting}/floors/scores.parquet" for setting in ("v1s", "v1m")]
    text = smoke.snakemake("smoke", "--cores", "1", "--verbose", "--forcerun", "floors", "--", *floors)
    assert text.count("Selected jobs: 1") == 2 and "Selected jobs: 0" not in text


def test_a_changed_parameter_reruns_only_what_depends_on_it(smoke):
    (smoke.root / "change.yaml").write_text("models: {sam_fusion: {schedule: {steps: 3}}}\n")
    text = smoke.snakemake("smoke", "change.yaml", "--dry-run", "--", "all")
    counts = planned_jobs(text)
    assert counts["train"] > 0
    assert not {"pretrain", "world_part", "visual_features", "audio_features", "frame_table", "floors"} & set(counts)
    assert "train gavs on" not in text and "train sam_fusion on v1s" in text


def test_a_comment_in_the_settings_reruns_nothing(smoke):
    path = smoke.root / "params.yaml"
    path.write_text(path.read_text() + "\n# a comment\n")
    assert "Nothing to be done" in smoke.snakemake("smoke", "--dry-run", "--", "all")


def test_a_wrong_parameter_stops_before_anything_runs(smoke):
    answer = smoke.run("snakemake", "--cores", "2", "--config", "sedes=3", "--", "all_tables")
    assert answer.returncode != 0
    assert "sedes" in answer.stderr and "unknown key" in answer.stderr
