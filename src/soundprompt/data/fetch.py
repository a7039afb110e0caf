"""Downloads that survive bad networks: resumed, retried, from mirrors in order, verified before they count.

A file takes its final name only when its size and sha256 are right. Bytes that are complete but wrong
are kept aside as `<name>.bad`, so that they can be looked at.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from soundprompt.data.catalog import File, Form
from soundprompt.errors import InputError
from soundprompt.files import digest_file
from soundprompt.progress import Progress

CHUNK = 1 << 16
TIMEOUT_S = 30


class Failure(Exception):
    """One source did not give the file; the next one is tried."""


def fetch(file: File, folder: Path, mirrors: Sequence[str] = (), attempts: int = 5, pause_s: float = 2.0) -> Path:
    """Brings a catalogue file into `folder` and returns its path; a right one that is there is kept.

    mirrors: URLs (http, https, file) or folders that hold the same relative paths; tried before the origin.
    attempts: tries per source; the pause between them doubles from `pause_s` seconds.
    Raises InputError that says what each source answered.
    """
    target = folder / file.path
    if target.exists() and not mismatch(target, file):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    failures = []
    for source in [*(f"{mirror.rstrip('/')}/{file.path}" for mirror in mirrors), file.url]:
        try:
            _bring(source, part, file, attempts, pause_s)
            _accept(part, target, file, source)
            return target
        except Failure as failure:
            failures.append(f"  {source}: {failure}")
    raise InputError(
        "cannot be fetched:\n" + "\n".join(failures),
        path=target,
        remedy="check the network, name a mirror in data.mirrors (a URL or a folder), or put the file there yourself",
    )


def mismatch(path: Path, file: File) -> str | None:
    """What is wrong with a file's bytes, or None when they are the published ones."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"{size} bytes instead of {file.size}{_page_hint(path)}"
    if file.sha256 is None:
        return "a web page" + _page_hint(path) if _page_hint(path) else None
    digest = digest_file(path)
    if not digest.startswith(file.sha256):
        return f"sha256 {digest[: max(len(file.sha256), 16)]}... instead of {file.sha256}{_page_hint(path)}"
    return None


def require_archive(form: Form, name: str, folder: Path) -> Path:
    """The archive of a dataset given out on application; where it is missing, says how to get it."""
    archive = folder / form.archive
    if archive.exists():
        return archive
    raise InputError(
        f"the dataset {name} is given out on application and is not here yet",
        path=archive,
        remedy=f"fill in {form.form} (or write to {form.contact}), then put the archive at this path; "
        f"it should contain {', '.join(form.contains)}. A folder of that name with the unpacked data also works",
    )


def _bring(source: str, part: Path, file: File, attempts: int, pause_s: float) -> None:
    """Fills `part` from one source, resuming what is there; raises Failure after the last attempt."""
    if urlsplit(source).scheme not in ("http", "https"):
        _copy(Path(unquote(urlsplit(source).path)) if source.startswith("file:") else Path(source), part)
        return
    for attempt in range(attempts):
        try:
            _download(source, part, file)
            return
        except (requests.RequestException, OSError) as error:
            reason = str(error)
            if isinstance(error, requests.HTTPError) and 400 <= error.response.status_code < 500:
                raise Failure(reason) from error  # not there, or not for us: trying again does not help
            if attempt + 1 == attempts:
                raise Failure(f"{reason} ({attempts} attempts)") from error
            time.sleep(pause_s * 2**attempt)


def _copy(source: Path, part: Path) -> None:
    try:
        shutil.copyfile(source, part)
    except OSError as error:
        raise Failure(error.strerror or str(error)) from error


def _download(url: str, part: Path, file: File) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == 416:  # nothing is left to send, or the part is too long
            if have != file.size:
                part.unlink()
                raise OSError("the server refused to resume")
            return
        answer.raise_for_status()
        resumed = answer.status_code == 206
        have = have if resumed else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else file.size
        _write(answer, part, "ab" if resumed else "wb", Path(file.path).name, have, total)
    if total is not None and part.stat().st_size < total:
        raise OSError(f"the connection ended after {part.stat().st_size} of {total} bytes")


def _write(answer: requests.Response, part: Path, mode: str, name: str, have: int, total: int | None) -> None:
    progress = Progress(f"fetch {name}, MiB", max(1, (total or 0) >> 20))
    with open(part, mode) as stream:
        for chunk in answer.iter_content(CHUNK):
            have += stream.write(chunk)
            progress.done = have >> 20
            progress.advance(steps=0)
        stream.flush()
        os.fsync(stream.fileno())


def _accept(part: Path, target: Path, file: File, source: str) -> None:
    wrong = mismatch(part, file)
    if wrong:
        aside = target.with_name(f"{target.name}.bad")
        os.replace(part, aside)
        raise Failure(f"{wrong}; kept as {aside.name}")
    os.replace(part, target)


def _page_hint(path: Path) -> str:
    """Servers that want a login or a consent answer with a page instead of the file."""
    with open(path, "rb") as stream:
        start = stream.read(512).lstrip().lower()
    return " (an HTML page, not the file)" if start.startswith((b"<!doctype html", b"<html")) else ""
