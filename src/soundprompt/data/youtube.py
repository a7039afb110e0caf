"""VGG-SS clips by YouTube id: ten seconds through yt-dlp, of which one picture and the sound are kept.

yt-dlp and ffmpeg are optional tools of the user's machine. Many of the clips are no longer online, so a
clip that cannot be had is a line with the reason and never stops the others. A second call asks for all
that is not there again, but for what YouTube says is gone for good.
"""

from __future__ import annotations

import csv
import importlib.util
import os
import re
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
FORMAT = "bv*[height<=720]+ba/b[height<=720]/b"  # no more than SAM's 1024 pixels on the longer side need
GIVE_UP = 20
"""Failures in a row that say something about the network or a block, not about the clips."""

# What YouTube says, through yt-dlp, about videos that will not come back, word by word. Everything else may work on
# another day: "Video unavailable. This content isn't available, try again later" is a limit of the rate.
GONE = re.compile(
    r"(Video unavailable\. )?("
    r"This video has been removed by the uploader"
    r"|This video has been removed for violating YouTube's (Terms of Service|Community Guidelines|policy on [^.]+)"
    r"|This video is no longer available because the uploader has closed their YouTube account"
    r"|This video is no longer available because the YouTube account associated with this video has been terminated"
    r"( due to [^.]+)?"
    r"|This video is no longer available due to a (copyright|privacy|trademark) claim( by .+)?"
    r"|This video does not exist"
    r"|This video is private(\. If the owner of this video has granted you access, please sign in)?"
    r"|Private video\. Sign in if you've been granted access to this video(\. Use --cookies.*)?"
    r")(\. Learn more [^.]+)?\.?"
)
# What is said of one video, for now or for this place, and not of the one who asks.
OF_ONE_VIDEO = re.compile(
    r"Video unavailable\.?|(Video unavailable\. )?(This video is (not available|unavailable)"
    r"|The uploader has not made this video available in your country|This video contains content from "
    r"|Sign in to confirm your age|Join this channel|Premieres in|This live event|Requested format is not available"
    r"|This video requires payment).*"
)
RATE_LIMIT = "This content isn't available, try again later"
RETRY = "ask again"
UNTRIED = f"{RETRY}: not tried"
CONTAINERS = (
    ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".m2ts", ".mts", ".3gp", ".ogv",
    ".wmv", ".asf", ".vob", ".divx",
)  # fmt: skip
"""Endings of clips in a folder; the first of them that is a film is taken."""

Outcome = tuple[str, str]  # status (found, missing, unusable) and reason
Source = Callable[[str], Outcome]


def bring(
    files: Sequence[str], root: Path, source: Source, pause_s: float = 0.0, patience: int | None = None
) -> Counter[str]:
    """Brings the clips that `root` lacks; returns how many are found, missing and unusable.

    files: names of `vggss.json`. source: makes `root`/frames/{file}.jpg and audio/{file}.wav of one clip,
    or says why it cannot. Each answer is written to `root`/clips.csv at once, so that a killed job goes on.
    patience: after so many failures in a row that may be the network's, the rest is left for another call; what none
    has asked for yet comes first, so that each call gets further.
    """
    known = vggss.read_outcomes(root)
    todo = [file for file in files if not is_there(root, file) and not _is_gone(known.get(file))]
    todo.sort(key=lambda file: file in known and not known[file][1].startswith(UNTRIED))
    known |= {file: ("found", "") for file in files if is_there(root, file)}
    root.mkdir(parents=True, exist_ok=True)
    progress, failures, left = Progress("clips of VGG-SS", len(todo)), 0, []
    for number, file in enumerate(todo):
        if failures == patience:
            untried = ("missing", f"{UNTRIED} after {failures} failures in a row")
            left = todo[number:]
            known |= {rest: known[rest] if rest in known and known[rest][0] != "found" else untried for rest in left}
            break
        time.sleep(pause_s if number else 0)
        known[file] = source(file)
        _append(root / vggss.OUTCOMES, file, known[file])
        failures = failures + 1 if _may_be_the_network(known[file][1]) else 0
        progress.advance(": ".join(filter(None, (file, *known[file]))))
    _write(root / vggss.OUTCOMES, {file: known.get(file, ("missing", "")) for file in files})
    counts = Counter(known[file][0] for file in files if file in known)
    reason = known[todo[-len(left) - 1]][1] if left else ""
    _tell(counts["found"], len(files), len(left), failures, reason, root / vggss.OUTCOMES)
    return counts


