"""From score rows to a dataset's values, by each metric's own grouping.

- miou, miou_04: mean over clips of the mean over their frames.
- f_score: mean over calls (clips, or groups of four, as scored).
- hit_rate, wrong_rate, iou_in_hits: over all judged frames alike, so rates are shares of frames.
- area, alarm: over all labelled frames alike.
- retrieval, retrieval_chance, margin_kept, modality_gap (evaluation/alignment.py): likewise. Broken down by kind the
  gap is the kind's part in the direction of the whole selection's.
- knowledge, knowledge_untouched (evaluation/knowledge.py): mean over pictures.
- ciou, ciou_fixed: share of clips with an overlap of 0.5 or more ("cIoU" in the VGG-SS tables).
- auc, auc_fixed: area under the curve of such shares; made from the rows of ciou and ciou_fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from soundprompt.evaluation import metrics as formulas
from soundprompt.evaluation.statistics import (
    Contributions,
    Difference,
    Interval,
    bootstrap_interval,
    paired_bootstrap,
    t_interval,
)

BY_CLIP = ("miou", "miou_04", "f_score", "knowledge", "knowledge_untouched")
ALIGNMENT = ("retrieval", "retrieval_chance", "margin_kept", "modality_gap")
BY_FRAME = ("hit_rate", "wrong_rate", "iou_in_hits", "area", "alarm", *ALIGNMENT)
BY_SUCCESS = ("ciou", "ciou_fixed")
BY_AREA = {"auc": "ciou", "auc_fixed": "ciou_fixed"}
METRICS = (*BY_CLIP, *BY_FRAME, *BY_SUCCESS, *BY_AREA)


def contributions(scores: pd.DataFrame, metric: str) -> Contributions:
    """What each video adds to the value of one metric, for each seed.

    scores: the rows of ONE selection and ONE method (see `scores.COLUMNS`), other metrics allowed.
    For iou_in_hits, seeds without a hit are left out.
    Raises ValueError when there is no row, or when a seed lacks clips that another has.
    """
    rows = scores[scores["metric"] == BY_AREA.get(metric, metric)]
    if rows.empty:
        raise ValueError(f"no rows of metric {metric!r}")
    if rows[["selection", "method"]].drop_duplicates().shape[0] > 1:
        raise ValueError("rows of several selections or methods")
    per_clip = _per_clip(rows, metric)
    if metric != "iou_in_hits" and per_clip.groupby("seed")["clip"].agg(frozenset).nunique() > 1:
        raise ValueError(f"not every seed has scored every clip on {metric!r}")
    totals, weights = (
        per_clip.pivot_table(values=part, index="seed", columns="video", aggfunc="sum") for part in ("total", "weight")
    )
    seeds = tuple(int(seed) for seed in totals.index)
    filled = (part.fillna(0.0).to_numpy(float) for part in (totals, weights))
    return Contributions(*filled, seeds, tuple(map(str, totals.columns)))


def _per_clip(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row for each seed and clip with its `total` and `weight`."""
    if metric in BY_SUCCESS:
        rows = rows.assign(value=(rows["value"] >= 0.5).astype(float))
    elif metric in BY_AREA:
        rows = rows.assign(value=formulas.curve_areas(formulas.success_curves(rows["value"].to_numpy(float))))
    elif metric not in BY_CLIP + BY_FRAME:
        raise ValueError(f"unknown metric {metric!r}")
    grouped = rows.groupby(["seed", "video", "clip"], sort=True)["value"]
    if metric in BY_FRAME:
        return grouped.agg(total="sum", weight="count").reset_index()
    return grouped.agg(total="mean").assign(weight=1.0).reset_index()


def dataset_values(scores: pd.DataFrame, metrics: Sequence[str], by: Sequence[str] = ()) -> pd.DataFrame:
    """One value for each selection, method, metric and seed: columns of those, `by`, value, n_clips.

    by: further columns to break down by, such as ["kind"] or ["n_sources"]. Combinations without
    rows are left out (a floor has no f_score on boxes).
    """
    keys = ["selection", "method", *by]
    found = []
    for names, rows in scores.groupby(keys, sort=True):
        for metric in metrics:
            if not (rows["metric"] == BY_AREA.get(metric, metric)).any():
                continue
            of = contributions(rows, metric)
            head = dict(zip(keys, names, strict=True)) | {"metric": metric}
            n_clips = rows.loc[rows["metric"] == BY_AREA.get(metric, metric), "clip"].nunique()
            found += [
                head | {"seed": seed, "value": value, "n_clips": n_clips}
                for seed, value in zip(of.seeds, of.values(), strict=True)
            ]
    return pd.DataFrame(found, columns=[*keys, "metric", "seed", "value", "n_clips"])


def overview(runs: Sequence[Path], floors: Path) -> str:
    """Means over seeds of every metric, one line for each selection and method: what a terminal shows.

    runs: score files of one model's seeds; floors: that of the methods without training.
    """
    rows = pd.concat([pd.read_parquet(path) for path in (*runs, floors)], ignore_index=True)
    values = dataset_values(rows, METRICS)
    means = values.groupby(["selection", "method", "metric"], sort=False)["value"].mean().unstack("metric")
    return means.dropna(axis=1, how="all").round(3).to_string(na_rep="")


def interval(scores: pd.DataFrame, metric: str, draws: int) -> Interval:
    """Value with its 95 % interval: over seeds where there are several, else over test videos.

    scores: the rows of one selection and one method.
    """
    of = contributions(scores, metric)
    return t_interval(of.values()) if len(of.seeds) > 1 else bootstrap_interval(of, draws)


def difference(first: pd.DataFrame, second: pd.DataFrame, metric: str, draws: int) -> Difference:
    """First minus second method on the same selection: paired bootstrap over videos and seeds.

    first, second: the rows of one selection and one method each. Raises ValueError when they were
    scored on different videos.
    """
    one, other = (contributions(rows, metric) for rows in (first, second))
    if metric == "iou_in_hits":  # a video without a hit has no row; it counts with weight 0
        one, other = _on_all_videos(one, other)
    return paired_bootstrap(one, other, draws)


def _on_all_videos(*several: Contributions) -> list[Contributions]:
    videos = tuple(sorted({video for of in several for video in of.videos}))
    place = {video: i for i, video in enumerate(videos)}
    widened = []
    for of in several:
        columns = [place[video] for video in of.videos]
        totals, weights = (np.zeros((len(of.seeds), len(videos))) for _ in range(2))
        totals[:, columns], weights[:, columns] = of.totals, of.weights
        widened.append(Contributions(totals, weights, of.seeds, videos))
    return widened
