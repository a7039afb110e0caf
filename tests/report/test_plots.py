import re
import xml.etree.ElementTree as ElementTree

import pytest

from soundprompt import params as p
from soundprompt.report import drawing, plots, tables


@pytest.fixture
def plotted(study):
    return p.table_view(study[0], "table_v3"), study[1]


def test_every_family_is_drawn_and_says_what_it_shows(plotted):
    _, layout = plotted
    found = sorted(layout.result_plots("table_v3").glob("*.svg"))
    names = {path.stem for path in found}
    assert {"shots-all", "shots-new_level", "bars-v3_0shot", "bars-v3_0shot-kinds", "training-v3_0shot"} <= names
    for path in found:
        root = ElementTree.parse(path).getroot()
        texts = [child.text for child in root if child.tag.endswith(("title", "desc"))]
        assert len(texts) == 2 and all(texts)


def test_bars_carry_the_numbers_of_the_table(plotted):
    _, layout = plotted
    table = tables.read(layout.result_table("table_v3"))
    mine = table[(table["selection"] == "v3/unseen") & (table["kind"] == "all") & (table["metric"] == "miou")]
    drawn = (layout.result_plots("table_v3") / "bars-v3_0shot.svg").read_text()
    for value in mine["mean"]:
        assert f">{value:.3f}".replace("0.", ".") in drawn


def test_same_scores_same_bytes(plotted):
    view, layout = plotted
    before = {path.name: path.read_bytes() for path in layout.result_plots("table_v3").iterdir()}
    plots.run(view, layout)
    assert {path.name: path.read_bytes() for path in layout.result_plots("table_v3").iterdir()} == before


def test_inlined_plots_share_no_ids_and_follow_the_theme(plotted):
    _, layout = plotted
    folder = layout.result_plots("table_v3")
    one, other = (drawing.inline(path.read_text(), path.stem) for path in sorted(folder.iterdir())[:2])
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (one, other)]
    assert ids[0] and not ids[0] & ids[1]
    for svg, own in zip((one, other), ids, strict=True):
        assert set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg)) <= own
        assert "var(--ink)" in svg and drawing.INK not in svg
        ElementTree.fromstring(svg)
