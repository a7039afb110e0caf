"""What is true of a dataset's test frames, from its folder in the published layout: masks, label maps or boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from soundprompt.data import avs_v3, avsbench, avsbench_object, media, protocols, vggss
from soundprompt.data.clip import Clip as Files
from soundprompt.data.clip import ClipMissing
from soundprompt.data.world.writing import class_colour
from soundprompt.errors import InputError
from soundprompt.evaluation.metrics import box_mask
from soundprompt.judge import boxes as definitions
from soundprompt.judge import coco, semantic
from soundprompt.judge.lists import list_file
from soundprompt.judge.measured import Clip

DATASETS = ("v1s", "v1m", "v2", "v3", "avss", "vggss", "vpo", "is3", "scenes", "mini")
MINI_SUBSET, MINI_ROOT = "v1m", Path("data") / "mini"
AVSS_FRAMES = 10  # AVSBench-semantic's task appends black frames to shorter clips


@dataclass(frozen=True)
class Frame:
    """clip: index into `Truth.clips`; number: as its file is numbered in the dataset; source: where its truth is.

    annotated: not one of the black frames that AVSBench-semantic's task appends to short clips.
    """

    clip: int
    number: str
    source: Any
    annotated: bool = True


@dataclass
class Truth:
    """kind: masks or boxes; frames in the order of their clips; lacking: clips that the metadata name and the folder
    lacks; names: of the classes of label maps, by index."""

    dataset: str
    kind: str
    clips: list[Clip]
    frames: list[Frame]
    read: Callable[[Any], np.ndarray]
    lacking: list[str] = field(default_factory=list)
    labels: Callable[[Any], np.ndarray] | None = None
    silent: tuple[protocols.Pair, ...] = ()

    def key(self, frame: Frame) -> tuple[str, str]:
        return self.clips[frame.clip].name, frame.number


def load(
    dataset: str,
    root: Path | None,
    split: str | None = None,
    protocol: str | None = None,
    lists: Path | None = None,
    downloads: Path = Path("data") / "downloads",
) -> Truth:
    """The truth of a dataset. Raises InputError that says what the folder must hold.

    dataset: one of DATASETS; mini/v1s and the like for another subset of the generated world. lists: folder with the
    lists of protocols, else they are fetched into `downloads`.
    """
    if dataset.partition("/")[0] == "mini":
        part = dataset.partition("/")[2] or MINI_SUBSET
        folder = root or MINI_ROOT
        return load(part, folder / ("vggss" if part == "vggss" else "avsbench"), split, protocol, lists, downloads)
    if dataset not in DATASETS:
        raise InputError(f"--dataset: '{dataset}' is not one of {', '.join(DATASETS)}")
    if root is None:
        raise InputError(f"--root: say where {dataset} lies", remedy="give the folder that holds its metadata")
    if not root.is_dir():
        raise InputError(
            "--root: no such folder", path=root, remedy="give the folder that holds the dataset's metadata"
        )
    chosen = protocols.find(protocol, dataset) if protocol else None
    if dataset == "vggss":
        return _vggss(root, chosen, lists, downloads)
    if dataset == "is3":
        return _is3(root, lists, downloads)
    if dataset == "vpo":
        return _vpo(root, chosen, lists, downloads)
    return _avsbench(dataset, root, split or "test")


# ---------------------------------------------------------------------------------- AVSBench
def _avsbench(dataset: str, root: Path, split: str) -> Truth:
    read: Callable[[Any], np.ndarray]
    found: list[tuple[Any, Callable[[], Files]]]
    labels, first = None, 1
    if avsbench_object.is_there(root, dataset):
        rows = avsbench_object.read_metadata(root, dataset)
        rows = rows[rows["split"] == split]
        found = [(row, partial(avsbench_object.find_clip, root, dataset, row)) for row in rows.itertuples()]
        read = {"v1s": s4_mask, "v1m": ms3_mask}[dataset]
    else:
        found = list(_semantic_clips(dataset, root, split))
        read, labels, first = _filled(media.read_mask), _filled(LabelReader()), 0
    if not found:
        raise InputError(f"no clips in split '{split}' of {dataset}", path=root, remedy="give another --split")
    clips, frames, lacking = list[Clip](), list[Frame](), list[str]()
    for row, find in found:
        try:
            files = find()
        except ClipMissing:
            lacking.append(row.uid)
            continue
        frames += _labelled(files, len(clips), first, pad=AVSS_FRAMES if dataset == "avss" else 0)
        clips.append(Clip(files.uid, files.video, files.class_name, files.n_sources))
    if not clips:
        remedy = "give the folder that holds the subsets' folders beside metadata.csv"
        raise InputError(f"none of {len(found)} {dataset} clips is there", path=root, remedy=remedy)
    return Truth(dataset, "masks", clips, frames, read, lacking, labels)


def _semantic_clips(dataset: str, root: Path, split: str) -> Iterator[tuple[Any, Callable[[], Files]]]:
    metadata = avsbench.read_metadata(root)
    if dataset == "v3":
        splits = avs_v3.read_splits(root.parent / "avs_v3" if _v3_beside(root) else root, metadata)
        wanted = set(splits.loc[splits["split"] == split, "uid"])
        rows = metadata[metadata["label"].isin(avs_v3.BASES) & metadata["uid"].isin(wanted)]
    else:
        labels = ("v1s", "v1m", "v2") if dataset == "avss" else (dataset,)
        rows = metadata[metadata["label"].isin(labels) & (metadata["split"] == split)]
    kinds = avsbench.read_kinds(root)
    for row in rows.itertuples():
        yield row, partial(avsbench.find_clip, root, row, kinds)


def _v3_beside(root: Path) -> bool:
    return (root.parent / "avs_v3" / "meta_v3_unseen.csv").exists()


def _labelled(files: Files, clip: int, first: int, pad: int) -> Iterator[Frame]:
    masks = [(str(first + i), mask) for i, mask in enumerate(files.masks) if mask is not None]
    for number, mask in masks:
        yield Frame(clip, number, mask)
    for i in range(len(masks), pad):
        yield Frame(clip, str(first + i), Blank(masks[0][1]), annotated=False)


@dataclass(frozen=True)
class Blank:
    """A truth without anything, of the size of a picture."""

    like: Path


def _filled(read: Callable[[Path], np.ndarray]) -> Callable[[Any], np.ndarray]:
    """As `read`, and for a Blank a truth without anything."""
    return lambda source: np.zeros_like(read(source.like)) if isinstance(source, Blank) else read(source)


def s4_mask(path: Path) -> np.ndarray:
    """An S4 mask as its loaders read it: in 1-bit mode, which dithers greys. (H, W) float32."""
    return np.asarray(_decoded(path).convert("1"), np.float32)


def ms3_mask(path: Path) -> np.ndarray:
    """An MS3 mask as its loaders read it: in palette mode, divided by 255, so that a stored 1 is 1/255. (H, W)
    float32.
    """
    picture = _decoded(path)
    indices = picture if picture.mode in ("L", "P") else picture.convert("P")
    return np.asarray(indices, np.float32) / 255


def _decoded(path: Path) -> Image.Image:
    media.inspect_picture(path)  # its errors say what is wrong with the file
    picture = Image.open(path)
    picture.load()
    return picture


class LabelReader:
    """Label maps (H, W) uint8 from colour maps: RGB of AVSBench's palette, or palette pictures."""

    @cached_property
    def _class_of(self) -> np.ndarray:
        """Class of each 24-bit colour; 255 where it is none of the palette's."""
        table = np.full(1 << 24, 255, np.uint8)
        for index in range(semantic.CLASSES):
            red, green, blue = class_colour(index)
            table[red << 16 | green << 8 | blue] = index
        return table

    def __call__(self, path: Path) -> np.ndarray:
        """Raises InputError when a colour is not in the palette."""
        labels = self.of(_decoded(path))
        if labels is None:
            raise InputError("has colours that are not AVSBench's", path=path, remedy="use its palette of 71 classes")
        return labels

    def of(self, picture: Image.Image) -> np.ndarray | None:
        """None where a colour is not in the palette."""
        rgb = np.asarray(picture.convert("RGB")).astype(np.int32)
        labels = self._class_of[rgb[..., 0] << 16 | rgb[..., 1] << 8 | rgb[..., 2]]
        return None if (labels == 255).any() else labels


