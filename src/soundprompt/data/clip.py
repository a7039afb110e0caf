"""One clip of a dataset on disk, and the frame rows that it becomes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundprompt.data.masks import Packed
from soundprompt.data.media import RATE, Picture, Sound, inspect_picture, inspect_sound, read_mask, vggish_examples
from soundprompt.errors import InputError

EXAMPLE_SECONDS = 0.96


class ClipMissing(InputError):
    """The clip is named by the dataset's metadata and is not on disk."""


@dataclass(frozen=True)
class Clip:
    """Files and facts of one clip; the frame table's columns say what each means."""

    uid: str
    video: str
    class_name: str
    kind: str
    split: str
    n_sources: int
    images: tuple[Path, ...]
    audio: Path
    masks: tuple[Path | None, ...]  # one for each image
    objects: tuple[Path | None, ...]  # one for each image
    boxes: list[list[float]] | None = None
    silent: str | None = None
    middle: bool = False  # the one image is from the middle of the sound


@dataclass(frozen=True)
class Expected:
    """A clip that the metadata names, the video it was cut from, the splits it belongs to, and how to find it."""

    uid: str
    video: str
    splits: tuple[str, ...]
    find: Callable[[], Clip]


@dataclass(frozen=True)
class Inspected:
    """Frame rows of a clip, a remark for the ledger ("" when there is none), and its masks by their digests."""

    rows: list[dict[str, Any]]
    remark: str
    masks: dict[str, Packed]


def inspect(dataset: str, clip: Clip, *, repeat_last_sound: bool = False) -> Inspected:
    """Reads a clip's files and makes its frame rows.

    Raises InputError when a file is unreadable, a mask shows no plain object or has another size than its image, or the
    sound gives fewer 0.96 s examples than there are frames. With `repeat_last_sound` the frames
    beyond the last example share it, as in AVSBench's own preprocessing, and the remark says so.
    """
    sound = inspect_sound(clip.audio)
    seconds, remark = _seconds(clip, sound, repeat_last_sound)
    pictures = {path: inspect_picture(path) for path in {*clip.images, *_there(clip.masks), *_there(clip.objects)}}
    shared = {
        "dataset": dataset,
        "clip": clip.uid,
        "video": clip.video,
        "class_name": clip.class_name,
        "kind": clip.kind,
        "split": clip.split,
        "n_sources": clip.n_sources,
        "silent": clip.silent,
        "audio": clip.audio.as_posix(),
        "audio_digest": sound.digest,
        "boxes": clip.boxes,
    }
    # what cannot be read as an object is no clip, and not a surprise in training
    masks = {pictures[mask].digest: Packed.of(read_mask(mask)) for mask in dict.fromkeys(_there(clip.masks))}
    rows = []
    for frame, (image, mask, objects) in enumerate(zip(clip.images, clip.masks, clip.objects, strict=True)):
        picture = pictures[image]
        for labels in _there((mask, objects)):
            _check_same_size(image, picture, labels, pictures[labels])
        row = {
            "frame": frame,
            "second": seconds[frame],
            "image": image.as_posix(),
            "image_digest": picture.digest,
            "width": picture.width,
            "height": picture.height,
            "mask": mask and mask.as_posix(),
            "mask_digest": mask and pictures[mask].digest,
            "objects": objects and objects.as_posix(),
        }
        rows.append(shared | row)
    return Inspected(rows, remark, masks)


def middle_second(samples: int) -> int:
    """Index of the VGGish example that holds the middle of a sound of `samples` at 16 kHz: 10 s -> 5, 5 s -> 2."""
    middle = samples / RATE / 2
    return min(math.floor(middle / EXAMPLE_SECONDS), vggish_examples(samples) - 1)


def _seconds(clip: Clip, sound: Sound, repeat_last: bool) -> tuple[list[int], str]:
    examples, frames = vggish_examples(sound.samples), len(clip.images)
    if examples == 0:
        what = f"sound of {sound.samples / RATE:.2f} s is too short for one example of 0.975 s"
        raise InputError(what, path=clip.audio, remedy="extract the sound again, or leave the clip out")
    if clip.middle:
        return [middle_second(sound.samples)] * frames, ""
    if examples >= frames:
        return list(range(frames)), ""
    what = f"sound of {sound.samples / RATE:.2f} s gives {examples} examples for {frames} frames"
    if not repeat_last:
        remedy = "extract the sound again, at its full length, or leave the clip out"
        raise InputError(what, path=clip.audio, remedy=remedy)
    return [min(frame, examples - 1) for frame in range(frames)], f"{what}: the last is repeated"


def _there(paths: tuple[Path | None, ...]) -> list[Path]:
    return [path for path in paths if path is not None]


def _check_same_size(image: Path, picture: Picture, labels: Path, found: Picture) -> None:
    if (found.width, found.height) != (picture.width, picture.height):
        what = f"is {found.width}x{found.height} pixels, its image {image} {picture.width}x{picture.height}"
        raise InputError(what, path=labels, remedy="resize it to its image without interpolation, or restore it")
