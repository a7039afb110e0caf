"""Unpacks archives that people hand out, without trusting them."""

from __future__ import annotations

import os
import tarfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from soundprompt.errors import InputError
from soundprompt.files import publish_folder


def unpack(archive: Path, target: Path, contains: Sequence[str]) -> None:
    """Unpacks a zip or tar archive into `target`, which appears whole or not at all.

    contains: names that must stand side by side somewhere in the archive; the folder that holds them becomes
    `target`. Refuses members whose path leaves the folder, links, and devices. Raises InputError.
    """
    with publish_folder(target) as aside:
        inside = aside / ".unpacked"
        try:
            if zipfile.is_zipfile(archive):
                _unzip(archive, inside)
            elif tarfile.is_tarfile(archive):
                _untar(archive, inside)
            else:
                raise InputError(
                    f"neither a zip nor a tar archive{_looks_like(archive)}", path=archive, remedy="download it again"
                )
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
            raise InputError(f"broken archive ({error})", path=archive, remedy="download it again") from error
        holder = _holder(inside, contains, archive)
        for item in sorted(holder.iterdir()):
            os.replace(item, aside / item.name)
        _remove(inside)


def _unzip(archive: Path, inside: Path) -> None:
    with zipfile.ZipFile(archive) as bundle:
        for member in bundle.infolist():
            _check_path(member.filename, archive)
            is_link = (member.external_attr >> 16) & 0o170000 == 0o120000
            if is_link:
                raise InputError(f"holds a link: {member.filename}", path=archive, remedy="do not trust this archive")
        bundle.extractall(inside)


def _untar(archive: Path, inside: Path) -> None:
    with tarfile.open(archive) as bundle:
        for member in bundle:
            _check_path(member.name, archive)
            if not (member.isfile() or member.isdir()):
                raise InputError(
                    f"holds a link or device: {member.name}", path=archive, remedy="do not trust this archive"
                )
        bundle.extractall(inside, filter="data")


def _check_path(name: str, archive: Path) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0:1]:
        raise InputError(
            f"a path leaves the archive's folder: {name}", path=archive, remedy="do not trust this archive"
        )


def _holder(inside: Path, contains: Sequence[str], archive: Path) -> Path:
    """The shallowest folder that holds all wanted names."""
    for folder, folders, files in os.walk(inside):
        if set(contains) <= {*folders, *files}:
            return Path(folder)
    raise InputError(
        f"does not contain {', '.join(contains)} side by side",
        path=archive,
        remedy="check that it is the right archive",
    )


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def _looks_like(archive: Path) -> str:
    with open(archive, "rb") as stream:
        start = stream.read(64).lstrip().lower()
    return " (an HTML page?)" if start.startswith((b"<!doctype", b"<html")) else ""
