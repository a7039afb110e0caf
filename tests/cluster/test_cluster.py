"""The minute study through a real Slurm, with a fault at every turn: the same tables to the byte."""

import os
import re
import signal

import pytest
from session import CALL, Session, clone, processes, state
from slurm import run, wait

pytestmark = pytest.mark.cluster

NEEDS = {
    "train: ?asks(3000, 120)": "train: ?asks(1500, 10, gpus=1)",
    "score: ?asks(3000, 30)": "score: ?asks(1500, 5, gpus=1)",
    "pretrain: ?asks(3000, 60)": "pretrain: ?asks(1500, 10)",
}


@pytest.fixture(scope="module")
def remote(slurm, tmp_path_factory):
    return clone(tmp_path_factory.mktemp("remote"), NEEDS)


@pytest.fixture(scope="module")
def disturbed(slurm, remote, tmp_path_factory):
    """One run with every fault. Returns what happened: name -> number of the job that it befell."""
    logs, befell = tmp_path_factory.mktemp("logs"), {}

    first = Session(remote, logs / "first.log", "all_tables")
    befell["cancelled"] = first.job("pretrain")
    run("scancel", befell["cancelled"])
    first.job("features")
    slurm.stop("slurmctld")  # the job goes on without it
    slurm.start_controller()
    befell["snakemake killed"] = first.job("train")
    first.process.send_signal(signal.SIGKILL)
    first.process.wait()

    second = Session(remote, logs / "second.log", "all_tables")  # the same again: it ends what was left, and goes on
    wait(lambda: state(befell["snakemake killed"]) == "CANCELLED", "the orphaned jobs to end", 600)
    befell["process killed"] = second.job("train")
    for process, number in processes(remote.root, "train").items():
        if number == befell["process killed"]:
            os.kill(process, signal.SIGKILL)
    befell["preempted"] = second.job("score")
    hurry = ("sbatch", "--parsable", "--account=lab", "--partition=urgent", "--gres=gpu:2", "--wrap", "sleep 1")
    befell["the urgent job"] = run(*hurry, "--output=/dev/null").strip()
    befell["log"] = second.end()
    return befell


def test_tables_are_those_of_a_local_run_to_the_byte(disturbed, remote, minute_tables):
    assert remote.tables() == minute_tables


def test_each_fault_struck(disturbed):
    assert state(disturbed["cancelled"]) == "CANCELLED"
    assert state(disturbed["snakemake killed"]) == "CANCELLED"
    assert state(disturbed["process killed"]) == "FAILED"
    assert state(disturbed["preempted"]) == "FAILED"  # it ended itself when asked to, in the time of grace
    assert state(disturbed["the urgent job"]) == "COMPLETED"


def test_what_a_killed_command_left_in_slurm_is_cancelled_and_named(disturbed):
    (left,) = re.findall(r"cancelling what a killed command left in Slurm: jobs (.+)", disturbed["log"])
    assert disturbed["snakemake killed"] in left.split()


def test_an_error_names_its_log_and_shows_it(disturbed):
    assert re.search(r"log: logs/minute[.\w]*/train/\S+\.log", disturbed["log"])  # whichever study had one running
    assert "rule_train" in disturbed["log"] and "failed, SLURM status is: 'FAILED'" in disturbed["log"]


def test_jobs_ask_for_what_the_study_says_and_small_ones_travel_together(disturbed):
    rows = run("sacct", "-X", "-n", "-P", "-S", "now-1hours", "-o", "ReqTRES,Timelimit,Partition").splitlines()
    trained = [row for row in rows if "gres/gpu=1" in row and "mem=1500M" in row]
    assert trained and all(row.endswith("|gpu") for row in trained)
    assert any("mem=3000M" in row and row.endswith("|00:20:00|gpu") for row in rows)  # a second attempt asks for more
    sent = re.findall(r"submitted with SLURM jobid \d+ \(log: \S+/slurm_logs/(\w+)", disturbed["log"])
    assert sum("score" in name for name in sent) <= 2 and sum("table" in name for name in sent) == 1


def test_a_second_call_does_nothing(disturbed, remote):
    answer = remote.good(*CALL, "--configfile", "studies/minute.yaml", "--", "all_tables")
    assert "Nothing to be done" in answer
