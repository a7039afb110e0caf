"""From score rows to a dataset's values, by each metric's own grouping (`registry.Metric.mean`).

- clips: mean over clips of the mean over their frames (of pictures without sound: over pictures).
- calls: mean over calls (clips, or groups of them, as scored); a last call of fewer clips weighs the same.
- frames: over all judged frames alike, so rates are shares of frames. Broken down by kind the modality gap is the
  kind's part in the direction of the whole selection's.
- successes: share of clips with an overlap of 0.5 or more ("cIoU" in the VGG-SS tables).
- curves: area under the curve of such shares; made from the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from soundprompt import records, registry
from soundprompt.evaluation import statistics, success
from soundprompt.evaluation.statistics import Contributions, Estimate
from soundprompt.registry import Metric

TEXTS = ("selection", "method", "clip", "video", "class_name", "kind", "metric")


def coded(scores: pd.DataFrame) -> pd.DataFrame:
    """The same rows with texts as categories: what is compared and grouped many times is then numbers."""
    return scores.astype({name: "category" for name in TEXTS if name in scores.columns})


def rows_of(scores: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The rows that a metric is made from."""
    return scores[scores["metric"] == (_registered(metric).rows or metric)]


def _registered(metric: str) -> Metric:
    """Raises ValueError for an unknown metric."""
    if metric not in registry.metrics():
        raise ValueError(f"unknown metric {metric!r}")
    return registry.metrics()[metric]


def contributions(scores: pd.DataFrame, metric: str) -> Contributions:
    """What each video adds to the value of one metric, for each seed.

    scores: the rows of ONE selection and ONE method (see `scores.COLUMNS`), other metrics allowed; `coded`
    or not. Of a metric that only some answers have (`some_frames`), seeds without any are left out.
    Raises ValueError when there is no row, or when a seed lacks clips that another has.
    """
    rows = rows_of(scores, metric)
    if rows.empty:
        raise ValueError(f"no rows of metric {metric!r}")
    if any(len(_codes(rows[name])[1]) > 1 for name in ("selection", "method")):
        raise ValueError("rows of several selections or methods")
    (seed, seeds), (video, videos), (clip, clips) = (_codes(rows[name]) for name in ("seed", "video", "clip"))
    place, counts, sums = _by_clip(seed, len(seeds), video * len(clips) + clip, _measured(rows, metric))
    if not _registered(metric).some_frames and not ((counts > 0) == (counts > 0)[0]).all():
        raise ValueError(f"not every seed has scored every clip on {metric!r}")
    by_frame = _registered(metric).mean == "frames"
    weights = counts if by_frame else (counts > 0).astype(float)
    totals = sums if by_frame else np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    of_video = place // len(clips)
    summed = [np.stack([np.bincount(of_video, row, len(videos)) for row in part]) for part in (totals, weights)]
    trained = rows["method"].iloc[0] not in registry.floors()
    return Contributions(*summed, tuple(map(int, seeds)), tuple(map(str, videos)), trained)


def _codes(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """For each row the place of its value among the values that occur, sorted; and those values."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        used, codes = np.unique(column.cat.codes.to_numpy(), return_inverse=True)
        return codes, column.cat.categories.to_numpy()[used]
    codes, values = pd.factorize(column, sort=True)
    return codes, np.asarray(values)


def _by_clip(seed: np.ndarray, n_seeds: int, clip: np.ndarray, value: np.ndarray):
    """The clips that occur, and for each seed and clip the number of rows and their sum, (seeds, clips) each."""
    clips, where = np.unique(clip, return_inverse=True)
    cell, size = seed * len(clips) + where, n_seeds * len(clips)
    counts, sums = np.bincount(cell, minlength=size).astype(float), np.bincount(cell, value, size)
    return clips, counts.reshape(n_seeds, -1), sums.reshape(n_seeds, -1)


def _measured(rows: pd.DataFrame, metric: str) -> np.ndarray:
    """What is averaged: the rows' values, or what a metric makes of them."""
    values = rows["value"].to_numpy(float)
    mean = _registered(metric).mean
    if mean == "successes":
        return (values >= 0.5).astype(float)
    return success.curve_areas(success.success_curves(values)) if mean == "curves" else values


def dataset_values(scores: pd.DataFrame, metrics: Sequence[str], by: Sequence[str] = ()) -> pd.DataFrame:
    """One value for each selection, method, metric and seed: columns of those, `by`, value, n_clips.

    by: further columns to break down by, such as ["kind"] or ["n_sources"]. Combinations without
    rows are left out (a floor has no f_score on boxes).
    """
    keys = ["selection", "method", *by]
    found = []
    for names, rows in scores.groupby(keys, sort=True):
        for metric in metrics:
            of_metric = rows_of(rows, metric)
            if of_metric.empty:
                continue
            of = contributions(rows, metric)
            head = dict(zip(keys, names, strict=True)) | {"metric": metric}
            n_clips = of_metric["clip"].nunique()
            found += [
                head | {"seed": seed, "value": value, "n_clips": n_clips}
                for seed, value in zip(of.seeds, of.values(), strict=True)
            ]
    return pd.DataFrame(found, columns=[*keys, "metric", "seed", "value", "n_clips"])


def overview(runs: Sequence[Path], floors: Path) -> str:
    """Means over seeds of every metric, one line for each selection and method: what a terminal shows.

    runs: score files of one model's seeds; floors: that of the methods without training.
    """
    for path in (*runs, floors):
        records.check(path)
    rows = pd.concat([pd.read_parquet(path) for path in (*runs, floors)], ignore_index=True)
    values = dataset_values(rows, registry.metrics_of("score", "examine"))
    means = values.groupby(["selection", "method", "metric"], sort=False)["value"].mean().unstack("metric")
    return means.dropna(axis=1, how="all").round(3).to_string(na_rep="")


def lead(first: Contributions, second: Contributions, metric: str) -> Estimate:
    """First minus second method on one selection. Raises ValueError when they were scored on different videos."""
    return statistics.difference(*_on_same_videos(first, second, metric))


def _on_same_videos(first: Contributions, second: Contributions, metric: str) -> tuple[Contributions, Contributions]:
    """The pair as it is; of what only some answers have, a video without a row counts with weight 0."""
    if _registered(metric).some_frames and first.videos != second.videos:
        first, second = _on_all_videos(first, second)
    return first, second


def _on_all_videos(*several: Contributions) -> list[Contributions]:
    videos = tuple(sorted({video for of in several for video in of.videos}))
    place = {video: i for i, video in enumerate(videos)}
    widened = []
    for of in several:
        columns = [place[video] for video in of.videos]
        totals, weights = (np.zeros((len(of.seeds), len(videos))) for _ in range(2))
        totals[:, columns], weights[:, columns] = of.totals, of.weights
        widened.append(replace(of, totals=totals, weights=weights, videos=videos))
    return widened
