"""Heat maps under sounds that nothing in the picture makes: silence, noise, an off-screen sound.

Source, by the commit that was run: vssl_eval e8ebbc9. Maps are not normalised, so thresholds mean something across
pictures: 0.5, the positive map's own median and adaptive value, and three constants that the program holds for each
model. Values are shares; the program prints percent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from soundprompt.evaluation.success import curve_areas
from soundprompt.judge import boxes

KINDS = ("silence", "noise", "offscreen")
CUTS = ("half", "median", "adaptive", "max", "max10", "max_q3")
CONSTANTS = {
    "ezvsl": (0.6041, 0.6645, 0.6382),
    "slavc": (0.5201, 0.5721, 0.5450),
    "fnac": (0.5311, 0.5842, 0.5538),
    "lvs": (0.5527, 0.6080, 0.6077),
    "ssltie": (0.2641, 0.2906, 0.3338),
    "sslalign": (0.2660, 0.2926, 0.3175),
}
"""Max, Max10 (about 1.1 Max) and MaxQ3 of each model, as the program has them."""

LISTED = ("median", "half", "max", "max10", "max_q3")
"""The five overlaps of an image that go into one list, over which that program's CIoU and AUC are taken."""


@dataclass(frozen=True)
class Picture:
    """What was measured of one picture: {cut: overlap}, {kind: {cut: share of pixels that are on}},
    {(one, other): {cut: IoU of their masks}} and {sound: (least, greatest) value of the map as given}.

    mixed: a map of objects was mixed in; that program then keeps what is undefined (nothing over nothing), else it is
    0.
    """

    overlap: dict[str, float]
    area: dict[str, dict[str, float]]
    agreement: dict[tuple[str, str], dict[str, float]]
    span: dict[str, tuple[float, float]]
    mixed: bool = False


def measure(
    positive: np.ndarray,
    negatives: Mapping[str, np.ndarray],
    truth: np.ndarray,
    constants: Sequence[float],
    objects: np.ndarray | None = None,
) -> Picture:
    """positive, negatives: maps (H, W), the latter by kind; truth: (224, 224).

    objects: (224, 224) map of objects that is mixed in ("OGL"): 0.4 map + 0.6 objects.
    """
    given = {"pos": positive, **negatives}
    maps = {"pos": boxes.aligned(positive), **{kind: boxes.half_pixel(heat) for kind, heat in negatives.items()}}
    if objects is not None:
        maps = {name: 0.4 * heat + 0.6 * objects for name, heat in maps.items()}
    cuts = cuts_of(maps["pos"], truth, constants)
    masks = {name: {cut: heat > at for cut, at in cuts.items()} for name, heat in maps.items()}
    pairs = [(one, other) for i, one in enumerate(masks) for other in list(masks)[i + 1 :]]
    return Picture(
        overlap={cut: boxes.overlap(on, truth) for cut, on in masks["pos"].items()},
        area={kind: {cut: float(on.mean()) for cut, on in masks[kind].items()} for kind in negatives},
        agreement={
            (one, other): {cut: mask_agreement(masks[one][cut], masks[other][cut]) for cut in CUTS}
            for one, other in pairs
        },
        span={name: (float(heat.min()), float(heat.max())) for name, heat in given.items()},
        mixed=objects is not None,
    )


def cuts_of(positive: np.ndarray, truth: np.ndarray, constants: Sequence[float]) -> dict[str, np.floating]:
    """The six thresholds of a picture; those of the median and the adaptive cut come from its positive map."""
    own = float(boxes.median(positive)), float(boxes.adaptive(positive, truth))
    values = (0.5, *own, *constants)
    return {cut: np.float32(value) for cut, value in zip(CUTS, values, strict=True)}


def mask_agreement(one: np.ndarray, other: np.ndarray) -> float:
    """IoU of two masks: 1 where both are empty."""
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


# ---------------------------------------------------------------------------- from pictures to a set
def off_areas(areas: np.ndarray) -> np.ndarray:
    """(N,) shares of pixels that are on -> (N,) whose mean is AOC: the area under the share of pictures whose pIA is at
    most 0.05 i."""
    return curve_areas((areas[:, None] <= 0.05 * np.arange(boxes.SUCCESS_STEPS)).astype(float))
