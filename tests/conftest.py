"""What several rooms of tests share: whole runs, made once."""

import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import minute_study
import project_copy
from faults import classes

# Files or folders of tests -> the run that they look at.
WHOLE_RUNS = {
    "test_after_a_kill.py": "killed",
    "pipeline": "smoke",
    "browser": "smoke",
    "artifacts": "made",
    "cluster": "cluster",
    "prediction": "trained",
}
# Where programs keep what is theirs, when nobody says otherwise: in the user's home, or for DVC in /var.
PLACES = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "DVC_SITE_CACHE_DIR")


def pytest_configure(config):
    """Tests change nothing outside the checkout, but for pytest's own temporary folder.

    Programs that they start have one thread, as in the workflow: sums on two have other bits.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    if not hasattr(config, "workerinput"):  # workers inherit it
        config.addinivalue_line("markers", "xdist_group(name): stays on one worker")
        for name in PLACES:
            os.environ[name] = str(config.cache.mkdir(name.lower()))


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items):
    """With several workers, each whole run stays on one, so that none is made twice; they begin first."""
    for item in items:
        item.add_marker(pytest.mark.xdist_group(whole_run(item) or str(item.path)))
    items.sort(key=lambda item: whole_run(item) is None)


def whole_run(item) -> str | None:
    """The run that a test looks at, None for most."""
    return WHOLE_RUNS.get(item.path.name) or WHOLE_RUNS.get(item.path.parent.name)


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
    (across_workers(tmp_path_factory) / "minute_tables.pickle").write_bytes(pickle.dumps(copy.first_tables))
    return copy


@pytest.fixture(scope="session")
def minute_tables(tmp_path_factory, request) -> dict[str, bytes]:
    """The tables of `made`, from whichever worker has it; made here where none has."""
    path = across_workers(tmp_path_factory) / "minute_tables.pickle"
    return pickle.loads(path.read_bytes()) if path.exists() else request.getfixturevalue("made").first_tables


def across_workers(tmp_path_factory) -> Path:
    """A temporary folder that all workers share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Published lists and figures to compare with, where they are at hand; the product never needs them."""
    beside = Path(__file__).resolve().parents[1] / ".." / "shared" / "data"
    folder = Path(os.environ.get("SOUNDPROMPT_REFERENCE_DATA", beside))
    if not folder.is_dir():
        pytest.skip("no reference data folder (SOUNDPROMPT_REFERENCE_DATA)")
    return folder


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A Chromium that must not need a network. Skips where there is none, fails in CI."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        reason = "Chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--disable-background-networking")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chromium.set_script_timeout(60)
    yield chromium
    chromium.quit()
