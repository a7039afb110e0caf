"""The batches that models eat: cached features or pixels, each frame's own second of sound, masks and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, overload

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from soundprompt import registry
from soundprompt.data import media
from soundprompt.errors import InputError
from soundprompt.features import background, extract, plan
from soundprompt.features.store import Store
from soundprompt.foundation.pyramid import normalise
from soundprompt.layout import Layout

if TYPE_CHECKING:
    from soundprompt.foundation.encoders import Encoder
    from soundprompt.foundation.pyramid import FrozenPyramid
    from soundprompt.foundation.sam import FrozenSam

IN_MEMORY = 2**30  # features, or masks and targets, of a subset up to this size are kept in memory, bytes
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
    masks: B tensors (H, W) bool, True where it sounds, loaded when first looked at; None if unlabelled.
    targets: (B, 1, n, n) float32 in [0, 1], the share of each cell that sounds; None if unlabelled.
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
        if self.context is None:
            return self
        shown = ("visual", "audio", "valid", "group")
        both = {name: torch.cat([getattr(self, name), getattr(self.context, name)]) for name in shown}
        return replace(self, sizes=self.sizes + self.context.sizes, context=None, **both)

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
        """The batch with its tensors on a device; masks are loaded for that, unless they are there already."""
        device, here = torch.device(device), self.visual.device
        if here.type == device.type and device.index in (None, here.index):
            return self
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("visual", "audio", "valid", "targets", "target_valid", "group")
            if getattr(self, name) is not None
        }
        masks = None if self.masks is None else [mask.to(device) for mask in self.masks]
        context = None if self.context is None else self.context.to(device)
        return replace(self, masks=masks, context=context, **moved)


class Frames:
    """Frames of a table with their cached features, or with their pixels.

    rows: frames as `frame_table.select` gives them. tap: the block of SAM's encoder whose input the model starts
    from; None: the encoder's output; 'pixels': the pictures themselves. encoder: the one that made the cache, or that
    the pixels are for. bgr: colour order of the cache, or of the pixels.
    supervision: what a frame without a mask is worth in a clip whose first frame has one (v1s training):
    'first' nothing, it is not in `supervised`; 'repeat' the first frame's mask, as in the released code.
    front: `models.frozen_front` of the models that will read the batches; cached features that are kept in memory go
    through it once, here.

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
        self._labels = _Labels(self.rows, self._sizes, [self._grids[i] for i in self._shape_of])
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

    def context(self, indices: Sequence[int]) -> Batch | None:
        """The other frames of the clips that these frames belong to, clip by clip in the order of `indices`."""
        here = self.group[torch.as_tensor(np.asarray(indices, dtype=np.int64))]
        taken = set(indices)
        clips = [torch.nonzero(self.group == clip)[:, 0].tolist() for clip in dict.fromkeys(here.tolist())]
        others = [index for clip in clips for index in clip if index not in taken]
        return self.batch(others, labels=False) if others else None

    def batch(self, indices: Sequence[int], *, labels: bool = True) -> Batch:
        """The frames at these indices, in this order; frames with and without a mask do not mix.

        labels: with masks and targets where there are some. Raises InputError when a mask is missing, unreadable, or
        of another size than its frame.
        """
        picked = torch.as_tensor(np.asarray(indices, dtype=np.int64))
        each = picked.tolist()
        shapes = self._shape_of[picked]
        labelled = labels and self._labels.of(each)
        return Batch(
            visual=self._visual.of(picked),
            audio=self.audio[picked],
            valid=self._valid[shapes],
            sizes=[self._sizes[i] for i in each],
            masks=Masks(self._labels, each) if labelled else None,
            targets=self._labels.targets(each) if labelled else None,
            target_valid=self._target_valid[shapes],
            clips=[self._clips[i] for i in each],
            videos=[self._videos[i] for i in each],
            classes=[self._classes[i] for i in each],
            group=self.group[picked],
        )

    def masks(self, indices: Sequence[int]) -> Masks:
        """The masks of labelled frames alone, without their features."""
        return Masks(self._labels, indices)


