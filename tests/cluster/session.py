"""A clone that works through the cluster of the tests, and a command that goes on while a test disturbs it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import yaml
from slurm import run, wait

import minute_study

SITE = {
    "account": "lab",
    "cpu": {"partition": "cpu", "max_mem_mb": 4000},
    "gpu": {"partition": "gpu", "type": "pretend", "max_mem_mb": 4000, "visible": False},
}
# Polls often and waits little for files: the node is this machine.
CALL = ("snakemake", "--profile", "slurm", "--slurm-init-seconds-before-status-checks", "2", "--latency-wait", "5")


class Session:
    """A `snakemake --profile slurm` that goes on while the test disturbs it."""

    def __init__(self, copy, log, *arguments):
        self.copy, self.log = copy, log
        environment = {**copy.environment, "STUDY": minute_study.NAME}
        with open(log, "w") as stream:
            self.process = subprocess.Popen(
                [*CALL, *arguments], cwd=copy.root, env=environment, stdout=stream, stderr=stream
            )

    def job(self, verb, seconds=900):
        """Slurm's number of a job, once a process of the verb runs in it."""

        def running():
            assert self.process.poll() is None, self.log.read_text()[-4000:]
            return processes(self.copy.root, verb)

        wait(running, f"a job of {verb}", seconds)
        return next(iter(processes(self.copy.root, verb).values()))

    def end(self, seconds=1800):
        status = self.process.wait(seconds)
        assert status == 0, self.log.read_text()[-6000:]
        return self.log.read_text()


def state(number):
    return run("sacct", "-X", "-n", "-P", "-j", number, "-o", "state").strip().partition(" ")[0]


def processes(root, verb):
    """Processes of a verb that run in the copy -> the number of their job."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode().split("\0")
            if words[1:4] == ["-m", "soundprompt", verb] and os.readlink(place / "cwd") == str(root):
                found[int(place.name)] = re.search(rb"SLURM_JOB_ID=(\d+)", (place / "environ").read_bytes())[1].decode()
        except OSError:
            continue  # it has ended meanwhile
    return found


def clone(folder: Path, needs: dict[str, str], **facts) -> minute_study.Minute:
    """A clone with the facts of the test cluster.

    needs: what the profile asks for where it is not the paper's study -> what the test's node can give.
    """
    copy = minute_study.make(folder)
    profile = copy.root / "workflow/profiles/slurm"
    (profile / "cluster.yaml").write_text(yaml.safe_dump({**SITE, **facts}))
    text = (profile / "config.v9+.yaml").read_text()
    for written, wanted in needs.items():
        assert written in text
        text = text.replace(written, wanted)
    (profile / "config.v9+.yaml").write_text(text)
    return copy
