"""Reading ahead, by threads."""

from __future__ import annotations

import threading

import pytest

from soundprompt.errors import InputError
from soundprompt.features import loading


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_items_come_in_their_order(workers):
    """Also where the first take longest: here each waits until the next is being read."""
    begun = [threading.Event() for _ in range(40)]

    def read(i):
        begun[i].set()
        if workers > 1 and i % workers != workers - 1 and i < 39:
            assert begun[i + 1].wait(60)
        return i**2

    assert list(loading.ahead(read, range(40), workers)) == [i**2 for i in range(40)]


def test_no_more_is_read_than_was_asked_for_and_little_ahead():
    read = []
    items = loading.ahead(lambda i: read.append(i) or i, range(100), 2)
    assert next(items) == 0
    items.close()
    assert set(read) <= set(range(2 * loading.AHEAD + 1))
    before = threading.active_count()
    assert list(loading.ahead(lambda i: i, range(3), 2)) == [0, 1, 2] and threading.active_count() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_arrives_as_it_was_raised_after_what_came_before(workers):
    def read(i):
        if i == 3:
            raise InputError("is gone", path="x.bin", remedy="bring it back")
        return i

    found = []
    with pytest.raises(InputError) as caught:
        found.extend(loading.ahead(read, range(9), workers))
    assert str(caught.value) == "x.bin: is gone\n  remedy: bring it back"
