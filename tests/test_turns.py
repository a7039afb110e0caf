"""One command at a time on a study: real processes, really killed."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from soundprompt import turns

# A shell that starts the tests in the background has them, and what they start, ignore Ctrl-C.
HEARS = "import signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler); "
CODE = HEARS + "from soundprompt import turns; turns.{}; print('{}', flush=True); time.sleep(600)"
OWN, WORK = CODE.format("take(sys.argv[1])", "mine"), CODE.format("join()", "working")


@pytest.fixture
def start(tmp_path):
    """Starts Python in the folder and waits for its first line; everything ends with the test."""
    begun = []

    def start(code, *words, **environment):
        given = {**os.environ, **environment}
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            cwd=tmp_path,
            env=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        process.said = process.stdout.readline().strip()
        return process

    yield start
    for process in begun:
        process.kill()
        process.communicate()


def test_a_living_owner_is_named(start):
    first = start(OWN, "smoke")
    assert first.said == "mine"
    second = start(OWN, "smoke")
    said = second.communicate()[1]
    assert second.returncode != 0 and "InputError" in said
    for words in (" smoke`", f"process {first.pid}", socket.gethostname(), "remedy"):
        assert words in said
    assert first.poll() is None


def test_another_study_may_be_made_meanwhile(start):
    first = start(OWN, "smoke")
    job = start(WORK, **{turns.MANAGER: f"{first.pid} smoke"})
    assert start(OWN, "paper").said == "mine"
    assert first.poll() is None and job.poll() is None


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_dead_owner_leaves_nothing_behind(start, how):
    first = start(OWN, "smoke")
    first.send_signal(how)
    first.wait()
    assert start(OWN, "smoke").said == "mine"


def test_a_note_cut_short_by_a_power_cut_is_no_owner(start, tmp_path):
    (tmp_path / turns.PLACE).mkdir(parents=True)
    (tmp_path / turns.PLACE / "smoke.owner").write_text('{"host": "elsew')
    assert start(OWN, "smoke").said == "mine"


def test_jobs_of_a_killed_owner_end_and_are_waited_for(start):
    first = start(OWN, "smoke")
    job = start(WORK, **{turns.MANAGER: f"{first.pid} smoke"})
    assert job.said == "working"
    job.send_signal(signal.SIGSTOP)  # it cannot end yet
    first.kill()
    first.wait()
    second = subprocess.Popen(
        [sys.executable, "-c", OWN, "smoke"], cwd=os.readlink(f"/proc/{job.pid}/cwd"), stdout=subprocess.PIPE
    )
    time.sleep(3)
    assert second.poll() is None and job.poll() is None
    job.send_signal(signal.SIGCONT)
    assert second.stdout.readline() == b"mine\n"
    assert job.wait(30) == -signal.SIGTERM
    second.kill()
    second.communicate()


def test_a_job_by_hand_belongs_to_nobody(start):
    job = start(WORK, **{turns.MANAGER: ""})
    assert job.said == "working" and start(OWN, "smoke").said == "mine"
