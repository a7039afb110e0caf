"""The masks of frames, by the packed ones of their datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundprompt.data.masks import Masks
from soundprompt.layout import Layout

# The eight pixels of each byte, as bytes of a whole number, so that one look-up unpacks a byte.
_PIXELS = torch.from_numpy(np.unpackbits(np.arange(256, dtype=np.uint8)).view(np.int64))


class Labels:
    """Masks of the frames in `rows`, rows of a frame table. Raises InputError when packed masks are missing or damaged.

    kept: in memory as they are used, so that none is inflated twice.
    """

    def __init__(self, rows: pd.DataFrame, layout: Layout, *, kept: bool = False):
        self._digests = rows["mask_digest"].where(rows["mask"].notna(), None).tolist()
        self._sizes = list(zip(rows["height"].tolist(), rows["width"].tolist(), strict=True))
        self._datasets = rows["dataset"].tolist()
        self._masks = {name: Masks(layout.masks(name)) for name in rows["dataset"][rows["mask"].notna()].unique()}
        self._kept: dict[int, Tensor] | None = {} if kept else None

    def of(self, indices: Sequence[int]) -> bool:
        """Whether these frames have masks; a batch in which some have and some have not is a mistake."""
        found = {self._digests[i] is not None for i in indices}
        if len(found) > 1:
            raise ValueError("frames with and without a mask in one batch: draw from Frames.supervised")
        return found == {True}

    def packed(self, indices: Sequence[int]) -> Tensor:
        """Bits of the masks of labelled frames, one mask behind the other, uint8; `unpack` takes them."""
        return torch.cat([self._packed(i) for i in indices])

    def masks(self, indices: Sequence[int]) -> Iterator[Tensor]:
        """Masks of labelled frames, (H, W) bool, one at a time."""
        for i in indices:
            yield from unpack(self._packed(i), [self._sizes[i]])

    def _packed(self, index: int) -> Tensor:
        if self._kept is not None and index in self._kept:
            return self._kept[index]
        digest = self._digests[index]
        assert digest is not None, "a frame without a mask"
        bits = self._masks[self._datasets[index]].packed(digest, self._sizes[index])
        found = torch.from_numpy(bits.copy())  # writable, as torch wants it
        if self._kept is not None:
            self._kept[index] = found
        return found


def unpack(bits: Tensor, sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Packed masks as (H, W) bool each, on the device where the bits lie. sizes: (height, width) of each."""
    if bits.device.type == "cpu":  # eight times as fast as the look-up
        pixels = torch.from_numpy(np.unpackbits(bits.numpy()).view(bool))
    else:
        pixels = _PIXELS.to(bits.device)[bits.int()].view(torch.bool)
    parts = pixels.split([-(-height * width // 8) * 8 for height, width in sizes])
    return [part[: height * width].view(height, width) for part, (height, width) in zip(parts, sizes, strict=True)]
