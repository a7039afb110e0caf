"""Label maps of AVSBench-semantic's 71 classes (0 is background), as four programs measure them.

Sources, by the commit that was run: AVSBench f7414af, AVSegFormer 7083cb6 and COMBO-AVS cb8af1c (one function), CAVP
96a6c34, OV-AVSS baa883c. All start from the same counts of a frame, so a frame is counted once (`counts`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from soundprompt.data.protocols import BASE_CLASSES, NOVEL_CLASSES
from soundprompt.evaluation.metrics import BETA_SQUARED
from soundprompt.judge import binary

CLASSES, BACKGROUND, LAST = 71, 0, 70
SIDE = 224
MANY_LABELS, LARGE = 2, 100  # CAVP's multi-source frames have more than 2 labels of more than 100 pixels each

PREDICTED, WANTED, COMMON, PREDICTED_INSIDE = range(4)
"""Rows of `counts`: pixels of each class in the prediction, in the truth, in both, and predicted where truth is not
background."""

Scores = dict[str, np.ndarray | float]


def counts(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(4, 71) float64 pixels of each class. prediction, truth: (H, W) whole numbers from 0 to 70. Raises ValueError."""
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} differ in size")
    p, t = prediction.ravel(), truth.ravel()
    if min(p.min(), t.min()) < 0 or max(p.max(), t.max()) >= CLASSES:
        raise ValueError(f"labels must be whole numbers from 0 to {CLASSES - 1}")
    return np.stack([np.bincount(some, minlength=CLASSES) for some in (p, t, t[p == t], p[t != BACKGROUND])]).astype(
        float
    )


def argmax(logits: np.ndarray, softmax: bool = True) -> np.ndarray:
    """Labels (H, W) of logits (71, H, W), the lower one of a tie.

    AVSBench takes them from the softmax, which makes ties that the logits do not have; CAVP from the logits.
    """
    z = torch.from_numpy(np.ascontiguousarray(logits, dtype=np.float32))
    values = torch.softmax(z, 0) if softmax else z
    return np.argmax(values.numpy(), 0)


def truth_at_224(labels: np.ndarray) -> np.ndarray:
    """A label map resized as the programs resize truth: Pillow's nearest neighbour."""
    return np.asarray(Image.fromarray(labels.astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.NEAREST))


def prediction_at_224(labels: np.ndarray) -> np.ndarray:
    """A label map resized as OV-AVSS resizes predictions: torch's nearest, which samples other pixels than Pillow's."""
    return nearest(labels, (SIDE, SIDE))


