"""What the pre-trainings share: a run that may be killed at any time, on a GPU if there is one; steps on pictures."""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from soundprompt import devices, finite, params, provenance
from soundprompt.foundation import process, resume, weights
from soundprompt.foundation.pictures import Picture
from soundprompt.layout import Layout
from soundprompt.progress import Progress

RESUME_EVERY = 100  # steps
WARMUP = 60  # steps
LOWER_RATE = "lower the learning rate of this model in `foundation`"


class Resumable(Protocol):
    """A model in pre-training. trained: its weights. parts: the names of the modules that hold them.
    reached: how far it has come, in its own unit (steps, epochs)."""

    trained: list[nn.Parameter]
    parts: ClassVar[tuple[str, ...]]

    @property
    def reached(self) -> int: ...

    def train(self, keep: Callable[[], None]) -> None:
        """Does what is left; `keep()` is called wherever the state is worth keeping."""

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: dict[str, Any]) -> None: ...


Trainer = TypeVar("Trainer", bound=Resumable)


def run(
    name: str,
    view: params.PretrainView,
    layout: Layout,
    begin: Callable[[], Trainer],
    finish: Callable[[Trainer, Path], tuple[str, dict[str, Any]]],
) -> None:
    """Pre-trains and writes layout.foundation(name) and, with its quality, layout.foundation_quality(name).

    begin: makes the trainer at its beginning. finish: writes the trained model to a path; returns the sha256 of that
    file and the model's quality. Killed and started again, it continues from its last saved state. Seeded: on a
    processor the same settings give the same bytes on the same machine, killed or not; a GPU trains by the same draws,
    but adds in another order. The quality is measured on the processor in either case.
    """
    watch = provenance.Stopwatch()
    stage, seed = f"pretrain/{name}", view.model.seed
    process.keep_freed_memory()
    with process.single_thread():
        target, key = layout.foundation(name), provenance.key(stage, view, seed, {})
        trainer = begin()
        move(trainer, devices.best())
        saved = resume.load(target, key)
        if saved is not None:
            trainer.restore(saved)
        resumed_at = trainer.reached
        trainer.train(lambda: resume.save(target, key, trainer.state()))
        for weight in trainer.trained:
            finite.check(weight, f"{name}: weights after pre-training are", remedy=LOWER_RATE)
        move(trainer, "cpu")
        digest, quality = finish(trainer, target)
    origin = provenance.record(stage, view, seed, {}, watch, weights=digest, resumed_at=resumed_at)
    weights.conclude(target, quality, origin)
    resume.clear(target)


def move(trainer: Resumable, device: str) -> None:
    """Brings the modules to a device. The optimiser's state must be empty, or is not used any more."""
    for part in trainer.parts:
        getattr(trainer, part).to(device)


def moved(step: Any, device: torch.device) -> Any:
    """A step's data (a dataclass) with its tensors on a device."""
    tensors = {name: value.to(device) for name, value in vars(step).items() if isinstance(value, Tensor)}
    return dataclasses.replace(step, **tensors)


class PictureTrainer(ABC):
    """Modules that learn from pictures. Steps are functions of the seed and their number, so no draws are kept.

    settings: of the model, with seed, steps and rates. trained: what the optimiser moves. Subclasses set these as
    attributes: label, for the line of progress; shown, a format for the three numbers of `measure`; parts, the names
    of the modules that make up the state.
    """

    label: str
    shown: ClassVar[str]
    parts: ClassVar[tuple[str, ...]]

    def __init__(
        self,
        settings: params.Sam | params.Pyramid,
        trained: list[nn.Parameter],
        betas: tuple[float, float] = (0.9, 0.999),
    ):
        self.settings, self.trained = settings, trained
        self.optimiser = torch.optim.AdamW(trained, weight_decay=settings.weight_decay, betas=betas, fused=True)
        self.step = 0

    @abstractmethod
    def pool(self) -> list[Picture]:
        """The pictures to draw from."""

    @abstractmethod
    def draw(self, pool: list[Picture]) -> Any:
        """The data of the next step, a dataclass."""

    @abstractmethod
    def measure(self, data: Any) -> tuple[Tensor, float, float]:
        """The loss of a step's data, and two numbers to show beside it."""

    @property
    def reached(self) -> int:
        return self.step

    def train(self, keep: Callable[[], None], every: int = RESUME_EVERY) -> None:
        """Runs the steps that are left; `keep()` is called every `every` steps and after the last."""
        if self.step >= self.settings.steps:
            return
        pool = self.pool()
        for part in self.parts:
            getattr(self, part).train()
        progress = Progress(self.label, self.settings.steps)
        progress.done = self.step
        recent = np.zeros(3)
        while self.step < self.settings.steps:
            recent += 0.05 * (np.array(self.update(moved(self.draw(pool), self.trained[0].device))) - recent)
            self.step += 1
            if self.step % every == 0 or self.step == self.settings.steps:
                keep()
            progress.advance(self.shown.format(*recent))

    def update(self, data: Any) -> tuple[float, float, float]:
        """One optimiser step at a rate that rises for a while, then falls as a cosine; returns loss and `measure`."""
        done = self.step / self.settings.steps
        rate = self.settings.learning_rate * min(1.0, (self.step + 1) / WARMUP) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in self.optimiser.param_groups:
            group["lr"] = rate + 1e-6
        loss, *beside = self.measure(data)
        finite.check(loss, f"{self.label}: the loss at step {self.step + 1} is", remedy=LOWER_RATE)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimiser.step()
        return loss.item(), *beside

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if nothing had happened."""
        modules = {name: getattr(self, name).state_dict() for name in (*self.parts, "optimiser")}
        return {"step": self.step, **modules}

    def restore(self, state: dict[str, Any]) -> None:
        """Continues from `state`."""
        self.step = state["step"]
        for name in (*self.parts, "optimiser"):
            getattr(self, name).load_state_dict(state[name])
