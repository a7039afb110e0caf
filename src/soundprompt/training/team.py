"""The processes that train one run together: each takes a part of every batch, and all take the same step.

Data-parallel training over torch.distributed: gradients are added up over the processes, as its
DistributedDataParallel does, in one vector for the few weights that train. A team of one does nothing of this.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from soundprompt import devices
from soundprompt.errors import InputError

PATIENCE = timedelta(minutes=30)  # of a process that waits for the others


@dataclass(frozen=True)
class Team:
    """One process among `size`; the first leads: it alone writes files and reports progress."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    @property
    def device(self) -> str:
        """Where this process computes: a GPU of its own where there are some."""
        device = devices.best()
        return device if device == "cpu" or self.size == 1 else f"cuda:{self.rank % torch.cuda.device_count()}"

    def part(self, groups: Sequence[int]) -> slice:
        """This process's part of a batch, which lies group by group; a group is not divided.

        groups: of each frame in the batch. May be empty when there are fewer groups than processes.
        """
        if self.size == 1:
            return slice(0, len(groups))
        starts = [0, *(np.flatnonzero(np.diff(np.asarray(groups))) + 1).tolist(), len(groups)]
        mine = np.array_split(np.arange(len(starts) - 1), self.size)[self.rank]
        return slice(starts[mine[0]], starts[mine[-1] + 1]) if len(mine) else slice(0, 0)

    def total(self, values: Iterable[float]) -> list[float]:
        """Sums over the processes."""
        if self.size == 1:
            return list(values)
        return self._add(torch.tensor(list(values), dtype=torch.float64, device=self._wire)).tolist()

    def anyone(self, flag: bool) -> bool:
        """Whether the flag is up in some process."""
        return bool(self.total([flag])[0])

    def whole(self, part: Tensor, where: slice, length: int) -> Tensor:
        """The rows of the whole batch, (length, d), from each process's part (n, d); gradients flow to one's own."""
        if self.size == 1:
            return part
        own = part.new_zeros(length, part.shape[1])
        own[where] = part
        return self._add(own.detach().clone()) + (own - own.detach())

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replaces each gradient by its sum over the processes."""
        if self.size == 1:
            return
        with_gradients = list(parameters)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in with_gradients]
        summed = self._add(torch.cat([part.flatten() for part in parts]))
        for parameter, part in zip(with_gradients, summed.split([p.numel() for p in with_gradients]), strict=True):
            parameter.grad = part.view_as(parameter).clone()

    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes."""
        if self.size > 1:
            for tensor in tensors:
                tensor.copy_(self._add(tensor / self.size))

    @property
    def _wire(self) -> str:
        return self.device if torch.distributed.get_backend() == "nccl" else "cpu"

    def _add(self, tensor: Tensor) -> Tensor:
        moved = tensor.to(self._wire)
        torch.distributed.all_reduce(moved)
        return moved.to(tensor.device)


@contextmanager
def gather(size: int, work: Callable[..., Any], *arguments: Any) -> Iterator[Team]:
    """Runs `work(team, *arguments)` in `size - 1` further processes of this machine, and yields the leader's team.

    work and arguments must survive pickling. The others end with the leader. Each takes a GPU of its own where
    there are some; else they share the processor.
    """
    if size == 1:
        yield Team()
        return
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        meeting = Path(folder) / "meeting"
        others = [
            context.Process(target=_follow, args=(Team(rank, size), meeting, work, arguments))
            for rank in range(1, size)
        ]
        for process in others:
            process.start()
        team = Team(0, size)
        try:
            _join(team, meeting)
            yield team
            for process in others:
                process.join(PATIENCE.total_seconds())
        finally:
            for process in others:
                process.kill()
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()


def _follow(team: Team, meeting: Path, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the leader says when to stop
    _join(team, meeting)
    try:
        work(team, *arguments)
    except InputError as error:
        sys.exit(f"process {team.rank}: {error}")
    torch.distributed.destroy_process_group()


def _join(team: Team, meeting: Path) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // team.size))
    enough = torch.cuda.is_available() and torch.cuda.device_count() >= team.size
    torch.distributed.init_process_group(
        "nccl" if enough else "gloo",
        init_method=meeting.as_uri(),
        rank=team.rank,
        world_size=team.size,
        timeout=PATIENCE,
    )
