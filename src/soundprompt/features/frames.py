"""The batches that models eat: cached features or pixels, each frame's own second of sound, masks and targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundprompt import registry
from soundprompt.data import media
from soundprompt.errors import InputError
from soundprompt.features import background, extract, loading, plan
from soundprompt.features.labels import Labels, unpack
from soundprompt.features.store import Store
from soundprompt.foundation.pyramid import normalise
from soundprompt.layout import Layout

if TYPE_CHECKING:
    from soundprompt.foundation.encoders import Encoder
    from soundprompt.foundation.pyramid import FrozenPyramid
    from soundprompt.foundation.sam import FrozenSam

IN_MEMORY = 2**30  # features of a subset up to this size are kept in memory, and so are its targets, bytes
AT_ONCE = 64  # pictures that go through a frozen front together


@dataclass
class Batch:
    """B frames as a model takes them.

    h = w: side of the encoder's grid (S / 16); n: of the grid that masks are drawn on (4h, or S where a baseline draws
    at its input's size); C: width of SAM's prompts.

    visual: float32; (B, h, w, D), the input of a block of SAM's encoder, or what a frozen front made of it; or
    (B, C, h, w), the encoder's output F_V; or (B, 3, S, S), normalised pixels.
    audio: (B, 128) float32, the second of sound that belongs to each frame, as the sound encoder gives it.
    valid: (B, h, w) bool, False where the square input is padding.
    sizes: (height, width) of each original frame.
    masks: B tensors (H, W) bool, True where it sounds; None if unlabelled or not asked for.
    targets: (B, 1, n, n) float32 in [0, 1], the share of each cell that sounds; None like masks.
    target_valid: (B, 1, n, n) bool, as `valid` on the grid of masks.
    clips, videos, classes: names of each frame's clip, source video and class.
    negative: (B,) bool on the CPU, frames given a sound that nothing in them makes (`training.negatives`); or None.
    group: (B,) int64, equal for frames of one clip under one sound condition; None: each frame by itself.
    Only models that look across time (`Segmenter.temporal`) read it.
    context: further frames of the same clips, which such a model is shown in training without a loss of their own.
    """

    visual: Tensor
    audio: Tensor
    valid: Tensor
    sizes: list[tuple[int, int]]
    masks: Sequence[Tensor] | None
    targets: Tensor | None
    target_valid: Tensor
    clips: list[str]
    videos: list[str]
    classes: list[str]
    negative: Tensor | None = None
    group: Tensor | None = None
    context: Batch | None = None

    def with_context(self) -> Batch:
        """What a model is shown: its frames and behind them those of `context`."""
        return self if self.context is None else self.beside(self.context)

    def beside(self, others: Batch) -> Batch:
        """Its frames and behind them others, as far as a model looks at them."""
        shown = ("visual", "audio", "valid", "group")
        both = {name: torch.cat([getattr(self, name), getattr(others, name)]) for name in shown}
        return replace(self, sizes=self.sizes + others.sizes, context=None, **both)

    def sounding(self) -> Tensor:
        """Which frames' masks, or targets, are not empty, (B,) bool."""
        if self.targets is not None:
            return self.targets.flatten(1).any(1)
        return torch.stack([mask.any() for mask in self.masks])

    def part(self, rows: slice) -> Batch:
        """Some neighbouring frames of it, with all of their clips' context."""
        tensors = ("visual", "audio", "valid", "targets", "target_valid", "negative", "group")
        listed = ("sizes", "masks", "clips", "videos", "classes")
        taken = {name: getattr(self, name) for name in (*tensors, *listed)}
        part = {name: None if value is None else value[rows] for name, value in taken.items()}
        if self.context is not None:
            theirs = torch.isin(self.context.group, part["group"]).nonzero()[:, 0].tolist()
            part["context"] = self.context.part(slice(theirs[0], theirs[-1] + 1)) if theirs else None
        return replace(self, **part)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors on a device."""
        names = ("visual", "audio", "valid", "targets", "target_valid", "group")
        moved = {name: getattr(self, name).to(device) for name in names if getattr(self, name) is not None}
        masks = None if self.masks is None else [mask.to(device) for mask in self.masks]
        return replace(self, masks=masks, context=self.context and self.context.to(device), **moved)


@dataclass
class Read:
    """Frames as they come from disk, before anything is converted; `Frames.complete` makes a batch of them.

    indices: (B,) int64, which frames. visual: features as stored, or pixels (B, 3, S, S) uint8.
    masks: bits, as `Labels.packed` gives them; None if unlabelled or not asked for.
    """

    indices: Tensor
    visual: Tensor
    masks: Tensor | None

    def pin_memory(self) -> Read:
        """In memory from which a GPU copies while it computes."""
        masks = None if self.masks is None else self.masks.pin_memory()
        return replace(self, visual=self.visual.pin_memory(), masks=masks)


class Frames:
    """Frames of a table with their cached features, or with their pixels.

    rows: frames as `frame_table.select` gives them. tap: the block of SAM's encoder whose input the model starts
    from; None: the encoder's output; 'pixels': the pictures themselves. encoder: the one that made the cache, or that
    the pixels are for. bgr: colour order of the cache, or of the pixels.
    supervision: what a frame without a mask is worth in a clip whose first frame has one (v1s training):
    'first' nothing, it is not in `supervised`; 'repeat' the first frame's mask, as in the released code.
    front: `models.frozen_front` of the models that will read the batches; cached features that are kept in memory go
    through it once, here.
    workers: threads that read batches ahead, unless features or pixels lie in memory.

    supervised: (n,) int64, indices of the frames that have a mask. audio: (len, 128) float32.
    group: (len,) int64, which clip a frame belongs to.
    Raises InputError when a feature is missing, damaged, or made by another encoder.
    """

    def __init__(
        self,
        rows: pd.DataFrame,
        layout: Layout,
        tap: int | Literal["pixels"] | None,
        encoder: Encoder,
        *,
        bgr: bool = False,
        supervision: Literal["first", "repeat"] = "first",
        front: Callable[[Tensor], Tensor] | None = None,
        workers: int = 0,
    ):
        rows = rows.reset_index(drop=True)
        self.rows, self.encoder = (_repeat_masks(rows) if supervision == "repeat" else rows), encoder
        self._clips, self._videos = rows["clip"].tolist(), rows["video"].tolist()
        self._classes = rows["class_name"].tolist()
        self._sizes = list(zip(rows["height"].tolist(), rows["width"].tolist(), strict=True))
        self.group = torch.tensor(rows.groupby(["dataset", "clip"], sort=False).ngroup().tolist(), dtype=torch.int64)
        if tap == "pixels":
            self._visual = _Pixels(rows["image"], rows["image_digest"], encoder, bgr)
        else:
            self._visual = _Visual(rows["image_digest"], layout, tap, encoder, bgr)
            if front is not None:
                self._visual.go_through(front)
        self.audio, self._layout = _sounds(rows, layout), layout
        self._shapes, self._shape_of = _distinct(self._sizes)
        self._valid = encoder.valid_cells(self._shapes)
        self._grids = [_Grid(size, encoder) for size in self._shapes]
        self._target_valid = torch.stack([grid.valid for grid in self._grids])[:, None]
        self.workers = 0 if self._visual.in_memory else workers
        self._labels = Labels(self.rows, layout, kept=self._visual.in_memory)
        self._targets: dict[int, Tensor] | None = {} if self._visual.in_memory else None
        self.supervised = np.flatnonzero(self.rows["mask"].notna().to_numpy())

    def __len__(self) -> int:
        return len(self._clips)

    def sounds(self, numbers: Sequence[int] | np.ndarray) -> Tensor:
        """(B, 128) float32: sounds by number, a frame's second or one that belongs to no clip (see `background`).

        Raises InputError when the cache lacks the latter.
        """
        wanted = torch.tensor(np.asarray(numbers, dtype=np.int64))
        found = self.audio[wanted.clamp(min=0)]
        found[wanted == background.NOTHING] = 0
        foreign = wanted <= background.SILENCE
        if foreign.any():
            found[foreign] = self._background[background.SILENCE - wanted[foreign]]
        return found

    @cached_property
    def _background(self) -> Tensor:
        return Store(self._layout.audio_features).read(extract.SOUND, background.ROWS)

    def context(self, indices: Sequence[int]) -> list[int]:
        """The other frames of the clips that these frames belong to, clip by clip in the order of `indices`."""
        here = self.group[torch.as_tensor(np.asarray(indices, dtype=np.int64))]
        taken = set(indices)
        clips = [torch.nonzero(self.group == clip)[:, 0].tolist() for clip in dict.fromkeys(here.tolist())]
        return [index for clip in clips for index in clip if index not in taken]

    def batches(
        self, asked: Sequence[Sequence[int]], device: torch.device | str = "cpu", *, targets: bool = False
    ) -> Iterator[Batch]:
        """`complete` batches with masks, of the frames asked for, read ahead by `workers`."""
        for read in loading.ahead(partial(self.read, device=device), asked, self.workers):
            yield self.complete(read, device, targets=targets)

    def batch(self, indices: Sequence[int], *, labels: bool = True) -> Batch:
        """The frames at these indices, in this order, on the CPU; as `read` and `complete`."""
        return self.complete(self.read(indices, labels=labels))

    def read(self, indices: Sequence[int], *, labels: bool = True, device: torch.device | str = "cpu") -> Read:
        """All that has to be looked for on disk; frames with and without a mask do not mix.

        labels: with masks where there are some. device: where the batch will be completed. Raises InputError when
        features or masks are missing or altered.
        """
        picked = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        each = picked.tolist()
        masks = self._labels.packed(each) if labels and self._labels.of(each) else None
        found = Read(picked, self._visual.of(picked), masks)
        return found.pin_memory() if self.workers and torch.device(device).type == "cuda" else found

    def complete(
        self, read: Read, device: torch.device | str = "cpu", *, masks: bool = True, targets: bool = True
    ) -> Batch:
        """The batch of what was read, on a device, where conversions are made. masks, targets: whether with these."""
        picked, each = read.indices, read.indices.tolist()
        shapes, sizes = self._shape_of[picked], [self._sizes[i] for i in each]
        bits = None if read.masks is None else read.masks.to(device, non_blocking=True)
        return Batch(
            visual=self._visual.convert(read.visual.to(device, non_blocking=True)),
            audio=self.audio[picked].to(device),
            valid=self._valid[shapes].to(device),
            sizes=sizes,
            masks=unpack(bits, sizes) if masks and bits is not None else None,
            targets=self._targets_of(each, bits) if targets and bits is not None else None,
            target_valid=self._target_valid[shapes].to(device),
            clips=[self._clips[i] for i in each],
            videos=[self._videos[i] for i in each],
            classes=[self._classes[i] for i in each],
            group=self.group[picked].to(device),
        )

    def masks(self, indices: Sequence[int]) -> Iterator[Tensor]:
        """The masks of labelled frames alone, (H, W) bool, one at a time."""
        return self._labels.masks(indices)

    def _targets_of(self, indices: list[int], bits: Tensor) -> Tensor:
        """(B, 1, n, n) float32, made where the bits lie; on the CPU each is made once if they are kept."""
        kept = self._targets if bits.device.type == "cpu" else None
        if kept is not None and all(i in kept for i in indices):
            return torch.stack([kept[i] for i in indices])[:, None]
        masks = unpack(bits, [self._sizes[i] for i in indices])
        made = [self._grids[self._shape_of[i]].average(mask) for i, mask in zip(indices, masks, strict=True)]
        if kept is not None:
            kept |= zip(indices, made, strict=True)
        return torch.stack(made)[:, None]


# -------------------------------------------------------------------------------- inputs
class _Visual:
    """Cached features of frames: all in memory when they are small, else read row by row from the shards."""

    def __init__(self, digests: pd.Series, layout: Layout, tap: int | None, sam: FrozenSam, bgr: bool):
        self._name = extract.tap_name(tap)
        unique, which = np.unique(digests.to_numpy(dtype=str), return_inverse=True)
        self._which = torch.as_tensor(which.astype(np.int64))
        self._places = _places(unique, layout)
        self._stores = _open_shards({shard for shard, _ in self._places}, layout, sam, bgr)
        first = next(iter(self._stores.values()))
        self._shape, dtype = first.shape(self._name), first.dtype(self._name)
        self._dtype, size = dtype, len(unique) * int(np.prod(self._shape)) * dtype.itemsize
        self._memory = self._read(range(len(unique))) if size <= IN_MEMORY else None

    @property
    def in_memory(self) -> bool:
        return self._memory is not None

    def go_through(self, front: Callable[[Tensor], Tensor]) -> None:
        """Replaces what is kept in memory by what a function makes of it, unless that is too large to be kept."""
        if self._memory is None:
            return
        parts, size = [], 0
        for values in self._memory.split(AT_ONCE):
            parts.append(front(values.float()))
            size += parts[-1].nbytes
            if size > IN_MEMORY:
                return
        self._memory = torch.cat(parts)

    def of(self, picked: Tensor) -> Tensor:
        """Features of the frames at these indices, as they are stored."""
        unique = self._which[picked]
        return self._read(unique.tolist()) if self._memory is None else self._memory[unique]

    def convert(self, values: Tensor) -> Tensor:
        """What `of` gives as float32."""
        return values.float()

    def _read(self, unique: Sequence[int]) -> Tensor:
        values = torch.empty((len(unique), *self._shape), dtype=self._dtype)
        for target, number in zip(values.numpy(), unique, strict=True):
            shard, row = self._places[number]
            self._stores[shard].read_into(self._name, row, target)
        return values


class _Pixels:
    """Pictures at the encoder's input size: read when first asked for, and kept as bytes when they are small."""

    def __init__(self, paths: pd.Series, digests: pd.Series, encoder: FrozenPyramid, bgr: bool):
        unique, first, which = np.unique(digests.to_numpy(dtype=str), return_index=True, return_inverse=True)
        self._which = torch.as_tensor(which.astype(np.int64))
        self._pictures = list(zip(paths.iloc[first].tolist(), unique.tolist(), strict=True))
        self._encoder, self._bgr = encoder, bgr
        shape = (len(unique), 3, encoder.image_size, encoder.image_size)
        self._memory = torch.empty(shape, dtype=torch.uint8) if np.prod(shape) <= IN_MEMORY else None
        self._read = np.zeros(len(unique), bool)

    @property
    def in_memory(self) -> bool:
        return self._memory is not None

    def of(self, picked: Tensor) -> Tensor:
        """Pixels of the frames at these indices, (B, 3, S, S) uint8."""
        unique = self._which[picked]
        if self._memory is None:
            return torch.stack([self._picture(number) for number in unique.tolist()])
        for number in set(unique.tolist()):
            if not self._read[number]:
                self._memory[number] = self._picture(number)
                self._read[number] = True
        return self._memory[unique]

    def convert(self, pixels: Tensor) -> Tensor:
        """What `of` gives, normalised, float32."""
        return normalise(pixels)

    def _picture(self, number: int) -> Tensor:
        """uint8 (3, S, S). Raises InputError when it is missing, unreadable, or not the frame table's."""
        return self._encoder.shrink(media.read_image(*self._pictures[number]), self._bgr)


