"""The product's metrics of logits and masks, (N, H, W) each."""

import torch

from soundprompt.evaluation import metrics


def frame_iou(logits, target, threshold=0.5):
    return metrics.iou((torch.sigmoid(logits.float()) > threshold).flatten(1), target.bool().flatten(1))


def mask_iou(logits, target, threshold=0.5):
    return float(frame_iou(logits, target, threshold).mean())


def f_curves(logits, target):
    return metrics.f_curves(torch.sigmoid(logits.float()).flatten(1), target.bool().flatten(1))


def f_score(logits, target):
    return metrics.best_f(*f_curves(logits, target))
