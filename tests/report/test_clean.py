"""Tables beside clips that training has met: a column as published, and a clean one."""

import numpy as np
import pandas as pd
import pytest

import artifacts
from soundprompt import params as p
from soundprompt.data import frame_table, leaks
from soundprompt.report import fragments, html, tables

SHARED = ["vggss_test_001", "vggss_test_004"]


@pytest.fixture
def vggss(tmp_path, monkeypatch):
    """(params, layout) of a study tested on six VGG-SS clips. Of two of them training and validation know something:
    the source video of one, a picture of the other."""
    monkeypatch.chdir(tmp_path)
    params = artifacts.small_study("table_vggss")
    params = params.model_copy(update={"data": params.data.model_copy(update={"leaks": "report"})})
    layout = artifacts.make(params, levels={"gavs": 0.5})  # some clips succeed and some do not
    met, tested = (frame_table.read(layout.table(dataset)) for dataset in ("v2", "vggss"))
    first = met[met["split"] == "train"].iloc[0]
    seen = met[met["split"] == "val"].iloc[3]
    tested.loc[tested["clip"] == SHARED[0], "video"] = first["video"]
    tested.loc[tested["clip"] == SHARED[1], "image_digest"] = seen["image_digest"]
    frame_table.write(tested, layout.table("vggss"))
    return params, layout


def tabulated(params, layout, name):
    leaks.run(p.leaks_view(params), layout)
    tables.run(p.table_view(params, name), layout)
    return tables.read(layout.result_table(name)).set_index(["method", "metric"])


def test_the_clean_figures_are_those_of_the_other_clips(vggss, capsys):
    table = tabulated(*vggss, "table_vggss")
    assert (table["n_left_out"] == 2).all() and (table["n_clips"] == 6).all()
    by_seed = {"published": [], "clean": []}
    for seed in (0, 1):
        scores = pd.read_parquet(vggss[1].run("vggss", "gavs", seed) / "scores.parquet")
        mine = scores[(scores["method"] == "gavs") & (scores["metric"] == "ciou")].set_index("clip")["value"]
        by_seed["published"].append((mine >= 0.5).mean())
        by_seed["clean"].append((mine.drop(SHARED) >= 0.5).mean())
    row = table.loc[("gavs", "ciou")]
    assert np.mean(by_seed["published"]) != np.mean(by_seed["clean"])
    assert row["mean"] == pytest.approx(np.mean(by_seed["published"]), abs=1e-6)
    assert row["clean_mean"] == pytest.approx(np.mean(by_seed["clean"]), abs=1e-6)
    assert row["clean_sd"] == pytest.approx(np.std(by_seed["clean"], ddof=1), abs=1e-6)
    said = "clean: VGG-SS, other domain without 2 of 6 clips of VGG-SS, test"
    assert capsys.readouterr().err.count(said) == 1


def test_the_list_names_the_clips_and_what_they_share(vggss):
    tabulated(*vggss, "table_vggss")
    rows = pd.read_csv(leaks.clips_path(vggss[1]))
    rows = rows[rows["setting"] == "vggss"].drop(columns=["setting", "test"])
    assert rows.values.tolist() == [
        [SHARED[0], "video", "v2/train", "train"],
        [SHARED[1], "picture", "v2/val", "validation"],
    ]


def test_the_page_has_both_columns(vggss):
    params, layout = vggss
    table = tabulated(params, layout, "table_vggss").reset_index()
    view = p.table_view(params, "table_vggss")
    for sheet in (fragments.overview(view, table), fragments.by_setting(view, table)[0]):
        labels = [label for label, _ in sheet.heads][:4]
        assert labels == ["cIoU, as published", "cIoU, clean", "AUC, as published", "AUC, clean"]
        gavs = next(row for row in sheet.rows if row.label == "GAVS")
        row = table.set_index(["method", "metric"]).loc[("gavs", "auc")]
        assert [cell.value for cell in gavs.cells[2:4]] == [f"{row['mean']:.3f}", f"{row['clean_mean']:.3f}"]
        assert not gavs.cells[1].paper, "the paper's figure is of all clips"
    html.run(params, layout)
    page = layout.report.read_text()
    assert "Clean: VGG-SS, other domain without 2 of 6 clips of VGG-SS, test" in page and "cIoU, clean" in page


def test_where_nothing_is_shared_one_line_says_so(study):
    params, layout = study
    table = tabulated(params, layout, "table_v3")
    assert (table["n_left_out"] == 0).all() and table["clean_mean"].isna().all()
    html.run(params, layout)
    page = layout.report.read_text()
    assert page.count("Clean: no test clip shares its source video or a picture with training or validation") == 1
    assert "as published</th>" not in page and ", clean</th>" not in page


def test_f_of_several_clips_in_a_call_has_no_clean_figure(study):
    """Which clips stood in a call is not in the scores, so that none can be taken out of it."""
    params, layout = study
    for seed in (0, 1):
        path = layout.run("v3_0shot", "gavs", seed) / "scores.parquet"
        scores = pd.read_parquet(path)
        calls = scores[scores["metric"] == "f_score"].iloc[::2].assign(metric="f_score_batch2")
        path.unlink()  # a hard link of the study that all tests share
        pd.concat([scores, calls]).to_parquet(path, index=False)
    frames = frame_table.read(layout.table("v3"))
    frames.loc[frames["clip"] == "v3_unseen_001", "video"] = "v3_seen_train_000"
    layout.table("v3").unlink()
    frame_table.write(frames, layout.table("v3"))
    experiment = params.experiments["table_v3"].model_copy(update={"metrics": ("f_score", "f_score_batch2")})
    params = params.model_copy(
        update={"experiments": {"table_v3": experiment}, "data": params.data.model_copy(update={"leaks": "report"})}
    )
    table = tabulated(params, layout, "table_v3").reset_index()
    here = table[(table["selection"] == "v3/unseen") & (table["method"] == "gavs") & (table["kind"] == "all")]
    here = here[here["setting"] == "v3_0shot"].set_index("metric")
    assert np.isfinite(here.loc["f_score", "clean_mean"]) and np.isnan(here.loc["f_score_batch2", "clean_mean"])