class Masks(Sequence[Tensor]):
    """Masks of a batch, (H, W) bool each, read from disk when first looked at."""

    def __init__(self, labels: _Labels, indices: Sequence[int]):
        self._labels, self._indices = labels, list(indices)
        self._seen: dict[int, Tensor] = {}

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, position: int) -> Tensor: ...
    @overload
    def __getitem__(self, position: slice) -> list[Tensor]: ...
    def __getitem__(self, position: int | slice) -> Tensor | list[Tensor]:
        if isinstance(position, slice):
            return [self[i] for i in range(*position.indices(len(self)))]
        index = self._indices[position]
        if index not in self._seen:
            self._seen[index] = self._labels.mask(index)
        return self._seen[index]


# -------------------------------------------------------------------------------- inputs
class _Visual:
    """Cached features of frames: all in memory when they are small, else read row by row from the shards."""

    def __init__(self, digests: pd.Series, layout: Layout, tap: int | None, sam: FrozenSam, bgr: bool):
        self._name, self._dtype = extract.tap_name(tap), torch.float32
        unique, which = np.unique(digests.to_numpy(dtype=str), return_inverse=True)
        self._which = torch.as_tensor(which.astype(np.int64))
        self._places = _places(unique, layout)
        self._stores = _open_shards({shard for shard, _ in self._places}, layout, sam, bgr)
        first = next(iter(self._stores.values()))
        self._shape, dtype = first.shape(self._name), first.dtype(self._name)
        size = len(unique) * int(np.prod(self._shape)) * dtype.itemsize
        self._memory = self._read(range(len(unique)), dtype) if size <= IN_MEMORY else None

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
        """Features of the frames at these indices, float32."""
        unique = self._which[picked]
        if self._memory is not None:
            return self._memory[unique].float()
        return self._read(unique.tolist(), torch.float32)

    def _read(self, unique: Sequence[int], dtype: torch.dtype) -> Tensor:
        values = torch.empty((len(unique), *self._shape), dtype=dtype)
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

    def of(self, picked: Tensor) -> Tensor:
        """Normalised pixels of the frames at these indices, (B, 3, S, S) float32."""
        unique = self._which[picked]
        if self._memory is None:
            return normalise(torch.stack([self._picture(number) for number in unique.tolist()]))
        for number in set(unique.tolist()):
            if not self._read[number]:
                self._memory[number] = self._picture(number)
                self._read[number] = True
        return normalise(self._memory[unique])

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
        """(H, W) bool -> (n, n) float32 in [0, 1]; 0 in the padding."""
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


class _Labels:
    """Masks and low-resolution targets, each made once when they are small, else whenever asked for."""

    def __init__(self, rows: pd.DataFrame, sizes: list[tuple[int, int]], grids: list[_Grid]):
        self._paths = [path if isinstance(path, str) else None for path in rows["mask"]]
        self._digests = rows["mask_digest"].tolist()
        self._sizes, self._grids = sizes, grids
        labelled = [i for i, path in enumerate(self._paths) if path]
        cells = grids[0].valid.numel() if grids else 0
        small = sum(sizes[i][0] * sizes[i][1] + 4 * cells for i in labelled) <= IN_MEMORY
        self._masks: dict[int, Tensor] | None = {} if small else None
        self._made = np.zeros(len(rows), bool)
        self._targets = torch.zeros((len(rows), 1, *grids[0].valid.shape)) if small and labelled else None

    def of(self, indices: list[int]) -> bool:
        """Whether these frames have masks; a batch in which some have and some have not is a mistake."""
        found = {self._paths[i] is not None for i in indices}
        if len(found) > 1:
            raise ValueError("frames with and without a mask in one batch: draw from Frames.supervised")
        return found == {True}

    def mask(self, index: int) -> Tensor:
        """(H, W) bool."""
        if self._masks is not None and index in self._masks:
            return self._masks[index]
        mask = torch.from_numpy(media.read_mask(self._paths[index], self._sizes[index], self._digests[index]))
        if self._masks is not None:
            self._masks[index] = mask
        return mask

    def targets(self, indices: list[int]) -> Tensor:
        """(B, 1, n, n) float32."""
        if self._targets is None:
            return torch.stack([self._grids[i].average(self.mask(i)) for i in indices])[:, None]
        for i in indices:
            if not self._made[i]:
                self._targets[i, 0] = self._grids[i].average(self.mask(i))
                self._made[i] = True
        return self._targets[indices]
