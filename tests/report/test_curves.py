import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.report import curves, tables


@pytest.fixture
def drawn(study, tmp_path):
    """Draws curves of the experiment on unseen classes; returns what their files say."""
    params, layout = study

    def draw(*wanted: p.Curve, **changes) -> dict[str, str]:
        view = p.table_view(params, "table_v3")
        experiment = view.experiment.model_copy(update={"curves": wanted, **changes})
        curves.draw(
            view.model_copy(update={"experiment": experiment}), tables.read(layout.result_table("table_v3")), tmp_path
        )
        return {path.stem: ElementTree.parse(path).getroot()[1].text for path in tmp_path.glob("*.svg")}

    return draw


def view_of(settings=(), methods=("gavs",), **tests):
    experiment = p.Experiment(title="t", settings=tuple(settings), methods=tuple(methods))
    specs = {name: p.Setting(model_of="v2", test=tests.get(name, ("v2/test",))) for name in settings}
    return p.TableView(study="s", name="n", experiment=experiment, settings=specs, models={}, seeds=(0,))


def test_places_come_from_the_numbers_that_names_end_in():
    domains = view_of(["domains"], domains=("scenes/shift_100", "scenes/shift_0", "scenes/shift_25"))
    axis = curves._axis(domains, p.Curve(over="selections", label="shift"))
    assert axis.names == ("scenes/shift_0", "scenes/shift_25", "scenes/shift_100")
    assert axis.places.tolist() == [0, 25, 100]  # a zero has no logarithm
    widths = view_of(["v1s"], methods=[f"gavs-cola_dim{n}" for n in (16, 64, 256)])
    axis = curves._axis(widths, p.Curve(over="methods", label="width"))
    assert axis.ticks == ("16", "64", "256")
    assert np.diff(axis.places).tolist() == pytest.approx([np.log(4)] * 2)


def test_declared_places_and_names_without_numbers():
    data = view_of(["v2_10", "v2_50", "v2"])
    whole = p.Curve(over="settings", label="share", along=("v2_10", "v2_50", "v2"), x=(10, 50, 100))
    assert curves._axis(data, whole).ticks == ("10", "50", "100")
    even = curves._axis(data, p.Curve(over="settings", label="share"))
    assert even.places.tolist() == [0, 1, 2] and even.ticks[-1] == "V2, more classes"
    linear = whole.model_copy(update={"spacing": "linear"})
    assert curves._axis(data, linear).places.tolist() == [10, 50, 100]


def test_a_curve_says_the_numbers_of_the_table(drawn, study):
    curve = p.Curve(name="few", over="settings", label="shots", metrics=("miou", "f_score"))
    said = drawn(curve)["curve-few"]
    table = tables.read(study[1].result_table("table_v3"))
    for metric, label in (("miou", "mIoU"), ("f_score", "F-score")):
        rows = table[(table["method"] == "gavs") & (table["metric"] == metric) & (table["kind"] == "all")]
        primary = {"v3_0shot": "v3/unseen", **{f"v3_{k}shot": f"v3/{k}_shot_test" for k in (1, 3, 5)}}
        means = [rows[(rows["setting"] == s) & (rows["selection"] == t)]["mean"].item() for s, t in primary.items()]
        listed = ", ".join(
            f"V3, {k} shot{'' if k == 1 else 's'} {v:.3f}" for k, v in zip((0, 1, 3, 5), means, strict=True)
        )
        assert f"{label}, GAVS: {listed}." in said


def test_the_papers_figures_are_hollow_marks_on_request(drawn, tmp_path):
    curve = p.Curve(name="paper", over="settings", label="shots", published=True)
    drawn(curve)
    assert "hollow: the paper" in (tmp_path / "curve-paper.svg").read_text()
    drawn(curve.model_copy(update={"name": "ours", "published": False}))
    assert "hollow: the paper" not in (tmp_path / "curve-ours.svg").read_text()


def test_selections_of_one_setting_and_what_is_missing(drawn):
    curve = p.Curve(name="sets", over="selections", label="clips", setting="v3_0shot", methods=("gavs",))
    assert drawn(curve)["curve-sets"].count("V3, ") == 4
    assert "curve-none" not in drawn(curve.model_copy(update={"name": "none", "metrics": ("area",)}))


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        ({"over": "settings", "label": "x", "along": ["v9"]}, "along: 'v9'"),
        ({"over": "settings", "label": "x", "metrics": ["auc"]}, "metrics: 'auc'"),
        ({"over": "settings", "label": "x", "x": [1, 2]}, "x needs"),
        ({"over": "settings", "label": "x", "along": ["v3_0shot", "v3_1shot"], "x": [2, 1]}, "x must rise"),
    ],
)
def test_a_curve_of_what_is_not_there_is_refused(curve, message):
    import artifacts

    raw = artifacts.raw()
    raw["experiments"]["table_v3"]["curves"] = [curve]
    with pytest.raises(InputError, match=message):
        p.validate(raw)


def test_plots_lose_the_settings_that_an_overlay_leaves_out_and_substudies_have_none():
    import artifacts

    raw = artifacts.raw()
    along = ["v3_0shot", "v3_1shot", "v3_5shot"]
    panels = [{"metric": "miou", "setting": name} for name in ("v3_1shot", "v3_5shot")]
    raw["experiments"]["table_v3"] |= {
        "curves": [{"over": "settings", "label": "shots", "along": along, "x": [0, 1, 5]}],
        "dots": [{"panels": panels}, {"name": "one", "panels": panels[:1]}],
    }
    arms = [{"metric": "miou", "setting": name} for name in ("v1s", "points/v1s")]
    raw["experiments"]["foundations"]["dots"] = [{"panels": arms}]
    whole = p.validate(raw)
    assert whole.substudy("points").experiments["foundations"].dots == ()
    less = p.validate(p.merge(raw, {"settings": {"v3_1shot": None}})).experiments["table_v3"]
    assert (less.curves[0].along, less.curves[0].x) == (("v3_0shot", "v3_5shot"), (0, 5))
    assert [[panel.setting for panel in plot.panels] for plot in less.dots] == [["v3_5shot"]]


def test_rows_of_a_line_without_scores_are_empty():
    table = pd.DataFrame(columns=list(tables.COLUMNS))
    line = curves.Line("a", "#000000", [{"setting": "v1s", "method": "gavs"}])
    assert curves._rows(table, line, "miou")["mean"].isna().all()
