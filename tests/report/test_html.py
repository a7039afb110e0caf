import re
from html.parser import HTMLParser

import pandas as pd
import pytest

import artifacts
from soundprompt import params as p
from soundprompt.report import claims as judging
from soundprompt.report import html, tables
from soundprompt.report.verdicts import UNTESTED


class Page(HTMLParser):
    """Collects ids, addresses and whether tags are balanced."""

    VOID = ("meta", "link", "img", "br", "line", "rect", "path", "use", "input")

    def __init__(self, text):
        super().__init__()
        self.ids, self.addresses, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self.addresses += [attrs[name] for name in ("src", "href", "xlink:href") if name in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture
def page(study):
    html.run(*study)
    return study[1].report.read_text()


def test_the_page_stands_alone(page):
    parsed = Page(page)
    assert parsed.open == []
    assert all(address.startswith(("data:", "#")) for address in parsed.addresses)
    assert not re.search(r"@import|url\((?!data:|#|\"data:)", page)
    assert len(parsed.ids) == len(set(parsed.ids))
    assert {address[1:] for address in parsed.addresses if address.startswith("#")} <= set(parsed.ids)


def test_it_says_what_it_should(page):
    for words in (
        "Sound decides what is segmented",
        "paper 0.547",
        "centre disc (floor)",
        "250 000",
        "best",
        "Trained",
    ):
        assert words.lower() in page.lower()
    assert "This study is not complete" not in page
    assert "/tmp/" not in page and str(artifacts.ROOT) not in page


def test_the_page_opens_with_clips_then_numbers_then_claims_then_grouped_sections(page, study):
    main = page[page.index("<main>") :]
    sections = re.findall(r'<section[^>]* id="(\w+)"', main)
    assert sections[:4] == ["opening", "numbers", "verdicts", "table_v3"]
    opening = main[: main.index('<section id="numbers">')]
    clips = opening.split('<article class="case"')[1:]
    assert 4 <= len(clips) <= 6
    for clip in clips:
        assert clip.count("<audio controls") == 1 and clip.count("<img ") == 1
        assert re.findall(r'<p class="who">([\w-]+)', clip) == ["picture", "truth", "GAVS", "SAM-Fusion"]
        assert len(re.findall(r"<b>[01]\.\d\d</b>", clip)) == 2
    assert "drawn by a fixed random number, before any score was read" in opening
    claims = page.index('<table class="claims">')
    rows = re.findall(r'<tr><td class="\w+">.*?</tr>', page[claims : page.index("</table>", claims)], re.S)
    assert all(re.search(r'href="#claim-\w+"', row) for row in rows)
    assert rows and not any(UNTESTED in row for row in rows)
    untested = r"<details[^>]*><summary>(\d+) of (\d+) claims are not tested here</summary>(.*?)</details>"
    fold = re.search(untested, page, re.S)
    assert int(fold[2]) == len(judging.CLAIMS) and int(fold[1]) == int(fold[2]) - len(rows)
    assert fold[3].count('<article class="verdict none"') == int(fold[1])
    assert any('href="#table_v3">section' in row for row in rows)
    index = page[page.index("<nav") : page.index("</nav>")]
    assert re.search(r">Main tables</a><ul><li><a href=\"#table_v3\">", index)
    assert study[1].claims.exists()


def test_it_says_how_long_training_waited_for_data(page):
    training = words_of(page, '<section id="training">', "</section>")
    assert re.search(r" training, s waiting memory, MiB .* 65 8\.0 % ", training)


def words_of(page, start, end):
    """The text between two marks, in one line."""
    part = page[page.index(start) : page.index(end, page.index(start))]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", part))


def test_it_says_which_intervals_it_shows_and_what_is_corrected(page):
    claims = words_of(page, '<section id="verdicts">', "</section>")
    assert "95 % interval over seeds and test videos" in claims
    assert "Family 2 comparisons" not in claims and "Family 1 comparison, so nothing to correct for" in claims
    assert "Family 4 comparisons, each tested against the claim after Holm" in claims
    chapter = words_of(page, '<section id="table_v3">', "</section>")
    assert "that of this one mean over seeds" in chapter
    assert "the 95 % interval of that paired difference over seeds and test videos" in chapter


def test_a_page_of_one_seed_decides_nothing_and_marks_no_best(study):
    params, layout = study
    params = params.model_copy(update={"seeds": (0,)})
    artifacts.tabulate(params, layout)
    page = html.render(params, layout)
    assert "no claim is decided and no best method is marked" in page
    assert 'class="best"' not in page
    claims = words_of(page, '<table class="claims">', "</table>")
    assert "undecided at this size" in claims and "(one seed: over videos only)" in claims
    assert "holds" not in claims and "does not hold" not in claims


def test_an_interval_that_is_not_known_is_said_not_to_be(study):
    """All clips of the test come from one video."""
    params, layout = study
    for path in [*layout.runs.rglob("scores.parquet"), layout.floors("v3_0shot")]:
        rows = pd.read_parquet(path).assign(video="film")
        path.unlink()
        artifacts._parquet(rows, path)
    artifacts.tabulate(params, layout)
    page = html.render(params, layout)
    assert "no interval" in words_of(page, '<table class="claims">', "</table>")
    assert Page(page).open == [] and not re.search(r"\bnan\b", page)


def test_zero_shots_stand_beside_few_on_the_same_clips(page):
    assert page.count("mIoU before</th>") == 3


def test_a_partial_study_says_what_is_missing(study):
    params, layout = study
    gone = layout.run("v3_3shot", "gavs", 0) / "scores.parquet"
    gone.unlink()
    layout.foundation_quality("sam").unlink()
    tables.run(p.table_view(params, "table_v3"), layout)
    html.run(params, layout)
    page = layout.report.read_text()
    assert "This study is not complete" in page and str(gone) in page
    assert "No quality on record" in page


def test_an_empty_study_still_gives_a_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = artifacts.small_study()
    html.run(params, artifacts.Layout(params.study))
    page = artifacts.Layout(params.study).report.read_text()
    Page(page)
    assert ("not complete" in page and "No predictions to show" in page) or "No cases" in page


def test_texts_from_data_are_escaped(study):
    params, layout = study
    table = layout.table("v3")
    frames = artifacts.frame_table.read(table)
    table.unlink()
    artifacts.frame_table.write(frames.assign(class_name="<script>alert(1)</script>_" + frames["class_name"]), table)
    html.run(params, layout)
    assert "<script>" not in layout.report.read_text()


def test_headline_names_the_report_and_its_numbers(study):
    assert "missing" in html.headline(*study)
    html.run(*study)
    lines = html.headline(*study).splitlines()
    assert str(study[1].report) in lines[0]
    assert any("V3, 5 shots" in line and "GAVS 0." in line and "SAM-Fusion 0." in line for line in lines)
    assert any(line.endswith("Sound decides what is segmented.") for line in lines)
