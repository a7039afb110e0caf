"""Inputs of the published figures in `published/`, made again from their seeds; `digest` says that they are the same.

Every draw comes from numpy's RandomState, whose streams do not change; maps are rounded to float16.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

SIDE = 224


def published(name: str) -> dict:
    """What programs gave: {case: its recipe, digest and figures}; null is NaN."""
    return json.loads((Path(__file__).parent / "published" / f"{name}.json").read_text())


def digest(*arrays: np.ndarray) -> str:
    state = hashlib.sha256()
    for array in map(np.ascontiguousarray, arrays):
        state.update(f"{array.dtype}{array.shape}".encode())
        state.update(array.tobytes())
    return state.hexdigest()[:16]


def bump(size: tuple[int, int], centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """A paraboloid over the unit square: 1 in the centre of an ellipse, 0 on its edge, at least -3."""
    rows, columns = (np.mgrid[: size[0], : size[1]] + 0.5) / np.reshape(size, (2, 1, 1))
    (cy, cx), (ry, rx) = centre, radii
    return np.maximum(1.0 - ((rows - cy) / ry) ** 2 - ((columns - cx) / rx) ** 2, -3.0)


# ------------------------------------------------------------------------------------- masks
def clips(
    seed, videos, frames=5, h=48, w=48, gain=4.0, noise=1.0, shift=0.08, empty_truth=0.0, empty_pred=0.0, offset=0.0,
    whole_videos=False,
):  # fmt: skip
    """Logits float16 and truth uint8, (videos * frames, h, w): an ellipse that wanders, and a displaced, noisy
    guess.
    """
    draw = np.random.RandomState(seed)
    logits, truth = [], []
    for _ in range(videos):
        centre, radii = draw.uniform(0.3, 0.7, 2), draw.uniform(0.1, 0.35, 2)
        slope = gain * draw.uniform(0.3, 1.7)
        level = offset + draw.uniform(-1.0, 1.0)
        clip_chance = draw.uniform(size=2)
        for _ in range(frames):
            centre = np.clip(centre + draw.uniform(-0.04, 0.04, 2), 0.2, 0.8)
            moved = draw.uniform(-shift, shift, 4)
            frame_chance = draw.uniform(size=2)
            grain = draw.standard_normal((h, w))
            no_truth, no_guess = clip_chance[0] if whole_videos else frame_chance[0], frame_chance[1]
            if whole_videos:
                no_guess = clip_chance[1]
            mask = (bump((h, w), centre, radii) > 0).astype(np.uint8)
            wide = radii[1] + moved[3]
            guess = slope * bump((h, w), centre + moved[:2], (radii[0] + moved[2], wide if wide > 0.05 else 0.05))
            if no_truth < empty_truth:
                mask[:] = 0
            if no_guess < empty_pred:
                guess[:] = -abs(slope)
            logits.append((guess + level + noise * grain).astype(np.float16))
            truth.append(mask)
    return np.stack(logits), np.stack(truth)


def frame(kind: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame of 32 x 32: float32 logits and truth."""
    side = 32
    grain = np.random.RandomState(seed).standard_normal((side, side)).astype(np.float16).astype(np.float32)
    box, nothing = np.zeros((side, side), np.float32), np.zeros((side, side), np.float32)
    box[8:16, 8:24] = 1
    everything, pixel, noisy = nothing + 1, nothing.copy(), np.where(grain > 1.0, -1, 1).astype(np.float32)
    pixel[16, 10] = 1

    def by(scale, mask):
        return np.float32(scale) * (2 * mask - 1)

    both = {
        "soft": (by(3, box) + 2 * grain, box),
        "noise": (grain, box),
        "perfect": (by(6, box), box),
        "empty_truth_empty_prediction": (by(6, nothing), nothing),
        "empty_truth_full_prediction": (by(6, everything), nothing),
        "empty_prediction": (by(6, nothing), box),
        "full_truth_full_prediction": (by(6, everything), everything),
        "one_pixel_right": (by(6, pixel), pixel),
        "zero_logits": (nothing, box),
        "constant_negative": (nothing - np.float32(0.75), box),
        "logits_40": (by(40, box) * noisy, box),
        "logits_16.5": (by(16.5, box) * noisy, box),
        "narrow": (np.float32(0.0625) * (by(1, box) + 2 * grain), box),
        "just_above_half": (by(2.0**-20, box), box),
        "below_float32_half": (by(2.0**-26, box), box),
        "mixed_truth": (by(3, box) + 2 * grain, np.maximum(box, 0.5 * np.roll(box, 3, 0))),
        "nan_patch": (np.where(np.roll(box, 5, 1) > 0, np.float32("nan"), by(3, box) + 2 * grain), box),
    }[kind]
    return both[0].astype(np.float32), both[1].astype(np.float32)


