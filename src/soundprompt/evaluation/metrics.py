"""The field's metrics, with the conventions of the code that produced the published numbers.

Masks: IoU and F as in AVSBench (utils/pyutils.py) and GAVS; boxes: `ciou` as in the VGG-SS evaluation. Where a
convention surprises, the docstring says so. `measures.py` says which of them a table has.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

BETA_SQUARED = 0.3
N_THRESHOLDS = 255
FRAMES_AT_ONCE = 8  # of 128 x 128 pixels: what a pass over them makes stays in a processor's cache
BOX_SIZE = 224


# ------------------------------------------------------------------------------ binary masks
def iou(on: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of each frame, (N,) float64. on, target: (N, P) bool.

    A frame with an empty target scores the share of its pixels that are off, not 1 or 0. A pixel is on where its
    probability is strictly above a threshold: 0.5 in AVSBench and AVSegFormer, 0.4 in the released GAVS code.
    """
    pixels = target.shape[1]
    overlap, predicted, area = (row_counts(mask) for mask in (on & target, on, target))
    union = predicted + area - overlap
    # with an empty target the union is the predicted area, so pixels - union are rightly off
    return torch.where(area == 0, (pixels - union) / (pixels + 1e-7), overlap / (union + 1e-7))


def row_counts(mask: Tensor) -> Tensor:
    """How many are True in each row of (N, P) bool, (N,) float64."""
    if mask.device.type == "cpu":  # numpy counts bools ten times faster than torch adds them
        counts = [np.count_nonzero(row) for row in mask.numpy()]
        return torch.tensor(counts, dtype=torch.float64)
    return mask.sum(1, dtype=torch.int32).double()  # int64, the default, is twenty times slower


