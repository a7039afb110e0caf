"""A cluster of one node, if this machine allows it."""

import os

import pytest
from slurm import STATE, Slurm, Unavailable


@pytest.fixture(scope="session")
def slurm():
    """Skips with the reason where Slurm cannot be set up; in CI that is a failure."""
    cluster = Slurm(STATE)
    try:
        cluster.up()
    except Unavailable as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))
    yield cluster
    cluster.down()
