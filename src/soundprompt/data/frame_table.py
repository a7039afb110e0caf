"""The frame table: one row per frame and split membership, its schema, and selections from it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from soundprompt import records
from soundprompt.errors import InputError
from soundprompt.files import publish
from soundprompt.layout import Layout

_text, _int = pa.string(), pa.int32()
SCHEMA = pa.schema(
    [
        pa.field("dataset", _text, nullable=False),
        pa.field("clip", _text, nullable=False),  # unique within a dataset
        pa.field("video", _text, nullable=False),  # id of the video that the clip was cut from
        pa.field("class_name", _text, nullable=False),  # sounding classes, joined with "_"
        pa.field("kind", _text, nullable=False),  # "seen", "new combination", "new level"; "" when unknown
        pa.field("split", _text, nullable=False),
        pa.field("frame", _int, nullable=False),  # from 0
        pa.field("second", _int, nullable=False),  # index of the frame's VGGish example
        pa.field(
            "n_sources", _int, nullable=False
        ),  # sounding classes; 0 for background and off-the-screen, -1 unknown
        pa.field("silent", _text),  # classes that are seen and do not sound, joined with "_"; null when unknown
        pa.field("image", _text, nullable=False),  # paths are relative to the project's root
        pa.field("audio", _text, nullable=False),
        pa.field("mask", _text),  # null where unlabelled
        pa.field("objects", _text),  # uint8 png: 0 background, i = object i, the sounding ones first; or null
        pa.field("boxes", pa.list_(pa.list_(pa.float64()))),  # xmin, ymin, xmax, ymax as fractions; or null
        pa.field("width", _int, nullable=False),  # of the image as stored, pixels
        pa.field("height", _int, nullable=False),
        pa.field("image_digest", _text, nullable=False),  # sha256 of the bytes, hex
        pa.field("audio_digest", _text, nullable=False),
        pa.field("mask_digest", _text),  # null where mask is
    ]
)
NULLABLE = tuple(field.name for field in SCHEMA if field.nullable)

KEY = ["dataset", "clip", "frame"]  # what names a frame


def write(frames: pd.DataFrame, path: Path | str) -> None:
    """Validates `frames` against SCHEMA and publishes it as parquet, in the given order of rows."""
    table = _arrow(frames, path)
    _validate(table.to_pandas(), path)
    with publish(path, recorded=True) as aside:
        pq.write_table(table, aside)


def read(path: Path | str) -> pd.DataFrame:
    """The table at `path`, checked by its record and validated; nulls are None."""
    records.check(path)
    try:
        table = pq.read_table(path)
    except FileNotFoundError as error:
        raise InputError("frame table missing", path=path, remedy="run `soundprompt tables`") from error
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"frame table damaged ({error})", path=path, remedy=_REMAKE) from error
    if table.schema.names != SCHEMA.names or table.schema.types != SCHEMA.types:
        raise InputError(f"columns differ: {_difference(table.schema.names)}", path=path, remedy=_REMAKE)
    frames = table.to_pandas()
    _validate(frames, path)
    for column in NULLABLE:
        frames[column] = frames[column].astype(object).where(frames[column].notna(), None)
    frames["boxes"] = [None if boxes is None else [box.tolist() for box in boxes] for boxes in frames["boxes"]]
    return frames


def select(layout: Layout, selections: Iterable[str]) -> pd.DataFrame:
    """Rows of each "dataset/split" in turn, with the column `selection` added.

    Raises InputError when a selection has no rows: a setting never runs on less than it names.
    """
    tables: dict[str, pd.DataFrame] = {}
    chosen = []
    for selection in selections:
        dataset, slash, split = selection.partition("/")
        if not slash:
            raise InputError(f"'{selection}' is not a selection", remedy="write dataset/split, such as v1s/test")
        path = layout.table(dataset)
        if dataset not in tables:
            tables[dataset] = read(path)
        frames = tables[dataset]
        rows = frames[frames["split"] == split]
        if rows.empty:
            there = ", ".join(sorted(frames["split"].unique()))
            raise InputError(f"no frames in split '{split}'", path=path, remedy=f"choose among: {there}")
        chosen.append(rows.assign(selection=selection))
    if not chosen:
        raise InputError("no selection given", remedy="name at least one dataset/split")
    return pd.concat(chosen, ignore_index=True)


def distinct(rows: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The distinct frames of overlapping selections, and for each row the index of its frame.

    `rows` must have the index 0, 1, 2, ...; labelled frames come first, so that few batches mix.
    """
    frames = rows.drop_duplicates(KEY)
    frames = frames.iloc[np.argsort(frames["mask"].isna().to_numpy(), kind="stable")].reset_index(drop=True)
    place = pd.Series(np.arange(len(frames)), index=pd.MultiIndex.from_frame(frames[KEY]))
    return frames, place.loc[pd.MultiIndex.from_frame(rows[KEY])].to_numpy()


def _arrow(frames: pd.DataFrame, path: Path | str) -> pa.Table:
    if set(frames.columns) != set(SCHEMA.names):
        raise InputError(f"columns differ: {_difference(frames.columns)}", path=path, remedy="fill every column once")
    try:
        table = pa.Table.from_pandas(frames, schema=SCHEMA, preserve_index=False)
    except (pa.ArrowException, ValueError) as error:
        raise InputError(f"a column does not fit the schema ({error})", path=path) from error
    return table.replace_schema_metadata(None)  # pandas' own would carry versions into the bytes


def _difference(found: Iterable[str]) -> str:
    names = set(found)
    parts = [f"'{name}' is missing" for name in SCHEMA.names if name not in names]
    parts += [f"'{name}' is not known" for name in sorted(names - set(SCHEMA.names))]
    return ", ".join(parts) or "types or order changed"


def _validate(frames: pd.DataFrame, path: Path | str) -> None:
    """Raises InputError naming the first row that breaks a rule."""
    if frames.empty:
        raise InputError("frame table without rows", path=path, remedy="check that the dataset is where it should be")
    no_mask = frames["mask"].isna()
    key = ["dataset", "split", "clip", "frame"]
    filled = [field.name for field in SCHEMA if not field.nullable]
    names = ["dataset", "clip", "video", "split", "image", "audio"]
    rules = {
        "a required value is null": frames[filled].isna().any(axis=1),
        "dataset, clip, video, split, image or audio is empty": (frames[names] == "").any(axis=1),
        "frame or second is negative": (frames[["frame", "second"]] < 0).any(axis=1),
        "n_sources is below -1": frames["n_sources"] < -1,
        "width or height is not positive": (frames[["width", "height"]] <= 0).any(axis=1),
        "mask and mask_digest do not go together": no_mask != frames["mask_digest"].isna(),
        "a digest is not a sha256": ~_are_digests(frames),
        "the same frame occurs twice in a split": frames.duplicated(key),
    }
    for what, broken in rules.items():
        if broken.any():
            row = frames[broken].iloc[0]
            where = f"{row['dataset']}/{row['split']}, clip {row['clip']}, frame {row['frame']}"
            raise InputError(f"{what} ({where}; {broken.sum()} rows)", path=path, remedy=_REMAKE)


def _are_digests(frames: pd.DataFrame) -> pd.Series:
    good = pd.Series(True, index=frames.index)
    for column in ("image_digest", "audio_digest", "mask_digest"):
        values = frames[column].astype("string")
        good &= values.str.fullmatch("[0-9a-f]{64}").fillna(column == "mask_digest").astype(bool)
    return good


_REMAKE = "delete the file and run `soundprompt tables` again"
