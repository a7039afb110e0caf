"""Without a word of the user's nothing is installed or written."""

import os
import subprocess
import sys

import pytest
import slurm


def call(what, **answers):
    environment = {name: value for name, value in os.environ.items() if name not in slurm.AGREED} | answers
    command = [sys.executable, slurm.__file__, what]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("answers", [{}, {"YES": "0"}, {"CI": "false"}])
def test_who_does_not_agree_is_told_what_would_happen_and_how_to_agree(answers):
    answer = call("up", **answers)
    assert answer.returncode == 1 and "YES=1" in answer.stderr and "nothing was changed" in answer.stderr
    for fact in (*slurm.PACKAGES, str(slurm.CONF), str(slurm.STATE)):
        assert fact in answer.stdout


@pytest.mark.parametrize("answers", [{"YES": "1"}, {"CI": "true"}])
def test_who_agrees_is_still_told(answers):
    answer = call("ask", **answers)
    assert answer.returncode == 0 and "apt-get" in answer.stdout


def test_pytest_alone_changes_nothing_either(monkeypatch):
    for name in slurm.AGREED:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(slurm.Unavailable, match="make test-cluster asks"):
        slurm.Slurm(slurm.STATE).up()