def whole_clips(group: Tensor, indices: Sequence[int], size: int) -> list[list[int]]:
    """The indices in batches of at most `size` that divide no clip; a longer clip is a batch of its own.

    group: which clip each index belongs to, as `Frames.group`. Clips keep the order in which they first occur,
    frames their order within the clip.
    """
    of_clip: dict[int, list[int]] = {}
    for index, clip in zip(indices, group[torch.as_tensor(indices, dtype=torch.int64)].tolist(), strict=True):
        of_clip.setdefault(clip, []).append(index)
    found: list[list[int]] = []
    for frames in of_clip.values():
        if not found or len(found[-1]) + len(frames) > size:
            found.append([])
        found[-1] += frames
    return found


def _places(digests: np.ndarray, layout: Layout) -> list[tuple[int, int]]:
    """Shard and row of each picture, from the plan. Raises InputError for a picture that was not planned."""
    planned = plan.read(layout).set_index("image_digest")[["shard", "row"]]
    absent = [digest for digest in digests if digest not in planned.index]
    if absent:
        what = f"lacks {len(absent)} of {len(digests)} pictures, such as the one with digest {absent[0]}"
        raise InputError(what, path=layout.visual_plan, remedy="run: soundprompt features")
    return list(planned.loc[digests].itertuples(index=False, name=None))


