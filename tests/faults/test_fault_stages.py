"""Stages that are ended at any moment, or run twice at once: the same command again ends with the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import pytest
import tiny_study

from soundprompt import cli, files, models
from soundprompt import params as p
from soundprompt.evaluation import floors, run
from soundprompt.features import extract, plan
from soundprompt.layout import Layout
from soundprompt.training.run import train_pack

LAYOUT = Layout(tiny_study.STUDY)
COMMON = {"study": LAYOUT.study, "setting_name": "v1s", "setting": tiny_study.SETTINGS["v1s"], "data": {}}
SCHEDULE = {"steps": 6, "validate_every": 2, "warmup": 2, "clips_per_step": 2, "loss_size": "decoder"}
FEATURES = p.FeaturesView(
    study=LAYOUT.study, tables=("v1s", "v3", "vggss"), taps=(2, None), features=p.Features(shards=1), bgr=False
)
TRAIN = p.TrainView(**COMMON, model_name="gavs", model=p.merge(tiny_study.GAVS, {"schedule": SCHEDULE}))
SCORE = p.ScoreView(**COMMON, model_name="gavs", model=p.merge(tiny_study.GAVS, {}), evaluation={}, probes=("own",))
FLOORS = p.FloorsView(**COMMON, evaluation={})

# stage -> (its work, the folder that it writes into)
STAGES = {
    "plan": (lambda: plan.run(FEATURES, LAYOUT), "features"),
    "shard": (lambda: extract.run_shard(0, FEATURES, LAYOUT), "features"),
    "floors": (lambda: floors.score(FLOORS, LAYOUT), "runs"),
    "train": (lambda: train_pack(TRAIN, (0,), LAYOUT), "runs"),
    "score": (lambda: run.score_pack(SCORE, (0,), LAYOUT), "runs"),
}
OF_THE_MOMENT = ("provenance.json", "scores.json")  # times and costs stand in them


def begin(stage: str) -> int:
    """The stage in a process of its own, as the command line runs it; its process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        signal.signal(signal.SIGTERM, cli._end)
        STAGES[stage][0]()
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        Path("why.txt").write_text(traceback.format_exc())
    finally:
        os._exit(code)


def ended(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def content(stage: str) -> dict[str, bytes]:
    folder = Path(STAGES[stage][1])
    found = (path for path in folder.rglob("*") if path.is_file() and path.name not in OF_THE_MOMENT)
    return {str(path): path.read_bytes() for path in found}


@pytest.fixture
def begun(world, tmp_path, monkeypatch):
    """Prepares the folder of a stage anew at each call."""

    def prepare(stage: str, number: int) -> None:
        root = tmp_path / str(number)
        shutil.copytree(world, root)
        monkeypatch.chdir(root)
        if stage == "score":
            tiny_study.put_checkpoint(SCORE, 0, LAYOUT, "v1s")
        if stage in ("plan", "shard"):
            (LAYOUT.visual_plan if stage == "plan" else LAYOUT.visual_shard(0)).unlink()

    return prepare


@pytest.fixture
def undisturbed(begun):
    """stage -> (what it writes, seconds that it takes)."""

    def measure(stage: str) -> tuple[dict[str, bytes], float]:
        begun(stage, 0)
        since = time.monotonic()
        assert ended(begin(stage)) == 0
        return content(stage), time.monotonic() - since

    assert models.build  # loaded here, once for all children
    return measure


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked with their libraries loaded")
@pytest.mark.parametrize("stage", STAGES)
def test_ended_at_any_moment_it_goes_on_to_the_same_bytes(undisturbed, begun, n, stage):
    wanted, seconds = undisturbed(stage)
    rng = random.Random(stage)
    for number in range(1, max(1, n // 2) + 1):
        begun(stage, number)
        for how in (signal.SIGTERM, signal.SIGKILL):
            child = begin(stage)
            time.sleep(rng.uniform(0, seconds))
            os.kill(child, how)
            ended(child)
        assert ended(begin(stage)) == 0
        assert content(stage) == wanted
        assert not list(Path().rglob(f"{files.ASIDE}*"))


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked with their libraries loaded")
@pytest.mark.parametrize("stage", ["shard", "score", "floors"])
def test_two_at_once_end_well(undisturbed, begun, n, stage):
    wanted, _ = undisturbed(stage)
    for number in range(1, max(1, n // 3) + 1):
        begun(stage, number)
        assert [ended(child) for child in (begin(stage), begin(stage))] == [0, 0]
        assert content(stage) == wanted
