"""Downloads that survive bad networks: resumed, retried, from mirrors in order, verified before they count.

A file takes its final name only when its size and sha256 are right. Bytes that are complete but wrong
are kept aside as `<name>.bad`, so that they can be looked at.
"""

from __future__ import annotations

import contextlib
import email.utils
import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
import urllib3

from soundprompt.data.catalog import File, Form
from soundprompt.data.given import PAGE_START, is_page
from soundprompt.errors import InputError
from soundprompt.files import digest_file, disk_errors
from soundprompt.progress import Progress

CHUNK = 1 << 16
TIMEOUT_S = 30
ATTEMPTS = 5
"""Tries of a source in a row that bring nothing."""

BUSY = 5
"""How much longer pauses are after a server has said that it is busy: about two minutes in all."""

LONGEST_PAUSE_S = 600
"""That a server may ask for (Retry-After); what wants more is left for another call."""

SLOWEST, SLOW_S = 1024, 60
"""A download that brings fewer bytes a second for so many seconds is given up and resumed."""

_LATER = {408, 425, 429}  # with all 5xx: not now, which is not never


class Failure(Exception):
    """One source did not give the file; the next one is tried."""


class Trouble(Exception):
    """One attempt ended early; another may go on."""


class Busy(Trouble):
    """The server says: not now. wait_s: the pause that it asks for, if it does."""

    def __init__(self, what: str, wait_s: float | None):
        super().__init__(what)
        self.wait_s = wait_s


def fetch(
    file: File, folder: Path, mirrors: Sequence[str] = (), attempts: int = ATTEMPTS, pause_s: float = 2.0
) -> Path:
    """Brings a catalogue file into `folder` and returns its path; a right one that is there is kept.

    mirrors: URLs (http, https, file) or folders that hold the same relative paths; tried before the origin.
    attempts: tries per source without any progress; the pause between them doubles from `pause_s` seconds.
    A second call for the same file, in another process too, waits for the first one.
    Raises InputError that says what each source answered, or that the disk is full.
    """
    target = folder / file.path
    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    with _alone(target):
        if target.exists() and not mismatch(target, file):
            return target
        failures = []
        for source in [*(f"{mirror.rstrip('/')}/{file.path}" for mirror in mirrors), file.url]:
            try:
                _bring_right(source, part, target, file, attempts, pause_s)
                return target
            except Failure as failure:
                failures.append(f"  {source}: {failure}")
        remedy = "check the network, name a mirror in data.mirrors (a URL or a folder), or put the file there yourself"
        raise InputError("cannot be fetched:\n" + "\n".join(failures), path=target, remedy=remedy)


