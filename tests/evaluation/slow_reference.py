"""The metrics once more, pixel by pixel in plain Python: slow, and sharing no code with the package.

Probabilities are compared, and heat maps cut, in float32, as the field's code does; everything else is exact or
float64.
"""

import math

import numpy as np
import torch


def sigmoid(logits):
    """float32 sigmoid, of the whole array at once: element by element torch may differ in the last bit."""
    return torch.sigmoid(torch.from_numpy(logits)).numpy()


def thresholds():
    """255 float32 values from 0 to 1: the two ends are exact, the step is rounded once, in float32."""
    return [np.float32(v) for v in torch.linspace(0, 1 - 1e-10, 255).tolist()]


def mask_iou(logits, target, threshold):
    per_frame = []
    for frame, truth in zip(sigmoid(logits), target, strict=True):
        pixels = [(p > np.float32(threshold), bool(t)) for p, t in zip(frame.flat, truth.flat, strict=True)]
        if any(t for _, t in pixels):
            both = sum(p and t for p, t in pixels)
            either = sum(p or t for p, t in pixels)
            per_frame.append(both / (either + 1e-7))
        else:
            per_frame.append(sum(not p for p, _ in pixels) / (len(pixels) + 1e-7))
    return sum(per_frame) / len(per_frame)


def f_score(logits, target):
    return f_of_batches([(logits, target)], 1)


def f_of_batches(clips, size):
    """What a test program prints: F of each batch of `size` clips, then the mean over batches, the last as well.

    clips: (logits, target), (frames, H, W) each, in the program's order.
    """
    values = []
    for start in range(0, len(clips), size):
        curves = []
        for logits, target in clips[start : start + size]:
            for frame, truth in zip(sigmoid(logits), target, strict=True):
                if truth.any():
                    pixels = [(p, bool(t)) for p, t in zip(frame.flat, truth.flat, strict=True)]
                    curves.append([f_at(pixels, threshold) for threshold in thresholds()])
        values.append(max(sum(column) / len(curves) for column in zip(*curves, strict=True)) if curves else 0.0)
    return sum(values) / len(values)


def f_at(pixels, threshold):
    hits = sum(p >= threshold and t for p, t in pixels)
    precision = hits / (sum(bool(p >= threshold) for p, _ in pixels) + 1e-20)
    recall = hits / (sum(t for _, t in pixels) + 1e-20)
    below = 0.3 * precision + recall
    return 1.3 * precision * recall / below if below else 0.0


def box_mask(boxes, size=224):
    mask = np.zeros((size, size), bool)
    for left, top, right, bottom in boxes:
        for y in range(size):
            for x in range(size):
                inside_x = math.floor(size * max(left, 0)) <= x < math.floor(size * max(right, 0))
                mask[y, x] |= inside_x and math.floor(size * max(top, 0)) <= y < math.floor(size * max(bottom, 0))
    return mask


def stretch(heat, size=224):
    """Bilinear with centres at half pixels, float32: first along the rows, then along the columns."""
    places = []
    for length in heat.shape:
        middle = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        below = np.minimum(np.floor(middle).astype(int), max(length - 2, 0))
        places.append((below, np.minimum(below + 1, length - 1), (middle - below).astype(np.float32)))
    (top, bottom, down), (left, right, across) = places
    heat = heat.astype(np.float32)
    rows = heat[:, left] * (1 - across) + heat[:, right] * across
    return rows[top] * (1 - down[:, None]) + rows[bottom] * down[:, None]


def median_mask(heat, dtype=np.float32):
    """The published evaluator's steps, one by one, in the precision that it works in. `heat` is 224 x 224 already."""
    flipped = -heat.astype(dtype)
    low, high = flipped.min(), flipped.max()
    if high - low != 0:
        flipped = (flipped - low) / (high - low)
    heat = 1 - flipped
    assert heat.dtype == dtype
    median = np.sort(heat.flatten())[heat.shape[0] * heat.shape[1] // 2]
    heat[heat > median] = 1
    heat[heat < 1] = 0
    return heat >= 0.5


def ciou(heat, boxes, dtype=np.float32):
    """`heat` is 224 x 224 already."""
    on, truth = median_mask(heat, dtype), box_mask(boxes)
    return (on & truth).sum() / (truth.sum() + (on & ~truth).sum())


def ciou_summary(values):
    curve = [sum(v >= 0.05 * i for v in values) / len(values) for i in range(21)]
    area = sum((curve[i] + curve[i + 1]) / 2 * 0.05 for i in range(20))
    return curve[10], area
