"""What can be fetched: URLs, sizes, digests and licences of released weights and datasets (catalog.yaml)."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field

from soundprompt.errors import InputError


class Entry(BaseModel):
    """Base of the catalogue's entries: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class File(Entry):
    """One file.

    path: below the folder of downloads; sha256: whole, or its first digits where only these are published, None where
    none are; size: bytes, None where it is not published.
    """

    path: str
    url: str
    size: int | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    licence: str


class Form(Entry):
    """A dataset that its owners give out on application.

    archive: name of the archive in the folder of downloads; contains: names it must hold, at any depth.
    """

    form: str
    contact: str
    archive: str
    contains: tuple[str, ...]
    licence: str


class Catalog(Entry):
    """All entries by name."""

    files: dict[str, File]
    forms: dict[str, Form]

    def group(self, prefix: str) -> dict[str, File]:
        """Files whose path lies in a folder, such as 'avs_v3'."""
        return {name: file for name, file in self.files.items() if file.path.startswith(f"{prefix}/")}


def load() -> Catalog:
    """The catalogue that comes with the package."""
    return Catalog.model_validate(yaml.safe_load((files("soundprompt.data") / "catalog.yaml").read_text()))


def find(name: str) -> File | Form:
    """An entry by name. Raises InputError that lists the known ones."""
    catalog = load()
    entry = catalog.files.get(name) or catalog.forms.get(name)
    if entry is None:
        raise InputError(
            f"'{name}' is not in the catalogue", remedy=f"use one of {', '.join([*catalog.files, *catalog.forms])}"
        )
    return entry
