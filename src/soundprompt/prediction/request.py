"""What a user asks `soundprompt predict` for, checked before anything slow is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from soundprompt.errors import InputError

CONTAINERS = (".mp4", ".mov", ".mkv")
SHORTEST = 0.1  # seconds between predictions
_MASK_NAME = re.compile(r"\d{5,}\.png")


@dataclass(frozen=True)
class Request:
    """A video (or pictures) to look at and how.

    video: a video file, a picture, or a folder of pictures, one for each second. out: the video to write.
    audio: a sound file to hear instead of the video's own track. start, end: part of the video, seconds; None: to
    its end. every: seconds between predictions. threshold: a pixel sounds when its probability is above.

    Raises InputError when a value makes no sense or a file is missing or would be overwritten.
    """

    video: Path
    out: Path
    audio: Path | None = None
    start: float = 0.0
    end: float | None = None
    every: float = 1.0
    threshold: float = 0.5
    device: str = "cpu"

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

    def _check_numbers(self) -> None:
        if not self.start >= 0:
            raise InputError(f"--start: {self.start:g} is before the video", remedy="give seconds from 0 on")
        if self.end is not None and not self.end > self.start:
            raise InputError(f"--end: {self.end:g} s is not behind --start, {self.start:g} s")
        if not self.every >= SHORTEST:
            raise InputError(f"--every: {self.every:g} s is too short", remedy=f"give {SHORTEST} s or more")
        if not 0 < self.threshold < 1:
            raise InputError(f"--threshold: {self.threshold:g} is not between 0 and 1")
        if self.device not in ("cpu", "cuda"):
            raise InputError(f"--device: '{self.device}' is not one of cpu, cuda")

    def _check_files(self) -> None:
        for option, path in (("VIDEO", self.video), ("--audio", self.audio)):
            if path is not None and not path.exists():
                raise InputError(f"{option}: there is no such file", path=path, remedy="check its path")
        if self.out.suffix.lower() not in CONTAINERS:
            raise InputError(f"--out: ends in none of {', '.join(CONTAINERS)}", path=self.out, remedy="write OUT.mp4")
        for path in (self.out, self.table):
            if path.is_dir():
                raise InputError("is a folder, a file would be written here", path=path, remedy="choose another --out")
            if path.exists() and any(path.samefile(given) for given in (self.video, self.audio) if given):
                raise InputError("--out would overwrite what it is made from", path=path, remedy="choose another --out")
        if self.masks.exists():
            self._check_masks()

    def _check_masks(self) -> None:
        """A folder of masks is replaced as a whole, so nothing else may be in it."""
        if not self.masks.is_dir():
            raise InputError("is a file, a folder is needed here", path=self.masks, remedy="choose another --out")
        other = next((p.name for p in self.masks.iterdir() if not _MASK_NAME.fullmatch(p.name)), None)
        if other is not None:
            what = f"holds '{other}', which predict did not write; the folder would be replaced"
            raise InputError(what, path=self.masks, remedy="move it away, or choose another --out")
