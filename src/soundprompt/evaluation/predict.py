"""What trained models say about test frames, each frame and sound once.

A *probe* is the sound given at test time:
- own: the frame's own second;
- mismatched: a second of another clip of the same selection that sounds otherwise;
- muted: zeros in place of the 128 numbers of the embedding (not a silent recording, whose embedding is not zero).

With three of them nothing in the frame makes the sound, and the right mask is empty (after arXiv 2502.00358):
- silence: a digitally silent recording;
- ambient: the noise of a quiet room (`features.background`);
- off_screen: a second of another clip of the same selection whose sounding classes are nowhere in the frame,
  neither sounding nor silent. Where the dataset does not know its silent objects (all real ones), they are not
  among the clip's own classes, as with mismatched sound, and may happen to be in the picture.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from soundprompt import finite, records, tensorfile
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.features import background
from soundprompt.files import canonical_json, digest_bytes
from soundprompt.registry import Probe

if TYPE_CHECKING:  # these load SAM's package, which plans, floors and readers of predictions do without
    from soundprompt.features.frames import Batch, Frames
    from soundprompt.models import Segmenter

HEADER = "frames"
RETRAIN = "delete the run's folder and train it again"


# ------------------------------------------------------------------------------- what to ask
@dataclass
class Questions:
    """Every (frame, sound) to ask a model about, once, although selections overlap.

    frames: the distinct frames (rows of a frame table). pairs: (n, 2) int64, index of the frame and
    number of the sound that goes with it (`Frames.sounds`). selections: selection -> its rows.
    asked: (selection, probe) -> for each of the selection's rows the index of its pair.
    """

    frames: pd.DataFrame
    pairs: np.ndarray
    selections: dict[str, pd.DataFrame]
    asked: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)


def questions(rows: pd.DataFrame, probes: Sequence[str]) -> Questions:
    """Plans the questions.

    rows: frames as `frame_table.select` gives them, column `selection` included.
    Probes other than 'own' are for the first selection, what the setting is about. Raises InputError when that has too
    few classes for mismatched or off-screen sound.
    """
    frames, index = frame_table.distinct(rows)
    number: dict[tuple[int, int], int] = {}
    asked = {}
    selections = {}
    for selection, members in rows.groupby("selection", sort=False):
        selections[str(selection)] = members.reset_index(drop=True)
        here = index[members.index.to_numpy()]
        # other sounds are asked about where the setting is at home: elsewhere they would cost most of a scoring
        here_asked = probes if len(selections) == 1 else ("own",)
        if "off_screen" in here_asked and not _knows_silent(members):
            what = "its silent objects are not known: off_screen takes a class other than the clip's own"
            print(f"{selection}: {what}", file=sys.stderr)
        for probe in here_asked:
            sounds = heard(frames.iloc[here], here, probe)
            pairs = zip(here.tolist(), sounds.tolist(), strict=True)
            asked[str(selection), probe] = np.array([number.setdefault(pair, len(number)) for pair in pairs])
    return Questions(frames, np.array(list(number), dtype=np.int64), selections, asked)


def heard(rows: pd.DataFrame, index: np.ndarray, probe: str) -> np.ndarray:
    """For each row of a selection the number of the sound that a probe gives it (`Frames.sounds`).

    index: the rows' own indices, (n,).
    """
    if probe == "own":
        return index
    if probe in ("muted", "silence"):
        return np.full_like(index, {"muted": background.NOTHING, "silence": background.SILENCE}[probe])
    sounds = np.empty_like(index)
    if probe == "ambient":
        for clip, places in _places(rows):
            rooms = background.TEST_ROOMS  # which one, only the clip's name decides
            room = rooms[int(digest_bytes(clip.encode())[:8], 16) % len(rooms)]
            sounds[places] = [background.ambient(room, second) for second in range(len(places))]
        return sounds
    if probe not in ("mismatched", "off_screen"):
        raise ValueError(f"unknown probe {probe!r}")
    seconds = {clip: index[places] for clip, places in _places(rows)}
    other = partners(rows, off_screen=probe == "off_screen")
    for clip, places in _places(rows):
        of_other = seconds[other[clip]]
        sounds[places] = of_other[np.arange(len(places)) % len(of_other)]
    return sounds


def _places(rows: pd.DataFrame) -> list[tuple[str, np.ndarray]]:
    """(clip, positions of its rows in the order of its frames)."""
    ordered = rows.reset_index(drop=True).sort_values(["clip", "frame"], kind="stable")
    return [(str(clip), group.index.to_numpy()) for clip, group in ordered.groupby("clip", sort=False)]


def partners(rows: pd.DataFrame, *, off_screen: bool = False) -> dict[str, str]:
    """For each clip of a selection another whose sound is of none of its classes.

    Clips stand in a circle in an order that only their names decide; a clip takes the next one that
    shares no class and no source video with it, or, where there is none, that differs in its class string.
    Every sound is thus taken about equally often, and a subset of the selection keeps most pairs.
    off_screen: the classes of its silent objects, where they are known, are its classes too, and no other will do.
    Raises InputError when a clip finds none.
    """
    silent = off_screen and _knows_silent(rows)
    columns = ["clip", "class_name", "video", *(["silent"] if silent else [])]
    circle = sorted(
        rows.drop_duplicates("clip")[columns].itertuples(index=False, name=None),
        key=lambda clip: digest_bytes(str(clip[0]).encode()),
    )
    found = {}
    for place, clip in enumerate(circle):
        others = circle[place + 1 :] + circle[:place]
        best = next((other for other in others if _apart(other, clip)), None)
        if best is None and not silent:
            best = next((other for other in others if other[1] != clip[1]), None)
        if best is None:
            raise _no_partner(clip, len(circle), "off_screen" if off_screen else "mismatched")
        found[clip[0]] = best[0]
    return found


def _apart(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Whether `one` is of another video and sounds like nothing that `other` has: (clip, classes, video[, silent])."""
    there = {name for names in (other[1], *other[3:]) for name in names.split("_")}
    return one[2] != other[2] and not set(one[1].split("_")) & there


