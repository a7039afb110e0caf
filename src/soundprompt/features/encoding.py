"""A shard's pictures through threads that read, the encoder, and threads that check sums and write.

None waits for another: while the device encodes a batch, the next is read, and what the one before gave is copied,
hashed and written. Batches are cut by the order of the pictures alone, so that bytes do not depend on the threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from soundprompt import finite
from soundprompt.data import media
from soundprompt.features.store import Writer
from soundprompt.foundation.sam import FrozenSam
from soundprompt.params import Features
from soundprompt.progress import Progress

AHEAD = 2  # batches that are read before they are encoded, and that wait to be written
COMPARED = 4  # pictures of a shard that are encoded in float32 too, where features.precision is another
THREADS = 8  # at most, of each kind

Taps = Mapping[str, int | None]
"""Places in the encoder, as `FrozenSam.prefix` knows them, by their names in a store."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class Picture(NamedTuple):
    """A file, and the sha256 that it must have."""

    path: str
    digest: str


def shapes(sam: FrozenSam, taps: Taps, dtype: torch.dtype, pictures: int) -> dict[str, Tensor]:
    """What the taps of so many pictures are: tensors on the meta device."""
    inside, output = (sam.grid, sam.grid, sam.dim), (sam.prompt_dim, sam.grid, sam.grid)
    sizes = {name: (pictures, *(output if tap is None else inside)) for name, tap in taps.items()}
    return {name: torch.empty(size, dtype=dtype, device="meta") for name, size in sizes.items()}


def notes(off: Mapping[str, float], of: int, again: Sequence[str]) -> dict[str, Any]:
    """What a store says of a precision other than float32.

    relative_l2: by tap, how far the first `pictures`, as they are kept, are from float32, a norm over a norm.
    in_float32: digests of those that the precision could not hold.
    """
    return {"relative_l2": {n: f"{v:.1e}" for n, v in off.items()}, "pictures": of, "in_float32": list(again)}


def encode(
    sam: FrozenSam,
    taps: Taps,
    pictures: Sequence[Picture],
    features: Features,
    bgr: bool,
    writer: Writer,
    threads: int = 0,
) -> None:
    """Hands the taps of each picture to `writer`, a row each, and its `notes` where the precision is not float32.

    threads: of those that read and those that write; 0: as many as the process has cores, up to THREADS. Raises
    InputError for a picture that is missing, unreadable or not the one with that digest, or whose activations are
    beyond the cache's dtype.
    """
    threads = threads or min(THREADS, len(os.sched_getaffinity(0)))
    size = features.batch_size
    with _pool(threads) as readers, _pool(threads) as writers:
        encoder = Encoder(sam, taps, features, writer, writers, Progress("pictures", len(pictures)))

        def read(picture: Picture) -> Tensor:
            pixels = sam.resize(media.read_image(picture.path, picture.digest), bgr)
            return pixels.pin_memory() if encoder.on_gpu else pixels

        pixels = in_order(read, pictures, readers, AHEAD * size)
        for start in range(0, len(pictures), size):
            encoder.begin(start, pictures[start : start + size], list(islice(pixels, size)))
        encoder.end()
    if features.precision != "float32":
        writer.notes = notes(encoder.off(), min(COMPARED, len(pictures)), encoder.again)


@contextmanager
def _pool(threads: int) -> Iterator[Executor]:
    """Threads, whose waiting tasks are dropped when the block fails."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(call: Callable[[Item], Result], items: Iterable[Item], pool: Executor, ahead: int) -> Iterator[Result]:
    """call(item) for each item, in order; up to `ahead` of them are begun before they are asked for."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(call, item))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


@dataclass
class Batch:
    """Pictures whose taps are on their way from the device. start: row of the first."""

    start: int
    pictures: Sequence[Picture]
    pixels: list[Tensor]
    taps: dict[str, Tensor]
    finite: Tensor
    arrived: torch.cuda.Event | None


