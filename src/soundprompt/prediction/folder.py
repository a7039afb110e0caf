"""A folder of videos, one after another, and one table about all of them."""

from __future__ import annotations

import csv
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from soundprompt.errors import InputError
from soundprompt.files import publish
from soundprompt.prediction import run
from soundprompt.prediction.listener import Listener
from soundprompt.prediction.request import Request, videos_in
from soundprompt.prediction.runs import TrainedRun
from soundprompt.prediction.video_in import open_source

SUMMARY = "summary.csv"
COLUMNS = ("video", "predictions", "seconds", "sounding", "mean_area", "largest_area", "largest_at_s", "trouble")


def predict(folder: Path, out: Path, options: dict, trained: TrainedRun) -> list[dict[str, str]]:
    """Paints each video of a folder into `out/<name>.mp4` and writes `out/summary.csv`; returns its rows, one a video.

    options: further fields of `Request`, the same for all. A video that cannot be used has its trouble in its row and
    keeps none of the others from coming.

    Columns: sounding, the share of predictions with a mask; mean_area, the mean share of the picture that sounds;
    largest_area and largest_at_s, when most of it does. Raises InputError when the two folders are one.
    """
    if out.exists() and (not out.is_dir() or out.samefile(folder)):
        what = "a folder of videos needs another folder for what is painted"
        raise InputError(f"--out: {what}", path=out, remedy="name a new folder")
    videos = videos_in(folder)
    stems = Counter(video.stem for video in videos)
    listener = Listener(trained, options.get("device"))
    rows = []
    for number, video in enumerate(videos, 1):
        print(f"{video.name}: {number} of {len(videos)}", file=sys.stderr, flush=True)
        name = video.stem if stems[video.stem] == 1 else video.name
        rows.append(_row(video, out / f"{name}.mp4", options, listener))
    with publish(out / SUMMARY) as aside, open(aside, "w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    return rows


def _row(video: Path, out: Path, options: dict, listener: Listener) -> dict[str, str]:
    try:
        request = Request(video, out, **options)
        if request.page is not None:  # each video has one of its own
            request = replace(request, page=out.with_suffix(".html"))
        found = run.paint(request, open_source(video, None), listener)
    except InputError as error:
        print(f"soundprompt: error: {error}", file=sys.stderr, flush=True)
        return {**dict.fromkeys(COLUMNS, ""), "video": video.name, "trouble": error.what}
    areas = [float(row["area"]) for row in found]
    largest = max(range(len(areas)), key=areas.__getitem__)
    values = (
        video.name,
        f"{len(found)}",
        f"{float(found[-1]['end_s']) - float(found[0]['start_s']):.3f}",
        f"{sum(area > 0 for area in areas) / len(areas):.4f}",
        f"{sum(areas) / len(areas):.6f}",
        f"{areas[largest]:.6f}",
        found[largest]["start_s"],
        "",
    )
    return dict(zip(COLUMNS, values, strict=True))
