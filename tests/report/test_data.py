"""Test sets that have shrunk: each table says so, and one csv file says why."""

import pandas as pd
import pytest

from soundprompt import params as p
from soundprompt.data import ledger
from soundprompt.files import write_text
from soundprompt.report import data, html, tables


@pytest.fixture
def shrunk(study):
    """One more unseen clip is expected than is there."""
    params, layout = study
    path = ledger.path(layout, "v3")
    write_text(path, path.read_text() + "v3,unseen,lost_0_10000,missing,which is not there\n")
    return params, layout


def test_a_table_names_what_it_should_have_been_made_of(shrunk):
    params, layout = shrunk
    view = p.table_view(params, "table_v3")
    table = tables.build(view, layout)
    assert table.loc[table["kind"] != "all", "n_expected"].isna().all()
    counts = table[table["kind"] == "all"].drop_duplicates("selection").set_index("selection")
    assert counts.loc["v3/unseen", ["n_clips", "n_expected"]].tolist() == [4, 5]
    assert counts.loc["v3/1_shot_test", ["n_clips", "n_expected"]].tolist() == [4, 4]
    sentences = [sentence for sentence in tables.lacking(view, layout) if "clips" in sentence]
    assert len(sentences) == 1 and "v3/unseen has 4 of 5 clips" in sentences[0] and "v3-ledger.csv" in sentences[0]
    ledger.path(layout, "v3").unlink()
    assert tables.build(view, layout)["n_expected"].isna().all()


def test_the_ledger_of_all_datasets(shrunk):
    params, layout = shrunk
    data.write(params, layout)
    rows = pd.read_csv(layout.data_ledger).set_index(["dataset", "split"])
    assert rows.loc[("v3", "unseen"), ["expected", "found", "missing", "unusable"]].tolist() == [5, 4, 1, 0]
    assert "4 of 5 clips" in html.render(params, layout)
    ledger.path(layout, "v3").unlink()
    data.write(params, layout)
    assert pd.read_csv(layout.data_ledger)["reasons"].str.endswith("v3-ledger.csv is missing").any()
    write_text(ledger.path(layout, "v3"), "nonsense")
    data.write(params, layout)
    assert "missing or damaged" in layout.data_ledger.read_text()
