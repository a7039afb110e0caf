"""VGG-SS clips by YouTube id: ten seconds through yt-dlp, of which one picture and the sound are kept.

yt-dlp and ffmpeg are optional tools of the user's machine. Many of the clips are no longer online, so a
clip that cannot be had is a line with the reason and never stops the others. A second call asks only for
what is neither there nor gone for good.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from soundprompt.data import vggss, video
from soundprompt.errors import InputError
from soundprompt.files import publish
from soundprompt.params import Youtube
from soundprompt.progress import Progress

WATCH = "https://www.youtube.com/watch?v={id}"
SECONDS = 10
FORMAT = "bv*[height<=720]+ba/b[height<=720]/b"  # no more than SAM's 1024 pixels on the longer side need
GIVE_UP = 20
"""Failures in a row that say something about the network or a block, not about the clips."""

# What yt-dlp says about videos that will not come back. Everything else may work on another day.
GONE = ("unavailable", "private video", "removed", "terminated", "copyright", "no longer available", "does not exist")
RETRY = "ask again"

Outcome = tuple[str, str]  # status (found, missing, unusable) and reason
Source = Callable[[str], Outcome]


def bring(
    files: Sequence[str], root: Path, source: Source, pause_s: float = 0.0, patience: int | None = None
) -> Counter[str]:
    """Brings the clips that `root` lacks; returns how many are found, missing and unusable.

    files: names of `vggss.json`. source: makes `root`/frames/{file}.jpg and audio/{file}.wav of one clip,
    or says why it cannot. Each answer is written to `root`/clips.csv at once, so that a killed job goes on.
    patience: after so many failures in a row that may be the network's, the rest is left for another call.
    """
    known = vggss.read_outcomes(root)
    todo = [file for file in files if not is_there(root, file) and not _is_final(known.get(file))]
    known |= {file: ("found", "") for file in files if is_there(root, file)}
    root.mkdir(parents=True, exist_ok=True)
    progress, failures = Progress("clips of VGG-SS", len(todo)), 0
    for number, file in enumerate(todo):
        if failures == patience:
            known |= dict.fromkeys(todo[number:], ("missing", f"{RETRY}: not tried after {failures} failures in a row"))
            break
        time.sleep(pause_s if number else 0)
        known[file] = source(file)
        _append(root / vggss.OUTCOMES, file, known[file])
        failures = failures + 1 if known[file][1].startswith(RETRY) else 0
        progress.advance(": ".join(filter(None, (file, *known[file]))))
    _write(root / vggss.OUTCOMES, {file: known.get(file, ("missing", "")) for file in files})
    return Counter(known[file][0] for file in files if file in known)


def from_folder(folder: Path, root: Path) -> Source:
    """Clips that are already cut to their ten seconds: {file}.mp4 or any other container."""
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, remedy="correct data.vggss_clips, or set it to youtube or none")

    def source(file: str) -> Outcome:
        there = sorted(path for path in folder.glob(f"{file}.*") if path.suffix not in (".json", ".part", ".txt"))
        return _extract(there[0], root, file) if there else ("missing", f"{RETRY}: {folder} has no {file}.*")

    return source


def from_youtube(settings: Youtube, root: Path, address: str = WATCH, command: Sequence[str] | None = None) -> Source:
    """Clips by id and start second. Raises InputError where yt-dlp, ffmpeg or the cookies file is missing.

    command: how yt-dlp is called; None: `tool()`.
    """
    command = command or tool()
    if settings.cookies and not Path(settings.cookies).is_file():
        raise InputError("missing", path=settings.cookies, remedy="correct the path of the cookies file")

    def source(file: str) -> Outcome:
        name, _, second = file.rpartition("_")
        if not (name and second.isdigit()):
            return "unusable", f"'{file}' is not a YouTube id with '_' and a start second"
        with tempfile.TemporaryDirectory(prefix="soundprompt-") as scratch:
            asked = options(settings, int(second), Path(scratch))
            answer = _run([*command, *asked, "--", address.format(id=name)], settings.timeout_s)
            got = [path for path in Path(scratch).iterdir() if path.stem == "clip" and path.suffix != ".part"]
            return _extract(got[0], root, file) if answer is None and got else _refused(answer)

    return source


def tool() -> list[str]:
    """How yt-dlp is called. Raises InputError that says what to install."""
    other = "or set data.vggss_clips to a folder with the clips, or to none"
    if not shutil.which("ffmpeg"):
        raise InputError("ffmpeg is not installed; yt-dlp cuts clips with it", remedy=f"install ffmpeg, {other}")
    if importlib.util.find_spec("yt_dlp"):
        return [sys.executable, "-m", "yt_dlp"]
    if shutil.which("yt-dlp"):
        return ["yt-dlp"]
    raise InputError("yt-dlp is not installed", remedy=f"run: pip install -e '.[youtube]', {other}")


def options(settings: Youtube, start: int, folder: Path) -> list[str]:
    """Arguments of yt-dlp for the ten seconds from `start` on, as one file in `folder`."""
    asked = ["--ignore-config", "--no-playlist", "--no-progress", "--no-warnings", "--format", FORMAT]
    asked += ["--download-sections", f"*{start}-{start + SECONDS}", "--force-keyframes-at-cuts"]
    asked += ["--socket-timeout", "30", "--retries", "3", "--output", str(folder / "clip.%(ext)s")]
    asked += ["--limit-rate", settings.rate] if settings.rate else []
    return asked + (["--cookies", settings.cookies] if settings.cookies else [])


def _run(command: list[str], timeout_s: float) -> str | None:
    """None when the command succeeded, else the last thing it said."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # its ffmpeg is ended with it
    )
    try:
        said = process.communicate(timeout=timeout_s)[1].strip().splitlines()
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            return f"no end within {timeout_s:g} s"
        raise
    if process.returncode == 0:
        return None
    errors = [line for line in said if line.startswith("ERROR")] or said
    return errors[-1] if errors else f"exit status {process.returncode}"


def _refused(answer: str | None) -> Outcome:
    """What yt-dlp's message means for the clip. Raises InputError where it is about this machine."""
    reason = (answer or "ended without a file").removeprefix("ERROR: ").split("; please report this issue")[0]
    if "No space left" in reason:
        raise InputError("the disk is full", remedy="free space on the disk and run again")
    final = any(word in reason.lower() for word in GONE)
    return "missing", reason if final else f"{RETRY}: {reason}"


def _extract(clip: Path, root: Path, file: str) -> Outcome:
    """Middle picture and sound of a clip. Raises InputError only where nothing can be written."""
    try:
        video.to_vggss(clip, root, file)
    except InputError as error:
        if error.what.startswith("cannot be written"):
            raise
        return "unusable", error.what
    except Exception as error:  # a damaged file may trip the decoder in ways of its own; the other clips go on
        return "unusable", f"{type(error).__name__}: {error}"
    return "found", ""


def is_there(root: Path, file: str) -> bool:
    """Whether a clip has its picture and its sound."""
    return all(path.is_file() for path in vggss.files(root, file))


def _is_final(outcome: Outcome | None) -> bool:
    return outcome is not None and outcome[0] != "found" and bool(outcome[1]) and not outcome[1].startswith(RETRY)


def _append(path: Path, file: str, outcome: Outcome) -> None:
    with open(path, "a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow((file, *(" ".join(text.split()) for text in outcome)))


def _write(path: Path, outcomes: dict[str, Outcome]) -> None:
    with publish(path) as aside, open(aside, "w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(("file", "status", "reason"))
        lines.writerows((file, *(" ".join(text.split()) for text in outcome)) for file, outcome in outcomes.items())
