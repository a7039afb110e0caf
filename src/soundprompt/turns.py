"""One command at a time works on a study in a project's folder, however the last one ended.

Two studies share nothing that one of them could spoil, and may be made at once.

Snakemake's own lock is a file: it outlives an owner that was killed, and of two owners the first to end takes the
other's away. Here the kernel holds the lock. It lets go when its owner ends, by itself, by SIGKILL or by a power cut,
and only then: a living owner is named. Jobs that outlive a killed Snakemake end by themselves, and the next one waits
until they have.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import TextIO

import psutil

from soundprompt.errors import InputError

PLACE = Path(".snakemake/soundprompt")
MANAGER = "SOUNDPROMPT_MANAGER"  # the environment variable that tells a job its manager: process and study
OF_SNAKEMAKE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")  # how it names its jobs in Slurm
_held: list[TextIO] = []  # open as long as the process lives, and with them the locks


def announce(study: str) -> None:
    """Tells the jobs that this process starts for a study that they belong to it."""
    os.environ[MANAGER] = f"{os.getpid()} {study}"


def take(study: str, artifacts: Collection[str] = ()) -> None:
    """Makes this process the owner of a study in this folder until it ends. Raises InputError that names another one.

    artifacts: the names under which the study's artifacts lie, its own and its substudies'. What a killed owner left at
    work on them is over when this returns: its jobs here have ended, those in Slurm are cancelled.
    """
    owner = _open(study, "owner")
    if not _locked(owner, fcntl.LOCK_EX):
        raise InputError(
            f"{_who(owner)} is at work on study {study} in this folder",
            path=Path.cwd(),
            remedy="wait until it has ended, or end it; what it has made so far is kept",
        )
    owner.truncate(0)
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    owner.write(json.dumps(facts | {"command": shlex.join(psutil.Process().cmdline())}))
    owner.flush()
    _held.append(owner)
    with _open(study, "jobs") as jobs:
        if not _locked(jobs, fcntl.LOCK_EX):
            print("waiting for the jobs of a command that was killed", file=sys.stderr, flush=True)
            fcntl.flock(jobs, fcntl.LOCK_EX)
    _cancel_in_slurm({study, *artifacts})


def join() -> None:
    """For a job: from now on its study is in use by it, and it is asked to end when its manager has gone."""
    number, _, study = os.environ.get(MANAGER, "").partition(" ")
    if not (number.isdecimal() and _lives(int(number))):  # by hand, or in a container that sees no other processes
        return
    jobs = _open(study, "jobs")
    if _locked(jobs, fcntl.LOCK_SH):
        _held.append(jobs)
    threading.Thread(target=_end_after, args=(int(number),), daemon=True).start()


def _end_after(manager: int) -> None:
    while _lives(manager):
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


# ------------------------------------------------------------------------------------------ locks
def _open(study: str, name: str) -> TextIO:
    PLACE.mkdir(parents=True, exist_ok=True)
    return open(PLACE / f"{study}.{name}", "a+")


def _locked(stream: TextIO, how: int) -> bool:
    """Whether the lock could be had at once; a file system that knows no locks refuses nobody."""
    try:
        fcntl.flock(stream, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        why = f"this file system has no locks ({error.strerror}): see to it that only one command runs in this folder"
        print(why, file=sys.stderr, flush=True)
    return True


def _who(owner: TextIO) -> str:
    owner.seek(0)
    try:
        facts = json.loads(owner.read())
        return "`{command}` (process {pid} on {host}, since {since})".format(**facts)
    except (ValueError, KeyError):  # it has not written yet
        return "another command"


# ------------------------------------------------------------------------------------------ Slurm
def _cancel_in_slurm(artifacts: set[str]) -> None:
    """Jobs that a killed Snakemake left in Slurm would work on the runs that this one sends again."""
    if not (left := _in_slurm(artifacts)):
        return
    print(f"cancelling what a killed command left in Slurm: jobs {' '.join(left)}", file=sys.stderr, flush=True)
    subprocess.run(["scancel", *left], check=False)
    while left := _in_slurm(artifacts):
        time.sleep(2)


def _in_slurm(artifacts: set[str]) -> list[str]:
    """Numbers of the user's jobs that a Snakemake sent from this folder for artifacts of these names."""
    if not shutil.which("squeue"):
        return []
    rows = [line.strip().split("|", 2) for line in _answer("squeue", "--me", "--noheader", "--format=%i|%j|%Z")]
    here = os.path.realpath(Path.cwd())
    found = [row for row in rows if len(row) == 3 and OF_SNAKEMAKE.search(row[1]) and os.path.realpath(row[2]) == here]
    return [number for number, *_ in found if artifacts & _artifacts_of(number)]


def _artifacts_of(number: str) -> set[str]:
    """The names of whose artifacts a job makes: Snakemake writes rules and wildcards into the job's script."""
    script = "\n".join(_answer("scontrol", "write", "batch_script", number, "-"))
    return set(re.findall(r"\bstudy=([a-z0-9_.-]+)", script))


def _answer(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
