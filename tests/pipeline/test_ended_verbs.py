"""Each verb of the smoke study, told to end at a random moment: nothing half made stays, and the same call goes on."""

import random
import shutil
import signal
import subprocess
import time

import pytest

from project_copy import Copy
from soundprompt import files
from soundprompt.training.run import STOPPED

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

# verb -> its options, and what it makes. tests/faults ends the others, many times and without the command line:
# features, train, score, floors.
VERBS = {
    "world": (["--part", "vggss"], ["data/smoke/world-vggss.csv", "data/smoke/vggss/frames"]),
    "tables": (["--dataset", "v2"], ["data/smoke/tables/v2.parquet", "data/smoke/masks/v2.parquet"]),
    "leaks": ([], ["data/smoke/tables/leaks.csv"]),
    "pretrain": (["--model", "sam"], ["weights/smoke/sam.safetensors"]),
    "train": (["--setting", "v1m", "--model", "gavs"], ["runs/smoke/v1m/gavs/seed0/checkpoint.safetensors"]),
    "examine": (["--setting", "v3_0shot", "--model", "gavs"], ["runs/smoke/v3_0shot/gavs/seed0/examined.parquet"]),
    "table": (["--experiment", "table_vggss"], ["results/smoke/tables/table_vggss.csv"]),
    "report": ([], ["results/smoke/claims.csv", "results/smoke/headline.txt"]),
}


@pytest.fixture(scope="module")
def copy(smoke, tmp_path_factory):
    copy = Copy(tmp_path_factory.mktemp("ended"))
    shutil.copytree(smoke.root, copy.root, symlinks=True, dirs_exist_ok=True)
    return copy


@pytest.mark.parametrize("verb", VERBS)
def test_told_to_end_it_leaves_nothing_half_made_and_goes_on_to_the_same_bytes(copy, verb):
    options, made = VERBS[verb]
    command = ["python", "-m", "soundprompt", verb, *options, "--study", "smoke"]
    wanted = {name: content(copy.root / name) for name in made}
    since = time.monotonic()
    remove(copy.root, made)
    copy.good(*command)
    seconds = time.monotonic() - since
    assert {name: content(copy.root / name) for name in made} == wanted, "made by hand as by the workflow"

    remove(copy.root, made)
    running = subprocess.Popen(command, cwd=copy.root, env=copy.environment, stderr=subprocess.PIPE, text=True)
    time.sleep(random.Random(verb).uniform(0.3, 1) * seconds)
    running.send_signal(signal.SIGTERM)
    told = running.communicate(timeout=120)[1]
    # It may have ended, or not begun; training saves its state first.
    assert running.returncode in (0, STOPPED, 128 + signal.SIGTERM, -signal.SIGTERM), told
    left = {name: content(copy.root / name) for name in made if (copy.root / name).is_file()}
    assert left.items() <= wanted.items(), "what is there is whole"
    copy.good(*command)
    assert {name: content(copy.root / name) for name in made} == wanted
    assert not list((copy.root).glob(f"[!.]*/**/{files.ASIDE}*"))


def content(path):
    """The bytes of a file, or of all files in a folder."""
    inside = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return {str(file.relative_to(path)): file.read_bytes() for file in inside}


def remove(root, made):
    for name in made:
        path = root / name
        assert path.exists()
        shutil.rmtree(path) if path.is_dir() else path.unlink()
