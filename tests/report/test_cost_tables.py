"""Costs in tables and plots: beside the scores, of a study and of its substudies."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import artifacts
from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.files import write_json
from soundprompt.report import cost_plots, fragments, html, plots, tables

NAME = "study_cost"
METRICS = ("miou", "trained_parameters", "gflops", "latency_ms", "rtf_25", "training_s", "training_steps")
METHODS = ("centre_disc", "gavs@mismatched", "sam_fusion", "gavs")


def asking(settings=("v1s", "size_64/v1s")) -> p.Params:
    """The full study with nothing but this experiment."""
    experiment = {
        "title": "Cost",
        "settings": settings,
        "methods": METHODS,
        "metrics": METRICS,
        "reference": "gavs",
        "plots": ["cost"],
    }
    raw = artifacts.raw()
    raw |= {"experiments": {NAME: experiment}, "seeds": [0, 1]}
    return p.validate(raw)


def measured(scale: float) -> dict:
    """A file of the stage `cost`: SAM-Fusion takes half as long as GAVS."""

    def of(share: float) -> dict:
        latency = 20 * scale * share
        timed = {"value": latency, "low": 0.9 * latency, "high": 1.1 * latency}
        return {
            "trained_parameters": {"value": 330_880 * share},
            "gflops": {"value": 0.26 * scale},
            "latency_ms": timed,
            "rtf_25": {name: value / 40 for name, value in timed.items()},
        }

    return {"models": {"gavs": of(1), "sam_fusion": of(0.5)}}


@pytest.fixture
def view(tmp_path, monkeypatch) -> p.TableView:
    """Scores and costs of the study and of its substudy at a smaller input size."""
    monkeypatch.chdir(tmp_path)
    params = asking()
    for study in params.studies().values():
        artifacts.make(study, clips=2)
        write_json(study.layout.cost, measured(0.5 if study.study.endswith("64") else 1))
    return p.table_view(params, NAME)


def entry(table, setting, method, metric):
    found = table[(table["setting"] == setting) & (table["method"] == method) & (table["metric"] == metric)]
    assert len(found) == 1
    return found.iloc[0]


def test_costs_stand_beside_the_scores(view):
    tables.run(view, view.layout)
    table = tables.read(view.layout.result_table(NAME))
    found = entry(table, "v1s", "gavs", "latency_ms")
    assert (found["mean"], found["low"], found["high"], found["interval_over"]) == (20, 18, 22, "repeats")
    assert entry(table, "size_64/v1s", "gavs", "latency_ms")["mean"] == 10
    assert np.isnan(entry(table, "v1s", "gavs", "trained_parameters")["low"])
    assert entry(table, "v1s", "gavs", "miou")["n_seeds"] == 2
    trained = entry(table, "v1s", "sam_fusion", "training_s")
    assert (trained["mean"], trained["n_seeds"], trained["interval_over"]) == (65, 2, "seeds")
    assert entry(table, "v1s", "sam_fusion", "training_steps")["mean"] == 1000
    free = table[table["method"].isin(["centre_disc", "gavs@mismatched"])]
    assert set(free["metric"]) == {"miou"}


def test_the_report_writes_amounts_as_amounts(view):
    tables.run(view, view.layout)
    table = tables.read(view.layout.result_table(NAME))
    sheet = fragments.by_setting(view, table)[0]
    rows = {row.label: [cell.value for cell in row.cells] for row in sheet.rows}
    wide = "330\N{NARROW NO-BREAK SPACE}880"
    assert rows["GAVS"][1:5] == [wide, "0.26", "20", "0.5"]
    cheap = next(row for row in sheet.rows if row.label == "SAM-Fusion")
    assert cheap.cells[3].best and "quartiles of repeated timings: 9 to 11" in cheap.cells[3].full
    assert rows["centre disc (floor)"][1] == fragments.NOTHING


@pytest.mark.parametrize(
    ("value", "text"), [(0.014218, "0.0142"), (0.26, "0.26"), (14.21, "14.2"), (99.96, "100"), (1234.4, "1 234")]
)
def test_amounts(value, text):
    assert fragments.amount(value).replace("\N{NARROW NO-BREAK SPACE}", " ") == text


def test_a_line_joins_the_input_sizes_of_a_method(view):
    tables.run(view, view.layout)
    table = tables.read(view.layout.result_table(NAME))
    found = cost_plots.points(view, table, list(view.settings), "gavs", "latency_ms", "miou")
    assert [(point.cost, point.label) for point in found] == [(10, "size 64"), (20, "")]
    assert found[1].score == pytest.approx(entry(table, "v1s", "gavs", "miou")["mean"])
    plots.run(view, view.layout)
    names = {path.stem for path in view.layout.result_plots(NAME).glob("cost-*.svg")}
    assert names == {"cost-v1s-latency_ms", "cost-v1s-gflops", "cost-v1s-trained_parameters"}
    root = ElementTree.parse(view.layout.result_plots(NAME) / "cost-v1s-latency_ms.svg").getroot()
    said = next(child.text for child in root if child.tag.endswith("desc"))
    assert f"{found[0].score:.3f} at 10 (size 64), {found[1].score:.3f} at 20." in said
    alone = (view.layout.result_plots(NAME) / "cost-v1s-trained_parameters.svg").read_text()
    assert "size 64" not in alone


def test_round_numbers_of_an_axis():
    assert cost_plots.round_numbers(0.8, 30) == pytest.approx([1, 2, 5, 10, 20])
    assert cost_plots.round_numbers(1.2e5, 3.9e5) == pytest.approx([1.5e5, 2e5, 2.5e5, 3e5])
    assert cost_plots.round_numbers(11, 13) == [12]


def test_what_was_not_measured_is_named_and_the_rest_is_tabulated(view, capsys):
    gone = view.layout.of("size_64/v1s")[0].cost
    gone.unlink()
    tables.run(view, view.layout)
    assert str(gone) in capsys.readouterr().err
    table = tables.read(view.layout.result_table(NAME))
    assert set(table.loc[table["metric"] == "latency_ms", "setting"]) == {"v1s"}
    plots.run(view, view.layout)


def test_a_damaged_file_is_named(view):
    write_json(view.layout.cost, [1])
    with pytest.raises(InputError, match=r"cost\.json"):
        tables.run(view, view.layout)


def test_the_page_shows_the_plots_and_leads_from_training_to_cost(view):
    params = asking()
    tables.run(view, view.layout)
    plots.run(view, view.layout)
    page = html.render(params, view.layout)
    assert "Score against cost" in page and f'What a frame costs once a model is trained: <a href="#{NAME}">' in page


def test_who_is_measured():
    params = asking()
    assert list(params.costed()) == ["gavs", "sam_fusion"]
    assert list(params.substudy("size_64").costed()) == ["gavs", "sam_fusion"]
    assert p.cost_view(params).picture == (128, 128)
    slower = params.models["gavs"].model_copy(update={"schedule": p.Schedule(steps=3)})
    other = params.model_copy(update={"models": params.models | {"gavs": slower}})
    assert p.cost_view(other) == p.cost_view(params)
