import xml.etree.ElementTree as ElementTree

import pytest

from soundprompt import params as p
from soundprompt.report import dots, tables


@pytest.fixture
def draw(study, tmp_path):
    """Draws one dot plot of the experiment on unseen classes from its table, changed as asked; returns what it says."""
    params, layout = study

    def draw(wanted: p.Dots, change=lambda table: table) -> tuple[str, str]:
        view = p.table_view(params, "table_v3")
        view = view.model_copy(update={"experiment": view.experiment.model_copy(update={"dots": (wanted,)})})
        dots.draw(view, change(tables.read(layout.result_table("table_v3"))), tmp_path)
        path = tmp_path / f"dots-{wanted.name}.svg"
        return (ElementTree.parse(path).getroot()[1].text, path.read_text()) if path.exists() else ("", "")

    return draw


def test_panels_show_their_metric_setting_and_kind(draw, study):
    panels = (p.Panel(metric="miou", kind="new level"), p.Panel(metric="f_score", setting="v3_5shot", label="after"))
    said, _ = draw(p.Dots(panels=panels))
    table = tables.read(study[1].result_table("table_v3"))
    gavs = table[table["method"] == "gavs"]
    new = gavs[(gavs["selection"] == "v3/unseen") & (gavs["kind"] == "new level") & (gavs["metric"] == "miou")]
    after = gavs[(gavs["setting"] == "v3_5shot") & (gavs["kind"] == "all") & (gavs["metric"] == "f_score")]
    first, second = said.split("after: ")
    assert f"GAVS {new['mean'].item():.3f}" in first
    assert f"GAVS {after['mean'].item():.3f}" in second
    assert "sound of another clip" not in said  # a probe is no row of its own


def test_a_probe_is_read_beside_the_methods_own_sound(draw, study):
    said, _ = draw(
        p.Dots(methods=("gavs",), panels=(p.Panel(metric="miou"), p.Panel(metric="miou", probe="mismatched")))
    )
    table = tables.read(study[1].result_table("table_v3"))
    here = table[(table["selection"] == "v3/unseen") & (table["kind"] == "all") & (table["metric"] == "miou")]
    means = here.set_index("method")["mean"]
    assert said == f"mIoU: GAVS {means['gavs']:.3f}. mIoU: GAVS {means['gavs@mismatched']:.3f}."


def test_what_was_measured_on_other_pictures_is_found_and_held_against_a_line(draw):
    def examined(table):
        own = table[(table["selection"] == "v3/unseen") & (table["kind"] == "all") & (table["metric"] == "miou")]
        own = own.assign(selection="foundation/held_out")
        untouched = own.assign(metric="knowledge_untouched", mean=0.81)
        return tables.pd.concat([table, own.assign(metric="knowledge", mean=0.7), untouched])

    panel = p.Panel(metric="knowledge", against="knowledge_untouched")
    said, svg = draw(p.Dots(methods=("gavs", "sam_fusion"), panels=(panel,)), examined)
    assert said == "knowledge kept: GAVS 0.700, SAM-Fusion 0.700."
    assert "stroke-dasharray" in svg
    assert "stroke-dasharray" not in draw(p.Dots(name="bare", panels=(p.Panel(metric="miou"),)))[1]


def test_nothing_measured_nothing_drawn(draw):
    assert draw(p.Dots(panels=(p.Panel(metric="alarm"),))) == ("", "")


def test_panels_of_one_metric_may_share_their_scale(draw):
    def close_together(table):
        after = table["setting"] == "v3_5shot"
        return table.assign(**{end: table[end].where(~after, 0.5) for end in ("mean", "low", "high")})

    panels = (p.Panel(metric="miou"), p.Panel(metric="miou", setting="v3_5shot"))
    (alone, other), (one, two) = (
        _ticks(draw(p.Dots(name=name, one_scale=one_scale, panels=panels), close_together)[1])
        for name, one_scale in (("own", False), ("same", True))
    )
    assert alone != other
    assert one and one == two


def _ticks(svg: str) -> list[list[str]]:
    """Labels of the horizontal axis, panel by panel."""
    svg_name = "{http://www.w3.org/2000/svg}"
    axes = [g for g in ElementTree.fromstring(svg).iter(f"{svg_name}g") if g.get("id", "").startswith("axes_")]
    below = [next(g for g in axis if g.get("id", "").startswith("matplotlib.axis_")) for axis in axes]
    return [[text.text for text in axis.iter(f"{svg_name}text")] for axis in below]
