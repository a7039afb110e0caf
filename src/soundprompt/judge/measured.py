"""What was measured of one method on a set: a pass over its frames, one at a time, into arrays that conventions read.

Pixels are dropped at once. What stays is a few dozen numbers of each frame and, of each clip, sums of its curves and
class counts, so memory does not grow with the size of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from soundprompt.evaluation import metrics
from soundprompt.judge import binary, boxes, negatives, semantic

READINGS = ("half", "released", "median", "softmax", "argmax")
ACL_THRESHOLDS = tuple(round(0.05 * i, 2) for i in range(1, 20))


@dataclass(frozen=True)
class Clip:
    """A clip of the truth; the names say what they say in the frame table."""

    name: str
    video: str
    class_name: str
    n_sources: int


class Set:
    """Clips in their order, with the frames that were measured of each."""

    def __init__(self, clips: Sequence[Clip], clip_of: np.ndarray):
        """clip_of: (N,) index of the clip of each frame, ascending."""
        self.clips, self.clip_of = list(clips), np.asarray(clip_of, np.int64)
        names = list(dict.fromkeys(clip.video for clip in self.clips))
        place = {name: i for i, name in enumerate(names)}
        self.video_of_clip = np.array([place[clip.video] for clip in self.clips], np.int64)
        self.videos = len(names)
        self.video_of = self.video_of_clip[self.clip_of]


# ------------------------------------------------------------------------------------- masks
@dataclass
class MaskTally:
    """Masks against binary truth; `add` takes the frames in the order of their clips."""

    clip_of: list[int] = field(default_factory=list)
    frames: list[list[float]] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)
    curves: dict[int, np.ndarray] = field(default_factory=dict)
    softmax_curves: dict[int, np.ndarray] = field(default_factory=dict)
    hard: bool = True
    nan_frames: int = 0

    def add(self, clip: int, answer: binary.Answer, truth: np.ndarray) -> None:
        frame = binary.measure(answer, truth)
        if self.hard:
            self.hard = bool(((answer.probability == 0) | (answer.probability == 1)).all())
        self.nan_frames += bool(np.isnan(answer.probability).any())
        self.clip_of.append(clip)
        best = float(frame.curve.max()) if frame.sounding else 0.0
        self.frames.append([*(frame.iou[name] for name in READINGS), frame.area, float(frame.sounding), best])
        self.counts.append(np.concatenate([frame.counts.ravel(), frame.inter, frame.union, frame.released]))
        for curves, curve in ((self.curves, frame.curve), (self.softmax_curves, frame.softmax_curve)):
            rows = curves.setdefault(clip, np.zeros(metrics.N_THRESHOLDS + 1))
            if frame.sounding:
                rows[:-1] += curve
                rows[-1] += 1

    def measured(self, clips: Sequence[Clip]) -> Masks:
        table = np.array(self.frames)
        return Masks(
            clips=list(clips),
            clip_of=np.array(self.clip_of),
            iou={name: table[:, i] for i, name in enumerate(READINGS)},
            area=table[:, -3],
            sounding=table[:, -2] > 0,
            best_f=table[:, -1],
            counts=np.array(self.counts),
            f_rows=np.stack([self.curves[i] for i in range(len(clips))]),
            softmax_f_rows=np.stack([self.softmax_curves[i] for i in range(len(clips))]),
            hard=self.hard,
            nan_frames=self.nan_frames,
        )


@dataclass
class Masks(Set):
    """iou: {reading: (N,)}; area, sounding, best_f: (N,); counts: (N, 10), confusion matrix, intersections, unions, and
    intersection and union of the foreground at 0.4; f_rows, softmax_f_rows: (C, 256), the curves of
    a clip's frames with a truth summed, and their number."""

    clips: list[Clip]
    clip_of: np.ndarray
    iou: dict[str, np.ndarray]
    area: np.ndarray
    sounding: np.ndarray
    best_f: np.ndarray
    counts: np.ndarray
    f_rows: np.ndarray
    softmax_f_rows: np.ndarray
    hard: bool
    nan_frames: int

    def __post_init__(self):
        Set.__init__(self, self.clips, self.clip_of)

    def only(self, wanted: np.ndarray) -> Masks:
        """The clips (C,) bool."""
        frames = wanted[self.clip_of]
        return Masks(
            clips=[clip for clip, take in zip(self.clips, wanted, strict=True) if take],
            clip_of=(np.cumsum(wanted) - 1)[self.clip_of[frames]],
            iou={name: values[frames] for name, values in self.iou.items()},
            area=self.area[frames],
            sounding=self.sounding[frames],
            best_f=self.best_f[frames],
            counts=self.counts[frames],
            f_rows=self.f_rows[wanted],
            softmax_f_rows=self.softmax_f_rows[wanted],
            hard=self.hard,
            nan_frames=self.nan_frames,
        )

    def clip_means(self, values: np.ndarray) -> np.ndarray:
        """(N,) -> (C, 2): sum and number of frames of each clip."""
        return np.stack([np.bincount(self.clip_of, values), np.bincount(self.clip_of)], 1)


