"""A writer killed at any moment: what is there is whole and fits its record, and what it left behind goes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time

import pytest

from soundprompt import files, records

WRITER = """
import sys
from pathlib import Path
from soundprompt import files
root, turn = Path(sys.argv[1]), 0
print("ready", flush=True)
while True:
    turn += 1
    with files.publish(root / "file", recorded=True) as aside:
        aside.write_text(str(turn) * 50000)
    with files.publish_folder(root / "folder", recorded=True) as aside:
        for name in "abc":
            (aside / name).write_text(str(turn) * 9000)
"""


@pytest.fixture
def writer(tmp_path):
    """Starts a process that publishes without end; gives the folder and the process."""
    started = []

    def start():
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        process.stdout.readline()
        return process

    yield tmp_path, start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_killed_at_any_moment_it_leaves_whole_files_and_the_next_removes_its_traces(writer, n, how):
    root, start = writer
    rng, traces = random.Random(how), 0
    for _ in range(2 * n):
        process = start()
        while not (root / "folder").exists():
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(how)
        process.wait()
        records.check(root / "file")
        records.check(root / "folder")
        assert len(set((root / "file").read_text())) >= 1
        assert len({(root / "folder" / name).read_bytes() for name in "abc"}) == 1  # of one and the same publication
        traces += sum(path.name.startswith(files.ASIDE) for path in root.iterdir())
        files.write_text(root / "other", "published beside them")
        assert not [path for path in root.iterdir() if path.name.startswith(files.ASIDE)]
    assert traces  # some were killed in the middle


def test_there_is_a_folder_at_every_moment(writer, n):
    root, start = writer
    start()
    while not (root / "folder").exists():
        time.sleep(0.001)
    end = time.monotonic() + n
    looks = 0
    while time.monotonic() < end:
        assert (root / "folder" / "a").exists()
        looks += 1
    assert looks > 100


def test_the_living_are_not_robbed(writer, tmp_path):
    root, start = writer
    process = start()
    while not (root / "folder").exists():
        time.sleep(0.001)
    for number in range(50):  # each looks for traces of the dead
        files.write_text(root / f"mine-{number}", "x")
    assert process.poll() is None, "the other writer lost its folder"


def test_two_writers_of_one_file_both_end_well(writer):
    root, start = writer
    processes = [start(), start()]
    time.sleep(2)
    assert [process.poll() for process in processes] == [None, None]
    for process in processes:
        process.kill()
        process.wait()
    files.write_text(root / "other", "published beside them")
    assert not [path for path in root.iterdir() if path.name.startswith(files.ASIDE)]
