"""Pre-trains the mini sound encoder on sounds alone, to tell pitch, modulation and timbre by soft tags."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from soundprompt import finite, params
from soundprompt.data.world import pretraining
from soundprompt.files import digest_file
from soundprompt.foundation import audio as foundation_audio
from soundprompt.foundation import making, quality
from soundprompt.layout import Layout
from soundprompt.params import Scene
from soundprompt.progress import Progress, track

# Streams of random numbers that never meet: default_rng([seed, stream, index]).
TRAINING, HELD_OUT, ORDER = 201, 202, 203
BATCH = 32
PEAK_RATE, FIRST_RATE, LAST_RATE, RISE = 1e-3, 4e-5, 4e-9, 0.3  # one cycle of the learning rate
WEIGHT_DECAY = 1e-3
HELD_OUT_SOUNDS = 300
ANOTHER_SEED = "try another foundation.audio.seed"


def run(view: params.PretrainView, layout: Layout) -> None:
    """Pre-trains the mini sound encoder (`making.run`).

    The output of the written encoder has mean 0 and sd 1 over its training sounds; the standardisation is part of
    its last layer.
    """

    def finish(trainer: Trainer, target: Path) -> tuple[str, dict[str, Any]]:
        seed = view.model.seed
        accuracy = tag_accuracy(trainer, *pool(seed, HELD_OUT, HELD_OUT_SOUNDS, view.scene))
        standardise(trainer.encoder, trainer.sounds[0])
        foundation_audio.save(trainer.encoder, view.model, target)
        frozen = foundation_audio.FrozenAudio(trainer.encoder, view.model.architecture, digest_file(target))
        measured = quality.measure_audio(frozen, view.scene, seed)
        return frozen.digest, {"tags_within_one_bin": accuracy, **measured}

    making.run("audio", view, layout, lambda: Trainer(view), finish)


def pool(seed: int, stream: int, count: int, scene: Scene) -> tuple[Tensor, Tensor]:
    """`count` sounds of a stream: log-mel examples (n, 1, 96, 64) and soft tags (n, 29) in 0..1."""
    drawn = [
        pretraining.sound(np.random.default_rng([seed, stream, index]), scene)
        for index in track(range(count), "sounds", count)
    ]
    examples = torch.cat([foundation_audio.examples(wave)[:1] for wave, _ in drawn])
    return examples, torch.from_numpy(np.stack([tags for _, tags in drawn])).float()


class Trainer:
    """The encoder, the tag head that only pre-training needs, and their optimiser."""

    parts: ClassVar[tuple[str, ...]] = ("encoder", "head")

    def __init__(self, view: params.PretrainView):
        self.settings, self.scene = view.model, view.scene
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.encoder = foundation_audio.MiniVggish()
            self.head = nn.Sequential(nn.ReLU(), nn.Linear(foundation_audio.EMBEDDING, pretraining.TAG_COUNT))
        self.trained = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimiser = torch.optim.AdamW(self.trained, weight_decay=WEIGHT_DECAY, fused=True)
        self.epoch = 0

    @property
    def reached(self) -> int:
        return self.epoch

    @cached_property
    def sounds(self) -> tuple[Tensor, Tensor]:
        """The sounds to train on (`pool`)."""
        return pool(self.settings.seed, TRAINING, self.settings.sounds, self.scene)

    def train(self, keep: Callable[[], None]) -> None:
        """Runs the epochs that are left; `keep()` is called after each. A last, smaller batch is left out."""
        examples, tags = (of_pool.to(self.trained[0].device) for of_pool in self.sounds)
        batches = max(1, len(examples) // BATCH)
        progress = Progress("sound encoder", self.settings.epochs * batches)
        progress.done = self.epoch * batches
        while self.epoch < self.settings.epochs:
            order = np.random.default_rng([self.settings.seed, ORDER, self.epoch]).permutation(len(examples))
            for number in range(batches):
                rows = torch.from_numpy(order[number * BATCH : (number + 1) * BATCH]).to(examples.device)
                done = (self.epoch * batches + number) / (self.settings.epochs * batches)
                loss = self.update(examples[rows], tags[rows], learning_rate(done))
                progress.advance(f"loss {loss:.3f}")
            self.epoch += 1
            keep()

    def update(self, examples: Tensor, tags: Tensor, rate: float) -> float:
        """One optimiser step; returns the loss, binary cross entropy of the tags."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.encoder.train()
        loss = F.binary_cross_entropy_with_logits(self.head(self.encoder(examples)), tags)
        finite.check(loss, f"sound encoder: the loss in epoch {self.epoch + 1} is", remedy=ANOTHER_SEED)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.item()

    def state(self) -> dict:
        """All that `restore` needs to go on as if nothing had happened."""
        parts = {name: getattr(self, name).state_dict() for name in (*self.parts, "optimiser")}
        return {"epoch": self.epoch, **parts}

    def restore(self, state: dict) -> None:
        """Continues from `state`."""
        self.epoch = state["epoch"]
        for part in (*self.parts, "optimiser"):
            getattr(self, part).load_state_dict(state[part])


def learning_rate(done: float) -> float:
    """One cycle over the share of steps done: cosine up to the peak, cosine down to almost nothing."""
    if done < RISE:
        start, end, share = FIRST_RATE, PEAK_RATE, done / RISE
    else:
        start, end, share = PEAK_RATE, LAST_RATE, (done - RISE) / (1 - RISE)
    return end + (start - end) * (0.5 + 0.5 * math.cos(math.pi * share))


@torch.no_grad()
def standardise(encoder: foundation_audio.MiniVggish, examples: Tensor) -> None:
    """Gives the encoder's output mean 0 and sd 1 over `examples`, in each of its 128 numbers."""
    encoder.eval()
    found = torch.cat([encoder(piece) for piece in examples.split(64)])
    encoder.standardise(found.mean(dim=0), found.std(dim=0, correction=0).clamp(min=1e-6))


@torch.no_grad()
def tag_accuracy(trainer: Trainer, examples: Tensor, tags: Tensor) -> dict[str, float]:
    """Share of single (not mixed) sounds whose strongest tag is at most one bin off, for each attribute."""
    trainer.encoder.eval()
    found = torch.cat([trainer.head(trainer.encoder(piece)) for piece in examples.split(64)])
    single = tags[:, pretraining.TAGS["pitch"]].sum(dim=1) < 2.2  # one bump of width 0.6 sums to about 1.5
    accuracy = {}
    for name, where in pretraining.TAGS.items():
        off = found[single, where].argmax(dim=1) - tags[single, where].argmax(dim=1)
        accuracy[name] = (off.abs() <= 1).double().mean().item()
    return accuracy
