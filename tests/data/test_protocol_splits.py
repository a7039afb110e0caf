"""Splits of frame tables by published protocols: VGG-SS heard and unheard, AVSBench's base and novel classes."""

import json
from collections import Counter
from pathlib import Path

import pytest

from soundprompt import params as p
from soundprompt.data import acquire, avsbench, frame_table, ledger, protocols, tables
from soundprompt.errors import InputError

from .conftest import BOXES, write_lines

ROOT = Path(__file__).parents[2]
THERE = [entry["file"] for entry in BOXES]
HEARD = [THERE[0], *(f"heard{i:06d}_000001" for i in range(2563))]
UNHEARD = [THERE[1], *(f"other{i:06d}_000001" for i in range(2574))]
OPEN = ("v2/base", "v2/base_train", "v2/base_val", "v2/novel")


@pytest.fixture
def lists(layout, vggss_root):
    """Annotations of as many clips as the published lists name, of which two are on disk; and such lists."""
    names = [*HEARD, *UNHEARD]
    (vggss_root / "vggss.json").write_text(json.dumps([{**BOXES[0], "file": name} for name in names]))
    write_lines(vggss_root / "vggss_test.csv", names)
    folder = layout.downloads / "protocols"
    write_lines(folder / "vggss_heard_test.csv", HEARD)
    write_lines(folder / "vggss_unheard_test.csv", UNHEARD)
    return folder


def tabulate(layout, dataset, *selections):
    view = p.TablesView(study="tiny", dataset=dataset, data=p.Reading(source="avsbench"), protocols=selections)
    tables.make_table(view, layout)
    return frame_table.read(layout.table(dataset))


def clips_of(table):
    return {split: sorted(rows["clip"].unique()) for split, rows in table.groupby("split")}


def test_heard_and_unheard_clips_stand_in_the_table_beside_the_test(layout, lists):
    table = tabulate(layout, "vggss", "vggss/heard", "vggss/unheard")
    assert clips_of(table) == {"test": sorted(THERE), "heard": THERE[:1], "unheard": THERE[1:]}
    assert len(frame_table.select(layout, ["vggss/heard"])) == 1
    counts = ledger.summary(ledger.read([ledger.path(layout, "vggss")])).set_index("split")
    assert counts["expected"].to_dict() == {"test": 5139, "heard": 2564, "unheard": 2575}
    assert counts["found"].to_dict() == {"test": 2, "heard": 1, "unheard": 1}


def test_lists_are_asked_for_only_where_a_setting_draws_from_them(layout, vggss_root):
    assert clips_of(tabulate(layout, "vggss")) == {"test": sorted(THERE)}
    with pytest.raises(InputError, match="fetch --only vggss_heard"):
        tabulate(layout, "vggss", "vggss/heard")


def test_a_list_of_another_release_is_refused(layout, lists):
    write_lines(lists / "vggss_heard_test.csv", ["strange0000_000001", *HEARD[1:]])
    with pytest.raises(InputError, match=r"lacks strange0000_000001 \(1 such clips\)"):
        tabulate(layout, "vggss", "vggss/heard")
    write_lines(lists / "vggss_heard_test.csv", HEARD[1:])
    with pytest.raises(InputError, match="2563 different samples, heard has 2564"):
        tabulate(layout, "vggss", "vggss/heard")


def test_clips_of_base_and_of_novel_classes(layout, avsbench_root):
    assert clips_of(tabulate(layout, "v2", *OPEN)) == {
        "train": ["_-apT0tfo6U_16000_26000", "_3pLesuLT4w_60000_70000"],
        "val": ["_-apT0tfo6U_30000_40000", "qbpzeMEPjlo_145000_155000"],
        "test": ["NanMFkcGfrY_10000_20000", "_3pLesuLT4w_80000_90000"],
        "base_train": ["_-apT0tfo6U_16000_26000"],  # guitar; the other is of a novel class
        "base_val": ["_-apT0tfo6U_30000_40000"],  # guitar and piano; the other mixes tank (novel) and baby (base)
        "novel": ["_3pLesuLT4w_80000_90000"],  # guzheng; off-the-screen is of no class
    }


def test_the_released_metadata_by_base_and_novel_classes(reference_data):
    metadata = avsbench.read_metadata(reference_data / "avs_v3")
    rows = metadata[metadata["label"] == "v2"]
    sounding = [avsbench.sources(a_obj) for a_obj in rows["a_obj"]]
    found = Counter()
    for split, names in zip(rows["split"], sounding, strict=True):
        found.update(protocols.open_vocabulary(split, names))
    assert found == {"base_train": 2835, "base_val": 325, "base": 491, "novel": 166}
    everything = {name for names in map(avsbench.sources, metadata["a_obj"]) for name in names}
    assert len(everything) == 70
    novel = {i for i, name in enumerate(sorted(everything), 1) if name in protocols.NOVEL_NAMES}
    assert novel == set(protocols.NOVEL_CLASSES), "class indices are the names' alphabetical order"


def test_the_paper_study_fetches_its_lists_and_the_generated_world_knows_none():
    paper = p.load(ROOT / "studies" / "paper.yaml", ROOT / "params.yaml")
    assert acquire.needs(p.fetch_view(paper), paper.layout)[-2:] == ["vggss_heard", "vggss_unheard"]
    assert p.tables_view(paper, "v2").protocols == OPEN and p.tables_view(paper, "v1s").protocols == ()
    mini = p.read_base(ROOT / "params.yaml")
    mini["settings"]["vggss"]["test"] = ["vggss/heard"]
    with pytest.raises(InputError, match="'vggss/heard' is not a dataset/split, there are vggss/test"):
        p.validate(mini)
