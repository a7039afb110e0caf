"""What several rooms of tests share."""

import minute_study
import pytest


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> minute_study.Copy:
    """The study of a minute, made on this machine through `dvc repro`, with its tables as they were then."""
    copy = minute_study.make(tmp_path_factory.mktemp("made"))
    copy.log = copy.good("dvc", "repro")
    copy.first_tables = copy.tables()
    minute_study.commit(copy, "results")
    return copy