def _open_shards(shards: set[int], layout: Layout, sam: FrozenSam, bgr: bool) -> dict[int, Store]:
    stores = {}
    for shard in sorted(shards):
        store = Store(layout.visual_shard(shard))
        as_it_is = {name: store.recipe[name] for name in extract.ROUNDING if name in store.recipe}
        store.check_recipe(extract.visual_recipe(sam, bgr) | as_it_is)
        stores[shard] = store
    return stores


def _sounds(rows: pd.DataFrame, layout: Layout) -> Tensor:
    """(n, 128) float32: for each frame the second of sound that the frame table gives it."""
    store = Store(layout.audio_features)
    wanted = [extract.sound_row(*pair) for pair in zip(rows["audio_digest"], rows["second"].tolist(), strict=True)]
    for row_id, path, second in zip(wanted, rows["audio"], rows["second"], strict=True):
        if row_id not in store.index:
            what = f"second {second} of it is not among the cached sounds: the sound is shorter, or the cache is older"
            raise InputError(what, path=path, remedy="check the sound, then run: soundprompt features --step audio")
    return store.read(extract.SOUND, wanted)


# -------------------------------------------------------------------------------- labels
def _repeat_masks(rows: pd.DataFrame) -> pd.DataFrame:
    """Where clips have a mask of their first frame alone, all of their frames get it."""
    first = rows[(rows["frame"] == 0) & rows["mask"].notna()].drop_duplicates("clip").set_index("clip")
    named = [name for name, dataset in registry.datasets().items() if dataset.first_mask_only]
    lone = rows["dataset"].isin(named) & rows["mask"].isna()
    columns = ("mask", "mask_digest")
    return rows.assign(**{name: rows[name].where(~lone, rows["clip"].map(first[name])) for name in columns})


