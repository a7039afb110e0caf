"""Where the list of a protocol comes from: a folder of the user's, or the catalogue; verified in both cases."""

from __future__ import annotations

from pathlib import Path

from soundprompt.data import catalog, fetch
from soundprompt.errors import InputError


def list_file(name: str, lists: Path | None, downloads: Path) -> Path:
    """A list of the catalogue, verified: from the user's folder `lists`, or fetched once into `downloads`."""
    entry = catalog.load().files[name]
    if lists is None:
        try:
            return fetch.fetch(entry, downloads)
        except InputError as error:
            remedy = f"give --lists, a folder that holds {Path(entry.path).name}; or: {error.remedy}"
            raise InputError(error.what, path=error.path, remedy=remedy) from error
    path = lists / Path(entry.path).name
    ids = lists / Path(entry.path).name.replace("_seg.json", "_ids.csv")  # VPO's list, cut down to the ids
    if not path.is_file() and ids.is_file():
        return ids
    if not path.is_file():
        raise InputError("missing", path=path, remedy=f"put the file there; it is published at {entry.url}")
    wrong = fetch.mismatch(path, entry)
    if wrong:
        raise InputError(f"not the published list: {wrong}", path=path, remedy=f"fetch it anew from {entry.url}")
    return path
