"""A real DVC over the study of a minute: it runs what changed, and what it stores comes back to the byte."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

import minute_study
import project_copy

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

ABLATION = "experiments/ablation_sap.yaml"


def ran(answer):
    """Stages that ran."""
    return re.findall(r"Running stage '(\w+)'", answer)


def jobs(answer):
    """Snakemake's rules and how often they ran."""
    return dict(re.findall(r"^(train|score|table|pretrain|world_part|visual_features) +(\d+)$", answer, re.MULTILINE))


def test_every_stage_runs_once_and_the_second_time_none(made):
    assert ran(made.log) == ["foundation", "table_v3", "ablation_sap", "foundations", "report"]
    assert ran(made.good("dvc", "repro", "ablation_sap")) == []


def test_a_changed_noise_reruns_what_depends_on_it_and_can_be_compared(made):
    change = f"{ABLATION}:models.gavs-no_noise.sap.noise=gaussian_replace"
    answer = made.good("dvc", "exp", "run", "-S", change, "ablation_sap")
    assert ran(answer) == ["ablation_sap"] and jobs(answer) == {"train": "1", "score": "1", "table": "1"}
    difference = json.loads(made.good("dvc", "params", "diff", "--json"))
    change = difference[ABLATION]["models.gavs-no_noise.sap.noise"]
    assert change == {"old": "off", "new": "gaussian_replace"}
    changed = json.loads(made.good("dvc", "metrics", "diff", "--json"))
    changed = changed.get("diff", changed)
    assert {name.split(".")[0] for name in changed["results/minute/metrics/ablation_sap.json"]} == {"gavs-no_noise"}
    made.good("dvc", "plots", "show")
    assert "gavs/seed0/metrics.csv" in (made.root / "dvc_plots" / "index.html").read_text()
    assert list((made.root / "dvc_plots" / "static").glob("*ablation_sap*.svg"))
    made.good("git", "checkout", "--quiet", ABLATION)
    assert ran(made.good("dvc", "repro")) == ["ablation_sap", "report"]  # which owns the runs; the page is as before
    assert made.tables() == made.first_tables
    minute_study.commit(made, "as before")


def test_after_a_failure_both_tools_go_on(made):
    table = made.root / "src/soundprompt/report/tables.py"
    good = table.read_text()
    table.write_text(good + "\nraise SystemExit('broken on purpose')\n")
    answer = made.run("dvc", "repro", "ablation_sap")
    assert answer.returncode != 0 and "logs/minute/table/ablation_sap.log" in answer.stderr + answer.stdout
    table.write_text(good)
    made.good("dvc", "repro")
    assert made.tables() == made.first_tables
    minute_study.commit(made, "mended")


def test_a_dry_run_needs_nothing_that_is_made(made, tmp_path):
    clone = cloned(made, tmp_path)
    assert ran(clone.good("dvc", "repro", "--dry", "ablation_sap")) == ["ablation_sap"]
    assert ran(clone.good("dvc", "repro", "--dry")) == [
        "foundation",
        "table_v3",
        "ablation_sap",
        "foundations",
        "report",
    ]


def test_one_table_needs_no_runs_of_another(made, tmp_path):
    """A fresh clone makes what the table needs, and nothing else."""
    clone = cloned(made, tmp_path)
    answer = clone.good("dvc", "repro", "ablation_sap")
    assert jobs(answer)["train"] == "2" and {p.name for p in (clone.root / "runs/minute").iterdir()} == {"v3_0shot"}
    table = "results/minute/tables/ablation_sap.csv"
    assert (clone.root / table).read_bytes() == made.first_tables[table]
    shutil.rmtree(clone.root)


def cloned(made, folder):
    """A clone that borrows the environment."""
    clone = project_copy.Copy(folder / "clone")
    made.good("git", "clone", "--quiet", str(made.root), str(clone.root))
    (clone.root / ".venv").symlink_to(project_copy.PROJECT / ".venv")
    return clone


@pytest.fixture(scope="module")
def bucket():
    """An S3 server on this machine; yields its address and a bucket's name."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port))
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    for _ in range(300):
        try:
            urllib.request.urlopen(urllib.request.Request(f"{address}/artifacts", method="PUT"), timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    yield address, "artifacts"
    server.terminate()
    server.wait()


KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "nothing", "AWS_DEFAULT_REGION": "us-east-1"}


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_an_empty_clone_gets_everything_back_and_nothing_is_left_to_do(made, kind, tmp_path, bucket):
    address, name = bucket
    clone = cloned(made, tmp_path)
    for copy, verb in ((made, "push"), (clone, "restore")):
        place = str(tmp_path / "store") if kind == "folder" else f"s3://{name}/study"
        copy.good("dvc", "remote", "add", "--local", "--force", "--default", "store", place)
        if kind == "s3":
            copy.good("dvc", "remote", "modify", "--local", "store", "endpointurl", address)
        # -o: the clone borrows an environment that is there
        restore = ("make", "-o", ".venv/.ready", "restore", f"STUDY={minute_study.NAME}")
        copy.good(*(("dvc", "push") if verb == "push" else restore), **KEYS)
    for folder in ("features", "runs", "weights", "results/minute/tables", "results/report.html"):
        assert content(clone.root / folder) == content(made.root / folder)
    call = ("snakemake", "--profile", "workflow/profiles/local", "--configfile", "studies/minute.yaml")
    assert "Nothing to be done" in clone.good(*call, "--", "all", "all_tables")
    assert ran(clone.good("dvc", "repro")) == []
    shutil.rmtree(clone.root)


def content(place):
    """Relative path -> bytes, without Snakemake's marks and the states of runs that are not finished."""
    found = [place] if place.is_file() else [p for p in place.rglob("*") if p.is_file() and "snakemake" not in p.name]
    return {os.path.relpath(p, place): p.read_bytes() for p in found}
