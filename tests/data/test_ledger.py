"""The ledger counts every clip once for each split, and equal reasons together."""

import pytest

from soundprompt.data import ledger
from soundprompt.errors import InputError
from soundprompt.layout import Layout


def test_write_read_summary(layout: Layout):
    record = ledger.Ledger("v2")
    record.add("train", "a_0_10000", "found")
    record.add("train", "b_0_10000", "missing", "data/v2/b_0_10000: metadata.csv names b_0_10000,\nwhich is not there")
    record.add("train", "c_0_10000", "missing", "data/v2/c_0_10000: metadata.csv names c_0_10000, which is not there")
    record.add("test", "d_0_10000", "unusable", 'data/d/audio.wav: has "no" samples')
    record.add("test", "e_0_10000", "found", "sound of 9.00 s gives 9 examples for 10 frames: the last is repeated")
    path = ledger.path(layout, "v2")
    assert path.parent == layout.table("v2").parent
    record.write(path)
    clips = ledger.read([path])
    assert clips["reason"].tolist() == record.frame()["reason"].tolist()
    summary = ledger.summary(clips).set_index("split")
    assert summary.loc["train"].tolist() == [
        "v2", 3, 1, 2, 0, "2 x metadata.csv names n which is not there"
    ]  # fmt: skip
    assert summary.loc["test", ["expected", "found", "missing", "unusable"]].tolist() == [2, 1, 0, 1]
    assert 'has "no" samples' in summary.loc["test", "reasons"]


def test_missing_ledger(layout):
    with pytest.raises(InputError, match="missing or damaged"):
        ledger.read([ledger.path(layout, "v1s")])
    assert ledger.read([]).empty
