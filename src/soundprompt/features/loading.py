"""What is read before it is asked for, by threads beside the one that computes.

Threads, because what they do (copies of mapped files, checksums, inflating, decoding) lets go of Python's lock, and
processes would have to hand every batch over through shared memory, which costs more than to read it.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 2  # batches that each thread reads in advance
Item = TypeVar("Item")
Found = TypeVar("Found")


def ahead(read: Callable[[Item], Found], asked: Iterable[Item], workers: int) -> Iterator[Found]:
    """Yields `read(item)` for each item asked, in their order.

    workers: threads that read ahead; with 0 everything is read here, when its turn comes. What is read must not
    depend on the order of reading. Raises what `read` raises, where its turn comes.
    """
    if not workers:
        yield from map(read, asked)
        return
    left, begun = iter(asked), deque[Future[Found]]()
    pool = ThreadPoolExecutor(workers, "read ahead")
    try:
        begun.extend(pool.submit(read, item) for item in itertools.islice(left, AHEAD * workers))
        while begun:
            found = begun.popleft().result()
            begun.extend(pool.submit(read, item) for item in itertools.islice(left, 1))
            yield found
    finally:
        pool.shutdown(cancel_futures=True)
