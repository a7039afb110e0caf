"""One mask against one binary truth (AVSBench's S4 and MS3), as six programs measure it.

Sources, by the commit that was run: AVSBench f7414af, AVSegFormer 7083cb6, COMBO-AVS cb8af1c, CAVP 96a6c34,
ACL-SSL 57f4a6c, AVSBench-Robust 03e925d. A frame is measured once, into counts and curves (`Frame`); what a program
prints is then a matter of which frames share a batch, or of sums over the set (`conventions`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from soundprompt.evaluation import metrics

IGNORED = 255  # a truth that CAVP leaves out
HALF, RELEASED = 0.5, 0.4  # thresholds of AVSBench and of the released GAVS code


@dataclass(frozen=True)
class Answer:
    """What a method says of a frame, in the three readings that programs have of it.

    probability: (H, W) float32, sigmoid of the logits. softmax: channel 1 of the softmax over (0, logit), as COMBO has
    it: NaN at plus infinity. on: (H, W) bool, argmax of (0, logit), as CAVP has it: NaN counts as on.
    """

    probability: np.ndarray
    softmax: np.ndarray
    on: np.ndarray

    @classmethod
    def of_logits(cls, logits: np.ndarray) -> Answer:
        """logits: (H, W), any real type; NaN and infinity allowed."""
        z = torch.from_numpy(np.ascontiguousarray(logits, dtype=np.float32))
        finite = bool(z.isfinite().all())
        probability = torch.sigmoid(z)
        softmax = probability if finite else torch.softmax(torch.stack([torch.zeros_like(z), z]), 0)[1]
        on = (z > 0) | z.isnan()
        return cls(probability.numpy(), softmax.numpy(), on.numpy())

    @classmethod
    def of_probabilities(cls, probability: np.ndarray) -> Answer:
        """probability: (H, W) in 0..1."""
        p = np.ascontiguousarray(probability, dtype=np.float32)
        return cls(p, p, (p > HALF) | np.isnan(p))


@dataclass(frozen=True)
class Frame:
    """What the programs need of one frame.

    iou: {reading: IoU}; area: share of pixels above 0.5; curve: (255,) F at each threshold; sounding: the truth is not
    empty; counts: (2, 2) pixels by truth and argmax, CAVP's confusion matrix; inter, union: (2,) of CAVP's classes;
    released: intersection and union of the foreground at 0.4.
    """

    iou: dict[str, float]
    area: float
    curve: np.ndarray
    softmax_curve: np.ndarray
    sounding: bool
    counts: np.ndarray
    inter: np.ndarray
    union: np.ndarray
    released: tuple[float, float]


def measure(answer: Answer, truth: np.ndarray) -> Frame:
    """truth: (H, W), 0..1, need not be whole numbers: programs that read masks oddly make halves. Raises ValueError."""
    p, q = answer.probability, answer.softmax
    if p.shape != truth.shape:
        raise ValueError(f"prediction {p.shape} and truth {truth.shape} differ in size; these programs resize nothing")
    t = np.asarray(truth, np.float32)
    at_half, at_released = p > HALF, p > np.float32(RELEASED)
    half = frame_iou(at_half, t)
    same = q is p
    sure = answer.on.tobytes() == at_half.tobytes()
    iou = {
        "half": half,
        "released": frame_iou(at_released, t),
        "median": frame_iou(p > own_median(p), t),
        "softmax": half if same else frame_iou(q > HALF, t),
        "argmax": half if sure else frame_iou(answer.on, t),
    }
    curve, sounding = f_curve(p, t), bool(t.sum() > 0)
    softmax_curve = curve if same else f_curve(q, t)
    area = float(np.count_nonzero(at_half) / (at_half.size + 1e-7))
    overlap = float(t[at_released].sum(dtype=np.float64))
    released = overlap, np.count_nonzero(at_released) + float(t.sum(dtype=np.float64)) - overlap
    return Frame(iou, area, curve, softmax_curve, sounding, *cavp_counts(answer.on, t), released)


def frame_iou(on: np.ndarray, truth: np.ndarray) -> float:
    """AVSBench's IoU of a frame. on: (H, W) bool; truth: (H, W) 0..1.

    An empty truth scores the share of pixels that are off: one stray pixel costs 1 / (H W).
    """
    wanted = float(truth.sum(dtype=np.float64))
    if wanted == 0:
        return float((on.size - np.count_nonzero(on)) / (on.size + 1e-7))
    overlap = float(truth[on].sum(dtype=np.float64))
    return overlap / (np.count_nonzero(on) + wanted - overlap + 1e-7)  # max(on, t) = on + t - on t for on in {0, 1}


def own_median(values: np.ndarray) -> np.floating:
    """Sorted value number n // 2, ACL-SSL's cut where no threshold is given; NaN sorts last."""
    return np.partition(values, values.size // 2, axis=None)[values.size // 2]


def f_curve(probability: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """F (beta^2 = 0.3) of one frame at each of AVSBench's 255 thresholds, (255,) float64; NaN is below all of them."""
    p, t = probability.ravel(), truth.ravel()
    if np.isnan(p).any():
        p, t = p[~np.isnan(p)], t[~np.isnan(p)]
    cell = metrics.threshold_cells(torch.from_numpy(np.clip(p, 0, 1))).numpy()
    hits, predicted = (_at_or_above(cell, weights) for weights in (t, None))
    wanted = truth.sum(dtype=np.float64)
    precision, recall = hits / (predicted + 1e-20), hits / (wanted + 1e-20)
    weight = metrics.BETA_SQUARED
    with np.errstate(invalid="ignore"):
        f = (1 + weight) * precision * recall / (weight * precision + recall)
    return np.nan_to_num(f, nan=0.0)


def _at_or_above(cell: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    counts = np.bincount(cell, weights, metrics.N_THRESHOLDS).astype(float)
    return counts[::-1].cumsum()[::-1]


def cavp_counts(on: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Confusion matrix (2, 2), rows by truth; intersection (2,) and union (2,) of background and foreground.

    Truth 255 is left out. A truth between 0 and 1 is background in the matrix, but foreground in the areas.
    """
    kept = truth != IGNORED
    t, p = truth[kept], on[kept].astype(np.int64)
    counts = np.bincount(2 * t.astype(np.int64) + p, minlength=4).reshape(2, 2).astype(float)
    inter = np.array([np.count_nonzero((t == k) & (p == k)) for k in (0, 1)], float)
    area = np.bincount((t >= 0.5).astype(np.int64), minlength=2) + np.bincount(p, minlength=2)
    return counts, inter, area - inter


# ------------------------------------------------------------------------- from frames to a set
def cavp_iou(inter: np.ndarray, union: np.ndarray) -> np.ndarray:
    """IoU of each class, (..., C), from areas summed over a set; a class that is absent has 0."""
    return inter / (union + 2.2e-16)


def cavp_rates(counts: np.ndarray, classes: slice = slice(None)) -> dict[str, np.ndarray]:
    """accuracy, false_discovery, f1 and f03 of a confusion matrix (..., C, C) summed over a set, rows by truth.

    All but accuracy are means over those of `classes` that have a denominator.
    """
    hits = np.einsum("...ii->...i", counts)
    missed, false = counts.sum(-1) - hits, counts.sum(-2) - hits
    return {"accuracy": hits.sum(-1) / counts.sum((-1, -2)), **class_rates(hits, missed, false, classes)}


def class_rates(
    hits: np.ndarray, missed: np.ndarray, false: np.ndarray, classes: slice = slice(None)
) -> dict[str, np.ndarray]:
    """false_discovery, f1 and f03 from pixels (..., C) of each class: rightly found, missed and falsely found."""
    h, m, f = hits[..., classes], missed[..., classes], false[..., classes]

    def mean(above: np.ndarray, below: np.ndarray) -> np.ndarray:
        values = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
        counted = ~np.isnan(values)
        total = np.where(counted, values, 0).sum(-1)
        number = counted.sum(-1)
        return np.divide(total, number, out=np.full(np.shape(total), np.nan), where=number > 0)

    def f_beta(weight: float) -> np.ndarray:
        return mean((1 + weight) * h, (1 + weight) * h + weight * m + f)

    return {"false_discovery": mean(f, f + h), "f1": f_beta(1.0), "f03": f_beta(metrics.BETA_SQUARED)}