def mismatch(path: Path, file: File) -> str | None:
    """What is wrong with a file's bytes, or None when they are the published ones."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"{size} bytes instead of {file.size}{_page_hint(path)}"
    if file.sha256 is None:
        return _page_hint(path).strip(" ()") or ("an empty file" if size == 0 else None)
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


@contextlib.contextmanager
def _alone(target: Path) -> Iterator[None]:
    """Makes this call the only one that writes `target`; another one at it is waited for.

    The system lets a lock go with its process, so that no killed one stands in the way. Where it knows no locks (some
    network file systems) nothing is locked.
    """
    path = target.with_name(f".{target.name}.lock")
    while True:
        with disk_errors(path):
            stream = open(path, "ab")  # noqa: SIM115 - closed below
        with stream:
            _lock(stream.fileno(), target)
            if not path.exists() or path.stat().st_ino != os.fstat(stream.fileno()).st_ino:
                continue  # the one before has taken its lock away; there may be a new one
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _lock(descriptor: int, target: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"{target}: another process is fetching it; waiting", file=sys.stderr)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return


def _bring_right(source: str, part: Path, target: Path, file: File, attempts: int, pause_s: float) -> None:
    """Makes `target` from one source. Raises Failure."""
    resumed = _size(part) > 0
    _bring(source, part, file, attempts, pause_s)
    if resumed and mismatch(part, file):  # the beginning may be another source's
        part.unlink()
        _bring(source, part, file, attempts, pause_s)
    wrong = mismatch(part, file)
    if wrong:
        aside = target.with_name(f"{target.name}.bad")
        os.replace(part, aside)
        raise Failure(f"{wrong}; kept as {aside.name}")
    os.replace(part, target)


def _bring(source: str, part: Path, file: File, attempts: int, pause_s: float) -> None:
    """Fills `part` from one source, resuming what is there; raises Failure after `attempts` without progress."""
    if urlsplit(source).scheme not in ("http", "https"):
        _copy(Path(unquote(urlsplit(source).path)) if source.startswith("file:") else Path(source), part)
        return
    tried = 0
    while True:
        have = _size(part)
        try:
            _download(source, part, file)
            return
        except (requests.RequestException, urllib3.exceptions.HTTPError, Trouble) as error:
            if _size(part) == file.size:  # all is there, whatever length the server has announced
                return
            tried = 1 if _size(part) >= have + CHUNK else tried + 1  # a drip is no progress
            if isinstance(error, ValueError):  # no address at all
                raise Failure(str(error)) from error
            if tried >= attempts:
                raise Failure(f"{error} ({attempts} attempts)") from error
            time.sleep(_pause(error, pause_s * 2 ** (tried - 1)))


def _pause(error: Exception, pause_s: float) -> float:
    """Seconds to wait before the next attempt. Raises Failure where the server asks for too many."""
    if not isinstance(error, Busy):
        return pause_s
    if error.wait_s is None:
        return BUSY * pause_s
    if error.wait_s > LONGEST_PAUSE_S:
        raise Failure(f"{error}; it asks to wait {error.wait_s:.0f} s: run again later") from error
    return error.wait_s


def _copy(source: Path, part: Path) -> None:
    try:
        with open(source, "rb") as stream, disk_errors(part), open(part, "wb") as sink:
            shutil.copyfileobj(stream, sink, 1 << 20)
    except OSError as error:
        raise Failure(error.strerror or str(error)) from error


def _download(url: str, part: Path, file: File) -> None:
    """One attempt. Raises Failure for good, Trouble or an error of the network when another may go on."""
    have = _size(part)
    headers = {"Accept-Encoding": "identity"}  # a compressed answer has other bytes at a position
    headers |= {"Range": f"bytes={have}-"} if have else {}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_S) as answer:
        if answer.status_code == 416 and have:  # nothing is left to send, or the part is none of this file
            if file.size is None or have < file.size:
                total = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
                if total is None or int(total[1]) != have:
                    part.unlink(missing_ok=True)
                    raise Trouble("the server refused to resume")
            return
        _check_status(answer)
        encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
        resumed = answer.status_code == 206 and _resumes_at(answer, have) and not encoded
        if answer.status_code == 206 and not resumed:
            part.unlink(missing_ok=True)
            raise Trouble(f"the server sent another part than asked for, or a compressed one, from byte {have} on")
        length = answer.headers.get("Content-Length", "")
        announced = int(length) + (have if resumed else 0) if length.isdigit() and not encoded else None
        start = have if resumed else 0
        _write(answer, part, start, file, announced)
    got = _size(part)
    if got == 0 or (file.size is not None and start < got < file.size):  # no more after `start`: it has no more
        told = "" if announced is None else f", having announced {announced}"
        raise Trouble(f"the server sent {got} of {file.size or 'unknown'} bytes{told}")


def _check_status(answer: requests.Response) -> None:
    """Raises Trouble for what may go away by itself, Failure for what does not."""
    code = answer.status_code
    if code in _LATER or code >= 500:
        raise Busy(f"{code} {answer.reason} for {answer.url}", _asked_pause(answer.headers.get("Retry-After", "")))
    if code not in (200, 206):
        raise Failure(f"{code} {answer.reason} for {answer.url}")  # not there, or not for us


def _asked_pause(value: str) -> float | None:
    """Seconds of a Retry-After header, which is a number or a date."""
    if value.strip().isdigit():
        return float(value)
    try:
        return max((email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _resumes_at(answer: requests.Response, have: int) -> bool:
    """Whether a partial answer begins where ours ends, as far as it says."""
    start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return start is None or int(start[1]) == have


def _write(answer: requests.Response, part: Path, have: int, file: File, announced: int | None) -> None:
    total = file.size or announced
    _check_room(part, (total or 0) - have)
    progress = Progress(f"fetch {Path(file.path).name}, MiB", max(1, (total or 0) >> 20))
    since, then = time.monotonic(), have
    with disk_errors(part):
        stream = open(part, "ab" if have else "wb")  # noqa: SIM115 - closed below
    with stream:
        while chunk := answer.raw.read1(CHUNK, decode_content=True):
            with disk_errors(part):
                have += stream.write(chunk)
            progress.done = have >> 20
            progress.advance(steps=0)
            if time.monotonic() - since > SLOW_S:
                if have - then < SLOWEST * SLOW_S:
                    raise Trouble(f"slower than {SLOWEST} bytes a second, after {have} bytes")
                since, then = time.monotonic(), have
        with disk_errors(part):
            stream.flush()
            os.fsync(stream.fileno())
    if announced is not None and have < announced and have != file.size:
        raise Trouble(f"the connection ended after {have} of {announced} bytes")


def _check_room(part: Path, needed: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if needed > free:
        what = f"the disk is full: {needed:,} bytes are needed, {free:,} are free"
        raise InputError(what, path=part, remedy="free space on the disk and run again")


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _page_hint(path: Path) -> str:
    with open(path, "rb") as stream:
        return " (an HTML page, not the file)" if is_page(stream.read(PAGE_START)) else ""
