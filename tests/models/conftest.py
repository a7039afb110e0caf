"""Fixtures of the model tests; what they are made of is in random_models.py."""

from __future__ import annotations

import pytest
import torch
from random_models import random_sam

from soundprompt.foundation.sam import FrozenSam


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def sam() -> FrozenSam:
    """The mini architecture with random weights."""
    return random_sam("mini", 128)
