"""Reading ahead, by processes of its own."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from soundprompt.errors import InputError
from soundprompt.features import loading


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_items_come_in_their_order_and_draw_nothing(workers):
    before = torch.get_rng_state()
    assert list(loading.ahead(lambda i: torch.tensor(i) ** 2, range(5, 40), workers, "cpu")) == [
        i**2 for i in range(5, 40)
    ]
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_input_error_arrives_as_it_was_raised(workers):
    def read(i):
        if i == 3:
            raise InputError("is gone", path="x.bin", remedy="bring it back")
        return i

    found = []
    with pytest.raises(InputError) as caught:
        found.extend(loading.ahead(read, range(9), workers, "cpu"))
    assert str(caught.value) == "x.bin: is gone\n  remedy: bring it back" and caught.value.remedy == "bring it back"


def test_a_reader_that_is_killed_is_told_in_words():
    def read(i):
        if i == 3:
            os.kill(os.getpid(), signal.SIGKILL)  # as the system does when memory is short
        return i

    with pytest.raises(InputError, match="a process that reads ahead has ended") as caught, loading.lost_readers():
        list(loading.ahead(read, range(9), 1, "cpu"))
    assert "--workers" in caught.value.remedy
    with pytest.raises(RuntimeError, match="another"), loading.lost_readers():
        raise RuntimeError("another")
