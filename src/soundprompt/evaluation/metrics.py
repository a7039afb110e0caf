"""The field's metrics, with the conventions of the code that produced the published numbers.

Masks: `mask_iou` and `f_score` as in AVSBench (utils/pyutils.py) and GAVS; `colour_sums` as in
AVSBench's 71-class task; `ciou` as in the VGG-SS evaluation. Where a convention surprises, the
docstring says so. All functions take tensors on any device and return Python floats or tensors.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

BETA_SQUARED = 0.3
N_THRESHOLDS = 255
FRAMES_AT_ONCE = 8  # of 128 x 128 pixels: what a pass over them makes stays in a processor's cache
COLOUR_CLASSES = 71
BOX_SIZE = 224
SUCCESS_STEPS = 21


# ------------------------------------------------------------------------------ binary masks
def mask_iou(logits: Tensor, target: Tensor, threshold: float = 0.5) -> float:
    """Mean intersection over union of the frames of one call ("mIoU").

    logits: (N, H, W), any real value; target: (N, H, W), 0/1 or bool.
    threshold: a pixel is on where sigmoid(logit) > threshold, strictly. AVSBench and AVSegFormer
    use 0.5, the released GAVS code 0.4.
    A dataset's value is the mean over calls; GAVS calls once per clip. Raises ValueError.
    """
    return float(frame_iou(logits, target, threshold).mean())


def frame_iou(logits: Tensor, target: Tensor, threshold: float = 0.5) -> Tensor:
    """IoU of each frame, (N,) float64; arguments as in `mask_iou`.

    A frame with an empty target scores the share of its pixels that are off, not 1 or 0.
    """
    logits, target = _checked(logits, target)
    return probability_iou(torch.sigmoid(logits), target, threshold)


def probability_iou(probability: Tensor, target: Tensor, threshold: float) -> Tensor:
    """`frame_iou` on probabilities (N, P) float32 and targets (N, P) bool."""
    on = probability > threshold
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


def probability_area(probability: Tensor, threshold: float) -> Tensor:
    """Share of each frame's pixels that are on, (N,) float64; arguments as in `probability_iou`."""
    return row_counts(probability > threshold) / probability.shape[1]


def f_score(logits: Tensor, target: Tensor) -> float:
    """F-measure of one call (beta^2 = 0.3): maximum over 255 thresholds of the frames' mean curve.

    logits: (N, H, W); target: (N, H, W), 0/1 or bool. A pixel is on where sigmoid(logit) >=
    threshold. Frames with an empty target are left out; if all are empty the value is 0.0. The
    lowest threshold is 0, so no prediction scores less than an all-positive mask. The value
    depends on which frames share a call: published tables differ in that (GAVS, CAVP and COMBO: one
    clip a call; AVSegFormer on S4 and MS3: two; AVSBench: four). Raises ValueError.
    """
    curves, counted = f_curves(logits, target)
    return best_f(curves, counted)


