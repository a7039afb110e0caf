"""Which frames each training step sees: a pure function of seed and step, so that it has no state to save."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from soundprompt.errors import InputError
from soundprompt.features import background

ORDER, FRAMES, SPARE, TORCH, NEGATIVES = range(5)  # purposes of random numbers; one stream each


class Sampler:
    """Draws batches of `clips_per_step` clips with up to `frames_per_clip` random frames each.

    clips: for each clip the indices of its supervised frames. videos, classes: for each clip its
    source video and its class string. silent: for each clip the classes of its silent objects, joined
    with "_", or None where they are not known; only `negatives` looks at them.
    An epoch is a permutation of all clips, cut into steps whose sizes differ by one clip at most: each
    clip is seen once an epoch, and no step is left with a small rest. Steps count from 1.
    """

    def __init__(
        self,
        clips: Sequence[Sequence[int]],
        videos: Sequence[str],
        classes: Sequence[str],
        seed: int,
        clips_per_step: int,
        frames_per_clip: int,
        silent: Sequence[str | None] | None = None,
    ):
        if not clips or not all(len(frames) for frames in clips):
            raise InputError("no supervised frames to train on", remedy="check the setting's `train` selections")
        self.clips = [np.asarray(frames, dtype=np.int64) for frames in clips]
        self.videos, self.classes = np.asarray(videos), np.asarray(classes)
        self.silent = [None] * len(clips) if silent is None else list(silent)
        self.seed, self.frames_per_clip = seed, frames_per_clip
        self.steps_per_epoch = -(-len(clips) // clips_per_step)
        self._epoch = -1, list[np.ndarray]()

    def batch(self, step: int) -> list[int]:
        """Frame indices of a step, clip by clip."""
        rng = np.random.default_rng([self.seed, FRAMES, step])
        return [int(index) for clip in self.step_clips(step) for index in self._some_frames(clip, rng)]

    def step_clips(self, step: int) -> np.ndarray:
        """Which clips a step sees."""
        epoch, part = divmod(step - 1, self.steps_per_epoch)
        kept = self._epoch  # one value, since several threads may ask for steps of two epochs
        if kept[0] != epoch:
            order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(len(self.clips))
            kept = self._epoch = epoch, np.array_split(order, self.steps_per_epoch)
        return kept[1][part]

    def spare(self, step: int) -> int | None:
        """A frame of another video, for a step whose clips are all of one video; else None.

        It serves as the negative of the triplet loss, which such a step cannot find in itself: of
        another class string if there is one. None also when the whole training set is of one video.
        """
        clips = self.step_clips(step)
        if len(set(self.videos[clips])) > 1:
            return None
        other = self.videos != self.videos[clips[0]]
        better = other & (self.classes != self.classes[clips[0]])
        choice = np.flatnonzero(better if better.any() else other)
        if not len(choice):
            return None
        rng = np.random.default_rng([self.seed, SPARE, step])
        return int(rng.choice(self.clips[rng.choice(choice)]))

    def negatives(self, step: int, share: float) -> dict[int, int]:
        """Which frames of a step get a sound that nothing in them makes: place in `batch` -> number of the sound.

        share: of the step's frames; what it leaves of a frame is a chance. The sounds are, in turn, silence, a second
        of another clip, room noise, and another clip's again (numbers as in `features.background`); the clip is a
        random one of another video and of no class that the frame's clip has, silent objects included where they are
        known. Where there is no such clip, room noise stands for it.
        """
        rng = np.random.default_rng([self.seed, NEGATIVES, step])
        clips = self.step_clips(step)
        owner = np.repeat(clips, [min(self.frames_per_clip, len(self.clips[clip])) for clip in clips])
        places = rng.permutation(len(owner))[: int(share * len(owner) + rng.random())]
        first = int(rng.integers(4))
        return {int(place): self._foreign(turn % 4, owner[place], rng) for turn, place in enumerate(places, first)}

    def _foreign(self, turn: int, clip: int, rng: np.random.Generator) -> int:
        """Number of a sound that nothing in a clip makes: silence (turn 0), room noise (2), another clip's (1, 3)."""
        if turn == 0:
            return background.SILENCE
        choice = np.flatnonzero(self._apart(clip)) if turn % 2 else np.empty(0, int)
        if len(choice):
            return int(rng.choice(self.clips[rng.choice(choice)]))
        return background.ambient(int(rng.choice(background.TRAINING_ROOMS)), int(rng.integers(background.SECONDS)))

    def _apart(self, clip: int) -> np.ndarray:
        """Clips of another video whose sound is of nothing that this clip shows, (n,) bool."""
        silent = (self.silent[clip] or "").split("_")
        shown = self._sounding[clip] | np.isin(self._class_names, silent)
        return ~(self._sounding & shown).any(1) & (self.videos != self.videos[clip])

    @cached_property
    def _class_names(self) -> np.ndarray:
        return np.unique([name for classes in self.classes for name in classes.split("_")])

    @cached_property
    def _sounding(self) -> np.ndarray:
        """Which classes each clip sounds of, (n, classes) bool."""
        return np.stack([np.isin(self._class_names, classes.split("_")) for classes in self.classes])

    def torch_seed(self, step: int) -> int:
        """Seed of torch's generator for a step (0: before the first), so that resuming needs no random state."""
        return int(np.random.SeedSequence([self.seed, TORCH, step]).generate_state(1, np.uint64)[0] >> 1)

    def _some_frames(self, clip: int, rng: np.random.Generator) -> np.ndarray:
        frames = self.clips[clip]
        return rng.choice(frames, min(self.frames_per_clip, len(frames)), replace=False)
