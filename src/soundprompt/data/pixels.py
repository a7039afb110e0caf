"""What the pixels of a decoded picture mean: the colours of a frame, the object of a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from soundprompt.errors import InputError

CLASSES = 71
"""Of AVSBench-semantic, with the background, which is number 0 and black."""

SOFT_SHARE = 0.01
"""Of an object's pixels: where fewer look like shades, no area changes that matters."""

# What Pascal VOC and its heirs leave unlabelled, mostly a border around objects: the highest index, and its colour in
# VOC's palette, of which AVSBench's is the beginning.
_VOID, _VOID_COLOUR = 255, 0xE0E0C0
_WHITE = 0xFFFFFF
_AGAIN = "make it again from its source as a PNG with a black background and one plain colour an object"


def rgb(picture: Image.Image, path: Path | str) -> Image.Image:
    """The picture in RGB, 8 bits a channel; Pillow's own conversion clips 16 bits to white. Raises InputError."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        values = np.asarray(picture).astype(np.int64)
        picture = Image.fromarray((values >> 8).clip(0, 255).astype(np.uint8))
    try:
        if picture.mode == "F":
            raise ValueError("its range of values is not known")
        return picture.convert("RGB")
    except ValueError as error:
        what, remedy = f"has mode {picture.mode}, which gives no colours", "store it as RGB or grey, 8 bits a channel"
        raise InputError(what, path=path, remedy=remedy) from error


def object_of(picture: Image.Image, content: bytes, path: Path | str) -> np.ndarray:
    """Where a mask shows its object, (H, W) bool.

    The background is what is black, has index 0 of a palette, or is transparent; the border that Pascal VOC leaves
    unlabelled belongs to it. Masks in the colours or with the numbers of AVSBench's classes are read as they are.
    content: the file's bytes.
    Raises InputError where a mask may mean something else: formats other than PNG (JPEG smears), soft edges, colours of
    16 bits (Pillow drops half of each), several pictures, a background that cannot be told.
    """
    _check_form(picture, content, path)
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("LA", "RGBA") or "transparency" in picture.info:
        pixels = np.asarray(picture.convert("RGBA"))
        if (pixels[..., 3] < 255).any():
            return _opaque(pixels, path)
    if picture.mode == "P":
        return _indexed(picture, path)
    if picture.mode in ("RGB", "RGBA"):
        return _coloured(_codes(np.asarray(picture)), _colours(picture.convert("RGB")), path)
    values = np.asarray(picture.getchannel(0) if picture.mode == "LA" else picture).astype(np.int32)
    return _grey(values, content[24], path)


def _check_form(picture: Image.Image, content: bytes, path: Path | str) -> None:
    if picture.format != "PNG":
        raise InputError(f"is a {picture.format} file, whatever its name says", path=path, remedy=_AGAIN)
    if getattr(picture, "n_frames", 1) > 1:
        raise InputError(f"holds {picture.n_frames} pictures", path=path, remedy="store one picture in a file")
    bits, grey = content[24], content[25] == 0
    if bits == 16 and (not grey or "transparency" in picture.info):
        what = "has colours or transparency of 16 bits, of which only 8 can be read"
        raise InputError(what, path=path, remedy="store it with 8 bits a channel, or as grey without transparency")


# ------------------------------------------------------------------------- by kind of picture
def _opaque(pixels: np.ndarray, path: Path | str) -> np.ndarray:
    """(H, W, 4): what is neither transparent nor black; where nothing visible has a colour, what is visible."""
    alpha, codes = pixels[..., 3].astype(np.int32), _codes(pixels)
    shown = alpha > 0
    if not shown.any() and (codes != codes.flat[0]).any():
        raise InputError("is transparent everywhere, and coloured underneath", path=path, remedy=_AGAIN)
    _check_plain(alpha, alpha * 0x010101, path)
    if not codes[shown].any():
        return shown
    return _coloured(np.where(shown, codes, 0), None, path)


def _indexed(picture: Image.Image, path: Path | str) -> np.ndarray:
    """With a palette: by index where index 0 can be the background, by colour where another index is black."""
    entries = np.asarray(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette = np.zeros(256, np.int32)
    palette[: len(entries)] = _codes(entries)
    indices = np.asarray(picture).astype(np.int32)
    used = {index for _, index in picture.getcolors(256)}
    colours = {int(palette[index]) for index in used}
    first = palette[0]
    by_index = 0 in used if first == 0 else (first == _WHITE and 0 in used and len(used) > 1 and 0 not in colours)
    if by_index or colours == {0}:
        if not {int(palette[index]) for index in used - {_VOID}} <= _PALETTE:
            _check_plain(indices, palette[indices], path)
        return _labelled(indices, (_VOID,))
    if first == _WHITE:
        what = "has a palette that begins with white, and whether that is its background cannot be told"
        raise InputError(what, path=path, remedy=_AGAIN)
    return _coloured(palette[indices], colours, path)


def _coloured(codes: np.ndarray, colours: set[int] | None, path: Path | str) -> np.ndarray:
    """By colours, 0xRRGGBB. colours: those that occur, None when they are many or not counted."""
    if colours is not None and colours <= _PALETTE | {_VOID_COLOUR}:
        return _labelled(codes, (_VOID_COLOUR,))
    _check_plain(codes, codes, path)
    return codes != 0


def _grey(values: np.ndarray, bits: int, path: Path | str) -> np.ndarray:
    """By values: 0 and another one, or numbers of classes. bits: a value has in the file."""
    voids = {8: {_VOID}, 16: {_VOID, 65535}}.get(bits, set())  # of fewer bits the highest value is one like others
    found = set(np.unique(values).tolist()) - {0}
    if not found <= voids | set(range(CLASSES)):
        _check_plain(values, None, path)
        if found & voids and len(found) > 1:
            what = f"has {len(found) - 1} values beside 0 and {max(found)}, which may be objects, shades or a border"
            raise InputError(what, path=path, remedy=f"{_AGAIN}, such as 255")
    mask = _labelled(values, tuple(voids))
    if mask.sum() < SOFT_SHARE * (values != 0).sum():  # a border is not a hundred times its object
        what = f"has {max(found)} nearly wherever it is not 0: whether that is a border or the object cannot be told"
        raise InputError(what, path=path, remedy=_AGAIN)
    return mask


# ------------------------------------------------------------------------------------- labels
def _labelled(labels: np.ndarray, voids: tuple[int, ...]) -> np.ndarray:
    """Where labels are not 0; those of `voids` count only where there are no others."""
    named = labels != 0
    objects = named.copy()
    for void in voids:
        objects &= labels != void
    return objects if objects.any() else named


def _check_plain(labels: np.ndarray, codes: np.ndarray | None, path: Path | str) -> None:
    """Raises InputError where the values of a mask look like shades, or none of several is 0, the background.

    codes: the labels' colours, None where these say nothing.
    """
    values, first = np.unique(labels, return_index=True)
    first, values = first[values != 0], values[values != 0]
    if len(values) < 2:
        return
    shades = _thin(labels, values)
    if codes is not None:
        shades = max(shades, values[_darker(codes.flat[first])], key=len)
    share = np.isin(labels, shades).sum() / (labels != 0).sum()
    if len(values) >= CLASSES or (len(shades) > 1 and share > SOFT_SHARE):
        what = f"has {len(values)} values beside its background, {len(shades)} of them shades: it was smoothed"
        remedy = f"{_AGAIN}; resize it by the nearest pixel, without interpolation"
        raise InputError(f"{what}, or is no mask", path=path, remedy=remedy)
    if labels.all():
        what = f"has {len(values)} colours and no black: which is its background cannot be told"
        raise InputError(what, path=path, remedy=_AGAIN)


def _thin(labels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values of which no two by two pixels lie together: shades lie on edges. A class can be as small, hardly two."""
    corner = labels[:-1, :-1]
    alike = (corner == labels[1:, :-1]) & (corner == labels[:-1, 1:]) & (corner == labels[1:, 1:])
    return np.setdiff1d(values, corner[alike])


