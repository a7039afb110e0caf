"""Unpacks archives that people hand out, without trusting them, and finds what was looked for in them."""

from __future__ import annotations

import errno
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from soundprompt.data.given import PAGE_START, is_page
from soundprompt.errors import InputError
from soundprompt.files import publish_folder

MOST_MEMBERS = 1_000_000
MOST_TIMES = 50
"""How much larger than the archive its members may be: pictures and sounds hardly shrink."""
ALWAYS_ALLOWED = 100 << 20  # bytes
LONGEST_PART, LONGEST_PATH = 255, 1000  # bytes, of a name and of a path in the archive
DEEPEST = 8
"""Folders within folders that are searched for what an archive should contain."""

_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_NAMES = {9: "deflate64", 93: "Zstandard", 95: "xz", 98: "PPMd", 99: "encrypted"}  # of zip's other methods
_ENCRYPTED = 0x1
_BLOCK = 512  # of a tar archive, bytes
_NOT_OF_THE_DISK = (None, errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)
_DISTRUST = "do not trust this archive"


@dataclass(frozen=True)
class Member:
    """One entry of an archive; size in bytes."""

    name: str
    size: int
    folder: bool
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, target: Path, contains: Sequence[str]) -> None:
    """Unpacks a zip or tar archive into `target`, which appears whole or not at all.

    contains: names that must stand side by side somewhere in the archive; the folder that holds them becomes
    `target`. Raises InputError for members whose path leaves the folder, links and devices, passwords and methods that
    cannot be undone here, archives that are cut short or damaged, and those that grow beyond MOST_MEMBERS or
    MOST_TIMES.
    """
    with publish_folder(target) as aside:
        inside = aside / ".unpacked"
        inside.mkdir()
        try:
            _write(_members(archive, target), inside, archive)
        except (
            zipfile.BadZipFile,
            tarfile.TarError,
            EOFError,
            zlib.error,
            lzma.LZMAError,
            ValueError,
            NotImplementedError,
        ) as error:
            raise InputError(f"broken archive ({error})", path=archive, remedy="download it again") from error
        except OSError as error:
            if error.errno not in _NOT_OF_THE_DISK:
                raise
            raise InputError(f"broken archive ({error})", path=archive, remedy="download it again") from error
        holder = find_holder(inside, contains)
        if holder is None:
            what = f"does not contain {', '.join(contains)} side by side"
            raise InputError(what, path=archive, remedy="check that it is the right archive")
        for item in sorted(holder.iterdir()):
            if item != inside:
                os.replace(item, aside / item.name)
        shutil.rmtree(inside)


def find_holder(folder: Path, contains: Sequence[str], *, any_of_them: bool = False) -> Path | None:
    """The shallowest folder, `folder` or one in it, that holds all names.

    any_of_them: where none does, the shallowest that holds one of them.
    """
    level, some = [folder], None
    for _ in range(DEEPEST):
        below = []
        for place in level:
            names = {path.name for path in place.iterdir()} if place.is_dir() else set()
            if names >= set(contains):
                return place
            if some is None and not names.isdisjoint(contains):
                some = place
            inner = sorted(names - set(contains) - {"__MACOSX"})
            below += [place / name for name in inner if not name.startswith(".") and (place / name).is_dir()]
        level = below
    return some if any_of_them else None


# ---------------------------------------------------------------------------------- members
def _members(archive: Path, target: Path) -> Iterator[Member]:
    if zipfile.is_zipfile(archive):
        return _zip_members(archive, target)
    if tarfile.is_tarfile(archive):
        return _tar_members(archive)
    what = f"neither a zip nor a tar archive{_looks_like(archive)}"
    raise InputError(what, path=archive, remedy=f"download it again, or {_by_hand(target)}")