def _distinct(sizes: list[tuple[int, int]]) -> tuple[list[tuple[int, int]], Tensor]:
    """The different sizes, and for each frame which of them it has, (n,) int64."""
    number = {size: i for i, size in enumerate(dict.fromkeys(sizes))}
    return list(number), torch.tensor([number[size] for size in sizes], dtype=torch.int64)


class _Grid:
    """How a frame of one size lies on the grid of n x n cells that masks are drawn on.

    A cell's target is the mean of the mask over the part of the cell that lies in the frame. A cell counts as
    valid when at least half of its rows and of its columns lie in the frame, as in `FrozenSam.valid_cells`.
    """

    def __init__(self, size: tuple[int, int], encoder: Encoder):
        self.size = size
        cells, side = encoder.cells, encoder.image_size // encoder.cells
        ends = encoder.resized(size)
        self._rows, self._columns = (
            _overlaps(length, end, cells, side) for length, end in zip(size, ends, strict=True)
        )
        rows, columns = (torch.arange(cells) < max(1, (2 * end + side) // (2 * side)) for end in ends)
        self.valid = rows[:, None] & columns

    def average(self, mask: Tensor) -> Tensor:
        """(H, W) bool -> (n, n) float32 in [0, 1], on the mask's device; 0 in the padding."""
        if self._rows.device != mask.device:
            self._rows, self._columns = self._rows.to(mask.device), self._columns.to(mask.device)
        return (self._rows @ mask.float() @ self._columns.T).clamp(0, 1)


def _overlaps(length: int, resized: int, cells: int, side: int) -> Tensor:
    """(cells, length) float32: weight of each original pixel in each cell; rows add up to 1, or 0 in the padding.

    The frame's `length` pixels are stretched to `resized` pixels, of which a cell covers `side`.
    """
    edges = np.minimum(np.arange(cells + 1) * side, resized) * (length / resized)
    pixels = np.arange(length)
    shared = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shared = shared.clip(0)
    return torch.from_numpy(shared / np.maximum(shared.sum(1, keepdims=True), 1e-9)).float()
