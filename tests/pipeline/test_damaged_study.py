"""A damaged artifact of the smoke study: found, deleted as the message says, and made anew by the same command."""

import shutil

import pytest

from project_copy import Copy

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]

DAMAGED = (
    "runs/smoke/v1s/gavs/seed0/scores.parquet",
    "runs/smoke/v1m/gavs/seed0/predictions.safetensors",
    "results/smoke/tables/table_v3.csv",
)


def test_what_is_damaged_is_named_and_made_anew_by_the_same_command(smoke, tmp_path):
    copy = Copy(tmp_path / "copy")
    shutil.copytree(smoke.root, copy.root, symlinks=True)
    good = {name: (copy.root / name).read_bytes() for name in DAMAGED}
    for name in DAMAGED:
        flip(copy.root / name)
    told = copy.run("python", "-m", "soundprompt", "verify", "--study", "smoke")
    assert told.returncode == 1
    for name in DAMAGED:
        assert name in told.stdout + told.stderr
        (copy.root / name).unlink()
    answer = copy.make("report", "STUDY=smoke")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert {name: (copy.root / name).read_bytes() for name in DAMAGED} == good
    copy.good("python", "-m", "soundprompt", "verify", "--study", "smoke")
    assert "train" not in answer.stderr.partition(" jobs: ")[2].partition("\n")[0], "scores are made from the same runs"


def flip(path):
    """Another bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