# ------------------------------------------------------------------------------------ labels
def label_maps(
    seed, videos, frames=10, h=32, w=32, classes=71, objects=2, confuse=0.2, shift=3, empty_truth=0.1, empty_pred=0.1,
    padded=0, pool=None,
):  # fmt: skip
    """Label maps uint8 (videos * frames, h, w), guess and truth: rectangles of classes, some displaced or confused."""
    draw = np.random.RandomState(seed)
    ids = np.arange(1, classes) if pool is None else np.asarray(pool)
    guesses, truths = [], []
    for _ in range(videos):
        right, wrong = ids[draw.randint(0, len(ids), objects)], ids[draw.randint(0, len(ids), objects)]
        confused = draw.uniform(size=objects) < confuse
        rectangles = np.stack(
            [
                draw.randint(*limits, objects)
                for limits in ((0, h // 2), (0, w // 2), (h // 6, h // 2), (w // 6, w // 2))
            ],
            1,
        )
        for number in range(frames):
            no_truth, no_guess = draw.uniform(size=2)
            truth, guess = np.zeros((h, w), np.uint8), np.zeros((h, w), np.uint8)
            for k, (top, left, height, width) in enumerate(rectangles):
                top, left = np.maximum(np.array([top, left]) + draw.randint(-1, 2, 2), 0)
                down, across = draw.randint(-shift, shift + 1, 2) if shift else (0, 0)
                truth[top : top + height, left : left + width] = right[k]
                y, x = max(top + down, 0), max(left + across, 0)
                guess[y : y + height, x : x + width] = wrong[k] if confused[k] else right[k]
            if no_truth < empty_truth or number >= frames - padded:
                truth[:] = 0
            if no_guess < empty_pred:
                guess[:] = 0
            guesses.append(guess)
            truths.append(truth)
    return np.stack(guesses), np.stack(truths)


# --------------------------------------------------------------------------------- heat maps
def boxes_of(spec: dict) -> list[np.ndarray]:
    if "list" in spec:
        return [np.asarray(one, int).reshape(-1, 4) for one in spec["list"]]
    draw, third = np.random.RandomState(spec["seed"]), SIDE * 2 // 3
    found = []
    for _ in range(spec["count"]):
        number = draw.randint(1, spec.get("most", 2) + 1)
        lost = draw.uniform() < spec.get("empty", 0.0)
        left, top = draw.randint(0, third, number), draw.randint(0, third, number)
        right = np.minimum(left + draw.randint(SIDE // 10, third, number), SIDE)
        bottom = np.minimum(top + draw.randint(SIDE // 10, third, number), SIDE)
        found.append(np.stack([left, top, right, bottom], 1)[: 0 if lost else None])
    return found


def union(boxes) -> np.ndarray:
    covered = np.zeros((SIDE, SIDE))
    for left, top, right, bottom in boxes:
        covered[top:bottom, left:right] = 1
    return covered


def peaks(seed, count, size=14, style="cosine", spread=1.0, around=None) -> np.ndarray:
    """Maps float16 (count, size, size) with one or two peaks, near boxes where some are given."""
    draw = np.random.RandomState(seed)
    maps = []
    for i in range(count):
        given = [] if around is None else around[i]
        heat = np.zeros((size, size))
        for k in range(len(given) or draw.randint(1, 3)):
            centre, radii = draw.uniform(0.2, 0.8, 2), spread * draw.uniform(0.15, 0.45, 2)
            if len(given):
                left, top, right, bottom = np.asarray(given[k]) / 224.0
                centre = [
                    (top + bottom) / 2 + draw.uniform(-0.05, 0.05),
                    (left + right) / 2 + draw.uniform(-0.05, 0.05),
                ]
                radii = np.maximum(spread * np.array([bottom - top, right - left]) * draw.uniform(0.5, 1.0, 2), 0.08)
            heat = np.maximum(heat, np.maximum(bump((size, size), centre, radii), 0) * draw.uniform(0.5, 1.0))
        heat = heat + 0.1 * draw.standard_normal((size, size))
        heat = {"cosine": 0.9 * heat, "negative": 0.5 * heat - 2.0, "flat": 0.5 + 0.01 * heat, "logit": 14 * heat - 6}[
            style
        ]
        maps.append(heat.astype(np.float16))
    return np.stack(maps)


def maps_of(spec: dict, boxes: list[np.ndarray]) -> np.ndarray:
    rest = {name: value for name, value in spec.items() if name not in ("kind", "near_boxes")}
    if spec["kind"] == "heat":
        return peaks(around=boxes if spec.get("near_boxes") else None, **rest)
    if spec["kind"] == "constant":
        return np.full((spec["count"], spec["size"], spec["size"]), spec["value"], np.float16)
    if spec["kind"] == "box_masks":
        return np.stack([union(one) for one in boxes_of(rest)]).astype(np.float16)
    if spec["kind"] == "shifted_truth":
        return np.stack([union(one + np.array([9, 5, 9, 5])) for one in boxes]).astype(np.float16)
    levels = np.round(4 * peaks(spec["seed"], spec["count"], size=spec["size"]).astype(np.float32))
    return levels.clip(0, 3).astype(np.float16)


def localisation(recipe: dict) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Maps, truth (N, 224, 224) and names."""
    boxes = boxes_of(recipe["boxes"])
    maps = maps_of(recipe["maps"], boxes)
    plain = recipe.get("names") == "plain"
    names = [f"image{i}" if plain else f"scene{i // 2}_{'ab'[i % 2]}" for i in range(len(maps))]
    return maps, np.stack([union(one) for one in boxes]), names


def other_sounds(recipe: dict) -> tuple[list[np.ndarray], np.ndarray, list[str]]:
    """Maps under the true sound, silence, noise and an off-screen sound; truth; names."""
    boxes = boxes_of(recipe["boxes"])
    maps = [maps_of(recipe[kind], boxes) for kind in ("positive", "silence", "noise", "offscreen")]
    return maps, np.stack([union(one) for one in boxes]), [f"scene{i // 2}_{'ab'[i % 2]}" for i in range(len(boxes))]