def f_curves(probability: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """F (beta^2 = 0.3) at each threshold for each frame: (N, 255) float64, and which frames count: (N,) bool.

    probability: (N, P) float32; target: (N, P) bool; a frame without a target does not count. A pixel is on where its
    probability reaches the threshold; the lowest is 0, so no prediction scores less than an all-positive mask.
    One pass over the pixels: each falls into the cell between two thresholds, and the counts of pixels above a
    threshold are sums over the cells above it.
    """
    if probability.device.type == "cpu" and len(probability) > FRAMES_AT_ONCE:
        pairs = zip(probability.split(FRAMES_AT_ONCE), target.split(FRAMES_AT_ONCE), strict=True)
        curves, counted = zip(*(f_curves(*pair) for pair in pairs), strict=True)
        return torch.cat(curves), torch.cat(counted)
    n, cells = len(probability), N_THRESHOLDS
    slot = threshold_cells(probability)
    slot += target.int() * cells
    slot += torch.arange(n, dtype=torch.int32, device=slot.device)[:, None] * (2 * cells)
    counts = torch.bincount(slot.flatten(), minlength=2 * n * cells).view(n, 2, cells)
    above = counts.flip(2).cumsum(2).flip(2).double()  # pixels at or above each threshold: off, on in the target
    hits, predicted, wanted = above[:, 1], above.sum(1), above[:, 1, :1]
    precision, recall = hits / (predicted + 1e-20), hits / (wanted + 1e-20)
    f = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    return f.nan_to_num(nan=0.0), wanted[:, 0] > 0


def best_f(curves: Tensor, counted: Tensor) -> float:
    """F of one call: the maximum of the mean curve of the frames that count; 0.0 if none does.

    It depends on which frames share a call: published tables differ in that (GAVS, CAVP and COMBO: one clip a call;
    AVSegFormer on S4 and MS3: two; AVSBench: four).
    """
    return float(curves[counted].mean(0).max()) if counted.any() else 0.0


def threshold_cells(probability: Tensor) -> Tensor:
    """Index of the highest of the 255 thresholds that each value (in [0, 1], float32) reaches, int32."""
    # the thresholds are i/254 up to float32 rounding (error below 1e-4 cells), so only values close
    # to one need the comparison with it; zero and one, which confident models predict, do not
    scaled = probability * (N_THRESHOLDS - 1)
    cell = (scaled + 1e-3).int()
    close = scaled.sub_(1e-3).int() != cell  # both are 0 around zero: negative numbers are cut off towards it
    close &= probability < 1
    doubtful = close.nonzero(as_tuple=True)
    exact = torch.bucketize(probability[doubtful], f_thresholds(probability.device), right=True, out_int32=True)
    cell[doubtful] = exact - 1
    return cell


@functools.cache
def f_thresholds(device: torch.device | str = "cpu") -> Tensor:
    """linspace(0, 1 - 1e-10, 255) in float32, where the last one is 1.0."""
    return torch.linspace(0, 1 - 1e-10, N_THRESHOLDS).to(device)


# ------------------------------------------------------------------------------------- boxes
def box_mask(boxes: Sequence[Sequence[float]], size: int = BOX_SIZE) -> Tensor:
    """Union of boxes (xmin, ymin, xmax, ymax as fractions of the frame), (size, size) bool.

    Edges are int(size * max(v, 0)), the far ones exclusive; so a thin or inverted box may be empty.
    """
    mask = torch.zeros(size, size, dtype=torch.bool)
    for box in boxes:
        left, top, right, bottom = (int(size * max(float(edge), 0.0)) for edge in box)
        mask[top:bottom, left:right] = True
    return mask


def ciou(heatmap: Tensor, boxes: Sequence[Sequence[float]], dtype: torch.dtype = torch.float32) -> float:
    """Overlap of a heat map's upper half with boxes (the VGG-SS protocol); `boxes` as in `box_mask`.

    heatmap: (H, W), any size and range; it is stretched to 224 x 224 and cut at its median (`median_cut`).
    """
    return box_overlap(median_cut(heatmap, dtype=dtype), box_mask(boxes))


def fixed_ciou(probability: Tensor, boxes: Sequence[Sequence[float]], threshold: float = 0.5) -> float:
    """As `ciou`, but the mask is where the stretched probability map (H, W) exceeds `threshold`."""
    return box_overlap(stretched(probability) > threshold, box_mask(boxes))


def median_cut(heatmap: Tensor, size: int = BOX_SIZE, dtype: torch.dtype = torch.float32) -> Tensor:
    """The pixels above the upper median of a heat map stretched to size x size, bool.

    As in the reference: the map is brought to [0, 1], values above the median become 1, values
    below 1 become 0. So the maximum always survives, a binary map passes as it is, and a constant
    map, which is not rescaled, becomes all on if its value is 0 or more and all off if not.

    dtype: of the arithmetic. The reference rounds to float32, where all that lies less than 6e-8 of the map's range
    above its minimum becomes 0: where that is most of the frame, the median is 0 and the mask is all that is left.
    In float64, where the limit is 1e-16, half of the frame is on instead.
    """
    flipped = -stretched(heatmap, size, dtype)
    low, high = flipped.min(), flipped.max()
    if high > low:
        flipped = (flipped - low) / (high - low)
    heat = 1 - flipped
    median = heat.flatten().kthvalue(size * size // 2 + 1).values  # counted from 1
    return (heat > median) | (heat >= 1)


def box_overlap(prediction: Tensor, truth: Tensor) -> float:
    """Intersection over union of a bool map with a truth of one shape, which may be soft (Flickr-SoundNet: 0, .5, 1).

    The union is the sum of the truth plus the predicted pixels where the truth is 0. Two empty
    maps, undefined in the reference, give 0.0.
    """
    on, truth = prediction.double(), truth.double()
    union = float(truth.sum() + (on * (truth == 0)).sum())
    return float((on * truth).sum()) / union if union else 0.0


def stretched(heatmap: Tensor, size: int = BOX_SIZE, dtype: torch.dtype = torch.float32) -> Tensor:
    """A map (H, W) stretched to (size, size) bilinearly, of `dtype`. Raises ValueError."""
    if heatmap.ndim != 2 or 0 in heatmap.shape:
        raise ValueError(f"expected a heat map (H, W), got {tuple(heatmap.shape)}")
    if not heatmap.isfinite().all():
        raise ValueError("the heat map holds NaN or infinite values")
    if heatmap.shape == (size, size):
        return heatmap.to(dtype)
    return functional.interpolate(heatmap.to(dtype)[None, None], (size, size), mode="bilinear")[0, 0]
