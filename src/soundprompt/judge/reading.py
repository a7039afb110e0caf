"""Anybody's masks: which file answers for which frame, and what its numbers mean.

`<clip>/<frame>.png` or flat `<clip>_<frame>.png`, also `<clip>/<clip>_<frame>.png` and, where a clip has one frame,
`<clip>.png`; png, npy or npz. Folders above the clip's are passed over, leading zeros of a frame's number too.
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from soundprompt.errors import InputError
from soundprompt.judge import binary, semantic
from soundprompt.judge.truth import LabelReader

SUFFIXES = (".png", ".npy", ".npz")
MEANINGS = ("mask", "probabilities", "logits", "labels", "maps")
SAMPLED = 200  # files that decide what all of a folder mean

Key = tuple[str, str]  # clip, number of the frame


# -------------------------------------------------------------------------- which file is whose
@dataclass
class Folder:
    """Files of a method: of each frame its file; missing: frames without; surplus: files of no frame."""

    path: Path
    files: dict[Key, Path]
    missing: list[Key]
    surplus: list[Path]


def look(path: Path, wanted: Sequence[Key], first: int | None = None) -> Folder:
    """Finds the files of the wanted frames.

    first: number of the first frame in these files, where the dataset numbers otherwise. Raises InputError when there
    is no folder, none of its files fits, two fit one frame, or one fits two frames.
    """
    if not path.is_dir():
        raise InputError("no such folder of masks", path=path, remedy="give the folder that holds <clip>/<frame>.png")
    names = _names(wanted, _shift(wanted, first))
    files: dict[Key, Path] = {}
    surplus = []
    for file in sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES):
        keys = next((names[name] for name in _readings(file.relative_to(path)) if name in names), None)
        if keys is None:
            surplus.append(file)
            continue
        if len(keys) > 1:
            both = " or ".join(f"frame {number} of clip {clip}" for clip, number in sorted(keys))
            raise InputError(f"may be {both}", path=file, remedy="put the masks of each clip into a folder of its own")
        (key,) = keys
        if key in files:
            what = f"answers for frame {key[1]} of clip {key[0]} beside {files[key].relative_to(path)}"
            raise InputError(what, path=file, remedy="keep one mask a frame")
        files[key] = file
    missing = [key for key in wanted if key not in files]
    if not files:
        clip, number = wanted[0]
        what = f"no file of {len(surplus)} is named as a frame of the dataset"
        raise InputError(what, path=path, remedy=f"name them such as {clip}/{number}.png or {clip}_{number}.png")
    return Folder(path, files, missing, surplus)


def _shift(wanted: Sequence[Key], first: int | None) -> int:
    """What to add to the dataset's numbers to get those of the files."""
    numbers = [int(number) for _, number in wanted if number.isdigit()]
    return first - min(numbers) if first is not None and numbers else 0


def _names(wanted: Sequence[Key], shift: int) -> dict[str, set[Key]]:
    """{name without suffix: the frames it may stand for}; names with the clip's folder come before flat ones."""
    alone: dict[str, int] = {}
    for clip, _ in wanted:
        alone[clip] = alone.get(clip, 0) + 1
    names: dict[str, set[Key]] = {}
    for clip, number in wanted:
        shown = str(int(number) + shift) if number.isdigit() else number
        for name in (f"{clip}/{shown}", f"{clip}/{clip}_{shown}", f"{clip}_{shown}"):
            names.setdefault(name, set()).add((clip, number))
        if alone[clip] == 1:
            names.setdefault(clip, set()).add((clip, number))
    return names


def _readings(file: Path) -> Iterable[str]:
    """The names under which a file may be known: with and without its folder, with and without leading zeros."""
    stem, parent = file.with_suffix("").name, file.parent.name
    plain = re.sub(r"(^|_)0+(?=\d+$)", r"\1", stem)
    for name in dict.fromkeys((stem, plain)):
        if parent:
            yield f"{parent}/{name}"
    yield from dict.fromkeys((stem, plain))


# -------------------------------------------------------------------------- what numbers mean
@dataclass
class Form:
    """What the files of a folder mean.

    meaning: one of MEANINGS; scale: by which grey values are divided; colours: classes are colours, not numbers;
    classes: arrays hold a channel for each of 71 classes; note: how all this is known, for the user.
    """

    meaning: str
    scale: float = 1.0
    colours: bool = False
    classes: bool = False
    note: str = ""

    @property
    def has_labels(self) -> bool:
        return self.meaning == "labels" or self.classes


