"""Pictures and sound as other people's code holds them, in the form that models take."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from soundprompt.data import media, pixels
from soundprompt.errors import InputError
from soundprompt.foundation.audio import EXAMPLE_SAMPLES

Frames: TypeAlias = np.ndarray | Tensor | Sequence[np.ndarray | Tensor | Image.Image]
Sound: TypeAlias = np.ndarray | Tensor


def pictures(frames: Frames) -> list[np.ndarray]:
    """Pictures of one size, at least one, as uint8 (H, W, 3) RGB each; see `Listener.segment`.

    Raises InputError that names the frame.
    """
    if isinstance(frames, Image.Image) or not hasattr(frames, "__len__"):
        what = f"frames: {type(frames).__name__} is no sequence of pictures"
        raise InputError(what, remedy="give a list of pictures, or one array (T, H, W, 3)")
    found = [_picture(frame, f"frames[{number}]") for number, frame in enumerate(frames)]
    if not found:
        raise InputError("frames: there is none", remedy="give at least one picture")
    for number, one in enumerate(found):
        if one.shape != found[0].shape:
            (height, width), (first_height, first_width) = one.shape[:2], found[0].shape[:2]
            what = f"frames[{number}] is {width}x{height} pixels, the first {first_width}x{first_height}"
            raise InputError(what, remedy="bring the frames to one size, or call segment() for each size")
    return found


def _picture(frame: Any, name: str) -> np.ndarray:
    if isinstance(frame, Image.Image):
        return np.asarray(pixels.rgb(ImageOps.exif_transpose(frame), name))
    if isinstance(frame, Tensor):
        channels, frame = "(3, H, W)", frame.detach().cpu().numpy()
        fits = frame.ndim == 3 and frame.shape[0] == 3
        frame = np.moveaxis(frame, 0, -1) if fits else frame
    else:
        channels, frame = "(H, W, 3)", np.asarray(frame)
        fits = frame.ndim == 3 and frame.shape[2] == 3
    if not fits or 0 in frame.shape:
        what = f"{name} has shape {frame.shape}"
        raise InputError(what, remedy=f"give it as {channels}, RGB: numpy has channels last, torch first")
    return _bytes(frame, name)


def _bytes(frame: np.ndarray, name: str) -> np.ndarray:
    if frame.dtype == np.uint8:
        return np.ascontiguousarray(frame)
    if not np.issubdtype(frame.dtype, np.floating):
        raise InputError(f"{name} has values of type {frame.dtype}", remedy="give uint8, or floats in 0 to 1")
    if not (frame >= 0).all() or not (frame <= 1).all():  # so asked, NaN is found too
        raise InputError(f"{name} has floats outside 0 to 1", remedy="divide by 255, or give uint8")
    return np.rint(255 * frame.astype(np.float32)).astype(np.uint8)


def sound(samples: Sound) -> np.ndarray:
    """Sound as (n,) float32, full scale at -1 and 1, channels averaged; see `Listener.segment`. Raises InputError."""
    wave = samples.detach().cpu().numpy() if isinstance(samples, Tensor) else np.asarray(samples)
    if wave.ndim not in (1, 2):
        raise InputError(f"sound: has shape {wave.shape}", remedy="give (samples,), or with channels (samples, 2)")
    if wave.dtype.kind not in "fiu":
        raise InputError(f"sound: has samples of type {wave.dtype}", remedy="give floats in -1 to 1, or integers")
    if wave.dtype.kind in "iu":
        half = (int(np.iinfo(wave.dtype).max) + 1) / (1 if wave.dtype.kind == "i" else 2)
        wave = wave / half - (wave.dtype.kind == "u")  # unsigned samples rest at the middle of their range
    if wave.ndim == 2:
        wave = wave.mean(axis=int(np.argmin(wave.shape)))
    if not np.isfinite(wave).all():
        raise InputError("sound: has samples that are not finite", remedy="give floats in -1 to 1")
    return np.ascontiguousarray(wave, dtype=np.float32)


def window(wave: np.ndarray, rate: float) -> np.ndarray:
    """What a model hears of the sound that begins with `wave` (n,): (15600,) float32 at 16 kHz, silence behind its end.

    Each window is cut and resampled by itself: VGGish's examples of a whole clip are 0.96 s apart and would run ahead
    of the pictures.
    """
    native = wave[: round(EXAMPLE_SAMPLES * rate / media.RATE)]
    heard = media.to_mono_16k(native, rate)[:EXAMPLE_SAMPLES] if len(native) else native
    return np.pad(heard, (0, EXAMPLE_SAMPLES - len(heard)))


def check_rate(name: str, value: float) -> None:
    """Raises InputError when a number of things a second is none."""
    if not (isinstance(value, int | float | np.number) and math.isfinite(value) and value > 0):
        raise InputError(f"{name}: {value!r} is no number of times a second", remedy="give one above 0")
