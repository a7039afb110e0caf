"""The masks of a dataset, decoded once, with its frame table: a bit a pixel, at the frames' own sizes.

Training, scoring and floors read them here and open no picture. They are told apart by the digests of their files, as
in the frame table.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from soundprompt import records
from soundprompt.errors import InputError
from soundprompt.files import publish

SCHEMA = pa.schema(
    [
        pa.field("mask_digest", pa.string(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("bits", pa.binary(), nullable=False),  # of the rows of pixels one behind the other, deflated
    ]
)
_REMAKE = "delete it and run: soundprompt tables"


@dataclass(frozen=True)
class Packed:
    """A mask: its (height, width) and its deflated bits."""

    size: tuple[int, int]
    bits: bytes

    @classmethod
    def of(cls, mask: np.ndarray) -> Packed:
        """mask: (H, W) bool."""
        return cls((mask.shape[0], mask.shape[1]), zlib.compress(np.packbits(mask).tobytes()))


def write(packed: Mapping[str, Packed], path: Path) -> None:
    """Publishes the masks of a dataset. packed: digest of a mask's file -> the mask."""
    digests = sorted(packed)
    heights, widths = ([packed[digest].size[axis] for digest in digests] for axis in (0, 1))
    table = pa.table([digests, heights, widths, [packed[digest].bits for digest in digests]], schema=SCHEMA)
    with publish(path, recorded=True) as aside:
        pq.write_table(table, aside, compression="none")


class Masks:
    """The masks of a dataset, opened: all in memory, still deflated.

    Raises InputError when the file is missing or not what was written.
    """

    def __init__(self, path: Path):
        self.path = path
        records.check(path)
        try:
            table = pq.read_table(path)
        except FileNotFoundError as error:
            raise InputError("the packed masks are missing", path=path, remedy="run: soundprompt tables") from error
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"packed masks damaged ({error})", path=path, remedy=_REMAKE) from error
        if table.schema.names != SCHEMA.names:
            raise InputError("holds no packed masks", path=path, remedy=_REMAKE)
        digests, heights, widths = (table[name].to_pylist() for name in SCHEMA.names[:3])
        self._bits = table["bits"].combine_chunks()
        self._places = {each: (i, (h, w)) for i, (each, h, w) in enumerate(zip(digests, heights, widths, strict=True))}

    def packed(self, digest: str, size: tuple[int, int]) -> np.ndarray:
        """Bits of a mask, (height * width / 8 rounded up,) uint8.

        size: its frame's (height, width). Raises InputError when the mask is not here, or has another size.
        """
        place, found = self._places.get(digest, (-1, size))
        if place < 0 or found != size:
            what = "is not there" if place < 0 else f"is {found[1]}x{found[0]} pixels, its frame {size[1]}x{size[0]}"
            raise InputError(f"the mask with digest {digest[:12]} {what}", path=self.path, remedy=_REMAKE)
        return np.frombuffer(zlib.decompress(self._bits[place].as_buffer()), np.uint8)
