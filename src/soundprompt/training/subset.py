"""A part of the training clips, the same for every run: how much data a method needs.

Parts are nested: they are beginnings of one order of all clips, and the order knows nothing of the share. It is
drawn by a seed of its own from the names of videos, so that neither the run's seed nor the order of rows matters.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque

import numpy as np
import pandas as pd

CLIP = ["dataset", "clip"]


def part(rows: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The frames of a share of the clips, in the order of `rows`.

    rows: frames of training selections (columns dataset, clip, video, class_name). A clip stays whole, and so do
    the clips of one source video: as many videos are taken, one at least, as come closest to the share of
    clips, so that it is missed by half the clips of a video at most. The classes (class strings: "dog" and
    "dog_cat" are two) take turns, see `order`: each has a clip before one has two, as far as its videos allow.
    """
    if share >= 1:
        return rows
    clips = rows.drop_duplicates(CLIP)
    videos = order(clips, seed)
    taken = clips["video"].value_counts()[videos].cumsum().to_numpy()
    count = 1 + int(np.abs(taken - share * len(clips)).argmin())
    return rows[rows["video"].isin(videos[:count])]


def order(clips: pd.DataFrame, seed: int) -> list[str]:
    """All source videos of `clips` (one row each), by turns of the classes.

    The next video is one of the class that has the fewest clips so far and videos left; among equals, and within
    a class, chance decides. A video with clips of several classes waits in the first of them and counts for all.
    """
    classes = {video: Counter(names) for video, names in clips.groupby("video")["class_name"]}
    waiting: dict[str, deque[str]] = {}
    for video in sorted(classes, key=lambda video: _draw(seed, "video", video)):
        waiting.setdefault(min(classes[video]), deque()).append(video)
    count, found = Counter[str](), list[str]()
    while waiting:
        turn = min(waiting, key=lambda name: (count[name], _draw(seed, "turn", name, str(count[name]))))
        video = waiting[turn].popleft()
        count.update(classes[video])
        found.append(video)
        if not waiting[turn]:
            del waiting[turn]
    return found


def _draw(seed: int, *words: str) -> bytes:
    """Chance as a pure function of names: the same on every machine and in every order of rows."""
    return hashlib.sha256("\0".join((str(seed), *words)).encode()).digest()
