"""One command at a time in a project's folder, however the last one ended.

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
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from soundprompt.errors import InputError

OWNER, JOBS = Path(".snakemake/soundprompt-owner"), Path(".snakemake/soundprompt-jobs")
MANAGER = "SOUNDPROMPT_MANAGER"  # the environment variable that tells a job the process that waits for it
OF_SNAKEMAKE = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")  # how it names its jobs in Slurm
_held: list[TextIO] = []  # open as long as the process lives, and with them the locks


def take(command: str) -> None:
    """Makes this process the folder's owner until it ends. Raises InputError that names another one.

    What a killed owner left at work is over when this returns: its jobs here have ended, those in Slurm are cancelled.
    """
    owner = _open(OWNER)
    if not _locked(owner, fcntl.LOCK_EX):
        raise InputError(
            f"{_who(owner)} is at work in this folder",
            path=Path.cwd(),
            remedy="wait until it has ended, or end it; what it has made so far is kept",
        )
    owner.truncate(0)
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}
    owner.write(json.dumps(facts | {"command": command}))
    owner.flush()
    _held.append(owner)
    with _open(JOBS) as jobs:
        if not _locked(jobs, fcntl.LOCK_EX):
            print("waiting for the jobs of a command that was killed", file=sys.stderr, flush=True)
            fcntl.flock(jobs, fcntl.LOCK_EX)
    _cancel_in_slurm()


def join() -> None:
    """For a job: from now on the folder is in use by it, and it is asked to end when its manager has gone."""
    manager = os.environ.get(MANAGER, "")
    if not (manager.isdecimal() and _lives(int(manager))):  # by hand, or in a container that sees no other processes
        return
    jobs = _open(JOBS)
    if _locked(jobs, fcntl.LOCK_SH):
        _held.append(jobs)
    threading.Thread(target=_end_after, args=(int(manager),), daemon=True).start()


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
def _open(path: Path) -> TextIO:
    path.parent.mkdir(exist_ok=True)
    return open(path, "a+")


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
def _cancel_in_slurm() -> None:
    """Jobs that a killed Snakemake left in Slurm would work on the runs that this one sends again."""
    if not (left := _in_slurm()):
        return
    print(f"cancelling what a killed command left in Slurm: jobs {' '.join(left)}", file=sys.stderr, flush=True)
    subprocess.run(["scancel", *left], check=False)
    while left := _in_slurm():
        time.sleep(2)


def _in_slurm() -> list[str]:
    """Numbers of the user's jobs that a Snakemake sent from this folder."""
    if not shutil.which("squeue"):
        return []
    call = ["squeue", "--me", "--noheader", "--format=%i|%j|%Z"]
    answer = subprocess.run(call, capture_output=True, text=True, check=False)
    rows = [line.strip().split("|", 2) for line in answer.stdout.splitlines() if line.count("|") >= 2]
    here = os.path.realpath(Path.cwd())
    return [number for number, name, place in rows if OF_SNAKEMAKE.search(name) and os.path.realpath(place) == here]