def form_of(files: Sequence[Path], given: str = "auto", maps: bool = False) -> Form:
    """What a folder's files mean: as `given`, else from the range of a sample of them, said in the note.

    maps: the truth is boxes: arrays are heat maps and taken as they are.
    """
    if given not in ("auto", *MEANINGS):
        raise InputError(f"--values: '{given}' is not one of auto, {', '.join(MEANINGS)}")
    sample = [files[i] for i in np.unique(np.linspace(0, len(files) - 1, min(SAMPLED, len(files))).astype(int))]
    arrays = [array for array in map(_readable, sample) if array is not None]
    pictures = [file for file in sample if file.suffix.lower() == ".png"]
    if pictures and len(pictures) < len(sample):
        raise InputError("holds pictures and arrays", path=files[0].parent, remedy="keep one kind in a folder")
    colours = any(array.ndim == 3 for array in arrays) if pictures else False
    classes = any(array.ndim == 3 and array.shape[0] == semantic.CLASSES for array in arrays) and not pictures
    scale = _scale(arrays) if pictures and not colours and given != "labels" else 1.0
    if given != "auto" or not arrays:
        return Form(given if given != "auto" else "mask", scale, colours, classes)
    if colours:
        return Form("labels", colours=True, note="coloured pictures: taken as classes by AVSBench's palette")
    return _of_greys(arrays, scale, sample[0]) if pictures else _of_arrays(arrays, maps)


def _readable(path: Path) -> np.ndarray | None:
    try:
        return load_array(path)
    except Unreadable:
        return None  # is listed with the others when its turn comes


def _scale(greys: list[np.ndarray]) -> float:
    """By what grey values are divided: nothing where they are 0 and 1."""
    if max(int(array.max(initial=0)) for array in greys) <= 1:
        return 1.0
    return 65535.0 if any(array.dtype != np.uint8 for array in greys) else 255.0


def _of_greys(greys: list[np.ndarray], scale: float, file: Path) -> Form:
    values = np.unique(np.concatenate([np.unique(array) for array in greys if array.ndim == 2]))
    if set(values.tolist()) <= {0, 1} or set(values.tolist()) <= {0, int(scale)}:
        return Form("mask", scale, note=f"values are 0 and {max(int(values.max()), 1)}: taken as hard masks")
    if values.max() < semantic.CLASSES:
        what = f"values from {values.min()} to {values.max()} may be classes or very dark greys"
        raise InputError(what, path=file, remedy="say --values labels or --values probabilities")
    return Form("probabilities", scale, note=f"greys: taken as probabilities, divided by {scale:g}")


def _of_arrays(arrays: list[np.ndarray], maps: bool) -> Form:
    channels = {array.shape[0] for array in arrays if array.ndim == 3 and array.shape[0] > 1}
    if channels == {semantic.CLASSES}:
        return Form("logits", classes=True, note="71 channels: taken as the logits of 71 classes")
    if channels == {2}:
        return Form("logits", note="two channels: taken as the logits of background and object")
    if maps:
        return Form("maps", note="heat maps are taken as they are")
    low = min(float(np.nanmin(array)) for array in arrays)
    high = max(float(np.nanmax(array)) for array in arrays)
    if all(array.dtype.kind in "bui" for array in arrays):
        if high <= 1:
            return Form("mask", note="whole numbers 0 and 1: taken as hard masks")
        if high < semantic.CLASSES:
            return Form("labels", note="whole numbers: taken as classes")
    if low >= 0 and high <= 1:
        return Form("probabilities", note=f"values lie in {low:.3g} to {high:.3g}: taken as probabilities")
    return Form("logits", note=f"values lie in {low:.3g} to {high:.3g}: taken as logits")


# --------------------------------------------------------------------------------- one file
class Unreadable(InputError):
    """A file of masks that is damaged; others of its folder may be read."""


def load_array(path: Path) -> np.ndarray:
    """A file's numbers: (H, W), (C, H, W), or (H, W, 3) uint8 of a coloured picture. Raises Unreadable."""
    if path.suffix.lower() == ".png":
        return _picture(path)
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.lib.npyio.NpzFile):
            if len(content.files) != 1:
                raise Unreadable(f"holds {len(content.files)} arrays", path=path, remedy="keep one array a file")
            content = content[content.files[0]]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Unreadable(
            f"not a readable array ({error})", path=path, remedy="write it again with numpy.save"
        ) from error
    array = np.squeeze(content, 0) if content.ndim == 3 and content.shape[0] == 1 else content
    if array.ndim not in (2, 3) or 0 in array.shape or array.dtype.kind not in "biuf":
        what = f"has shape {content.shape} and type {content.dtype}"
        raise Unreadable(what, path=path, remedy="store (H, W) numbers, or (C, H, W) logits")
    return array


