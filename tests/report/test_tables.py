import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.report import fragments, tables


@pytest.fixture
def view(study):
    return p.table_view(study[0], "table_v3")


@pytest.fixture
def table(study, view):
    return tables.read(study[1].result_table("table_v3"))


def row(table, **keys):
    found = table[np.logical_and.reduce([table[name] == value for name, value in keys.items()])]
    assert len(found) == 1
    return found.iloc[0]


MIOU = {"setting": "v3_0shot", "selection": "v3/unseen", "kind": "all", "metric": "miou"}


def test_mean_and_interval_are_those_of_the_score_files(table, study):
    values = []
    for seed in (0, 1):
        scores = pd.read_parquet(study[1].run("v3_0shot", "gavs", seed) / "scores.parquet")
        mine = scores[
            (scores["method"] == "gavs") & (scores["selection"] == "v3/unseen") & (scores["metric"] == "miou")
        ]
        values.append(mine.groupby("clip")["value"].mean().mean())
    found = row(table, method="gavs", **MIOU)
    half = stats.t.ppf(0.975, 1) * np.std(values, ddof=1) / 2**0.5
    assert found["mean"] == pytest.approx(np.mean(values), abs=1e-6)
    assert found["high"] - found["mean"] == pytest.approx(half, abs=1e-5)
    assert (found["n_seeds"], found["n_clips"], found["n_frames"]) == (2, 4, 20)


def test_floors_have_an_interval_over_videos(table):
    floor = row(table, method="centre_disc", **MIOU)
    assert (floor["interval_over"], floor["n_seeds"]) == ("videos", 1)
    assert floor["low"] < floor["mean"] < floor["high"]


def test_the_papers_figure_stands_only_where_it_belongs(table):
    assert row(table, method="gavs", **MIOU)["published"] == pytest.approx(0.5471)
    assert np.isnan(row(table, method="gavs-no_audio", **MIOU)["published"])
    other = {**MIOU, "selection": "v3/1_shot_test"}
    assert np.isnan(row(table, method="gavs", **other)["published"])
    assert table.loc[table["kind"] != "all", "published"].isna().all()


def test_difference_is_the_references_lead(table):
    gavs, mute = (row(table, method=m, **MIOU) for m in ("gavs", "gavs-no_audio"))
    assert mute["difference"] == pytest.approx(gavs["mean"] - mute["mean"], abs=2e-6)
    assert mute["difference_low"] <= mute["difference"] <= mute["difference_high"]
    assert np.isnan(gavs["difference"])
    assert mute["difference_over"] == row(table, method="centre_disc", **MIOU)["difference_over"] == "seeds and videos"


def one_seed_each(view, layout):
    """The table as it is with the first seed of every model."""
    view = view.model_copy(update={"seeds": (0,)})
    tables.run(view, layout)
    return view, tables.read(layout.result_table(view.name))


def test_with_one_seed_nothing_is_best_and_no_lead_is_clear(view, table, study):
    marked = [cell for sheet in fragments.by_setting(view, table) for line in sheet.rows for cell in line.cells]
    assert any(cell.best for cell in marked)
    view, single = one_seed_each(view, study[1])
    mute = row(single, method="gavs-no_audio", **MIOU)
    assert (mute["difference_over"], mute["interval_over"]) == ("videos", "videos")
    assert mute["difference_low"] > 0, "it would look clear"
    sheets = [fragments.overview(view, single), *fragments.by_setting(view, single)]
    cells = [cell for sheet in sheets for line in sheet.rows for cell in line.cells]
    assert not any(cell.best for cell in cells)
    assert any(cell.spread.endswith("videos only") for cell in cells)


def test_kinds_of_class_are_told_apart(table, study):
    kinds = {kind: row(table, method="gavs", **{**MIOU, "kind": kind}) for kind in ("new combination", "new level")}
    assert sum(part["n_clips"] for part in kinds.values()) == 4
    mean = np.mean([part["mean"] for part in kinds.values()])
    assert mean == pytest.approx(row(table, method="gavs", **MIOU)["mean"], abs=1e-6)


def test_missing_runs_are_named_and_the_rest_is_tabulated(study, view, capsys):
    gone = study[1].run("v3_0shot", "sam_fusion", 1) / "scores.parquet"
    gone.unlink()
    tables.run(view, study[1])
    assert str(gone) in capsys.readouterr().err
    table = tables.read(study[1].result_table("table_v3"))
    assert row(table, method="sam_fusion", **MIOU)["n_seeds"] == 1


def test_no_scores_at_all_is_an_error_that_says_what_to_run(study, view):
    shutil.rmtree(study[1].runs)
    with pytest.raises(InputError, match="soundprompt score"):
        tables.run(view, study[1])


def test_damaged_files_are_named(study, view):
    path = study[1].run("v3_0shot", "gavs", 0) / "scores.parquet"
    path.unlink()
    path.write_bytes(b"PAR1 cut short")
    with pytest.raises(InputError, match=r"scores\.parquet"):
        tables.run(view, study[1])


def test_same_scores_same_bytes(study, view):
    path = study[1].result_table("table_v3")
    first = path.read_bytes()
    tables.run(view, study[1])
    assert path.read_bytes() == first


def test_overview_marks_the_best_mean_and_appends_the_papers_other_methods(view, table):
    sheet = fragments.overview(view, table)
    labels = [line.label for line in sheet.rows]
    assert labels[0] == "centre disc (floor)" and {"AVSBench", "AVSegFormer"} <= set(labels)
    first = [line.cells[0] for line in sheet.rows]
    best = max((c for c in first if c.value not in ("", fragments.NOTHING)), key=lambda cell: float(cell.value))
    assert [cell for cell in first if cell.best] == [best]
    assert sheet.rows[labels.index("GAVS")].cells[0].paper == "0.547"