def nearest(labels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A label map at another size (H, W), by torch's nearest neighbour."""
    z = torch.from_numpy(labels.astype(np.float32))[None, None]
    return functional.interpolate(z, tuple(size), mode="nearest")[0, 0].numpy().astype(labels.dtype)


# --------------------------------------------------------------------- sums that make a set's scores
def avsbench_terms(count: np.ndarray) -> np.ndarray:
    """(..., 4, 71) counts of frames -> (..., 3, 71): IoU, F and 1 of each class that the frame has, else 0."""
    return _frame_terms(count[..., PREDICTED, :], count[..., WANTED, :], count[..., COMMON, :])


def ovavss_terms(count: np.ndarray) -> np.ndarray:
    """As `avsbench_terms`, as OV-AVSS's frame figures have it.

    Predictions on the truth's background are erased before scoring. Labels are not shifted by one, so background is
    no class and a 71st bin stays empty.
    """
    terms = _frame_terms(count[..., PREDICTED_INSIDE, :], count[..., WANTED, :], count[..., COMMON, :])
    return np.concatenate([terms[..., 1:], np.zeros_like(terms[..., :1])], -1)


def _frame_terms(predicted: np.ndarray, wanted: np.ndarray, common: np.ndarray) -> np.ndarray:
    union = predicted + wanted - common
    with np.errstate(invalid="ignore", divide="ignore"):
        precision, recall = common / predicted, common / wanted
        f = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    return np.stack([common / (union + 2.2e-16), np.nan_to_num(f, nan=0.0), (union > 0).astype(float)], -2)


def frame_scores(sums: np.ndarray) -> Scores:
    """mIoU and F from summed terms (..., 3, 71): means over ALL classes, those never met as 0.

    no_background drops the last index, as published, although background is index 0. classes_met divides by the
    classes met; `by_class` are the classes' means.
    """
    met = sums[..., 2, :]
    values: Scores = {"classes_met": (met > 0).sum(-1)}
    for row, name in enumerate(("miou", "f")):
        by_class = np.divide(sums[..., row, :], met, out=np.zeros_like(met), where=met > 0)
        values[name] = by_class.mean(-1)
        values[f"{name}_no_background"] = by_class[..., :LAST].mean(-1)
        values[f"{name}_met"] = by_class.sum(-1) / np.maximum(values["classes_met"], 1)
        values[f"{name}_by_class"] = by_class
    return values


def avsbench_foreground_iou(count: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """IoU of foreground of each frame, (...,), in which AVSBench takes the last index for background."""
    predicted, wanted, common = (pixels - count[..., row, LAST] for row in (PREDICTED, WANTED, COMMON))
    both = predicted + wanted - common  # neither side has the last class
    return both / (pixels - count[..., COMMON, LAST] + 1e-7)


def cavp_scores(sums: np.ndarray, classes: slice = slice(None)) -> Scores:
    """CAVP's data-set figures from summed counts (..., 4, 71).

    miou: absent classes count 0; the rates skip them. classes: slice(1, None) leaves background out.
    """
    predicted, wanted, common = (sums[..., row, :] for row in (PREDICTED, WANTED, COMMON))
    iou = binary.cavp_iou(common, predicted + wanted - common)
    rates = binary.class_rates(common, wanted - common, predicted - common, classes)
    accuracy = common.sum(-1) / np.maximum(wanted.sum(-1), 1)
    return {"miou": iou[..., classes].mean(-1), "iou_by_class": iou, "accuracy": accuracy, **rates}


def many_sources(count: np.ndarray) -> np.ndarray:
    """Which frames, (...,) bool, belong to CAVP's multi-source figures; background is one of the labels."""
    return (count[..., WANTED, :] > LARGE).sum(-1) > MANY_LABELS


def ovavss_scores(sums: np.ndarray) -> Scores:
    """OV-AVSS's figures from summed counts (..., 4, 71): of all classes met (background included), base and novel.

    Predictions on background count as wrong. Names as that program prints them.
    """
    predicted, wanted, common = (sums[..., row, :] for row in (PREDICTED, WANTED, COMMON))
    total = wanted.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = common / wanted
        iou = common / (predicted + wanted - common)
        weighted = np.where(wanted > 0, wanted / total[..., None] * np.nan_to_num(iou), 0)
    parts: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "": lambda x: x,
        " Seen": lambda x: x[..., list(BASE_CLASSES)],
        " Unseen": lambda x: x[..., list(NOVEL_CLASSES)],
    }
    values: Scores = {"iou_by_class": iou}
    for part, of in parts.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            values[f"Overall Acc{part}"] = of(common).sum(-1) / of(wanted).sum(-1)
        values[f"Mean Acc{part}"] = _nanmean(of(accuracy))
        values[f"FreqW Acc{part}"] = of(weighted).sum(-1)
        values[f"Mean IoU{part}"] = _nanmean(of(iou))
    for name in ("Overall Acc", "Mean Acc", "FreqW Acc", "Mean IoU"):
        values[f"{name} Harmonic"] = harmonic(values[f"{name} Seen"], values[f"{name} Unseen"])
    return values


def harmonic(one: np.ndarray | float, two: np.ndarray | float) -> np.ndarray:
    """2 / (1/one + 1/two); 0 where either is 0 or NaN."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.nan_to_num(2 / (1 / np.asarray(one) + 1 / np.asarray(two)), nan=0.0)


def _nanmean(values: np.ndarray) -> np.ndarray:
    there = ~np.isnan(values)
    number = there.sum(-1)
    return np.divide(np.where(there, values, 0).sum(-1), number, out=np.full(number.shape, np.nan), where=number > 0)
