"""The register of conventions: for each figure its name, source, unit of averaging, direction and function, once.

A convention takes what was measured (`measured.Masks`, `Labels`, `Boxes`, `NegativeBoxes`) and returns a figure that
has a value and, by drawing source videos, an interval. `caution` says where it cannot judge what it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

from soundprompt.data.protocols import BASE_CLASSES, NOVEL_CLASSES
from soundprompt.judge import binary, boxes, measured, negatives, ranking, semantic
from soundprompt.judge.sums import Drawn, Figure, Sums, by_video, mean_of, ratio

AVSBENCH, AVSEGFORMER, COMBO = "AVSBench f7414af", "AVSegFormer 7083cb6", "COMBO-AVS cb8af1c"
CAVP, ACL, ROBUST = "CAVP 96a6c34", "ACL-SSL 57f4a6c", "AVSBench-Robust 03e925d"
OVAVSS, SSLALIGN, VSSL = "OV-AVSS baa883c", "SSL-alignment e7ae3c5", "vssl_eval e8ebbc9"
GAVS, LVS, OWN = "GAVS 753b23b", "LVS 2dd2256", "soundprompt"

HIT_IOU, WRONG_IOU = 0.5, 0.2


@dataclass(frozen=True)
class Convention:
    """One figure as one source computes it.

    name: in the files; figure: what papers call it; rule: threshold and averaging in a few words; unit: what is
    averaged; higher_is_better: None where neither is; of: its function; caution: why the number says nothing of this
    input, or ""; digits: to which the program rounds what it prints, if it does.
    """

    name: str
    figure: str
    rule: str
    source: str
    unit: str
    of: Callable[[Any], Figure]
    higher_is_better: bool | None = True
    caution: Callable[[Any], str] = lambda _: ""
    digits: int | None = None


# ------------------------------------------------------------------------------------- masks
def _frames(m: measured.Masks, values: np.ndarray, weights: np.ndarray | None = None) -> Sums:
    return mean_of(values, m.video_of, m.videos, weights)


def _batched(m: measured.Masks, rows: np.ndarray, size: int, of: Callable[[np.ndarray], np.ndarray]) -> Figure:
    """The plain mean over batches of `size` clips. rows: (C, K), what each clip adds; of: (batches, K) ->
    (batches,).
    """
    if size == 1:
        return mean_of(of(rows), m.video_of_clip, m.videos)

    def value(clips: np.ndarray) -> float:
        return float(of(np.add.reduceat(rows[clips], np.arange(0, len(clips), size))).mean())

    return Drawn(value, m.video_of_clip)


def _miou(m: measured.Masks, size: int, reading: str = "half") -> Figure:
    return _batched(m, m.clip_means(m.iou[reading]), size, ratio)


def _f(m: measured.Masks, size: int) -> Figure:
    return _batched(m, m.f_rows, size, _best_or_0)


def _best_or_0(rows: np.ndarray) -> np.ndarray:
    return np.nan_to_num(best_f(rows), nan=0.0)


def best_f(sums: np.ndarray) -> np.ndarray:
    """Maximum of the mean curve from (..., 256): summed curves and the number of frames; NaN without frames."""
    best, number = sums[..., :-1].max(-1), sums[..., -1]
    return np.divide(best, number, out=np.full(np.shape(best), np.nan), where=number > 0)


def _whole_f(m: measured.Masks) -> Sums:
    return Sums(by_video(m.f_rows, m.video_of_clip, m.videos), best_f)


def _areas(m: measured.Masks, finish: Callable[[np.ndarray], np.ndarray]) -> Sums:
    return Sums(by_video(m.counts, m.video_of, m.videos), finish)


def _cavp_iou(sums: np.ndarray) -> np.ndarray:
    return binary.cavp_iou(sums[..., 4:6], sums[..., 6:8])


def _cavp_rate(sums: np.ndarray, name: str, classes: slice = slice(None)) -> np.ndarray:
    return binary.cavp_rates(sums[..., :4].reshape(*sums.shape[:-1], 2, 2), classes)[name]


def _hits(m: measured.Masks, name: str) -> Sums:
    iou = m.iou["half"]
    hit = m.sounding & (iou >= HIT_IOU)
    values, weights = {
        "hit": (hit, m.sounding),
        "wrong": (iou < WRONG_IOU, m.sounding),
        "iou_in_hits": (iou, hit),
    }[name]
    return _frames(m, values.astype(float), weights)


def _silent(m: measured.Masks) -> str:
    return "" if m.sounding.any() else "no frame has a truth, so F says nothing"


def _hard_f(m: measured.Masks) -> str:
    return _silent(m) or ("hard masks: the curve has one point besides the whole frame" if m.hard else "")


def _nan(m: measured.Masks) -> str:
    return f"{m.nan_frames} frames hold NaN: off here, on by argmax" if m.nan_frames else ""


def _hard_median(m: measured.Masks | measured.Boxes) -> str:
    return "hard masks have no median cut" if m.hard else ""


MIOU, F = "mIoU", "F"
_batch = {
    1: f"{COMBO}; CAVP; {AVSBENCH} by default",
    2: AVSEGFORMER,
    4: f"{AVSBENCH}, published test setting",
    8: AVSBENCH,
}

MASKS: tuple[Convention, ...] = (
    Convention(
        "miou_picture",
        MIOU,
        "> 0.5, each picture alike",
        f"{AVSBENCH}; {ACL}",
        "picture",
        lambda m: _frames(m, m.iou["half"]),
        caution=_nan,
    ),
    *(
        Convention(
            f"miou_clips{n}",
            MIOU,
            f"> 0.5, batches of {n} clip{'s' * (n > 1)}",
            source,
            f"batch of {n}",
            partial(_miou, size=n),
            caution=_nan,
        )
        for n, source in _batch.items()
    ),
    Convention(
        "miou_gavs", MIOU, "> 0.4, clip by clip", GAVS, "clip", partial(_miou, size=1, reading="released"), caution=_nan
    ),
    Convention(
        "miou_picture_04", MIOU, "> 0.4, each picture alike", ACL, "picture", lambda m: _frames(m, m.iou["released"])
    ),
    Convention(
        "miou_acl_median",
        MIOU,
        "above the picture's own median",
        ACL,
        "picture",
        lambda m: _frames(m, m.iou["median"]),
        caution=_hard_median,
    ),
    Convention(
        "miou_combo",
        MIOU,
        "softmax > 0.5, clip by clip",
        COMBO,
        "clip",
        partial(_miou, size=1, reading="softmax"),
        digits=4,
    ),
    Convention(
        "miou_cavp_clip",
        MIOU,
        "argmax, each picture alike",
        CAVP,
        "picture",
        lambda m: _frames(m, m.iou["argmax"]),
        digits=4,
    ),
    Convention(
        "miou_cavp_dataset",
        MIOU,
        "argmax, areas of the whole set, background a class",
        CAVP,
        "set",
        lambda m: _areas(m, lambda s: _cavp_iou(s).mean(-1)),
        digits=4,
    ),
    Convention(
        "iou_dataset",
        MIOU,
        "argmax, areas of the whole set, foreground alone",
        CAVP,
        "set",
        lambda m: _areas(m, lambda s: _cavp_iou(s)[..., 1]),
        digits=4,
    ),
    Convention(
        "iou_dataset_04",
        MIOU,
        "> 0.4, areas of the whole set, foreground alone",
        OWN,
        "set",
        lambda m: _areas(m, lambda s: ratio(s[..., 8:10])),
    ),
    Convention(
        "f_picture",
        F,
        "each picture its own best threshold",
        AVSBENCH,
        "picture",
        lambda m: _frames(m, m.best_f),
        caution=_hard_f,
    ),
    *(
        Convention(
            f"f_clips{n}",
            F,
            f"best threshold of {n} clip{'s' * (n > 1)}",
            source,
            f"batch of {n}",
            partial(_f, size=n),
            caution=_hard_f,
        )
        for n, source in _batch.items()
    ),
    Convention(
        "f_combo",
        F,
        "softmax, best threshold of a clip",
        COMBO,
        "clip",
        lambda m: _batched(m, m.softmax_f_rows, 1, _best_or_0),
        caution=_hard_f,
        digits=4,
    ),
    Convention("f_whole", F, "one best threshold for the whole set", ACL, "set", _whole_f, caution=_hard_f),
    Convention(
        "f_cavp_dataset",
        F,
        "argmax, pixels of the whole set, background a class",
        CAVP,
        "set",
        lambda m: _areas(m, partial(_cavp_rate, name="f03")),
        digits=4,
    ),
    Convention(
        "f_cavp_foreground",
        F,
        "argmax, pixels of the whole set, foreground alone",
        CAVP,
        "set",
        lambda m: _areas(m, partial(_cavp_rate, name="f03", classes=slice(1, None))),
        digits=4,
    ),
    Convention(
        "f1_cavp_dataset",
        "F1",
        "argmax, pixels of the whole set, background a class",
        CAVP,
        "set",
        lambda m: _areas(m, partial(_cavp_rate, name="f1")),
        digits=4,
    ),
    Convention(
        "accuracy_cavp",
        "accuracy",
        "argmax, pixels of the whole set",
        CAVP,
        "set",
        lambda m: _areas(m, partial(_cavp_rate, name="accuracy")),
        digits=4,
    ),
    Convention(
        "false_discovery_cavp",
        "false discovery",
        "argmax, pixels of the whole set, background a class",
        CAVP,
        "set",
        lambda m: _areas(m, partial(_cavp_rate, name="false_discovery")),
        higher_is_better=False,
        digits=4,
    ),
    Convention(
        "hit", "hit", f"sounding pictures with IoU of {HIT_IOU} or more", OWN, "picture", partial(_hits, name="hit")
    ),
    Convention(
        "wrong",
        "wrong object",
        f"sounding pictures with IoU below {WRONG_IOU}",
        OWN,
        "picture",
        partial(_hits, name="wrong"),
        higher_is_better=False,
    ),
    Convention(
        "iou_in_hits", "IoU in hits", "IoU where it is a hit", OWN, "picture", partial(_hits, name="iou_in_hits")
    ),
    Convention(
        "fpr",
        "FPR",
        "share of pixels > 0.5; right ones count too",
        f"{ROBUST}; pIA of {VSSL}",
        "picture",
        lambda m: _frames(m, m.area),
        higher_is_better=None,
    ),
)

BROKEN_DOWN = ("miou_picture", "f_clips1", "hit", "wrong", "iou_in_hits")
"""Conventions that are also given by class and by number of sources."""

NEGATIVE_MASKS: tuple[Convention, ...] = (
    Convention(
        "fpr",
        "FPR",
        "share of pixels > 0.5",
        f"{ROBUST}; pIA of {VSSL}",
        "picture",
        lambda m: _frames(m, m.area),
        higher_is_better=False,
    ),
    Convention(
        "aoc",
        "AOC",
        "area under the share of pictures with at most 0, 5, ... 100 % on",
        VSSL,
        "picture",
        lambda m: _frames(m, negatives.off_areas(m.area)),
    ),
    Convention(
        "miou",
        MIOU,
        "> 0.5 against the VISIBLE object, which does not sound",
        ROBUST,
        "clip",
        partial(_miou, size=1),
        higher_is_better=False,
    ),
    Convention(
        "f",
        F,
        "against the VISIBLE object, which does not sound",
        ROBUST,
        "clip",
        partial(_f, size=1),
        higher_is_better=False,
    ),
)


# ------------------------------------------------------------------------------------ labels
def _terms(m: measured.Labels, name: str, terms: Callable[[np.ndarray], np.ndarray], at_224: bool = False) -> Sums:
    rows = terms((m.counts_224 if at_224 else m.counts).astype(float))
    return Sums(by_video(rows, m.video_of, m.videos), lambda sums: semantic.frame_scores(sums)[name])


def _counts(
    m: measured.Labels, finish: Callable[[np.ndarray], Any], at_224: bool = False, wanted: np.ndarray | None = None
) -> Sums:
    """Sums of class counts over the frames that are `wanted`."""
    rows = (m.counts_224 if at_224 else m.counts).astype(float)
    if wanted is not None:
        rows = rows * wanted[:, None, None]
    return Sums(by_video(rows, m.video_of, m.videos), finish)


def _cavp_labels(m: measured.Labels, name: str, classes: slice = slice(None), many: bool = False) -> Sums:
    wanted = m.annotated & (semantic.many_sources(m.counts) if many else True)
    return _counts(m, lambda sums: semantic.cavp_scores(sums, classes)[name], wanted=wanted)


def _ovavss(m: measured.Labels, name: str) -> Sums:
    return _counts(m, lambda sums: semantic.ovavss_scores(sums)[name], at_224=True)


def _frames_of_labels(m: measured.Labels) -> Sums:
    return mean_of(semantic.avsbench_foreground_iou(m.counts.astype(float), m.pixels), m.video_of, m.videos)


def _absent(m: measured.Labels) -> str:
    met = int(((m.counts[:, semantic.PREDICTED] + m.counts[:, semantic.WANTED]).sum(0) > 0).sum())
    whole = met == semantic.CLASSES
    return "" if whole else f"{met} of 71 classes are met: a perfect prediction scores {met / semantic.CLASSES:.3f}"


def _no_class_of(m: measured.Labels) -> str:
    met = m.counts[:, semantic.WANTED].sum(0) > 0
    lacking = [n for n, of in (("base", BASE_CLASSES), ("novel", NOVEL_CLASSES)) if not met[list(of)].any()]
    return f"no {' and no '.join(lacking)} class is in the truth" if lacking else ""


def _drops_last(_: Any) -> str:
    return "'without background' drops class 70; background is class 0 and stays"


_ALL71 = f"{AVSBENCH}; {AVSEGFORMER}; {COMBO}"
_avsbench = partial(_terms, terms=semantic.avsbench_terms)
_ov_frames = partial(_terms, terms=semantic.ovavss_terms, at_224=True)
_OPEN = {"": "all classes met", " Seen": "40 base classes", " Unseen": "30 novel classes", " Harmonic": "harmonic mean"}

LABELS: tuple[Convention, ...] = (
    *(
        convention
        for key, figure in (("miou", MIOU), ("f", F))
        for convention in (
            Convention(
                f"{key}71",
                figure,
                "picture and class, then all 71, absent ones 0",
                _ALL71,
                "class",
                partial(_avsbench, name=key),
                caution=_absent,
                digits=4,
            ),
            Convention(
                f"{key}71_no_background",
                figure,
                "same, as printed 'without background'",
                _ALL71,
                "class",
                partial(_avsbench, name=f"{key}_no_background"),
                caution=_drops_last,
                digits=4,
            ),
            Convention(
                f"{key}71_met",
                figure,
                "same, over the classes met",
                _ALL71,
                "class",
                partial(_avsbench, name=f"{key}_met"),
            ),
        )
    ),
    Convention(
        "foreground71",
        "foreground IoU",
        "as logged in passing",
        _ALL71,
        "picture",
        _frames_of_labels,
        caution=lambda _: "it takes class 70 for the background",
    ),
    *(
        Convention(
            f"{prefix}_cavp71{suffix}",
            figure,
            rule,
            CAVP,
            "class",
            partial(_cavp_labels, name=name, classes=classes, many=many),
            higher_is_better=name != "false_discovery",
            digits=4,
        )
        for suffix, rule, classes, many in (
            ("", "pixels of the whole set", slice(None), False),
            ("_no_background", "same, without class 0", slice(1, None), False),
            ("_many", "same, pictures of several sources", slice(None), True),
        )
        for prefix, figure, name in (
            ("miou", MIOU, "miou"),
            ("f", F, "f03"),
            ("f1", "F1", "f1"),
            ("accuracy", "accuracy", "accuracy"),
            ("false_discovery", "false discovery", "false_discovery"),
        )
    ),
    *(
        Convention(
            "_".join((short, "ovavss", (part or " all").strip().lower())),
            figure,
            f"whole set, {meaning}",
            OVAVSS,
            "class",
            partial(_ovavss, name=f"{printed}{part}"),
            caution=_no_class_of,
        )
        for short, figure, printed in (
            ("miou", MIOU, "Mean IoU"),
            ("overall_accuracy", "overall accuracy", "Overall Acc"),
            ("mean_accuracy", "mean accuracy", "Mean Acc"),
            ("weighted_iou", "weighted IoU", "FreqW Acc"),
        )
        for part, meaning in _OPEN.items()
    ),
    *(
        Convention(
            f"{key}_ovavss_picture{suffix}",
            figure,
            f"picture and class, background erased, mean over {n}",
            OVAVSS,
            "class",
            partial(_ov_frames, name=f"{key}{suffix}"),
        )
        for key, figure in (("miou", MIOU), ("f", F))
        for suffix, n in (("", 71), ("_no_background", 70))
    ),
)


# ------------------------------------------------------------------------------------- boxes
def _success(m: measured.Boxes, cut: str) -> Sums:
    return mean_of(boxes.successes(m.overlap[cut]), m.video_of, m.videos)


def _auc(m: measured.Boxes, cut: str) -> Sums:
    return mean_of(boxes.areas(m.overlap[cut]), m.video_of, m.videos)


def _mean_overlap(m: measured.Boxes, cut: str) -> Sums:
    return mean_of(np.nan_to_num(m.overlap[cut], nan=0.0), m.video_of, m.videos)


def _grouped(m: measured.Boxes, cut: str, of: Callable[[np.ndarray], np.ndarray]) -> Sums:
    return _least(m, m.overlap[cut], of)


def _least(m: measured.Set, overlap: np.ndarray, of: Callable[[np.ndarray], np.ndarray]) -> Sums:
    """Over groups of pictures, all of which must succeed (NaN does not); a group belongs to the video of its first."""
    names, first, group = np.unique(
        [boxes.group_of(clip.name) for clip in m.clips], return_index=True, return_inverse=True
    )
    least = np.full(len(names), np.inf)
    np.minimum.at(least, group, np.nan_to_num(overlap, nan=-1.0))
    return mean_of(of(least), m.video_of[first], m.videos)


def _best_fixed(m: measured.Boxes) -> Sums:
    cuts = [f"acl_{threshold:.2f}" for threshold in measured.ACL_THRESHOLDS]
    rows = np.stack([*(boxes.successes(m.overlap[cut]) for cut in cuts), np.ones(len(m.clip_of))], 1)
    return Sums(by_video(rows, m.video_of, m.videos), lambda sums: (sums[..., :-1] / sums[..., -1:]).max(-1))


def _hard_reached(m: measured.Boxes) -> str:
    return "hard masks: at or above the median is the whole picture" if m.hard else ""


def _hard_adaptive(m: measured.Boxes) -> str:
    return "hard masks: a perfect one scores 0 by the adaptive cut" if m.hard else ""


def _one_group(m: measured.Boxes) -> str:
    groups = {boxes.group_of(clip.name) for clip in m.clips}
    return "all names are of one group" if len(groups) == 1 else ""


_CUTS = (
    # cut, what it says, source, caution
    ("median", "above the median, aligned corners", SSLALIGN, _hard_median),
    ("adaptive", "above the cut that fits the boxes' area", SSLALIGN, _hard_adaptive),
    ("flipped_median", "above the median, half pixels, map turned over", f"LVS and SSL-TIE in {VSSL}", _hard_median),
    ("flipped_adaptive", "as before, cut that fits the boxes' area", f"LVS and SSL-TIE in {VSSL}", _hard_adaptive),
    ("median_reached", "at or above the median", SSLALIGN, _hard_reached),
    ("flipped_median_reached", "at or above the median, half pixels, map turned over", LVS, _hard_reached),
    ("vggss", "median cut of LVS's test program", f"{LVS}; {GAVS} study", lambda _: ""),
    ("vggss_half", "> 0.5, half pixels", OWN, lambda _: ""),
    ("half", "> 0.5, aligned corners", OWN, lambda _: ""),
    ("acl_0.50", "at or above 0.5", ACL, lambda _: ""),
    ("acl_median", "at or above its own median", f"{ACL}, batch of 1", _hard_reached),
    (
        "acl_median_batch",
        "at or above the median of its batch's first",
        f"{ACL}, batch of {measured.ACL_BATCH}",
        _hard_reached,
    ),
)

BOXES: tuple[Convention, ...] = (
    *(
        Convention(f"{key}_{cut}", figure, rule, source, "picture", partial(of, cut=cut), caution=caution)
        for cut, rule, source, caution in _CUTS
        for key, figure, of in (
            ("ciou", "cIoU", _success),
            ("auc", "AUC", _auc),
            ("overlap", "mean overlap", _mean_overlap),
        )
    ),
    Convention("ciou_acl_best", "cIoU", "best of the cuts 0.05, 0.10, ... 0.95", ACL, "picture", _best_fixed),
    *(
        Convention(
            f"{key}_{cut}",
            figure,
            f"all pictures of a group, {cut} cut",
            SSLALIGN,
            "group of pictures",
            partial(_grouped, cut=cut, of=of),
            caution=_one_group,
        )
        for cut in ("median", "adaptive")
        for key, figure, of in (("iiou", "IIoU", boxes.successes), ("iauc", "IAUC", boxes.areas))
    ),
    Convention(
        "pia",
        "pIA",
        "share of pixels > 0.5; right ones count too",
        VSSL,
        "picture",
        lambda m: mean_of(m.area, m.video_of, m.videos),
        higher_is_better=None,
    ),
)


# -------------------------------------------------------------------------------- extended sets
def _ranked(m: measured.Boxes, cut: str, of: Callable[[ranking.Pairs], float]) -> Drawn:
    pairs = ranking.Pairs(m.positive, np.where(m.positive, m.overlap[cut], 0.0), m.confidence)
    return Drawn(lambda index: of(pairs.take(index)), m.video_of)


PAIRS: tuple[Convention, ...] = tuple(
    Convention(f"{key}_{cut}", figure, f"{rule}; {meaning}", source, "pair", partial(_ranked, cut=cut, of=of))
    for cut, rule, source in (
        ("median_reached", "at or above the median", SSLALIGN),
        ("extended_half", "at or above 0.5", ACL),
    )
    for key, figure, meaning, of in (
        ("ap", "AP", "overlap of 0.5 or more", ranking.average_precision),
        ("max_f1", "max-F1", "best of ten confidences", ranking.max_f1),
        ("loc_acc", "LocAcc", "overlap above 0.5, sounding pairs", ranking.location_accuracy),
    )
)


# --------------------------------------------------------------------------- negatives against boxes
def _pictures(m: measured.NegativeBoxes, values: np.ndarray) -> Sums:
    return mean_of(values, m.video_of, m.videos)


def _off(m: measured.NegativeBoxes, kind: str, cut: str, of: Callable[[np.ndarray], np.ndarray]) -> Sums:
    return _pictures(m, of(m.area(kind, cut)))


def _above(m: measured.NegativeBoxes, cut: str, of: Callable[[np.ndarray], np.ndarray]) -> Sums:
    return _pictures(m, of(_defined(m, cut)))


def _five(m: measured.NegativeBoxes, of: Callable[[np.ndarray], np.ndarray]) -> Sums:
    return _pictures(m, np.stack([of(m.overlap(cut)) for cut in negatives.LISTED], 1).mean(1))


def _defined(m: measured.NegativeBoxes, cut: str) -> np.ndarray:
    """Overlaps with nothing over nothing as 0; where objects are mixed in, that program leaves it undefined."""
    overlap = m.overlap(cut)
    return overlap if m.pictures[0].mixed else np.nan_to_num(overlap, nan=0.0)


def _balance(m: measured.NegativeBoxes, kinds: tuple[str, ...], areas: bool) -> Sums:
    """Harmonic mean of what is found under the true sound and what stays off under the others, at MaxQ3."""
    overlap = _defined(m, "max_q3")
    found = boxes.areas(overlap) if areas else overlap
    off = [negatives.off_areas(a) if areas else 1 - a for a in (m.area(kind, "max_q3") for kind in kinds)]
    rows = np.stack([found, np.mean(off, 0), np.ones(len(found))], 1)

    def finish(sums: np.ndarray) -> np.ndarray:
        one, two = sums[..., 0] / sums[..., 2], sums[..., 1] / sums[..., 2]
        return np.divide(2 * one * two, one + two, out=np.full(np.shape(one), np.nan), where=one + two > 0)

    return Sums(by_video(rows, m.video_of, m.videos), finish)


def _agreement(m: measured.NegativeBoxes, pair: tuple[str, str], cut: str) -> Sums:
    return _pictures(m, np.array([one.agreement[pair][cut] for one in m.pictures]))


_MEANING = {
    "half": "> 0.5",
    "median": "above the true map's median",
    "adaptive": "above the true map's adaptive cut",
    "max": "above Max",
    "max10": "above Max10",
    "max_q3": "above MaxQ3",
}


def negative_boxes(kinds: tuple[str, ...]) -> tuple[Convention, ...]:
    """vssl_eval's figures of the sounds that were given."""
    cuts = [
        Convention(
            f"{key}_{kind}_{cut}",
            f"{figure} {kind}",
            _MEANING[cut],
            VSSL,
            "picture",
            partial(_off, kind=kind, cut=cut, of=of),
            higher_is_better=better,
        )
        for kind in kinds
        for key, figure, of, better in (("pia", "pIA", np.asarray, False), ("aoc", "AOC", negatives.off_areas, True))
        for cut in negatives.CUTS
    ]
    both = [
        Convention(
            f"{key}_{name}",
            figure,
            f"harmonic mean with {name} at MaxQ3",
            VSSL,
            "picture",
            partial(_balance, kinds=of, areas=areas),
        )
        for name, of in (*((("all", kinds),) if len(kinds) > 1 else ()), *((kind, (kind,)) for kind in kinds))
        for key, figure, areas in (("f", "F Pos-Neg", False), ("f_auc", "F AUC-AOC", True))
    ]
    positive = [
        Convention(f"{key}_vssl", figure, "mean over five cuts", VSSL, "picture", partial(_five, of=of))
        for key, figure, of in (("ciou", "cIoU", boxes.successes), ("auc", "AUC", boxes.areas))
    ]
    positive += [
        Convention(f"{key}_adaptive_vssl", figure, "above its adaptive cut", VSSL, unit, of)
        for key, figure, unit, of in (
            ("ciou", "cIoU", "picture", lambda m: _pictures(m, boxes.successes(m.overlap("adaptive")))),
            ("auc", "AUC", "picture", lambda m: _pictures(m, boxes.areas(m.overlap("adaptive")))),
            ("iiou", "IIoU", "group of pictures", lambda m: _least(m, m.overlap("adaptive"), boxes.successes)),
            ("iauc", "IAUC", "group of pictures", lambda m: _least(m, m.overlap("adaptive"), boxes.areas)),
        )
    ]
    positive += [
        Convention(
            f"{key}_{cut}_vssl",
            figure,
            f"{rule}{_MEANING[cut]}",
            VSSL,
            "picture",
            partial(_above, cut=cut, of=of),
        )
        for cut in ("half", "max", "max10", "max_q3")
        for key, figure, rule, of in (
            ("overlap", "cIoU", "MEAN overlap, ", np.asarray),
            ("auc", "AUC", "", boxes.areas),
        )
    ]
    sounds = ("pos", *kinds)
    agreement = [
        Convention(
            f"iou_{one}_{other}_{cut}",
            f"IoU {one} {other}",
            f"of the two masks, {_MEANING[cut]}",
            VSSL,
            "picture",
            partial(_agreement, pair=(one, other), cut=cut),
            higher_is_better=None,
        )
        for one, other in combinations(sounds, 2)
        for cut in negatives.CUTS
    ]
    return (*positive, *cuts, *both, *agreement)