def _picture(path: Path) -> np.ndarray:
    try:
        picture = Image.open(path)
        picture.load()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Unreadable(f"not a readable picture ({error})", path=path, remedy="write it again") from error
    if picture.mode == "1":
        return np.asarray(picture).astype(np.uint8)
    if picture.mode in ("L", "I", "I;16"):
        return np.asarray(picture)
    rgb = np.asarray(picture.convert("RGB"))
    grey = rgb[..., 0]
    return rgb if (rgb != grey[..., None]).any() else grey


class Reader:
    """Reads the files of one folder by its form. resized: {(size of the file, size of the truth): how many}."""

    def __init__(self, form: Form):
        self.form, self.palette = form, LabelReader()
        self.resized: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}

    def heat(self, path: Path) -> np.ndarray:
        """A heat map (H, W) float32 as it is; what is said to be logits becomes probabilities."""
        array = load_array(path)
        if array.ndim == 3:
            size = array.shape[:2] if array.dtype == np.uint8 else array.shape[1:]
            return self.answer(path, size).probability
        values = array.astype(np.float32) / np.float32(self.form.scale)
        return torch.sigmoid(torch.from_numpy(values)).numpy() if self.form.meaning == "logits" else values

    def answer(self, path: Path, size: tuple[int, int]) -> binary.Answer:
        """The foreground of a frame at the truth's size (H, W). Classes above 0 are foreground."""
        array = load_array(path)
        if self.form.has_labels:
            on = self._labels(path, array) > 0
            return binary.Answer.of_probabilities(self._fit(on.astype(np.float32), size, nearest=True))
        if self.form.meaning == "logits":
            logits = array.astype(np.float32)
            logits = logits[1] - logits[0] if array.ndim == 3 else logits
            return binary.Answer.of_logits(self._fit(logits, size))
        hard = self.form.meaning == "mask"
        return binary.Answer.of_probabilities(self._fit(self._probabilities(path, array), size, nearest=hard))

    def labels(self, path: Path) -> np.ndarray:
        """Classes (H, W), at the file's own size."""
        return self._labels(path, load_array(path))

    def _labels(self, path: Path, array: np.ndarray) -> np.ndarray:
        if array.ndim == 3 and array.shape[0] == semantic.CLASSES:
            return semantic.argmax(array).astype(np.uint8)
        if self.form.colours:
            rgb = array if array.ndim == 3 else np.repeat(array[..., None], 3, 2)
            labels = self.palette.of(Image.fromarray(rgb))
            if labels is None:
                remedy = "use its palette of 71 classes, or say --values mask"
                raise InputError("has colours that are not AVSBench's", path=path, remedy=remedy)
            return labels
        if array.ndim == 3 or array.min() < 0 or array.max() >= semantic.CLASSES or (array % 1 != 0).any():
            what = f"has shape {array.shape} and values from {array.min()} to {array.max()}"
            raise InputError(what, path=path, remedy="store classes as whole numbers from 0 to 70")
        return array.astype(np.uint8)

    def _probabilities(self, path: Path, array: np.ndarray) -> np.ndarray:
        if array.ndim == 3:
            array = np.any(array, axis=2 if array.dtype == np.uint8 else 0)
        values = array.astype(np.float32) / np.float32(self.form.scale)
        if not ((values >= 0) & (values <= 1) | np.isnan(values)).all():
            low, high = np.nanmin(array), np.nanmax(array)
            what = f"has values from {low:g} to {high:g}, where others look like {self.form.meaning}"
            raise InputError(what, path=path, remedy="say what the numbers are with --values")
        return (values > 0).astype(np.float32) if self.form.meaning == "mask" else values

    def _fit(self, values: np.ndarray, size: tuple[int, int], nearest: bool = False) -> np.ndarray:
        """Resized to the truth as models resize their output: bilinear, hard masks by nearest neighbour."""
        if values.shape == tuple(size):
            return values
        key = (values.shape, tuple(size))
        self.resized[key] = self.resized.get(key, 0) + 1
        z = torch.from_numpy(values)[None, None]
        mode = {"mode": "nearest"} if nearest else {"mode": "bilinear", "align_corners": False}
        return functional.interpolate(z, tuple(size), **mode)[0, 0].numpy()