# ------------------------------------------------------------------------------------ labels
@dataclass
class LabelTally:
    """Label maps against label maps of 71 classes."""

    clip_of: list[int] = field(default_factory=list)
    counts: list[np.ndarray] = field(default_factory=list)
    counts_224: list[np.ndarray] = field(default_factory=list)
    pixels: list[int] = field(default_factory=list)
    annotated: list[bool] = field(default_factory=list)

    def add(self, clip: int, prediction: np.ndarray, truth: np.ndarray, at_224: np.ndarray, annotated: bool) -> None:
        """at_224: OV-AVSS's counts, after its own resizing. annotated: not a frame appended to a short clip."""
        self.clip_of.append(clip)
        self.counts.append(semantic.counts(prediction, truth).astype(np.float32))
        self.counts_224.append(at_224.astype(np.float32))
        self.pixels.append(truth.size)
        self.annotated.append(annotated)

    def measured(self, clips: Sequence[Clip]) -> Labels:
        arrays = (self.clip_of, self.counts, self.counts_224, self.pixels, self.annotated)
        return Labels(list(clips), *map(np.array, arrays))


@dataclass
class Labels(Set):
    """counts, counts_224: (N, 4, 71) as `semantic.counts`; pixels, annotated: (N,)."""

    clips: list[Clip]
    clip_of: np.ndarray
    counts: np.ndarray
    counts_224: np.ndarray
    pixels: np.ndarray
    annotated: np.ndarray

    def __post_init__(self):
        Set.__init__(self, self.clips, self.clip_of)


# ------------------------------------------------------------------------------------- boxes
ACL_BATCH = 4  # samples that share the first one's median where ACL-SSL is given no threshold; its batch is a setting


@dataclass
class BoxTally:
    """Heat maps against boxes, one a sample."""

    overlaps: list[dict[str, float]] = field(default_factory=list)
    area: list[float] = field(default_factory=list)
    confidence: list[float] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    hard: bool = True
    first: np.floating | None = None

    def add(self, heat: np.ndarray, truth: np.ndarray, confidence: float | None = None) -> None:
        """heat: (H, W), any size and range; truth: (224, 224); confidence: the map's maximum where none is given."""
        self.hard = self.hard and bool(((heat == 0) | (heat == 1)).all())
        up, centred = boxes.aligned(heat), boxes.half_pixel(heat)
        scaled, flipped = boxes.normalised(up), boxes.flipped_twice(centred)
        found: dict[str, Any] = {
            "median": boxes.overlap(scaled > boxes.median(scaled), truth),
            "adaptive": boxes.overlap(scaled > boxes.adaptive(scaled, truth), truth),
            "flipped_median": boxes.overlap(flipped > boxes.median(flipped), truth),
            "flipped_adaptive": boxes.overlap(flipped > boxes.adaptive(flipped, truth), truth),
            "median_reached": boxes.overlap(scaled >= boxes.median(scaled), truth),
            "flipped_median_reached": boxes.overlap(flipped >= boxes.median(flipped), truth),
            "vggss": metrics.box_overlap(metrics.median_cut(torch.from_numpy(heat)), torch.from_numpy(truth)),
            "half": boxes.overlap(up > boxes.SUCCESS, truth),
            "extended_half": boxes.overlap(up >= boxes.SUCCESS, truth, boxes.ACL_EPSILON),
            "vggss_half": metrics.box_overlap(
                metrics.stretched(torch.from_numpy(heat)) > boxes.SUCCESS, torch.from_numpy(truth)
            ),
        }
        own = boxes.median(up)
        if len(self.overlaps) % ACL_BATCH == 0:
            self.first = own
        cuts: dict[str, Any] = {"acl_median": own, "acl_median_batch": self.first}
        cuts |= {f"acl_{threshold:.2f}": np.float32(threshold) for threshold in ACL_THRESHOLDS}
        found |= {name: boxes.acl_overlap(up >= cut, truth) for name, cut in cuts.items()}
        self.overlaps.append(found)
        self.area.append(float((up > boxes.SUCCESS).mean()))
        self.confidence.append(float(heat.max()) if confidence is None else confidence)
        self.positive.append(bool(truth.any()))

    def measured(self, clips: Sequence[Clip]) -> Boxes:
        overlap = {name: np.array([one[name] for one in self.overlaps]) for name in self.overlaps[0]}
        return Boxes(
            list(clips),
            np.arange(len(clips)),
            overlap,
            np.array(self.area),
            np.array(self.confidence),
            np.array(self.positive),
            self.hard,
        )


@dataclass
class Boxes(Set):
    """overlap: {cut: (N,)}, float32 where a program works in it; area, confidence, positive: (N,)."""

    clips: list[Clip]
    clip_of: np.ndarray
    overlap: dict[str, np.ndarray]
    area: np.ndarray
    confidence: np.ndarray
    positive: np.ndarray
    hard: bool

    def __post_init__(self):
        Set.__init__(self, self.clips, self.clip_of)

    def only(self, wanted: np.ndarray) -> Boxes:
        return Boxes(
            [clip for clip, take in zip(self.clips, wanted, strict=True) if take],
            np.arange(np.count_nonzero(wanted)),
            {name: values[wanted] for name, values in self.overlap.items()},
            self.area[wanted],
            self.confidence[wanted],
            self.positive[wanted],
            self.hard,
        )


# --------------------------------------------------------------------------------- negatives
@dataclass
class NegativeBoxes(Set):
    """Heat maps of the same pictures under the true and other sounds. pictures: what was measured of each."""

    clips: list[Clip]
    pictures: list[negatives.Picture]

    def __post_init__(self):
        Set.__init__(self, self.clips, np.arange(len(self.clips)))

    def overlap(self, cut: str) -> np.ndarray:
        return np.array([one.overlap[cut] for one in self.pictures])

    def area(self, kind: str, cut: str) -> np.ndarray:
        return np.array([one.area[kind][cut] for one in self.pictures])
