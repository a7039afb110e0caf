"""Every different picture and sound once, in an order and in shards that do not depend on what else is there."""

from __future__ import annotations

import hashlib

import pandas as pd
import pytest

from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.features import plan


def test_copies_are_planned_once(project):
    plan.run(project.view, project.layout)
    planned = plan.read(project.layout)
    assert len(planned) == 9 and planned["image_digest"].is_unique
    assert planned["image_digest"].is_monotonic_increasing and planned["shard"].is_monotonic_increasing
    v3 = frame_table.read(project.layout.table("v3"))
    assert set(v3["image_digest"]) <= set(planned["image_digest"])
    for _, shard in planned.groupby("shard"):
        assert shard["row"].tolist() == list(range(len(shard)))
    assert len(plan.sounds(project.view.tables, project.layout)) == 3


def test_neither_the_order_of_tables_nor_other_tables_move_a_picture(project):
    whole = plan.pictures(("v1s", "v2", "v3"), 2, project.layout)
    assert whole.equals(plan.pictures(("v3", "v2", "v1s"), 2, project.layout))
    part = plan.pictures(("v2",), 2, project.layout).set_index("image_digest")["shard"]
    assert part.equals(whole.set_index("image_digest")["shard"].loc[part.index])


def test_shards_are_of_nearly_equal_size():
    digests = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(3000)]
    counts = pd.Series([plan.shard_of(digest, 3) for digest in digests]).value_counts()
    assert sorted(counts.index) == [0, 1, 2] and counts.min() > 900
    assert plan.shard_of("f" * 64, 7) == 6 and plan.shard_of("0" * 64, 7) == 0


def test_a_file_that_changed_between_two_tables_is_named(project):
    path = project.layout.table("v3")
    rows = frame_table.read(path)
    rows.loc[0, "image_digest"] = "0" * 64
    frame_table.write(rows, path)
    with pytest.raises(InputError, match="has two digests") as caught:
        plan.run(project.view, project.layout)
    assert caught.value.path == rows.loc[0, "image"]
    assert not project.layout.visual_plan.exists()


def test_a_missing_or_damaged_plan_is_named(project):
    with pytest.raises(InputError, match="missing"):
        plan.read(project.layout)
    project.layout.visual_plan.parent.mkdir(parents=True)
    project.layout.visual_plan.write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match="not a plan of pictures"):
        plan.read(project.layout)
