"""A study that is killed again and again, at different moments: the same commands go on by themselves."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

import minute_study

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

MAKE = ("make", "-o", ".venv/.ready", "CORES=2", "report", f"STUDY={minute_study.NAME}")
PLAIN = ("snakemake", "--cores", "2", "--configfile", f"studies/{minute_study.NAME}.yaml", "--", "all_tables")
DVC = ("dvc", "repro")


class Command:
    """A command of the user's that works in the copy, in a process group of its own."""

    def __init__(self, copy, log, *words):
        self.root, self.log = copy.root, log
        with open(log, "w") as stream:
            self.process = subprocess.Popen(
                words, cwd=copy.root, env=copy.environment, stdout=stream, stderr=stream, start_new_session=True
            )

    def until(self, verb, seconds=600):
        """Waits until a job of the verb runs."""
        end = time.monotonic() + seconds
        while not running(self.root, verb):
            assert self.process.poll() is None, f"ended before {verb}:\n{self.log.read_text()[-4000:]}"
            assert time.monotonic() < end, f"no {verb} in {seconds} s:\n{self.log.read_text()[-4000:]}"
            time.sleep(0.05)

    def lose_power(self):
        """Everything ends at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def lose_manager(self):
        """As the OOM killer would: Snakemake alone ends, its jobs do not."""
        for pid in running(self.root, None):
            os.kill(pid, signal.SIGKILL)
        self.process.wait()


def running(root, verb):
    """Processes in the copy: of a verb of soundprompt, or for None of Snakemake."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode().split("\0")
            here = os.readlink(place / "cwd") == str(root)
        except OSError:
            continue  # it has ended meanwhile
        of_verb = words[1:4] == ["-m", "soundprompt", verb]
        of_snakemake = "python" in words[0] and any(re.search(r"(^|/)snakemake$", word) for word in words[1:3])
        if here and (of_verb if verb else of_snakemake):
            found.append(int(place.name))
    return found


@pytest.fixture(scope="module")
def tormented(tmp_path_factory):
    """The study's copy after all that befell it, and what its last commands said."""
    copy = minute_study.make(tmp_path_factory.mktemp("tormented"))
    logs, turn = tmp_path_factory.mktemp("logs"), iter(range(99))

    def start(*words):
        return Command(copy, logs / f"{next(turn)}.log", *words)

    for words, verb, way in (
        (MAKE, "world", "lose_power"),
        (MAKE, "pretrain", "lose_power"),
        (MAKE, "features", "lose_power"),
        (PLAIN, "train", "lose_power"),
        (PLAIN, "train", "lose_manager"),
        (PLAIN, "score", "lose_power"),
        (DVC, "score", "lose_power"),
        (DVC, "table", "lose_manager"),
        (MAKE, "report", "lose_power"),
    ):
        command = start(*words)
        command.until(verb)
        getattr(command, way)()
    copy.said = [copy.run(*words) for words in (MAKE, PLAIN, DVC)]
    return copy


def test_the_same_commands_end_well(tormented):
    for answer in tormented.said:
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert "IncompleteFiles" not in answer.stderr and "unlock" not in answer.stderr
    assert "results/minute/report.html" in tormented.said[0].stdout


def test_the_tables_are_those_of_an_undisturbed_run_to_the_byte(tormented, minute_tables):
    assert tormented.tables() == minute_tables


def test_a_living_owner_is_named_and_not_disturbed(tormented, tmp_path):
    change = tormented.root / "change.yaml"
    change.write_text("models: {gavs: {schedule: {steps: 20}}}\n")
    words = list(PLAIN)
    words.insert(words.index("--"), "change.yaml")
    for name in ("report.html", "tables/foundations.csv"):  # something to do for the others
        (tormented.root / "results" / minute_study.NAME / name).unlink()
    first = Command(tormented, tmp_path / "first.log", *words)
    first.until("train")
    owner = min(running(tormented.root, None))
    (tormented.root / "other.yaml").write_text("study: other\n")
    overlays = (f"studies/{minute_study.NAME}.yaml", "other.yaml")
    another = ("--configfile", *overlays, "--", "data/other/world-vggss.csv")
    tormented.good("snakemake", "--cores", "1", *another)
    for other in (MAKE, PLAIN, DVC):
        answer = tormented.run(*other)
        said = answer.stdout + answer.stderr
        assert answer.returncode != 0 and f"process {owner} on " in said and "change.yaml" in said
        assert "is at work on study minute in this folder" in said and "Traceback" not in said
    assert "Nothing" not in tormented.good("snakemake", "-n", *words[1:])  # looking ahead needs no turn
    assert first.process.wait(600) == 0, first.log.read_text()[-4000:]
    change.unlink()
