"""Which frames each training step sees: a pure function of seed and step, so that it has no state to save."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from soundprompt.errors import InputError

ORDER, FRAMES, SPARE, TORCH = range(4)  # purposes of random numbers; one stream each


class Sampler:
    """Draws batches of `clips_per_step` clips with up to `frames_per_clip` random frames each.

    clips: for each clip the indices of its supervised frames. videos, classes: for each clip its
    source video and its class string.
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
    ):
        if not clips or not all(len(frames) for frames in clips):
            raise InputError("no supervised frames to train on", remedy="check the setting's `train` selections")
        self.clips = [np.asarray(frames, dtype=np.int64) for frames in clips]
        self.videos, self.classes = np.asarray(videos), np.asarray(classes)
        self.seed, self.frames_per_clip = seed, frames_per_clip
        self.steps_per_epoch = -(-len(clips) // clips_per_step)
        self._epoch, self._parts = -1, []

    def batch(self, step: int) -> list[int]:
        """Frame indices of a step, clip by clip."""
        rng = np.random.default_rng([self.seed, FRAMES, step])
        return [int(index) for clip in self.step_clips(step) for index in self._some_frames(clip, rng)]

    def step_clips(self, step: int) -> np.ndarray:
        """Which clips a step sees."""
        epoch, part = divmod(step - 1, self.steps_per_epoch)
        if epoch != self._epoch:
            order = np.random.default_rng([self.seed, ORDER, epoch]).permutation(len(self.clips))
            self._epoch, self._parts = epoch, np.array_split(order, self.steps_per_epoch)
        return self._parts[part]

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

    def torch_seed(self, step: int) -> int:
        """Seed of torch's generator for a step (0: before the first), so that resuming needs no random state."""
        return int(np.random.SeedSequence([self.seed, TORCH, step]).generate_state(1, np.uint64)[0] >> 1)

    def _some_frames(self, clip: int, rng: np.random.Generator) -> np.ndarray:
        frames = self.clips[clip]
        return rng.choice(frames, min(self.frames_per_clip, len(frames)), replace=False)