# ------------------------------------------------------------------------------------- boxes
def _vggss(root: Path, protocol: protocols.Protocol | None, lists: Path | None, downloads: Path) -> Truth:
    annotations = {one.file: one for one in vggss.read_annotations(root)}
    silent: list[protocols.Pair] = []
    if protocol and protocol.file and protocol.name in ("heard", "unheard"):
        path = list_file(protocol.file, lists, downloads)
        ids = protocols.read_ids(path, protocol)
        strange = [name for name in ids if name not in annotations]
        if strange:
            what = f"names {strange[0]} ({len(strange)} such clips), which vggss.json has not"
            raise InputError(what, path=path, remedy="use the annotations of the release")
        annotations = {name: annotations[name] for name in ids}
    elif protocol and protocol.file:
        silent = protocols.read_silent_pairs(list_file(protocol.file, lists, downloads))
    clips = [Clip(one.file, one.video, one.class_name, 1) for one in annotations.values()]
    frames = [Frame(i, "0", tuple(map(tuple, one.boxes))) for i, one in enumerate(annotations.values())]
    for pair in silent:
        frames.append(Frame(len(clips), pair.sound, ()))
        clips.append(Clip(pair.picture, pair.picture.rpartition("_")[0], "", 0))
    return Truth(
        "vggss", "boxes", clips, frames, lambda source: box_mask(source).numpy().astype(float), silent=tuple(silent)
    )


def _is3(root: Path, lists: Path | None, downloads: Path) -> Truth:
    """IS3's boxes, from the user's folder where they are there, else from the published list."""
    own = root / "synthetic3240_bbox.json"
    samples = protocols.read_box_list(own if own.is_file() else list_file("is3_boxes", lists, downloads))
    clips = [Clip(name, name.rpartition("_")[0], name.rpartition("_")[2], 1) for name in samples]
    frames = [Frame(i, "0", tuple(map(tuple, found))) for i, found in enumerate(samples.values())]
    return Truth("is3", "boxes", clips, frames, definitions.truth_of)


def _vpo(root: Path, protocol: protocols.Protocol | None, lists: Path | None, downloads: Path) -> Truth:
    if protocol is None or protocol.file is None:
        raise InputError("--protocol: VPO has two tests", remedy="give --protocol vpo-single or vpo-multi")
    samples = protocols.read_vpo(list_file(protocol.file, lists, downloads), protocol)
    annotations = coco.read_annotations(root, {sample.annotation for sample in samples})
    clips = [Clip(sample.name, sample.image, annotations[sample.annotation].category, -1) for sample in samples]
    frames = [Frame(i, "0", annotations[sample.annotation]) for i, sample in enumerate(samples)]
    return Truth("vpo", "masks", clips, frames, coco.Annotation.mask)
