"""What `examine` measured, in tables and on the page."""

import pandas as pd
import pytest

from soundprompt import params as p
from soundprompt.evaluation.scores import COLUMNS
from soundprompt.report import fragments, names, tables

METRICS = ("miou", "retrieval", "retrieval_chance", "knowledge", "knowledge_untouched")
HELD_OUT = "foundation/held_out"


@pytest.fixture
def examined(study):
    """The zero-shot table with what was examined of gavs, two seeds, beside its scores."""
    params, layout = study
    table = params.experiments["table_v3"].model_copy(update={"settings": ("v3_0shot",), "metrics": METRICS})
    params = params.model_copy(update={"experiments": {"table_v3": table}})
    for seed in params.seeds:
        folder = layout.run("v3_0shot", "gavs", seed)
        scores = pd.read_parquet(folder / "scores.parquet")
        frames = scores[(scores["method"] == "gavs") & (scores["metric"] == "miou")]
        right = frames.assign(metric="retrieval", value=(frames["frame"] > 0).astype(float))
        pictures = frames.drop_duplicates("clip").assign(selection=HELD_OUT, frame=-1, kind="", metric="knowledge")
        parts = [
            right,
            right.assign(metric="retrieval_chance", value=0.5),
            pictures.assign(value=0.6 + seed / 10),
            pictures.assign(metric="knowledge_untouched", value=0.9),
        ]
        pd.concat(parts)[COLUMNS].to_parquet(folder / "examined.parquet", index=False)
    return p.table_view(params, "table_v3"), layout


def test_tables_hold_what_was_examined(examined):
    table = tables.build(*examined)
    found = table[(table["method"] == "gavs") & (table["kind"] == "all")].set_index(["selection", "metric"])["mean"]
    assert found["v3/unseen", "retrieval"] == pytest.approx(0.8)  # four of five frames of each clip
    assert found["v3/unseen", "retrieval_chance"] == pytest.approx(0.5)
    assert found[HELD_OUT, "knowledge"] == pytest.approx(0.65)
    assert found[HELD_OUT, "knowledge_untouched"] == pytest.approx(0.9)
    asked = table[table["metric"] != "miou"]
    assert set(asked["method"]) == {"gavs"} and "miou" not in set(table.loc[table["selection"] == HELD_OUT, "metric"])


def test_the_page_shows_held_out_pictures_on_a_sheet_of_their_own(examined):
    sheets = fragments.by_setting(examined[0], tables.build(*examined))
    sheet = next(sheet for sheet in sheets if names.selection(HELD_OUT) in sheet.caption)
    assert [label for label, _ in sheet.heads[:2]] == ["knowledge kept", "untouched"]
    assert [row.label for row in sheet.rows] == ["GAVS"]
    assert not sheet.rows[0].cells[1].best, "what is the same for all methods is nobody's best"


def test_what_was_not_examined_is_named(examined):
    view, layout = examined
    gone = layout.run("v3_0shot", "gavs", 1) / "examined.parquet"
    gone.unlink()
    lacking = tables.lacking(view, layout)
    assert any(str(gone) in sentence for sentence in lacking)
    mute = layout.run("v3_0shot", "gavs-no_audio", 0) / "examined.parquet"
    assert any(str(mute) in sentence for sentence in lacking), "its decoder can be asked"


def test_a_study_that_asks_for_masks_only_lacks_nothing(study):
    params, layout = study
    assert tables.lacking(p.table_view(params, "table_v3"), layout) == []