def _knows_silent(rows: pd.DataFrame) -> bool:
    return "silent" in rows and bool(rows["silent"].notna().all())


def _no_partner(clip: tuple[str, ...], clips: int, probe: str) -> InputError:
    if len(clip) > 3:
        what = f"each of the {clips} test clips sounds like an object in clip '{clip[0]}': no sound from off the screen"
    else:
        what = f"all {clips} test clips are of class '{clip[1]}': no other sound to mismatch"
    return InputError(what, remedy=f"test on more classes, or leave out the methods ending in @{probe}")


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
    models: Mapping[int, Segmenter],
    frames: Frames,
    pairs: np.ndarray,
    device: torch.device | str = "cpu",
    label: str = "model",
) -> Iterator[Answers]:
    """Asks every model about every pair. A frame is read once, and encoded once for all its sounds.

    models: seed -> model, all of one architecture. label: names them in messages. To models that look across time a
    clip's frames are shown together, once for each sound condition. Raises InputError when a model answers NaN or
    infinity.
    """
    for model in models.values():
        model.to(device).eval()
    asked = pd.DataFrame({"number": np.arange(len(pairs)), "sound": pairs[:, 1]}).groupby(pairs[:, 0], sort=False)
    of_frame = {int(frame): group for frame, group in asked}
    together = any(model.temporal for model in models.values())
    asked_together = batches(frames, list(of_frame), whole=together)
    for indices, batch in zip(asked_together, frames.batches(asked_together, device), strict=True):
        which = np.repeat(np.arange(len(indices)), [len(of_frame[i]) for i in indices]).tolist()
        here = pd.concat([of_frame[i] for i in indices])
        sounds = frames.sounds(here["sound"].to_numpy()).to(device)
        group = conditions(frames, [indices[row] for row in which], here["sound"].to_numpy()).to(device)
        yield Answers(
            numbers=here["number"].tolist(),
            frames=[indices[row] for row in which],
            sizes=[batch.sizes[row] for row in which],
            masks=None if batch.masks is None else [batch.masks[row] for row in which],
            logits={
                seed: _ask(f"{label} seed {seed}", model, batch, which, sounds, group) for seed, model in models.items()
            },
        )