class Encoder:
    """Encodes batch after batch, and looks at each while the device works on the next.

    again: digests of the pictures that the precision could not hold.
    """

    def __init__(
        self, sam: FrozenSam, taps: Taps, features: Features, writer: Writer, pool: Executor, progress: Progress
    ):
        self._sam, self._taps, self._features = sam, taps, features
        self._writer, self._pool, self._progress = writer, pool, progress
        self._coming: deque[Batch] = deque()
        self._writing: deque[Future[None]] = deque()
        self._squares = {name: [0.0, 0.0] for name in taps}  # of differences from float32, and of float32
        self.again: list[str] = []
        self.on_gpu = sam.sam.device.type == "cuda"

    def begin(self, start: int, pictures: Sequence[Picture], pixels: list[Tensor]) -> None:
        """Starts a batch, whose first picture is row `start`, and concludes the one before."""
        taps = self._rounded(self._run(pixels, self._features.precision))
        good = torch.stack([values.flatten(1).isfinite().all(1) for values in taps.values()]).all(0)
        taps = {name: values.to("cpu", non_blocking=True) for name, values in taps.items()}
        good, arrived = good.to("cpu", non_blocking=True), None
        if self.on_gpu:
            arrived = torch.cuda.Event()
            arrived.record()
        self._coming.append(Batch(start, pictures, pixels, taps, good, arrived))
        if len(self._coming) > 1:
            self._conclude(self._coming.popleft())

    def end(self) -> None:
        """Concludes the last batch; returns when all is written."""
        while self._coming:
            self._conclude(self._coming.popleft())
        while self._writing:
            self._writing.popleft().result()

    def off(self) -> dict[str, float]:
        """Relative L2 of the compared pictures to float32, by tap."""
        return {name: (apart / whole) ** 0.5 if whole else 0.0 for name, (apart, whole) in self._squares.items()}

    @torch.no_grad()
    def _run(self, pixels: list[Tensor], precision: str) -> dict[str, Tensor]:
        """The taps as the encoder gives them, on the device."""
        given = self._sam.normalise(pixels)
        with torch.autocast(given.device.type, getattr(torch, precision), enabled=precision != "float32"):
            found = self._sam.prefix(given, list(self._taps.values()))
        return {name: found[tap] for name, tap in self._taps.items()}

    def _rounded(self, taps: dict[str, Tensor]) -> dict[str, Tensor]:
        dtype = getattr(torch, self._features.dtype)
        return {name: values.to(dtype).contiguous() for name, values in taps.items()}

    def _conclude(self, batch: Batch) -> None:
        if batch.arrived is not None:
            batch.arrived.synchronize()
        self._mend(batch)
        if self._features.precision != "float32" and batch.start < COMPARED:
            self._compare(batch)
        for row in range(len(batch.pictures)):
            values = {name: taps[row : row + 1] for name, taps in batch.taps.items()}
            self._writing.append(self._pool.submit(self._writer.put, batch.start + row, values))
        while len(self._writing) > AHEAD * self._features.batch_size:
            self._writing.popleft().result()
        self._progress.advance(steps=len(batch.pictures))

    def _mend(self, batch: Batch) -> None:
        """Encodes the pictures that are not finite again, in float32. Raises InputError if one still is not."""
        for row in (~batch.finite).nonzero().flatten().tolist():
            if self._features.precision != "float32":
                for name, exact in self._rounded(self._run([batch.pixels[row]], "float32")).items():
                    batch.taps[name][row] = exact[0]
                self.again.append(batch.pictures[row].digest)
            for name, taps in batch.taps.items():
                what = f"its activations at {name}, as {self._features.dtype}, are"
                remedy = "look at the picture, or set features.dtype to float32"
                finite.check(taps[row], what, path=batch.pictures[row].path, remedy=remedy)

    def _compare(self, batch: Batch) -> None:
        """Adds up how far the shard's first pictures, as they are kept, are from float32."""
        some = COMPARED - batch.start
        for name, exact in self._run(batch.pixels[:some], "float32").items():
            exact = exact.cpu().double()
            self._squares[name][0] += float((batch.taps[name][:some].double() - exact).square().sum())
            self._squares[name][1] += float(exact.square().sum())