def _zip_members(archive: Path, target: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as bundle:
        members = bundle.infolist()
        _check_room(len(members), sum(member.file_size for member in members), archive)
        for member in members:
            remedy = f"{_by_hand(target)} with the program that made it"
            if member.flag_bits & _ENCRYPTED:
                raise InputError(f"{member.filename} is protected by a password", path=archive, remedy=remedy)
            if member.compress_type not in _METHODS:
                method = _NAMES.get(member.compress_type, f"method {member.compress_type}")
                what = f"{member.filename} is compressed by {method}, which cannot be undone here"
                raise InputError(what, path=archive, remedy=remedy)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise InputError(f"holds a link or device: {member.filename}", path=archive, remedy=_DISTRUST)
            folder = member.filename.endswith(("/", "\\"))
            yield Member(member.filename, member.file_size, folder, partial(bundle.open, member))


def _tar_members(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive) as bundle:
        last = "its beginning"
        for member in bundle:
            if not (member.isfile() or member.isdir()):
                raise InputError(f"holds a link or device: {member.name}", path=archive, remedy=_DISTRUST)
            yield Member(member.name, member.size, member.isdir(), partial(_content, bundle, member))
            last = member.name
        # Python takes a damaged header, or none, for the end; the true one is a block of zeros.
        bundle.fileobj.seek(bundle.offset)
        if bundle.fileobj.read(_BLOCK) != bytes(_BLOCK):
            raise InputError(f"is cut short or damaged behind {last}", path=archive, remedy="download it again")
        while bundle.fileobj.read(1 << 20):  # the check sum of a compressed archive stands at its very end
            pass


def _content(bundle: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = bundle.extractfile(member)
    assert content is not None, "only what is no file has no content"
    return content


def _write(members: Iterable[Member], inside: Path, archive: Path) -> None:
    count = size = 0
    for member in members:
        count, size = count + 1, size + member.size
        _check_room(count, size, archive)
        path = inside / _inner_path(member.name, archive)
        if member.folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        with member.open() as source, open(path, "wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
        if path.stat().st_size != member.size:
            raise InputError(f"is cut short in {member.name}", path=archive, remedy="download it again")


# ----------------------------------------------------------------------------------- checks
def _inner_path(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[0:1]):
        raise InputError(f"a path leaves the archive's folder: {name:.200}", path=archive, remedy=_DISTRUST)
    longest = max((len(os.fsencode(part)) for part in path.parts), default=0)
    if longest > LONGEST_PART or len(os.fsencode(path)) > LONGEST_PATH:
        what = f"holds a path of {len(os.fsencode(path))} bytes with a name of {longest}: {name:.80}..."
        remedy = f"at most {LONGEST_PATH} and {LONGEST_PART} are unpacked; {_DISTRUST}"
        raise InputError(what, path=archive, remedy=remedy)
    return path


def _check_room(count: int, size: int, archive: Path) -> None:
    """Raises InputError where an archive holds more than a dataset would, or than the disk can take."""
    limit = max(MOST_TIMES * archive.stat().st_size, ALWAYS_ALLOWED)
    remedy = f"{_DISTRUST}; if it is yours, unpack it by hand"
    if count > MOST_MEMBERS:
        raise InputError(f"holds more than {MOST_MEMBERS:,} members, the limit", path=archive, remedy=remedy)
    if size > limit:
        what = f"unpacks to {size:,} bytes or more; the limit is {limit:,}, {MOST_TIMES} times its own size"
        raise InputError(what, path=archive, remedy=remedy)


def _by_hand(target: Path) -> str:
    return f"unpack it yourself as {target}/"


def _looks_like(archive: Path) -> str:
    with open(archive, "rb") as stream:
        start = stream.read(PAGE_START)
    kinds = {b"PK\x03\x04": "a zip that is cut short", b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!": "RAR"}
    kind = next((kind for sign, kind in kinds.items() if start.startswith(sign)), None)
    return f" ({kind})" if kind else " (an HTML page)" if is_page(start) else ""
