"""Extended test sets: heat maps with a confidence, some for sounds that nothing in the picture makes.

Sources, by the commit that was run: SSL-alignment e7ae3c5 and ACL-SSL 57f4a6c, which agree. A pair without a box is
negative. At confidence c (>=) a positive pair with an overlap of 0.5 or more is found (TP), every other pair at or
above c is false (FP), a positive pair below c is missed (FN); a pair in the wrong place is false only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundprompt.judge import boxes

AP_STEPS, F1_STEPS = 200, 10


@dataclass(frozen=True)
class Pairs:
    """positive: (N,) bool, has a box; overlap: (N,), 0 for a negative; confidence: (N,), any range."""

    positive: np.ndarray
    overlap: np.ndarray
    confidence: np.ndarray

    def take(self, index: np.ndarray) -> Pairs:
        return Pairs(self.positive[index], self.overlap[index], self.confidence[index])


def counts_at(pairs: Pairs, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """TP, FP, FN at each of the thresholds."""
    right = pairs.positive & (boxes.successes(pairs.overlap) > 0)

    def at_or_above(members: np.ndarray) -> np.ndarray:
        values = np.sort(pairs.confidence[members])
        return len(values) - np.searchsorted(values, thresholds, side="left")

    found = at_or_above(right)
    false = at_or_above(np.ones_like(right)) - found
    missed = np.count_nonzero(pairs.positive) - at_or_above(pairs.positive)
    return found, false, missed


def average_precision(pairs: Pairs) -> float:
    """AP at overlap 0.5. What is recalled at the first threshold does not count, so a perfect ranking stays below 1."""
    ranked = np.sort(pairs.confidence)[:-1][::-1]
    thresholds = ranked[:: max(1, len(pairs.confidence) // AP_STEPS)]
    if not len(thresholds):
        return 0.0
    found, false, missed = counts_at(pairs, thresholds)
    precision, recall = _share(found, found + false), _share(found, found + missed)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((envelope[:-1] * np.diff(recall)).sum())


def f1_curve(pairs: Pairs) -> np.ndarray:
    """F1 at every max(1, n // 10)-th of the sorted confidences."""
    thresholds = np.sort(pairs.confidence)[:: max(1, len(pairs.confidence) // F1_STEPS)]
    return f1_at(pairs, thresholds)


def f1_at(pairs: Pairs, thresholds: np.ndarray) -> np.ndarray:
    found, false, missed = counts_at(pairs, np.asarray(thresholds))
    precision, recall = _share(found, found + false), _share(found, found + missed)
    both = precision + recall
    return np.divide(2 * precision * recall, both, out=np.zeros_like(both), where=both > 0)


def max_f1(pairs: Pairs) -> float:
    """The largest F1 as the programs print it: each rounded to one digit of a percent before the maximum."""
    return float(np.round(100 * f1_curve(pairs), 1).max() / 100)


def location_accuracy(pairs: Pairs) -> float:
    """Share of positive pairs with an overlap ABOVE 0.5 (elsewhere: 0.5 or more); NaN without positive pairs."""
    overlaps = pairs.overlap[pairs.positive]
    return float((overlaps > boxes.SUCCESS).mean()) if len(overlaps) else np.nan


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """1 where the whole is nothing."""
    return np.divide(part, whole, out=np.ones(np.shape(whole)), where=whole > 0)