def _ask(
    run: str, model: Segmenter, batch: Batch, which: list[int], sounds: Tensor, group: Tensor | None = None
) -> Tensor:
    """As `model(batch)`, for the rows `which` of the batch with other sounds; the encoder runs once for each row."""
    features = model.rows(model.encode(batch.visual), which)
    logits = model.answer(features, sounds, batch.valid[which], group).logits.float()
    finite.check(logits, f"{run}: logits are", clips=[batch.clips[row] for row in which], remedy=RETRAIN)
    return logits


def conditions(frames: Frames, indices: Sequence[int], sounds: np.ndarray) -> Tensor:
    """(B,) int64, equal where frames of one clip hear sound of one clip: one showing of that clip.

    indices: of the frames. sounds: what they hear, numbers as `Frames.sounds` takes them; the seconds of a room are
    one sound.
    """
    clips = frames.group.numpy()
    heard_clip = np.where(sounds >= 0, clips[sounds.clip(min=0)], sounds.clip(min=background.SILENCE - 1))
    pairs = np.stack([clips[np.asarray(indices)], heard_clip])
    return torch.from_numpy(np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1).astype(np.int64))


def batches(frames: Frames, indices: Sequence[int], *, whole: bool = False) -> list[list[int]]:
    """The frames in batches that fit in memory at any input size, labelled and other frames apart.

    whole: do not divide a clip, but for the frames of it that have no mask.
    """
    size = max(1, min(32, 2**14 // frames.encoder.grid**2))  # 32 frames of the mini SAM, 4 at 1024 pixels
    masks = frames.rows["mask"].notna().to_numpy()
    groups = [i for i in indices if masks[i]], [i for i in indices if not masks[i]]
    if whole:
        from soundprompt.features.frames import whole_clips

        return [batch for group in groups if group for batch in whole_clips(frames.group, group, size)]
    return [group[i : i + size] for group in groups for i in range(0, len(group), size)]


# ---------------------------------------------------------------------------------- on disk
class Recorder:
    """Collects logits for `predictions.safetensors`: a tensor "selection|probe" (n, 4h, 4w) float16.

    A frame is kept once for each probe of KEPT, under the first selection that has it; a selection with
    nothing of its own has no tensor.
    """

    def __init__(self, of: Questions):
        self._rows: dict[str, list[tuple[str, int]]] = {}
        self._wanted: dict[int, tuple[str, int]] = {}
        self._tensors: dict[str, Tensor] = {}
        seen: set[tuple[str, int]] = set()
        for (selection, probe), numbers in of.asked.items():
            if probe not in KEPT:
                continue
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
        tensorfile.write(path, self._tensors, {HEADER: canonical_json(self._rows)})


def read_predictions(path: Path, selection: str, probe: str = "own") -> dict[tuple[str, int], np.ndarray]:
    """(clip, frame) -> logits (4h, 4w) float16, for the frames kept under this selection and probe.

    Raises InputError when the file is missing or damaged. Empty when nothing was kept.
    """
    name = f"{selection}|{probe}"
    records.check(path)
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


REGISTERED = (
    Probe(name="mismatched", title="sound of another clip", masks_kept=True),
    Probe(name="muted", title="sound switched off in the test", masks_kept=True),
    Probe(name="silence", title="a silent recording"),
    Probe(name="ambient", title="room noise"),
    Probe(name="off_screen", title="a sound from off the screen", needs_silent=True),
)
# Probes whose masks are kept on disk; of the others the scores say enough.
KEPT = ("own", *(probe.name for probe in REGISTERED if probe.masks_kept))
