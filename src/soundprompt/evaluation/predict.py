"""What trained models say about test frames, each frame and sound once.

A *probe* is the sound given at test time:
- own: the frame's own second;
- mismatched: a second of another clip of the same selection that sounds otherwise;
- muted: zeros in place of the 128 numbers of the embedding (not a silent recording, whose embedding is not zero).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from soundprompt.errors import InputError
from soundprompt.files import canonical_json, digest_bytes, publish

if TYPE_CHECKING:  # these load SAM's package, which plans, floors and readers of predictions do without
    from soundprompt.features.frames import Batch, Frames
    from soundprompt.models import Segmenter

SILENCE = -1  # in place of the index of a frame whose sound is heard
FRAME_KEY = ["dataset", "clip", "frame"]
HEADER = "frames"


# ------------------------------------------------------------------------------- what to ask
@dataclass
class Questions:
    """Every (frame, sound) to ask a model about, once, although selections overlap.

    frames: the distinct frames (rows of a frame table). pairs: (n, 2) int64, index of the frame and
    index of the frame whose second of sound goes with it, or SILENCE. selections: selection -> its rows.
    asked: (selection, probe) -> for each of the selection's rows the index of its pair.
    """

    frames: pd.DataFrame
    pairs: np.ndarray
    selections: dict[str, pd.DataFrame]
    asked: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)


def questions(rows: pd.DataFrame, probes: Sequence[str]) -> Questions:
    """Plans the questions.

    rows: frames as `frame_table.select` gives them, column `selection` included.
    Raises InputError when a selection has too few classes for mismatched sound.
    """
    frames, index = distinct_frames(rows)
    number: dict[tuple[int, int], int] = {}
    asked = {}
    selections = {}
    for selection, members in rows.groupby("selection", sort=False):
        selections[str(selection)] = members.reset_index(drop=True)
        here = index[members.index.to_numpy()]
        for probe in probes:
            sounds = heard(frames.iloc[here], here, probe)
            pairs = zip(here.tolist(), sounds.tolist(), strict=True)
            asked[str(selection), probe] = np.array([number.setdefault(pair, len(number)) for pair in pairs])
    return Questions(frames, np.array(list(number), dtype=np.int64), selections, asked)


def distinct_frames(rows: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """The distinct frames of overlapping selections, and for each row the index of its frame.

    `rows` must have the index 0, 1, 2, ...; labelled frames come first, so that few batches mix.
    """
    frames = rows.drop_duplicates(FRAME_KEY)
    frames = frames.iloc[np.argsort(frames["mask"].isna().to_numpy(), kind="stable")].reset_index(drop=True)
    place = pd.Series(np.arange(len(frames)), index=pd.MultiIndex.from_frame(frames[FRAME_KEY]))
    return frames, place.loc[pd.MultiIndex.from_frame(rows[FRAME_KEY])].to_numpy()


def heard(rows: pd.DataFrame, index: np.ndarray, probe: str) -> np.ndarray:
    """For each row of a selection the index of the frame whose sound a probe gives it, or SILENCE.

    index: the rows' own indices, (n,).
    """
    if probe == "own":
        return index
    if probe == "muted":
        return np.full_like(index, SILENCE)
    if probe != "mismatched":
        raise ValueError(f"unknown probe {probe!r}")
    seconds = {clip: index[places] for clip, places in _places(rows)}
    sounds = np.empty_like(index)
    other = partners(rows)
    for clip, places in _places(rows):
        of_other = seconds[other[clip]]
        sounds[places] = of_other[np.arange(len(places)) % len(of_other)]
    return sounds


def _places(rows: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """(clip, positions of its rows in the order of its frames)."""
    ordered = rows.reset_index(drop=True).sort_values(["clip", "frame"], kind="stable")
    return [(str(clip), group.index.to_numpy()) for clip, group in ordered.groupby("clip", sort=False)]


def partners(rows: pd.DataFrame) -> dict[str, str]:
    """For each clip of a selection another whose sound is of none of its classes.

    Clips stand in a circle in an order that only their names decide; a clip takes the next one that
    shares no class and no source video with it, or, where there is none, that differs in its class string.
    Every sound is thus taken about equally often, and a subset of the selection keeps most pairs.
    """
    clips = rows.drop_duplicates("clip")
    circle = sorted(
        zip(clips["clip"], clips["class_name"], clips["video"], strict=True),
        key=lambda clip: digest_bytes(str(clip[0]).encode()),
    )
    found = {}
    for place, clip in enumerate(circle):
        others = circle[place + 1 :] + circle[:place]
        best = next((o for o in others if _apart(o, clip)), None) or next((o for o in others if o[1] != clip[1]), None)
        if best is None:
            what = f"all {len(circle)} test clips are of class '{clip[1]}': no other sound to mismatch"
            raise InputError(what, remedy="test on two classes or more, or leave out the methods ending in @mismatched")
        found[clip[0]] = best[0]
    return found


def _apart(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    return one[2] != other[2] and not set(one[1].split("_")) & set(other[1].split("_"))


# ---------------------------------------------------------------------------------- answers
@dataclass
class Answers:
    """What models say about some pairs: their numbers, and for each its frame's index, size (H, W) and mask.

    masks: (H, W) bool each; None where the frames are unlabelled. logits: seed -> (B, 1, 4h, 4w) float32.
    """

    numbers: list[int]
    frames: list[int]
    sizes: list[tuple[int, int]]
    masks: list[Tensor] | None
    logits: dict[int, Tensor]


@torch.inference_mode()
def answers(
    models: Mapping[int, Segmenter], frames: Frames, pairs: np.ndarray, device: torch.device | str = "cpu"
) -> Iterator[Answers]:
    """Asks every model about every pair. A frame is read once, and encoded once for all its sounds.

    models: seed -> model, all of one architecture. To models that look across time a clip's frames are shown
    together, once for each sound condition. Raises InputError when a model answers NaN or infinity.
    """
    for model in models.values():
        model.to(device).eval()
    asked = pd.DataFrame({"number": np.arange(len(pairs)), "sound": pairs[:, 1]}).groupby(pairs[:, 0], sort=False)
    of_frame = {int(frame): group for frame, group in asked}
    together = any(model.temporal for model in models.values())
    for indices in batches(frames, list(of_frame), whole=together):
        batch = frames.batch(indices).to(device)
        which = np.repeat(np.arange(len(indices)), [len(of_frame[i]) for i in indices]).tolist()
        here = pd.concat([of_frame[i] for i in indices])
        sounds = sound_of(frames, here["sound"].to_numpy()).to(device)
        group = conditions(frames, [indices[row] for row in which], here["sound"].to_numpy()).to(device)
        yield Answers(
            numbers=here["number"].tolist(),
            frames=[indices[row] for row in which],
            sizes=[batch.sizes[row] for row in which],
            masks=None if batch.masks is None else [batch.masks[row] for row in which],
            logits={seed: _ask(seed, model, batch, which, sounds, group) for seed, model in models.items()},
        )


def _ask(
    seed: int, model: Segmenter, batch: Batch, which: list[int], sounds: Tensor, group: Tensor | None = None
) -> Tensor:
    """As `model(batch)`, for the rows `which` of the batch with other sounds; the encoder runs once for each row."""
    features = model.rows(model.encode(batch.visual), which)
    audio = torch.zeros_like(sounds) if model.mute else sounds
    logits = model.segment(features, audio, batch.valid[which], group).logits.float()
    if not logits.isfinite().all():
        bad = int((~logits.isfinite()).flatten(1).any(1).nonzero()[0])
        what = f"seed {seed} answers with numbers that are not finite (clip {batch.clips[which[bad]]})"
        raise InputError(what, remedy="delete the run's folder and train it again")
    return logits


def sound_of(frames: Frames, sounds: np.ndarray) -> Tensor:
    """(B, 128) float32: the seconds of sound of these frames; zeros for SILENCE."""
    places = torch.tensor(sounds)
    audio = frames.audio[places.clamp(min=0)].clone()
    audio[places == SILENCE] = 0
    return audio


def conditions(frames: Frames, indices: Sequence[int], sounds: np.ndarray) -> Tensor:
    """(B,) int64, equal where frames of one clip hear sound of one clip: one showing of that clip.

    indices: of the frames. sounds: indices of the frames whose second they hear; any negative number stands for
    itself, such as SILENCE.
    """
    clips = frames.group.numpy()
    heard_clip = np.where(sounds >= 0, clips[sounds.clip(min=0)], sounds)
    pairs = np.stack([clips[np.asarray(indices)], heard_clip])
    return torch.from_numpy(np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64))


def batches(frames: Frames, indices: Sequence[int], *, whole: bool = False) -> list[list[int]]:
    """The frames in batches that fit in memory at any input size, labelled and other frames apart.

    whole: do not divide a clip, but for the frames of it that have no mask.
    """
    size = max(1, min(64, 2**14 // frames.encoder.grid**2))  # 64 frames of the mini SAM, 4 at 1024 pixels
    masks = frames.rows["mask"].notna().to_numpy()
    groups = [i for i in indices if masks[i]], [i for i in indices if not masks[i]]
    if whole:
        from soundprompt.features.frames import whole_clips

        return [batch for group in groups if group for batch in whole_clips(frames.group, group, size)]
    return [group[i : i + size] for group in groups for i in range(0, len(group), size)]


# ---------------------------------------------------------------------------------- on disk
class Recorder:
    """Collects logits for `predictions.safetensors`: a tensor "selection|probe" (n, 4h, 4w) float16.

    A frame is kept once for each probe, under the first selection that has it; a selection with
    nothing of its own has no tensor.
    """

    def __init__(self, of: Questions):
        self._rows: dict[str, list[tuple[str, int]]] = {}
        self._wanted: dict[int, tuple[str, int]] = {}
        self._tensors: dict[str, Tensor] = {}
        seen: set[tuple[str, int]] = set()
        for (selection, probe), numbers in of.asked.items():
            names = of.selections[selection][["clip", "frame"]].itertuples(index=False, name=None)
            for number, (clip, frame) in zip(numbers.tolist(), names, strict=True):
                frame_of = (probe, int(of.pairs[number, 0]))
                if frame_of not in seen:
                    seen.add(frame_of)
                    kept = self._rows.setdefault(f"{selection}|{probe}", [])
                    self._wanted[number] = (f"{selection}|{probe}", len(kept))
                    kept.append((str(clip), int(frame)))

    def add(self, numbers: Sequence[int], logits: Tensor) -> None:
        """numbers: of the pairs; logits: (B, 1, 4h, 4w)."""
        for number, frame in zip(numbers, logits[:, 0].clamp(-6e4, 6e4).half().cpu(), strict=True):
            if number in self._wanted:
                name, row = self._wanted[number]
                if name not in self._tensors:
                    self._tensors[name] = torch.zeros((len(self._rows[name]), *frame.shape), dtype=torch.float16)
                self._tensors[name][row] = frame

    def write(self, path: Path) -> None:
        """Publishes the file; its header lists the (clip, frame) of each tensor's rows."""
        with publish(path) as aside:  # one header entry: several are written in an order that changes
            save_file(self._tensors, aside, {HEADER: canonical_json(self._rows)})


def read_predictions(path: Path, selection: str, probe: str = "own") -> dict[tuple[str, int], np.ndarray]:
    """(clip, frame) -> logits (4h, 4w) float16, for the frames kept under this selection and probe.

    Raises InputError when the file is missing or damaged. Empty when nothing was kept.
    """
    name = f"{selection}|{probe}"
    try:
        with safe_open(path, "np") as content:
            kept = json.loads((content.metadata() or {}).get(HEADER, "{}")).get(name, [])
            logits = content.get_tensor(name) if kept else []
    except FileNotFoundError as error:
        raise InputError("predictions missing", path=path, remedy="run `soundprompt score`") from error
    except (SafetensorError, OSError) as error:
        remedy = "delete the file and run `soundprompt score` again"
        raise InputError(f"predictions cut short or damaged ({error})", path=path, remedy=remedy) from error
    return {(clip, frame): frame_logits for (clip, frame), frame_logits in zip(kept, logits, strict=True)}
