"""The page of a prediction in headless Chromium: it plays, seeks, and masks follow the second and the threshold."""

import re
import time

import numpy as np
import pytest
from films import write_film

from soundprompt.errors import InputError
from soundprompt.prediction import run, runs
from soundprompt.prediction.request import Request


@pytest.fixture
def page(run_folder, tmp_path):
    """The page of a film of four seconds, at a threshold that leaves some of it, and the rows of its table."""
    film, trained = write_film(tmp_path / "in <4 s>.mp4", 4, size=(96, 128)), runs.load(run_folder)
    rows = run.predict(Request(film, tmp_path / "first.mp4"), trained)
    middle = round(float(np.median([float(row["probability"]) for row in rows])), 2)
    asked = Request(film, tmp_path / "o.mp4", threshold=middle, page=tmp_path / "heard.html")
    return asked.page, run.predict(asked, trained), middle


def test_it_needs_nothing_else(page):
    path, rows, _ = page
    text = path.read_text()
    assert "in &lt;4 s&gt;.mp4" in text and not re.search(r"{{\w+}}|(src|href)=.?https?:", text)
    assert text.count("data:image/png;base64,") == len(rows) == 4


def test_a_page_has_its_name(page, tmp_path):
    film = write_film(tmp_path / "in.mp4", 1)
    with pytest.raises(InputError, match=r"--page: is no \.html"):
        Request(film, tmp_path / "o.mp4", page=tmp_path / "heard.pdf")


@pytest.mark.browser
def test_it_plays_seeks_and_follows_the_threshold(page, browser):
    path, rows, threshold = page
    browser.get(path.as_uri())
    wait(browser, "document.querySelector('video').readyState >= 2")
    assert browser.execute_script("return document.querySelector('video').duration") == pytest.approx(4, abs=0.2)
    assert heights(browser) == pytest.approx([100 * float(row["area"]) ** 0.5 for row in rows], abs=2)

    wait(browser, "document.querySelector('#bars').dataset.shown === '0'")
    browser.execute_script("document.querySelectorAll('#bars button')[2].click()")
    wait(browser, "document.querySelector('#bars').dataset.shown === '2'")
    wait(browser, "!document.querySelector('video').seeking")
    assert 2 <= browser.execute_script("return document.querySelector('video').currentTime") < 2.1
    assert painted(browser) == pytest.approx(float(rows[2]["area"]), abs=0.05)
    assert "0:02" in browser.execute_script("return document.querySelector('#now').textContent")

    for value in (1, 99):
        move(browser, value)
        wanted = 0.99 if value == 1 else 0.01
        assert all(height >= 99 if value == 1 else height <= 10 for height in heights(browser))
        wait(browser, f"({PAINTED}) {'>' if value == 1 else '<'} {wanted}")
    move(browser, round(100 * threshold))

    browser.execute_script("const v = document.querySelector('video'); v.muted = true; v.play()")
    wait(browser, "document.querySelector('#bars').dataset.shown === '3'", seconds=20)
    errors = [line for line in browser.get_log("browser") if line["level"] == "SEVERE"]
    assert not errors


PAINTED = """(() => {
  const canvas = document.querySelector("#masks canvas.shown");
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let on = 0;
  for (let at = 3; at < data.length; at += 4) on += data[at] > 0;
  return on / (canvas.width * canvas.height);
})()"""


def painted(browser) -> float:
    """Share of the mask on show that is painted."""
    return browser.execute_script(f"return {PAINTED}")


def heights(browser) -> list[float]:
    script = "return [...document.querySelectorAll('#bars i')].map((bar) => parseFloat(bar.style.height))"
    return browser.execute_script(script)


def move(browser, value: int) -> None:
    browser.execute_script(
        "const s = document.querySelector('#threshold'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))",
        value,
    )


def wait(browser, condition: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not browser.execute_script(f"return {condition}"):
        assert time.monotonic() < end, condition
        time.sleep(0.1)
