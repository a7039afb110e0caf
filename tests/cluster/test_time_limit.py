"""A run that is longer than its job may be: Slurm ends the job, and the run goes on in the next, to the same bytes."""

from __future__ import annotations

import re
import shutil
import sys

import pytest
import yaml
from session import Session, clone
from slurm import run

from minute_study import NAME
from project_copy import Copy
from soundprompt.layout import Layout

pytestmark = pytest.mark.cluster

LAYOUT = Layout(NAME)
TRAINED, FOLDER = LAYOUT.trained("v3_0shot", "gavs", "0"), LAYOUT.run("v3_0shot", "gavs", 0)
STEPS = 1500  # some 45 s of an idle core; the first job gets a minute, of which a third is over before step 1


@pytest.fixture(scope="module")
def longer(slurm, tmp_path_factory):
    """A study whose features are there, and whose run takes longer than a minute; undisturbed, and through Slurm."""
    needs = {"train: ?asks(3000, 120)": "train: ?asks(1500, 1, gpus=1)"}
    remote = clone(tmp_path_factory.mktemp("longer"), needs, extra="--signal=TERM@20")
    overlay = remote.root / f"studies/{NAME}.yaml"
    settings = yaml.safe_load(overlay.read_text())
    settings["models"]["gavs"]["schedule"] |= {"steps": STEPS, "validate_every": 500}
    overlay.write_text(yaml.safe_dump(settings, sort_keys=False))
    made = [LAYOUT.visual_index, LAYOUT.audio_features, LAYOUT.foundation("sam"), LAYOUT.foundation("audio")]
    remote.snakemake(NAME, "--", *map(str, made))
    alone = Copy(tmp_path_factory.mktemp("alone") / "project")
    shutil.copytree(remote.root, alone.root, symlinks=True)
    train = ("-m", "soundprompt", "train", "--study", NAME, "--setting", "v3_0shot", "--model", "gavs", "--seeds", "0")
    alone.good(sys.executable, *train)
    log = Session(remote, tmp_path_factory.mktemp("logs") / "snakemake.log", str(TRAINED)).end()
    return alone, remote, log


def test_it_was_stopped_and_went_on_where_it_stopped(longer):
    _, remote, log = longer
    stopped = [int(step) for step in re.findall(r"stopped after step (\d+); started again", log)]
    assert stopped and stopped == sorted(set(stopped)) and stopped[-1] < STEPS
    (last,) = (remote.root / LAYOUT.logs / "train").rglob("*.log")
    assert f"going on after step {stopped[-1]}\n" in last.read_text()


def test_it_ends_with_the_same_bytes(longer):
    alone, remote, _ = longer
    for name in ("checkpoint.safetensors", "metrics.csv"):
        assert (remote.root / FOLDER / name).read_bytes() == (alone.root / FOLDER / name).read_bytes()


def test_each_job_asked_for_more_time_and_ended_itself_before_its_limit(longer):
    *_, log = longer
    numbers = re.findall(r"submitted with SLURM jobid (\d+)", log)
    jobs = run("sacct", "-X", "-n", "-P", "-j", ",".join(numbers), "-o", "State,Timelimit").splitlines()
    assert len(jobs) > 1
    assert jobs == [f"{'FAILED' if n < len(jobs) else 'COMPLETED'}|00:0{n}:00" for n in range(1, len(jobs) + 1)]
