"""Heat maps against boxes (VGG-SS, Flickr-SoundNet), as five programs measure them.

Sources, by the commit that was run: SSL-alignment e7ae3c5, ACL-SSL 57f4a6c, and the evaluation flows of LVS and SSL-TIE
in vssl_eval e8ebbc9. A map is upsampled to 224 x 224, perhaps normalised, and cut; the overlap with the boxes is then
turned into shares of samples. What differs is all in the upsampling, the cut and `>` against `>=`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from soundprompt.evaluation.success import SUCCESS_STEPS, curve_areas

SIDE = 224
SUCCESS = 0.5
ACL_EPSILON = 1e-12


# -------------------------------------------------------------------------------------- truth
def truth_of(boxes: Sequence[Sequence[int]], consensus: bool = False) -> np.ndarray:
    """Union of boxes (x0, y0, x1, y1 in pixels, ends exclusive), (224, 224) float64 0/1.

    consensus: half the number of boxes over a pixel, at most 1, as for Flickr-SoundNet's three annotators.
    """
    covered = np.zeros((SIDE, SIDE))
    for x0, y0, x1, y1 in boxes:
        covered[y0:y1, x0:x1] += 1
    return np.minimum(covered / 2, 1) if consensus else (covered > 0).astype(float)


# --------------------------------------------------------------------------------------- maps
def aligned(heat: np.ndarray) -> np.ndarray:
    """(H, W) -> (224, 224) float32, bilinear with aligned corners: SSL-alignment, ACL-SSL, vssl_eval's positives."""
    return _resized(heat, align_corners=True)


def half_pixel(heat: np.ndarray) -> np.ndarray:
    """(H, W) -> (224, 224) float32, bilinear as in OpenCV: LVS, SSL-TIE, vssl_eval's negatives."""
    return _resized(heat, align_corners=False)


def _resized(heat: np.ndarray, align_corners: bool) -> np.ndarray:
    z = torch.from_numpy(np.ascontiguousarray(heat, dtype=np.float32))
    if z.shape == (SIDE, SIDE):
        return z.numpy()
    return functional.interpolate(z[None, None], (SIDE, SIDE), mode="bilinear", align_corners=align_corners)[
        0, 0
    ].numpy()


def normalised(heat: np.ndarray) -> np.ndarray:
    """Brought to 0..1; a constant map stays as it is."""
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low) if high > low else heat


def flipped_twice(heat: np.ndarray) -> np.ndarray:
    """As LVS and SSL-TIE normalise: the negated map to 0..1, and one minus that."""
    return 1 - normalised(-heat)


# --------------------------------------------------------------------------------------- cuts
def median(heat: np.ndarray) -> np.floating:
    """Sorted value number n // 2: half of the map lies above it, whatever the map shows."""
    return _ranked(heat, heat.size // 2)


def adaptive(heat: np.ndarray, truth: np.ndarray) -> np.floating:
    """The value that as many pixels reach as the truth has; the median where it has none."""
    area = int(np.count_nonzero(truth))
    return _ranked(heat, heat.size - area if area else heat.size // 2)


def _ranked(heat: np.ndarray, place: int) -> np.floating:
    return np.partition(heat, place, axis=None)[place]


def overlap(on: np.ndarray, truth: np.ndarray, epsilon: float = 0.0) -> float:
    """Sum of the truth under the mask over the truth and what the mask has outside of it; NaN for nothing over nothing.

    epsilon: ACL-SSL's program for extended sets adds 1e-12 to the denominator, so that there it is 0.
    """
    below = float(truth.sum()) + np.count_nonzero(on & (truth == 0)) + epsilon
    return float(truth[on].sum()) / below if below else np.nan


def acl_overlap(on: np.ndarray, truth: np.ndarray) -> np.float32:
    """As ACL-SSL computes it on VGG-SS: in float32, in which it is also compared with the steps of the AUC."""
    return np.float32(overlap(on, truth))


# ------------------------------------------------------------------------------ from samples to a set
def ciou(overlaps: np.ndarray) -> float:
    """Share of samples with an overlap of 0.5 or more (NaN is not)."""
    return float(successes(overlaps).mean())


def successes(overlaps: np.ndarray) -> np.ndarray:
    return (np.asarray(overlaps) >= SUCCESS).astype(float)


def auc(overlaps: np.ndarray) -> float:
    """Area under the shares of samples that reach 0, 0.05, ..., 1, by trapezoids: never below 0.025 but for NaN."""
    return float(areas(overlaps).mean())


def areas(overlaps: np.ndarray) -> np.ndarray:
    """(N,) overlaps -> (N,) areas whose mean is the AUC.

    Steps are compared in the overlaps' own precision: an exact 0.15 is below 0.05 * 3 in float64, not in float32.
    """
    values = np.asarray(overlaps)
    steps = (0.05 * np.arange(SUCCESS_STEPS)).astype(values.dtype)
    return curve_areas((values[:, None] >= steps).astype(float))


def group_of(name: str) -> str:
    """The name up to its last underscore, as SSL-alignment groups; names without one are all of one group."""
    return name.rpartition("_")[0]