def _darker(codes: np.ndarray) -> np.ndarray:
    """(n,) bool: colours that are another one mixed with black, the brightest of each hue with at least two such."""
    colours = np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(float)
    light = colours.max(axis=1)
    mixed = colours[:, None] * (light / np.maximum(light[:, None], 1))[..., None]  # each one as dark as each other
    of = (np.abs(mixed - colours).max(axis=2) <= 1) & (light < light[:, None]) & (light >= 8)
    return of[of.sum(axis=1) > 1].any(axis=0)


def _colours(picture: Image.Image) -> set[int] | None:
    """Those of an RGB picture as 0xRRGGBB; None when there are more than classes."""
    found = picture.getcolors(CLASSES + 1)
    return None if found is None else {red << 16 | green << 8 | blue for _, (red, green, blue) in found}


def _codes(pixels: np.ndarray) -> np.ndarray:
    """(..., 3 or 4) uint8 -> (...) int32, 0xRRGGBB."""
    channels = pixels.astype(np.int32)
    return channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]


def _palette() -> frozenset[int]:
    """Colours of AVSBench's classes: bits 0, 1, 2 of a number are the top bits of R, G, B, bits 3, 4, 5 the next."""
    numbers = range(CLASSES)
    shades = [[sum((n >> 3 * place + c & 1) << 7 - place for place in range(3)) for c in range(3)] for n in numbers]
    return frozenset(red << 16 | green << 8 | blue for red, green, blue in shades)


_PALETTE = _palette()