def f_curves(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """F at each threshold for each frame: (N, 255) float64, and which frames count: (N,) bool.

    One pass over the pixels: each falls into the cell between two thresholds, and the counts of
    pixels above a threshold are sums over the cells above it.
    """
    logits, target = _checked(logits, target)
    return probability_f_curves(torch.sigmoid(logits), target)


def probability_f_curves(probability: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """`f_curves` on probabilities (N, P) float32 and targets (N, P) bool."""
    if probability.device.type == "cpu" and len(probability) > FRAMES_AT_ONCE:
        pairs = zip(probability.split(FRAMES_AT_ONCE), target.split(FRAMES_AT_ONCE), strict=True)
        curves, counted = zip(*(probability_f_curves(*pair) for pair in pairs), strict=True)
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
    """Maximum of the mean curve of the frames that count; 0.0 if none does."""
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


def object_choice(
    iou: Tensor, sounding: Tensor, hit_iou: float = 0.5, wrong_iou: float = 0.2
) -> tuple[Tensor, Tensor, Tensor]:
    """Which frames show the right object, which a wrong one: what one mIoU hides.

    iou: (N,); sounding: (N,) bool, frames with something to find; only they are judged.
    Returns hit and wrong, each 0/1 for the sounding frames in order, and the IoU of the hits (a
    shorter vector): mask quality once the object is right.
    """
    judged = iou[sounding]
    hit = judged >= hit_iou
    return hit.double(), (judged < wrong_iou).double(), judged[hit]


def _checked(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(N, P) float32 logits and (N, P) bool targets, or ValueError."""
    if logits.ndim != 3 or logits.shape != target.shape:
        raise ValueError(f"expected logits and target of one shape (N, H, W), got {logits.shape} and {target.shape}")
    if 0 in logits.shape:
        raise ValueError(f"no frames or no pixels: {tuple(logits.shape)}")
    if logits.isnan().any():
        raise ValueError("logits hold NaN")
    if target.dtype != torch.bool and not ((target == 0) | (target == 1)).all():
        raise ValueError("target must hold 0 and 1 only")
    return logits.float().flatten(1), target.bool().flatten(1)


# ------------------------------------------------------------------------- classes by colour
@dataclass(frozen=True)
class ColourSums:
    """Sums over frames from which the 71-class scores are made; `a + b` joins two sets of frames.

    iou, f: (C,) float64, summed over the frames in which a class occurs; count: (C,), how many.
    """

    iou: Tensor
    f: Tensor
    count: Tensor

    def __add__(self, other: ColourSums) -> ColourSums:
        return ColourSums(self.iou + other.iou, self.f + other.f, self.count + other.count)

    def summary(self) -> dict[str, float]:
        """`miou` and `f_score`: means over ALL classes, absent ones as 0, as the AVSBench code has it.

        `miou_present`, `f_score_present`: over the classes that occur.
        """
        iou, f = (sums / self.count.clamp(min=1) for sums in (self.iou, self.f))
        present = max(int((self.count > 0).sum()), 1)
        return {
            "miou": float(iou.mean()),
            "f_score": float(f.mean()),
            "miou_present": float(iou.sum()) / present,
            "f_score_present": float(f.sum()) / present,
        }


def colour_sums(prediction: Tensor, target: Tensor, n_classes: int = COLOUR_CLASSES) -> ColourSums:
    """Per-class IoU and F (beta^2 = 0.3) of label maps, summed over frames (AVSBench-semantic's own task).

    prediction, target: (N, H, W) integers below n_classes; 0 is the background and counts as a
    class. A class occurs in a frame when it is in the prediction or in the target.
    """
    iou, f, occurs = frame_colour_scores(prediction, target, n_classes)
    return ColourSums(iou.sum(0), f.sum(0), occurs.sum(0).double())


def frame_colour_scores(
    prediction: Tensor, target: Tensor, n_classes: int = COLOUR_CLASSES
) -> tuple[Tensor, Tensor, Tensor]:
    """IoU (N, C), F (N, C), float64 and 0 where the class does not occur, and occurrence (N, C) bool."""
    if prediction.shape != target.shape or prediction.ndim != 3:
        raise ValueError(f"expected label maps of one shape (N, H, W), got {prediction.shape} and {target.shape}")
    for name, labels in (("prediction", prediction), ("target", target)):
        if labels.is_floating_point() or labels.min() < 0 or labels.max() >= n_classes:
            raise ValueError(f"{name} must hold whole numbers from 0 to {n_classes - 1}")
    predicted, wanted = _histogram(prediction, n_classes), _histogram(target, n_classes)
    # one more class takes the pixels on which both differ
    common = _histogram(torch.where(prediction == target, target, n_classes), n_classes + 1)[:, :-1]
    union = predicted + wanted - common
    precision, recall = common / predicted, common / wanted
    f = (1 + BETA_SQUARED) * precision * recall / (BETA_SQUARED * precision + recall)
    return common / (union + 2.2e-16), f.nan_to_num(nan=0.0), union > 0


def _histogram(labels: Tensor, n_classes: int) -> Tensor:
    n = len(labels)
    slot = labels.flatten(1).long() + torch.arange(n, device=labels.device)[:, None] * n_classes
    return torch.bincount(slot.flatten(), minlength=n * n_classes).view(n, n_classes).double()


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


def ciou_summary(values: Iterable[float]) -> tuple[float, float]:
    """("cIoU", AUC) of a test set from its clips' overlaps.

    The first is the share of clips with an overlap of 0.5 or more, not a mean; the second the area
    under the curve of such shares over 0, 0.05, ..., 1, by trapezoids. Raises ValueError when empty.
    """
    passed = success_curves(np.asarray(list(values), float))
    if not len(passed):
        raise ValueError("no values")
    return float(passed[:, SUCCESS_STEPS // 2].mean()), float(curve_areas(passed).mean())


def success_curves(values: np.ndarray) -> np.ndarray:
    """(N,) overlaps -> (N, 21) 0/1: which of 0.05 * i, i = 0..20, each reaches.

    The products are floats, as in the reference: an overlap of exactly 0.3 is below 0.05 * 6.
    """
    return (values[:, None] >= 0.05 * np.arange(SUCCESS_STEPS)).astype(float)


def curve_areas(curves: np.ndarray) -> np.ndarray:
    """(N, 21) success curves -> (N,) areas; linear, so a mean of areas is the area of the mean curve."""
    return np.trapezoid(curves, 0.05 * np.arange(SUCCESS_STEPS), axis=1)
