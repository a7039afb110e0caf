import pytest

import artifacts
from soundprompt import params as p
from soundprompt.report import published


@pytest.mark.parametrize(
    ("table", "setting", "selection", "method", "metric", "value"),
    [
        ("benchmarks", "v1s", "v1s/test", "gavs", "miou", 0.8006),
        ("benchmarks", "v2", "v2/test", "sam_fusion", "f_score", 0.724),
        ("benchmarks", "v1m", "v1m/test", "audio_sam", "miou", 0.3368),
        ("v3", "v3_0shot", "v3/unseen", "gavs", "miou", 0.5471),
        ("v3", "v3_5shot", "v3/5_shot_test", "gavs", "f_score", 0.795),
        ("vggss", "vggss", "vggss/test", "gavs", "ciou", 0.4107),
        ("vggss", "vggss", "vggss/test", "sam_fusion", "auc", 0.302),
        ("data_efficiency", "v2_50", "v2/test", "gavs", "miou", 0.651),
    ],
)
def test_figures_are_those_of_the_paper_in_our_units(table, setting, selection, method, metric, value):
    figure = published.find(table, setting, selection, method, metric)
    assert figure.value == pytest.approx(value, abs=1e-9)
    assert "2309.07929" in figure.source


def test_nothing_is_made_up_where_the_paper_has_no_figure():
    assert published.find("benchmarks", "v1s", "v1s/test", "gavs-no_audio", "miou") is None
    assert published.find("v3", "v3_0shot", "v3/1_shot_test", "gavs", "miou") is None
    assert published.find(None, "v1s", "v1s/test", "gavs", "miou") is None
    assert {f.method for f in published.figures("benchmarks") if f.setting == "v2"}.isdisjoint(
        {"AVSC", "AuTR", "AV-SAM"}
    )


def test_every_figure_is_a_share_and_settings_are_those_of_the_study():
    params = p.load(base=artifacts.ROOT / "params.yaml")
    for figure in published.figures():
        assert 0.2 < figure.value < 0.95
        if figure.setting in params.settings:
            assert params.settings[figure.setting].test[0] == figure.selection
    assert len(published.figures()) == 40 + 32 + 10 + 32


def test_full_data_of_the_data_curve_equals_the_benchmark_table():
    for figure in published.figures("data_efficiency"):
        if figure.setting == "v2":
            same = [
                f.value
                for f in published.figures("benchmarks")
                if (f.method, f.setting, f.metric) == (figure.method, "v2", figure.metric)
            ]
            assert same == [figure.value]
