"""Pictures that show the same, though their bytes differ: encoded anew, cropped by a few percent, mirrored.

A picture is hashed into the low frequencies of its brightness: a cosine transform of a 64 x 64 thumbnail, without the
mean, higher frequencies weighted up, of length 1. Two pictures are alike where the hashes of one of them and of a
crop of the other, as it is or mirrored, point the same way. Coarse hashes find the pairs worth this look.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import fft

from soundprompt.errors import InputError
from soundprompt.progress import track

SIDE = 64
COARSE, FINE = 8, 16  # frequencies of each axis that a hash keeps
WORTH_A_LOOK, ALIKE = 0.65, 0.88
PLAIN = 4.0  # brightness spread, of 255, below which a picture shows nothing to compare
BLOCK = 512  # pictures of one set that are compared with all of the other at once
THREADS = 2

WHOLE = (1.0, 0.0)
CENTRED = tuple((part, part) for part in (WHOLE, (0.95, 0.025), (0.9, 0.05)))
PARTS = (WHOLE, (0.95, 0.0), (0.95, 0.025), (0.95, 0.05), (0.9, 0.0), (0.9, 0.05), (0.9, 0.1))
CROPS = tuple((rows, columns) for rows in PARTS for columns in PARTS)
"""What may be left of a picture that was cropped: of its rows and of its columns (share, offset)."""

Crop = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class Alike:
    """Two pictures, by their places in the two sets, and how alike they are, up to 1."""

    first: int
    second: int
    similarity: float


def thumbnails(paths: Sequence[Path], label: str = "hashing pictures") -> np.ndarray:
    """(N, 64, 64) uint8. Raises InputError when a picture cannot be read."""
    with ThreadPoolExecutor(THREADS) as pool:  # decoding leaves Python's lock
        return np.array(list(track(pool.map(thumbnail, paths), label, len(paths))), np.uint8).reshape(-1, SIDE, SIDE)


def thumbnail(path: Path) -> np.ndarray:
    """(64, 64) uint8 brightness."""
    try:
        with Image.open(path) as picture:
            picture.draft("L", (2 * SIDE, 2 * SIDE))  # a large JPEG is decoded at a fraction of its size
            return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"not a readable picture ({error})", path=path, remedy="restore it, or take it out") from error


def find(first: np.ndarray, second: np.ndarray) -> list[Alike]:
    """Pairs of pictures that are alike, from thumbnails (N, 64, 64) and (M, 64, 64) uint8.

    Pictures without contrast, such as black ones, are like no other.
    """
    found = []
    kept = [
        np.flatnonzero(thumbs.std((1, 2)) >= PLAIN) if len(thumbs) else np.zeros(0, int) for thumbs in (first, second)
    ]
    others = second[kept[1]]
    coarse = _turned(others, CENTRED, COARSE)
    for start in range(0, len(kept[0]), BLOCK):
        here = kept[0][start : start + BLOCK]
        rows, columns = _candidates(_turned(first[here], CENTRED, COARSE), coarse)
        for i, j, similarity in zip(rows, columns, _similarity(first[here], others, rows, columns), strict=True):
            if similarity >= ALIKE:
                found.append(Alike(int(here[i]), int(kept[1][j]), float(similarity)))
    return found


def _candidates(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs are alike at a coarse look. one, two: (turns, crops, pictures, K) hashes, the first crop the
    whole.
    """
    near = np.zeros((one.shape[2], two.shape[2]), bool)
    for turned in (0, 1):
        for crop in range(one.shape[1]):
            near |= one[turned, crop] @ two[0, 0].T >= WORTH_A_LOOK
            near |= one[0, 0] @ two[turned, crop].T >= WORTH_A_LOOK
    rows, columns = np.nonzero(near)
    return rows, columns


def _similarity(one: np.ndarray, two: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The best match over crops and mirroring of each candidate pair."""
    best = np.full(len(rows), -1.0)
    for thumbs, places, whole, others in ((one, rows, two, columns), (two, columns, one, rows)):
        used, where = np.unique(places, return_inverse=True)
        mates, partner = np.unique(others, return_inverse=True)
        wholes = _hashes(whole[mates], CROPS[:1], FINE)[0]
        for mirrored in (False, True):
            for crop in CROPS:
                turned = thumbs[used][:, :, ::-1] if mirrored else thumbs[used]
                hashes = _hashes(turned, (crop,), FINE)[0]
                best = np.maximum(best, np.einsum("ik,ik->i", hashes[where], wholes[partner]))
    return best


def _turned(thumbs: np.ndarray, crops: Sequence[Crop], keep: int) -> np.ndarray:
    """(2, crops, N, keep^2): hashes of pictures as they are and mirrored."""
    return np.stack([_hashes(thumbs, crops, keep), _hashes(thumbs[:, :, ::-1], crops, keep)])


def _hashes(thumbs: np.ndarray, crops: Sequence[Crop], keep: int) -> np.ndarray:
    """(crops, N, keep^2) float32 of length 1."""
    pictures = thumbs.astype(np.float32)
    steps = np.hypot(*np.mgrid[:keep, :keep])
    weights = np.where(steps > 0, steps**0.7, 0).astype(np.float32)  # pictures have less of higher frequencies
    out = np.empty((len(crops), len(thumbs), keep * keep), np.float32)
    for hashes, (rows, columns) in zip(out, crops, strict=True):
        waves = (_waves(*rows, keep) @ pictures @ _waves(*columns, keep).T * weights).reshape(len(thumbs), -1)
        hashes[:] = waves / np.maximum(np.linalg.norm(waves, axis=1, keepdims=True), 1e-9)
    return out


def _waves(scale: float, offset: float, keep: int) -> np.ndarray:
    """(keep, 64): the first cosines of a crop of a line of 64 pixels, resampled to 64."""
    place = (offset + scale * (np.arange(SIDE) + 0.5) / SIDE) * SIDE - 0.5
    before = np.clip(np.floor(place).astype(int), 0, SIDE - 2)
    sample = np.zeros((SIDE, SIDE))
    sample[np.arange(SIDE), before] = 1 - (place - before)
    sample[np.arange(SIDE), before + 1] += place - before
    return (fft.dct(np.eye(SIDE), axis=0, norm="ortho")[:keep] @ sample).astype(np.float32)
