"""The commands of docs/predict.md, as they stand there, after the smoke study."""

import re

import pytest

from project_copy import PROJECT
from recordings import record

pytestmark = pytest.mark.pipeline
COMMANDS = re.findall(r"^```\n(.*?)^```$", (PROJECT / "docs" / "predict.md").read_text(), flags=re.S | re.M)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_the_page(smoke, command):
    record(smoke.root / "trip.mp4", 3)
    said = smoke.good("bash", "-euc", command)
    assert "model: runs/smoke/" in said and "predictions, masks in" in said
    out = re.search(r"--out (\S+)\.mp4", command)[1]
    assert (smoke.root / f"{out}.mp4").stat().st_size > 1000 and list((smoke.root / f"{out}.masks").glob("*.png"))


def test_the_page_has_commands():
    assert len(COMMANDS) >= 2 and all("soundprompt predict" in command for command in COMMANDS)
