"""The reports that headless Chromium opens."""

from __future__ import annotations

import os
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
