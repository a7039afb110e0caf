"""The command line as a fixture."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_sets import Answer

from soundprompt import cli


@pytest.fixture
def judge(tmp_path, capsys) -> Callable[..., Answer]:
    """Runs `soundprompt judge` as a user does, in this process."""

    def call(*arguments: object, out: Path = tmp_path / "judged") -> Answer:
        capsys.readouterr()
        command = ["soundprompt", "judge", *map(str, arguments), "--out", str(out)]
        with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
            patch.setattr(sys, "argv", command)
            cli.main()
        printed = capsys.readouterr()
        return Answer(end.value.code or 0, printed.out, printed.err, out)

    return call
