"""Clips and frames of a study before it has any data: what is said is what its frame tables then hold."""

from __future__ import annotations

import pandas as pd
import pytest
import yaml

import minute_study
from project_copy import PROJECT
from soundprompt import params
from soundprompt.data import avs_v3, avsbench, protocols
from soundprompt.data.tables import make_table
from soundprompt.data.world import datasets, parts
from soundprompt.errors import InputError
from soundprompt.planning import counts

SELECTION = ["label", "split"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A generated study, before and after its world and its frame tables are made: settings and both counts."""
    root = tmp_path_factory.mktemp("counted")
    small = {name: value for name, value in minute_study.OVERLAY["world"].items() if name != "scenes"}
    (root / "own.yaml").write_text(yaml.safe_dump({"study": "counted", "world": small}))
    study = params.read([PROJECT / "studies" / "smoke.yaml", root / "own.yaml"], PROJECT / "params.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        before = counts.of_study(study)
        for part in (*parts.parts_of(study.world), "index"):
            datasets.make_part(part, params.READS["world"](study), study.layout)
        for name in study.tables():
            make_table(params.READS["tables"](study, name), study.layout)
        return study, before, counts.of_study(study)


def test_a_world_is_counted_before_it_is_made(world):
    _, before, after = world
    assert (before.source, after.source) == ("the world that it will generate", "its frame tables")
    assert before.of_selection == after.of_selection
    assert {"v3/1_shot_train", "v1s/train"} <= set(after.of_selection)


def test_pictures_are_the_different_ones(world):
    study, _, after = world
    names = [name for name in study.tables() if name != "v3"]  # whose pictures are those of v1m and v2
    assert after.pictures(study.tables()) == after.pictures(names)
    assert after.pictures(["v1s"]) == sum(
        count.frames for name, count in after.of_selection.items() if name.startswith("v1s/")
    )


def test_v1s_is_labelled_in_its_first_frame_alone(world):
    _, before, _ = world
    count = before.of_selection["v1s/train"]
    assert count.labelled == count.clips == count.frames / 5


def test_selections_add_up_and_an_unknown_one_is_named(world):
    _, before, _ = world
    one, two = (before.of_selection[name] for name in ("v2/train", "v2/val"))
    assert before.total(["v2/train", "v2/val"]).frames == one.frames + two.frames
    assert before.total(["v2/train"], 0.5).clips == round(one.clips / 2)
    with pytest.raises(InputError, match="v2/novel"):
        before.total(["v2/novel"])


def test_the_published_splits(reference_data):
    """Against the split files and the metadata themselves."""
    metadata = avsbench.read_metadata(reference_data / "avs_v3")
    metadata["frames"] = [avsbench.seconds(row.label, row.uid) for row in metadata.itertuples()]
    by_class = metadata.assign(
        split=[protocols.open_vocabulary(row.split, avsbench.sources(row.a_obj)) for row in metadata.itertuples()]
    ).explode("split")
    splits = avs_v3.read_splits(reference_data / "avs_v3", metadata).assign(label="v3")
    splits = splits.merge(metadata[["uid", "frames"]], on="uid")
    rows = pd.concat([metadata, by_class[by_class["label"] == "v2"].dropna(subset="split"), splits])
    found = rows.groupby(SELECTION).agg({"uid": "size", "frames": "sum"})
    table = pd.read_csv(counts.PUBLISHED, index_col="selection")
    for (label, split), (clips, frames) in found.iterrows():
        assert tuple(table.loc[f"{label}/{split}"])[:2] == (clips, frames), (label, split)
    assert set(table.index) - {f"{label}/{split}" for label, split in found.index} == {
        "vggss/test",
        "vggss/heard",
        "vggss/unheard",
    }
