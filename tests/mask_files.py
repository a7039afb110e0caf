"""Packed masks for frame tables that tests make by hand: what `soundprompt tables` leaves beside them."""

from __future__ import annotations

import pandas as pd

from soundprompt.data import frame_table, masks, media
from soundprompt.layout import Layout


def write_table(frames: pd.DataFrame, layout: Layout) -> None:
    """Writes the frame table of one dataset, and packs the masks that it names."""
    (dataset,) = frames["dataset"].unique()
    frame_table.write(frames, layout.table(dataset))
    named = frames[frames["mask"].notna()]
    pairs = zip(named["mask"], named["mask_digest"], strict=True)
    masks.write({digest: masks.Packed.of(media.read_mask(path)) for path, digest in pairs}, layout.masks(dataset))
