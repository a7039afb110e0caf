"""What a user asks `soundprompt predict` for, checked before anything slow is loaded."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from soundprompt.errors import InputError

CONTAINERS = (".mp4", ".mov", ".mkv")
PAGES = (".html", ".htm")
VIDEOS = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg"),
    *(".ts", ".mts", ".m2ts", ".3gp", ".wmv", ".flv", ".ogv"),
)
SHORTEST = 0.1  # seconds between predictions
COLUMNS = ("second", "start_s", "end_s", "area", "probability_inside", "probability", "threshold")
SOFTWARE = "soundprompt predict"
OTHER_OUT = "choose another --out"
AWAY = "move it away, or choose another --out"
_MASK_NAME = re.compile(r"\d{5,}\.png")


@dataclass(frozen=True)
class Request:
    """A video (or pictures) to look at and how.

    video: a video file, a picture, or a folder of pictures, one for each second. out: the video to write.
    audio: a sound file to hear instead of the video's own track. start, end: part of the video, seconds; None: to
    its end. every: seconds between predictions. threshold: a pixel sounds when its probability is above. coco: write
    the masks as run lengths too. page: an HTML page to write. timeline: draw how much sounds along the lower edge.

    Raises InputError when a value makes no sense or a file is missing or would be overwritten.
    """

    video: Path
    out: Path
    audio: Path | None = None
    start: float = 0.0
    end: float | None = None
    every: float = 1.0
    threshold: float = 0.5
    device: str | None = None
    coco: bool = False
    page: Path | None = None
    timeline: bool = True

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_files()

    @property
    def masks(self) -> Path:
        """Folder for a PNG of each prediction."""
        return self.out.with_suffix(".masks")

    @property
    def table(self) -> Path:
        """One row for each prediction."""
        return self.out.with_suffix(".csv")

    @property
    def files(self) -> list[Path]:
        """All that is written besides the masks."""
        more = [self.run_lengths] if self.coco else []
        return [self.out, self.table, *more, *([self.page] if self.page else [])]

    @property
    def run_lengths(self) -> Path:
        """The masks as COCO's run lengths, with `coco`."""
        return self.out.with_suffix(".coco.json")

    def _check_numbers(self) -> None:
        for option, value in (("--start", self.start), ("--end", self.end), ("--every", self.every)):
            if value is not None and not math.isfinite(value):
                what = f"{option}: {value} is no length of time"
                raise InputError(what, remedy=f"give seconds, or leave {option} out")
        if self.start < 0:
            raise InputError(f"--start: {self.start:g} is before the video", remedy="give seconds from 0 on")
        if self.end is not None and not self.end > self.start:
            what = f"--end: {self.end:g} s is not behind --start, {self.start:g} s"
            raise InputError(what, remedy="give a later --end, or leave it out to go to the end of the video")
        if self.every < SHORTEST:
            raise InputError(f"--every: {self.every:g} s is too short", remedy=f"give {SHORTEST} s or more")
        if not 0 < self.threshold < 1:
            what = f"--threshold: {self.threshold:g} is not between 0 and 1"
            raise InputError(what, remedy="give a probability such as 0.5")
        if self.device not in (None, "cpu", "cuda"):
            what = f"--device: '{self.device}' is not one of cpu, cuda"
            raise InputError(what, remedy="leave --device out: it takes the GPU where there is one")

    def _check_files(self) -> None:
        given = [path for path in (self.video, self.audio) if path is not None]
        for option, path in (("VIDEO", self.video), ("--audio", self.audio)):
            if path is not None and not path.exists():
                raise InputError(f"{option}: there is no such file", path=path, remedy="check its path")
        if self.audio is not None and not self.audio.is_file():
            raise InputError("--audio: is no file", path=self.audio, remedy="give a sound file, such as a wav")
        if self.out.suffix.lower() not in CONTAINERS:
            raise InputError(f"--out: ends in none of {', '.join(CONTAINERS)}", path=self.out, remedy="write OUT.mp4")
        if self.page is not None and self.page.suffix.lower() not in PAGES:
            raise InputError("--page: is no .html", path=self.page, remedy="write --page heard.html")
        for path in self.files:
            if path.is_dir():
                raise InputError("is a folder, a file would be written here", path=path, remedy=OTHER_OUT)
        for path in filter(Path.exists, (*self.files, self.masks)):
            if any(path.samefile(file) or path.resolve() in file.resolve().parents for file in given):
                raise InputError("--out would overwrite what it is made from", path=path, remedy=OTHER_OUT)
        if self.table.exists():
            self._check_table()
        if self.masks.exists():
            self._check_masks()
        if self.coco and self.run_lengths.exists():
            self._check_run_lengths()

    def _check_table(self) -> None:
        """The command line does not name the table, so only one that predict wrote is replaced."""
        with open(self.table, encoding="utf-8", errors="replace", newline="") as stream:
            first = stream.readline().rstrip("\r\n")
        if first != ",".join(COLUMNS):
            raise InputError("is not a table of predict; it would be replaced", path=self.table, remedy=AWAY)

    def _check_run_lengths(self) -> None:
        with open(self.run_lengths, encoding="utf-8", errors="replace") as stream:
            if SOFTWARE not in stream.read(100):
                what = "are not run lengths of predict; they would be replaced"
                raise InputError(what, path=self.run_lengths, remedy=AWAY)

    def _check_masks(self) -> None:
        """So with the folder of masks: it is replaced as a whole, and each picture in it must be one of predict's."""
        if not self.masks.is_dir():
            raise InputError("is a file, a folder is needed here", path=self.masks, remedy=OTHER_OUT)
        for path in sorted(self.masks.iterdir()):
            if not (_MASK_NAME.fullmatch(path.name) and _is_ours(path)):
                what = f"holds '{path.name}', which predict did not write; the folder would be replaced"
                raise InputError(what, path=self.masks, remedy=AWAY)


def videos_in(path: Path) -> list[Path]:
    """The videos of a folder, by name; empty for a file and a folder of pictures."""
    if not path.is_dir():
        return []
    return sorted(one for one in path.iterdir() if one.suffix.lower() in VIDEOS and not one.name.startswith("."))


def mask_marks() -> PngInfo:
    """What is written into each mask, so that a later prediction knows it for one."""
    marks = PngInfo()
    marks.add_text("Software", SOFTWARE)
    return marks


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            return picture.info.get("Software") == SOFTWARE
    except (OSError, SyntaxError, ValueError):
        return False
