"""A cluster of one node, if this machine allows it."""

import os
from pathlib import Path

import pytest
from slurm import Slurm, Unavailable


@pytest.fixture(scope="session")
def slurm():
    """Skips with the reason where Slurm cannot be set up; in CI that is a failure."""
    # not pytest's own folder: the database's user must get into it
    cluster = Slurm(Path("/var/tmp/soundprompt-slurm"))
    try:
        cluster.up()
    except Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    yield cluster
    cluster.down()
