from __future__ import annotations

import pytest

from soundprompt.errors import InputError
from soundprompt.training.journal import COLUMNS, Journal, written


def test_rows_are_on_disk_at_once_and_cut_back_on_resuming(tmp_path):
    path = tmp_path / "run" / "metrics.csv"
    log = Journal(path, ["v1s/val"])
    log.write({"step": 1, "loss": 0.123456789})
    offset = log.offset()
    assert path.read_text() == ",".join((*COLUMNS, "v1s/val")) + "\n1,0.123457,,,,,,,\n"
    before = written(path, offset)
    assert before and not written(path, offset + 1) and not written(tmp_path / "none", 1)
    log.write({"step": 2})
    with open(path, "a") as torn:
        torn.write("3,0.5")
    assert written(path, offset) == before
    log = Journal(path, ["v1s/val"], offset)
    log.write({"step": 2, "v1s/val": 0.25})
    log.close()
    assert path.read_text().splitlines()[1:] == ["1,0.123457,,,,,,,", "2,,,,,,,,0.25"]


def test_a_place_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "run").write_text("a file where a folder is needed")
    with pytest.raises(InputError, match="cannot be written"):
        Journal(tmp_path / "run" / "metrics.csv", [])
