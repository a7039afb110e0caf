"""What several rooms of tests share: whole runs, made once."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import minute_study
import project_copy
from faults import classes

# Rooms of tests -> the run that they look at.
WHOLE_RUNS = {"pipeline": "smoke", "browser": "smoke", "artifacts": "made", "cluster": "made"}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """With several workers, each whole run stays on one, so that none is made twice; they begin first."""
    for item in items:
        group = WHOLE_RUNS.get(item.path.parent.name, str(item.path))
        item.add_marker(pytest.mark.xdist_group(group))
    items.sort(key=lambda item: item.path.parent.name not in WHOLE_RUNS)


def pytest_terminal_summary(terminalreporter):
    """What became of the faults that were injected, class by class."""
    trials: dict[str, tuple[int, int]] = {}
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            if report.when == "call" and (fault := classes.of(report.nodeid)):
                tests, held = trials.get(fault, (0, 0))
                trials[fault] = tests + 1, held + (outcome == "passed")
    if trials:
        terminalreporter.section("faults")
        terminalreporter.write("\n".join(classes.table(trials)) + "\n")


@pytest.fixture
def float32_is_kept() -> Iterator[Callable[[], bool]]:
    """Turns TF32 on wherever it can be; tells whether it has been turned off everywhere since."""
    import torch

    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True
    assert torch.backends.cuda.matmul.allow_tf32
    yield lambda: not (torch.backends.cuda.matmul.allow_tf32 or torch.backends.cudnn.allow_tf32)
    torch.set_float32_matmul_precision(before[0])
    torch.backends.cudnn.allow_tf32 = before[1]


@pytest.fixture(scope="session")
def smoke(tmp_path_factory) -> project_copy.Copy:
    """The smoke study, run through make as a user would."""
    copy = project_copy.copy_project(tmp_path_factory.mktemp("smoke"))
    copy.answer = copy.make("report", "STUDY=smoke")
    assert copy.answer.returncode == 0, copy.answer.stdout + copy.answer.stderr
    return copy


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> minute_study.Minute:
    """The study of a minute, made on this machine through `dvc repro`, with its tables as they were then."""
    copy = minute_study.make(tmp_path_factory.mktemp("made"))
    copy.log = copy.good("dvc", "repro")
    copy.first_tables = copy.tables()
    minute_study.commit(copy, "results")
    return copy


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Published lists and figures to compare with, where they are at hand; the product never needs them."""
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("SOUNDPROMPT_REFERENCE_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no reference data folder (SOUNDPROMPT_REFERENCE_DATA)")
    return folder
