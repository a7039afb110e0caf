"""What training minimises: the mask loss and the triplet loss that aligns sound and visual cue."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from soundprompt.draws import one_of

Restore = Callable[[Tensor, list[tuple[int, int]]], list[Tensor]]


def decoder_loss(logits: Tensor, targets: Tensor, valid: Tensor, kind: str = "bce") -> Tensor:
    """Binary cross-entropy on the grid that masks are drawn on: of each frame the mean over its valid cells, (B,).

    logits: (B, 1, n, n). targets: the same shape, values 0..1, the share of each cell that sounds.
    valid: the same shape, bool, False where the square input is padding. A frame without any valid
    cell counts as 0. The released code computes this loss at the frame's original size instead
    (`original_loss`); here the cross-entropy of a soft target stands for the pixels in a cell.
    kind: 'dice' is `dice` of the valid cells in its place.
    """
    if kind == "dice":
        return dice((torch.sigmoid(logits) * valid).flatten(1), (targets * valid).flatten(1))
    losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    inside = valid.to(losses.dtype)
    return (losses * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)


def original_loss(logits: Tensor, masks: Sequence[Tensor], restore: Restore, kind: str = "bce") -> Tensor:
    """Binary cross-entropy at the frames' original sizes: of each frame the mean over its pixels, (B,).

    logits: (B, 1, n, n). masks: B of (H, W) bool, of any sizes. restore: `FrozenSam.restore`.
    As in the released code.
    kind: 'dice' is `dice` in its place.
    """
    pictures = restore(logits, [(mask.shape[0], mask.shape[1]) for mask in masks])
    pairs = [(picture, mask.to(picture.dtype)) for picture, mask in zip(pictures, masks, strict=True)]
    if kind == "dice":
        losses = [dice(torch.sigmoid(picture).flatten(), mask.flatten()) for picture, mask in pairs]
    else:
        losses = [F.binary_cross_entropy_with_logits(picture, mask) for picture, mask in pairs]
    return torch.stack(losses)


def presence_loss(presence: Tensor, sounding: Tensor) -> Tensor:
    """Binary cross-entropy of whether anything in a frame sounds, (B,), of logits (B,) and a bool (B,)."""
    return F.binary_cross_entropy_with_logits(presence.float(), sounding.float(), reduction="none")


def dice(probabilities: Tensor, targets: Tensor) -> Tensor:
    """1 - 2 p.t / (p.p + t.t) along the last axis, with AVSegFormer's 0.001 added to each square."""
    both, squares = (probabilities * targets).sum(-1), probabilities.square().sum(-1) + targets.square().sum(-1)
    return 1 - 2 * both / (squares + 0.002)


def allowed_negatives(videos: Sequence[str], classes: Sequence[str]) -> Tensor:
    """Which frames may be the negative of which: (B, B) bool, row = anchor.

    A negative comes from another video with another class string. Where a row has no such frame,
    any frame of another video will do; where there is only one video, the row is all False.
    """
    video, kind = _codes(videos), _codes(classes)
    other = video[:, None] != video[None]
    better = other & (kind[:, None] != kind[None])
    return torch.where(better.any(1, keepdim=True), better, other)


def triplet_loss(
    cue: Tensor, sound: Tensor, negatives: Tensor, margin: float, anchor: str = "audio"
) -> tuple[Tensor, Tensor]:
    """Triplet loss with cosine similarity between a frame's sound and its visual cue.

    cue, sound: (N, d), one row per frame, of which the first B are anchors; negatives: (B, N) bool,
    as `allowed_negatives` gives it; one is drawn per anchor (`draws.one_of`). anchor 'audio': the sound of a frame is
    to be nearer to its own cue than to the cue of the negative; 'visual': its cue nearer to its own
    sound than to the negative's; 'both': mean of the two.

    Returns the mean of max(0, cos(anchor, negative) - cos(anchor, positive) + margin) over the
    anchors that have a negative, and the share of these triplets that is above 0 (nan without any).
    The paper (arXiv 2309.07929, Learning Objectives) names the form and the similarity; margin,
    anchor and choice of negatives are this project's.
    """
    usable = negatives.any(1)
    if not usable.any():
        return cue.sum() * 0, cue.new_tensor(float("nan"))
    rows = usable.nonzero()[:, 0]
    drawn = one_of(negatives[rows]).to(cue.device)
    rows = rows.to(cue.device)
    cue, sound = F.normalize(cue.float(), dim=1), F.normalize(sound.float(), dim=1)
    positive = (cue[rows] * sound[rows]).sum(1)
    to_cue, to_sound = (sound[rows] * cue[drawn]).sum(1), (cue[rows] * sound[drawn]).sum(1)
    nearer = {"audio": to_cue, "visual": to_sound, "both": torch.cat([to_cue, to_sound])}[anchor]
    losses = (nearer - positive.repeat(len(nearer) // len(positive)) + margin).clamp(min=0)
    return losses.mean(), (losses.detach() > 0).float().mean()


def _codes(names: Sequence[str]) -> Tensor:
    order = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([order[name] for name in names])
