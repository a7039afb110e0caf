"""The report in a real browser: it opens from a file, complains about nothing and needs no network."""

from __future__ import annotations

import json

import pytest
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

pytestmark = pytest.mark.browser

PHONE, DESKTOP = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def page(browser, report):
    """The browser with the report open and every collapsed part unfolded, so that all of it loads."""
    show(browser, report, DESKTOP)
    return browser


def show(browser, report, size: tuple[int, int]) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    browser.get(report.as_uri())
    browser.execute_script("document.querySelectorAll('details').forEach(part => part.open = true)")


def test_nothing_is_asked_of_the_network_and_nothing_is_logged(page):
    requested = []
    for entry in page.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            requested.append(message["params"]["request"]["url"])
    outside = [url for url in requested if not url.startswith(("file:", "data:", "chrome:", "about:"))]
    assert outside == []
    assert [entry for entry in page.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []


def test_every_image_decodes(page):
    widths = page.execute_async_script(
        """const done = arguments[0];
        const strips = [...document.querySelectorAll('.strip')].map(
            s => getComputedStyle(s).backgroundImage.replace(/^url\\(["']?|["']?\\)$/g, ''));
        const sources = [...document.images].map(i => i.src).concat(strips);
        Promise.all(sources.map(async source => {
            const image = new Image(); image.src = source;
            try { await image.decode() } catch { return 0 }
            return image.naturalWidth;
        })).then(done)"""
    )
    assert widths, "the report shows no pictures"
    assert min(widths) > 0


def test_every_sound_can_be_played(page):
    durations = page.execute_async_script(
        """const done = arguments[0];
        Promise.all([...document.querySelectorAll('audio')].map(sound => new Promise(resolve => {
            const probe = new Audio(); probe.preload = 'metadata';
            probe.onloadedmetadata = () => resolve(probe.duration);
            probe.onerror = () => resolve(0);
            probe.src = sound.src;
        }))).then(done)"""
    )
    assert durations, "the report holds no sound"
    assert min(durations) > 0.5


def test_the_page_opens_with_clips_that_play(browser, report):
    """The first is in view without scrolling, on a phone too; each sound runs when its button is pressed."""
    for size in (DESKTOP, PHONE):
        show(browser, report, size)
        first = browser.execute_script(
            "return document.querySelector('#opening .case .panels img').getBoundingClientRect().bottom"
        )
        assert 0 < first < size[1]
    sounds = browser.find_elements(By.CSS_SELECTOR, "#opening audio")
    assert 4 <= len(sounds) <= 6
    for sound in sounds:
        browser.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", sound)
        button = 26 - sound.size["width"] // 2  # from the middle of the controls, pixels
        ActionChains(browser).move_to_element_with_offset(sound, button, 0).click().perform()
        heard = "return arguments[0].currentTime > 0.2 && arguments[0].webkitAudioDecodedByteCount > 0"
        WebDriverWait(browser, 20).until(lambda _, sound=sound: browser.execute_script(heard, sound))
        browser.execute_script("arguments[0].pause()", sound)


def test_opening_pictures_stand_side_by_side(browser, report):
    show(browser, report, DESKTOP)
    tops = browser.execute_script(
        """return [...document.querySelectorAll('#opening .panels')].map(
            row => [...row.children].map(panel => panel.getBoundingClientRect().top))"""
    )
    assert tops and all(len(row) == 4 and len(set(row)) == 1 for row in tops)


def test_the_first_column_stays_in_place_on_a_phone(browser, report):
    """Heads and rows alike, in every table that is wider than the screen, and it leaves room for numbers."""
    show(browser, report, PHONE)
    moved = browser.execute_script(
        """return [...document.querySelectorAll('.scroll')].filter(s => s.scrollWidth > s.clientWidth + 40).map(s => {
            const first = [...s.querySelectorAll('tr > :first-child')], other = s.querySelector('tbody td');
            const left = e => e.getBoundingClientRect().left, before = first.map(left), there = left(other);
            s.scrollLeft = 40;
            const shift = Math.max(...first.map((e, i) => Math.abs(left(e) - before[i])));
            return [s.ariaLabel, shift, there - left(other), first.at(-1).offsetWidth / s.clientWidth];
        })"""
    )
    assert moved, "no table is wider than a phone"
    for name, first, other, share in moved:
        assert first <= 1 and other == pytest.approx(40, abs=1), name
        assert share < 0.6, name


def test_long_tables_are_folded(browser, report):
    browser.get(report.as_uri())
    tall = browser.execute_script(
        """return [...document.querySelectorAll('.scroll')]
            .filter(s => s.querySelectorAll('tbody tr').length > 20 && s.checkVisibility()).map(s => s.ariaLabel)"""
    )
    assert tall == []
    assert browser.execute_script("return document.querySelectorAll('details > .scroll').length") > 0


@pytest.mark.parametrize("size", [PHONE, (768, 1024), DESKTOP], ids=["phone", "tablet", "desktop"])
def test_nothing_sticks_out_sideways(browser, report, size):
    show(browser, report, size)
    wide = browser.execute_script(
        """const width = document.documentElement.clientWidth;
        return [...document.body.querySelectorAll('*')]
            .filter(e => !e.closest('.scroll, pre, .strip, svg') && e.getBoundingClientRect().right > width + 1)
            .map(e => e.tagName + '.' + e.className)"""
    )
    assert wide == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= size[0]


def test_pictures_and_plots_can_be_read_without_seeing_them(page):
    silent = page.execute_script(
        """const mute = 'img:not([alt]), figure svg:not([aria-label]), .strip:not([aria-label])';
        return [...document.querySelectorAll(mute)].map(e => e.outerHTML.slice(0, 80))"""
    )
    assert silent == []


def test_every_link_of_the_index_leads_somewhere(page):
    dead = page.execute_script(
        """return [...document.querySelectorAll('a[href^="#"]')]
            .map(a => a.getAttribute('href').slice(1)).filter(id => !document.getElementById(id))"""
    )
    assert dead == []


def test_it_is_small_enough_to_send(report):
    assert report.stat().st_size < 15 * 2**20
