"""Searches for learning rates: a table made from validation alone, and whether the settings hold the winner."""

import pytest

import artifacts
from soundprompt import params as p
from soundprompt.data import leaks
from soundprompt.errors import InputError
from soundprompt.files import write_json, write_text
from soundprompt.report import fragments, html, plots, search, tables

METHODS = ["sam_fusion", "fusion-faster", "gavs", "gavs-slow", "gavs-fast"]
MODELS = {
    "gavs-slow": {"base": "gavs", "schedule": {"learning_rate": 1e-3}},
    "gavs-fast": {"base": "gavs", "schedule": {"adapter_learning_rate": 1e-2}},
    "fusion-faster": {"base": "sam_fusion", "schedule": {"learning_rate": 4e-3}},
}
SCORES = {"sam_fusion": 0.50, "fusion-faster": 0.48, "gavs": 0.70, "gavs-slow": 0.72, "gavs-fast": 0.71}


def study(**search_changes):
    experiment = {
        "title": "Learning rates",
        "settings": ["v3_0shot"],
        "methods": METHODS,
        "seeds": [0],
        "metrics": ["validation"],
        "plots": ["bars"],
        **search_changes,
    }
    raw = p.merge(artifacts.raw(), {"models": MODELS})
    return p.validate({**raw, "experiments": {"search_rates": experiment}})


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """(params, layout): runs as training leaves them, without a score."""
    monkeypatch.chdir(tmp_path)
    params = study()
    layout = artifacts.Layout(params.study)
    for model, score in SCORES.items():
        run(layout, model, score)
    artifacts._table(layout, "v3", artifacts.SPLITS["v3"], 2)
    chosen = {"v3_0shot": params.settings["v3_0shot"]}
    leaks.run(p.LeaksView(study=params.study, settings=chosen, leaks="stop"), layout)
    return params, layout


def run(layout, model, score, seed=0):
    result = {"validation": score, "validation_frames": 250, "best_step": 700, "train_clips": 614}
    write_json(layout.run("v3_0shot", model, seed) / "provenance.json", {"result": result})


def test_nothing_is_scored_and_everything_trained(searched):
    params, _ = searched
    assert params.evaluations() == []
    assert params.runs() == [("v3_0shot", model, 0) for model in sorted(METHODS)]
    assert params.packs("v3_0shot", "gavs") == [(0,)] and params.packs("v3_0shot", "gavs", evaluate=True) == []


def test_a_row_for_each_run_from_its_provenance(searched, capsys):
    params, layout = searched
    view = p.table_view(params, "search_rates")
    tables.run(view, layout)
    table = tables.read(layout.result_table("search_rates")).set_index("method")
    assert table["mean"].to_dict() == SCORES and table.index.tolist() == METHODS
    assert set(table["selection"]) == {"validation"} and set(table["n_frames"]) == {250}
    assert table["low"].isna().all() and (table["n_seeds"] == 1).all()
    gavs = table.loc["gavs", "remark"]
    assert "its trial gavs-slow is better on validation (0.720 against 0.700)" in gavs
    assert "learning_rate: 0.001, adapter_learning_rate: 0.005" in gavs
    assert "it had 1 trials beside itself where another method had 2" in table.loc["sam_fusion", "remark"]
    assert table["remark"].notna().sum() == 2
    said = capsys.readouterr().err
    assert "search_rates: gavs on v3_0shot: its trial gavs-slow is better" in said


def test_a_winner_in_the_settings_needs_no_remark(searched):
    _, layout = searched
    run(layout, "gavs", 0.73)
    view = p.table_view(study(methods=METHODS[2:]), "search_rates")
    assert all(row["remark"] is None for row in search.rows(view, layout))


def test_only_the_settings_say_what_is_a_trial():
    models = {name: model for name, model in study().models.items() if "-rate_" not in name}
    assert search.trials(models) == {"gavs-slow": "gavs", "gavs-fast": "gavs", "fusion-faster": "sam_fusion"}
    assert search.trials({"gavs-slow": models["gavs-slow"]}) == {}
    longer = models["gavs-slow"].model_copy(update={"schedule": p.Schedule(steps=3)})
    assert "gavs-slow" not in search.trials({**models, "gavs-slow": longer})


def test_missing_and_damaged_runs_are_named(searched, capsys):
    params, layout = searched
    view = p.table_view(params, "search_rates")
    path = layout.run("v3_0shot", "gavs-slow", 0) / "provenance.json"
    path.unlink()
    tables.run(view, layout)
    assert str(path) in capsys.readouterr().err
    write_json(path, {"result": {}})
    with pytest.raises(InputError, match="no validation score"):
        tables.run(view, layout)


def test_several_seeds_are_compared_on_those_that_both_have(searched):
    _, layout = searched
    run(layout, "gavs", 0.9, seed=1)
    view = p.table_view(study(seeds=[0, 1]), "search_rates")
    row = next(row for row in search.rows(view, layout) if row["method"] == "gavs")
    assert row["mean"] == pytest.approx(0.8) and row["n_seeds"] == 2 and row["low"] < 0.8 < row["high"]
    assert "0.720 against 0.700" in row["remark"]


def test_the_report_shows_it(searched):
    params, layout = searched
    view = p.table_view(params, "search_rates")
    tables.run(view, layout)
    plots.run(view, layout)
    sheet = fragments.overview(view, tables.read(layout.result_table("search_rates")))
    assert [row.cells[0].value for row in sheet.rows] == [f"{value:.3f}" for value in SCORES.values()]
    assert (layout.result_plots("search_rates") / "bars-v3_0shot.svg").exists()
    html.run(params, layout)
    page = layout.report.read_text()
    assert "its trial gavs-slow is better on validation" in page and "validation · all classes" in page
    assert "search" not in layout.headline.read_text().lower()


def test_a_leak_stops_the_table_also_by_hand(searched):
    params, layout = searched
    found = leaks.read(layout)
    found.loc[0, ["shared", "verdict"]] = [3, "stops"]
    write_text(leaks.path(layout), found.to_csv(index=False), recorded=True)
    with pytest.raises(InputError, match="what is tested is not new"):
        tables.run(p.table_view(params, "search_rates"), layout)
    found.loc[0, "verdict"] = "reported"
    write_text(leaks.path(layout), found.to_csv(index=False), recorded=True)
    tables.run(p.table_view(params, "search_rates"), layout)
    html.run(params, layout)
    assert "Not all that is tested here is new" in layout.report.read_text()
    leaks.path(layout).unlink()
    with pytest.raises(InputError, match="soundprompt leaks"):
        tables.run(p.table_view(params, "search_rates"), layout)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"metrics": ["validation", "miou"]}, "stands alone"),
        ({"methods": ["gavs", "centre_disc"]}, "'centre_disc' is not trained"),
        ({"methods": ["gavs@muted"]}, "'gavs@muted' is not trained"),
        ({"settings": ["vggss"]}, "'vggss' trains nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(changes, words):
    with pytest.raises(InputError, match=words):
        study(**changes)
