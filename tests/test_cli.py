"""The command line: help at once, and errors that a user can act on."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from soundprompt.cli import app

VERBS = [
    "settings",
    "world",
    "tables",
    "leaks",
    "pretrain",
    "release",
    "features",
    "train",
    "score",
    "floors",
    "table",
    "report",
    "headline",
]


def soundprompt(*arguments):
    return subprocess.run([sys.executable, "-m", "soundprompt", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb):
    answer = CliRunner().invoke(app, [verb, "--help"])
    assert answer.exit_code == 0 and "--study" in answer.stdout


def test_help_does_not_load_torch():
    code = "import sys; import soundprompt.cli; sys.exit('torch' in sys.modules or 'snakemake' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--setting", "v9", "--model", "gavs"], ["v9", "v1s"]),
        (["train", "--setting", "v1s", "--model", "gavz"], ["gavz", "sam_fusion"]),
        (["table", "--experiment", "nothing"], ["nothing", "ablation_sap"]),
        (["settings", "--study", "nowhere"], ["nowhere", "smoke"]),
        (["pretrain", "--model", "clip"], ["clip", "sam, audio"]),
    ],
)
def test_mistakes_exit_with_one_clear_message(arguments, words):
    answer = soundprompt(*arguments)
    assert answer.returncode == 1
    assert "Traceback" not in answer.stderr
    assert all(word in answer.stderr for word in ["soundprompt: error:", *words])
