"""What Snakemake makes again of finished work: only the part that a change touches."""

import os
import shutil

import pytest
from PIL import Image

from project_copy import Copy
from soundprompt.features.plan import shard_of
from soundprompt.files import digest_bytes
from soundprompt.layout import Layout

pytestmark = [pytest.mark.pipeline, pytest.mark.slow]
LAYOUT = Layout("smoke")
TABLE, INDEX = str(LAYOUT.table("vggss")), str(LAYOUT.visual_index)
SAME, CHANGED = (str(LAYOUT.floors(setting)) for setting in ("v1m", "vggss"))


@pytest.fixture(scope="module")
def copy(smoke, tmp_path_factory):
    copy = Copy(tmp_path_factory.mktemp("kept") / "copy")
    shutil.copytree(smoke.root, copy.root, symlinks=True)
    return copy


def mirrored(folder):
    """Mirrors a picture that stays in its shard; returns the number of the shard."""
    for path in sorted(folder.glob("*.jpg")):
        before = path.read_bytes()
        with Image.open(path) as picture:
            turned = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        turned.save(path)
        shard = shard_of(digest_bytes(path.read_bytes()), 2)
        if shard == shard_of(digest_bytes(before), 2):
            return shard
        path.write_bytes(before)
    raise AssertionError("every picture would change its shard")


def test_one_changed_picture_encodes_one_shard_and_scores_one_settings_floors(copy):
    shards = [copy.root / LAYOUT.visual_shard(number) for number in range(2)]
    records = [copy.root / os.path.dirname(path) / "scores.json" for path in (SAME, CHANGED)]
    before = [path.read_bytes() for path in (*shards, *records)]
    touched = mirrored(copy.root / LAYOUT.vggss / "frames")
    targets = (INDEX, SAME, CHANGED)
    copy.snakemake("smoke", "--forcerun", TABLE, SAME, "--", *targets)
    same = [path.read_bytes() == old for path, old in zip((*shards, *records), before, strict=True)]
    assert same == [touched != 0, touched != 1, True, False]  # a record holds the time that its work took
    logs = [(copy.root / f"logs/smoke/features/shard-{number}.log").read_text() for number in range(2)]
    assert ["kept" in log for log in logs] == [touched != 0, touched != 1]
    assert "Nothing to be done" in copy.snakemake("smoke", "--dry-run", "--", *targets)
