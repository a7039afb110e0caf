"""Headless Chromium with a report open in it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "report"))


@pytest.fixture(scope="session", params=["small artifacts", "smoke study"])
def report(request, tmp_path_factory) -> Path:
    """The reports to look at: one made from small artifacts with every part in it, and one of a real run."""
    if request.param == "smoke study":
        return request.getfixturevalue("smoke").root / "results" / "report.html"
    import artifacts
    from soundprompt.report import html

    folder, before = tmp_path_factory.mktemp("study"), Path.cwd()
    os.chdir(folder)
    try:
        params = artifacts.small_study()
        layout = artifacts.make(params)
        artifacts.tabulate(params, layout)
        html.run(params, layout)
    finally:
        os.chdir(before)
    return folder / layout.report


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """A Chromium that must not need a network. Skips where there is none, fails in CI."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if not (binary and driver):
        reason = "Chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    profile = tmp_path_factory.mktemp("profile")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument("--disable-background-networking")
    options.add_argument(f"--user-data-dir={profile}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    chromium.set_script_timeout(60)
    yield chromium
    chromium.quit()
