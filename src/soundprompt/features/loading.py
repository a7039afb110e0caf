"""What is read before it is asked for, by processes beside the one that computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from soundprompt.errors import InputError

AHEAD = 2  # batches that each process reads in advance


class _Reading(Dataset):
    """Item -> what a function reads for it; an InputError is handed over as it is, where torch would wrap it."""

    def __init__(self, read: Callable[[Any], Any]):
        self.read = read

    def __getitem__(self, item: Any) -> Any:
        try:
            return self.read(item)
        except InputError as error:
            return error


def ahead(read: Callable[[Any], Any], asked: Sequence[Any], workers: int, device: torch.device | str) -> Iterator[Any]:
    """Yields `read(item)` for each item asked, in their order.

    workers: processes that read ahead; with 0 everything is read here, when its turn comes. What is read must not
    depend on the order of reading. For a GPU it comes in pinned memory: objects with `pin_memory`, in tuples or alone.
    Raises the InputErrors of `read`.
    """
    loader = DataLoader(
        _Reading(read),
        batch_size=None,
        sampler=asked,
        num_workers=workers,
        collate_fn=lambda item: item,
        pin_memory=torch.device(device).type == "cuda",
        # forked, so that what lies in memory is shared: features, sounds, masks
        multiprocessing_context="fork" if workers else None,
        prefetch_factor=AHEAD if workers else None,
        generator=torch.Generator(),  # else it draws from the one that training draws from
    )
    for item in loader:
        if isinstance(item, InputError):
            raise item
        yield item


def empty(shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
    """A tensor to read into: in a process that reads ahead in shared memory, which saves a copy on its way."""
    if get_worker_info() is None:
        return torch.empty(tuple(shape), dtype=dtype)
    storage = torch.UntypedStorage._new_shared(dtype.itemsize * math.prod(shape))
    return torch.empty(0, dtype=dtype).set_(storage).view(tuple(shape))


@contextmanager
def lost_readers() -> Iterator[None]:
    """Turns torch's word of a reading process that died into an InputError; it can come at any moment."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        line = str(error).splitlines()[0]
        remedy = "start the command again, with fewer --workers if memory (or /dev/shm) was short"
        raise InputError(f"a process that reads ahead has ended ({line})", remedy=remedy) from error