def from_folder(folder: Path, root: Path) -> Source:
    """Clips that are already cut to their ten seconds: {file}.mp4, or another of CONTAINERS, in any case.

    What else has a clip's name is none: pictures, subtitles, parts, tracks that were not merged ({file}.f137.mp4).
    """
    if not folder.is_dir():
        raise InputError("no such folder", path=folder, remedy="correct data.vggss_clips, or set it to youtube or none")

    clips: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in CONTAINERS and path.is_file():
            clips.setdefault(path.stem, []).append(path)

    def source(file: str) -> Outcome:
        there = sorted(clips.get(file, ()), key=lambda path: CONTAINERS.index(path.suffix.lower()))
        if not there:
            return "missing", f"{RETRY}: {folder} has no {file}.mp4, nor another film of that name"
        outcomes = []
        for path in there:
            outcomes.append(_extract(path, root, file))
            if outcomes[-1][0] == "found":
                return outcomes[-1]
        return outcomes[0]

    return source


def from_youtube(settings: Youtube, root: Path, address: str = WATCH, command: Sequence[str] | None = None) -> Source:
    """Clips by id and start second. Raises InputError where yt-dlp, ffmpeg or the cookies file is missing.

    command: how yt-dlp is called; None: `tool()`.
    """
    command = command or tool()
    _check_cookies(settings)

    def source(file: str) -> Outcome:
        name, _, second = file.rpartition("_")
        if not (name and second.isdecimal()):
            return "unusable", f"'{file}' is not a YouTube id with '_' and a start second"
        with tempfile.TemporaryDirectory(prefix="soundprompt-") as scratch:
            asked = options(settings, int(second), Path(scratch))
            answer = _run([*command, *asked, "--", address.format(id=name)], settings.timeout_s)
            got = [path for path in Path(scratch).iterdir() if path.stem == "clip" and path.suffix != ".part"]
            if answer is None and got:
                return _extract(got[0], root, file)
            _check_cookies(settings)
            return _refused(answer)

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
    asked += ["--download-sections", f"*{start}-{start + vggss.SECONDS}", "--force-keyframes-at-cuts"]
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


def _check_cookies(settings: Youtube) -> None:
    if settings.cookies and not Path(settings.cookies).is_file():
        raise InputError("missing", path=settings.cookies, remedy="correct the path of the cookies file")


def _refused(answer: str | None) -> Outcome:
    """What yt-dlp's message means for the clip. Raises InputError where it is about this machine."""
    reason = (answer or "ended without a file").removeprefix("ERROR: ").split("; please report this issue")[0]
    if "No space left" in reason:
        raise InputError("the disk is full", remedy="free space on the disk and run again")
    if "failed to load cookies" in reason or "Netscape format cookies file" in reason:
        remedy = "export cookies.txt from the browser again, and name it in data.youtube.cookies"
        raise InputError(f"yt-dlp cannot read the cookies ({reason})", remedy=remedy)
    if RATE_LIMIT in _said(reason):
        return "missing", f"{RETRY}: YouTube gives no more clips for up to an hour ({RATE_LIMIT})"
    return "missing", reason if _is_gone(("missing", reason)) else f"{RETRY}: {reason}"


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


def _is_gone(outcome: Outcome | None) -> bool:
    """Whether an outcome says that YouTube will never give the clip."""
    return outcome is not None and outcome[0] == "missing" and GONE.fullmatch(_said(outcome[1])) is not None


def _may_be_the_network(reason: str) -> bool:
    """Whether the next clip may fail for the same reason."""
    return reason.startswith(RETRY) and OF_ONE_VIDEO.fullmatch(_said(reason)) is None


def _said(reason: str) -> str:
    """YouTube's own words: '[youtube] dQw4w9WgXcQ: Video unavailable' -> 'Video unavailable'."""
    words = " ".join(reason.removeprefix(f"{RETRY}: ").replace("\u2019", "'").split())
    return re.sub(r"^\[[\w:]+\] ([\w-]+: )?", "", words)


def _tell(found: int, of: int, left: int, failures: int, reason: str, path: Path) -> None:
    """What a call has come to, in a line for the user."""
    if found < of:
        later = (
            f"; {left} are left for another call of the same command in an hour or so, after {failures} failures in a "
            f"row, the last: {reason.removeprefix(f'{RETRY}: ')}"
        )
        print(f"VGG-SS: {found} of {of} clips; {path} says why{later if left else ''}", file=sys.stderr)


def _append(path: Path, file: str, outcome: Outcome) -> None:
    with open(path, "a", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerow((file, *(" ".join(text.split()) for text in outcome)))


def _write(path: Path, outcomes: dict[str, Outcome]) -> None:
    with publish(path) as aside, open(aside, "w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(("file", "status", "reason"))
        lines.writerows((file, *(" ".join(text.split()) for text in outcome)) for file, outcome in outcomes.items())
