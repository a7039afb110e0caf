"""What to encode: every different picture and every different sound of a study, once, in a stable order.

Pictures are told apart by the digest of their bytes, so that copies (AVS-V3 re-uses the clips of v1m and
v2) are encoded once. Sorted by digest they are cut into shards by the value of the digest, not by
counting: a picture added later changes only the shard it falls into.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from soundprompt import records
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.features import store
from soundprompt.files import publish, write_json
from soundprompt.layout import Layout
from soundprompt.params import FeaturesView

COLUMNS = ("image_digest", "image", "width", "height", "shard", "row")


def run(view: FeaturesView, layout: Layout) -> None:
    """Writes `layout.visual_plan`: parquet with the COLUMNS, one row per different picture."""
    with publish(layout.visual_plan, recorded=True) as aside:
        pictures(view.tables, view.features.shards, layout).to_parquet(aside, index=False)


def index(view: FeaturesView, layout: Layout) -> None:
    """Writes `layout.visual_index`: the seal of each shard. Raises InputError when one is missing or not whole."""
    seals = {str(shard): store.Store(layout.visual_shard(shard)).seal for shard in range(view.features.shards)}
    write_json(layout.visual_index, seals)


def read(layout: Layout) -> pd.DataFrame:
    """The plan, ordered by shard and row. Raises InputError when it is missing or unreadable."""
    path = layout.visual_plan
    if not path.exists():
        raise InputError("missing", path=path, remedy="run: soundprompt features --step plan")
    records.check(path)
    try:
        return pd.read_parquet(path, columns=list(COLUMNS))
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        remedy = "delete it and run: soundprompt features --step plan"
        raise InputError(f"not a plan of pictures ({error})", path=path, remedy=remedy) from error


def pictures(tables: Iterable[str], shards: int, layout: Layout) -> pd.DataFrame:
    """The plan itself: columns COLUMNS, sorted by digest; `row` counts within a shard."""
    frames = _unique(tables, layout, "image_digest", ["image", "width", "height"])
    frames["shard"] = [shard_of(digest, shards) for digest in frames["image_digest"]]
    frames["row"] = frames.groupby("shard").cumcount()
    return frames[list(COLUMNS)]


def sounds(tables: Iterable[str], layout: Layout) -> pd.DataFrame:
    """Every different sound file: columns audio_digest, audio (its path); sorted by digest."""
    return _unique(tables, layout, "audio_digest", ["audio"])


def shard_of(digest: str, shards: int) -> int:
    """Shard of a picture: equal ranges of the digest's value. digest: sha256 in hex."""
    return int(digest[:16], 16) * shards >> 64


def _unique(tables: Iterable[str], layout: Layout, digest: str, columns: list[str]) -> pd.DataFrame:
    every = pd.concat([frame_table.read(layout.table(name))[[digest, *columns]] for name in sorted(tables)])
    # of several copies the first path by name, so that the order of the tables does not matter
    every = every.sort_values([digest, columns[0]]).drop_duplicates()
    paths = every[[digest, columns[0]]].drop_duplicates()
    clash = paths[paths.duplicated(columns[0], keep=False)]
    if len(clash):
        remedy = "the file changed between two readings: delete the frame tables and run: soundprompt tables"
        raise InputError("has two digests in the frame tables", path=clash[columns[0]].iloc[0], remedy=remedy)
    return every.drop_duplicates(digest).reset_index(drop=True)
