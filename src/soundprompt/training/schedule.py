"""How long a run trains and at which learning rates: pure functions of the settings."""

from __future__ import annotations

import math
from dataclasses import dataclass

from soundprompt.params import Schedule

SHOT_VALIDATIONS = 5  # of a few-shot run, besides that of its starting point


@dataclass(frozen=True)
class Plan:
    """Steps of one run.

    patience None: it runs to its end. scale: of the settings' learning rates. annealing: as in `Schedule`.
    continued: it starts from a trained model, and that model, unchanged, is a candidate for the best. frozen: steps
    at the beginning in which the image encoder's weights stand still.
    """

    steps: int
    validate_every: int
    patience: int | None
    warmup: int
    scale: float
    continued: bool
    annealing: str = "cosine"
    frozen: int = 0

    def validates(self, step: int) -> bool:
        """Whether a validation follows this step."""
        return step % self.validate_every == 0 or step == self.steps

    def factor(self, step: int) -> float:
        """What the settings' rates are multiplied with at a step (from 1): linear warm-up times the annealing."""
        warm = min(1.0, step / self.warmup) if self.warmup else 1.0
        if self.annealing == "none":
            return self.scale * warm
        return self.scale * warm * 0.5 * (1 + math.cos(math.pi * (step - 1) / self.steps))


def plan(schedule: Schedule, steps_per_epoch: int, continued: bool) -> Plan:
    """The plan of a run from the start, or of a few-shot run that continues from a trained model.

    With `schedule.epochs` a run from the start takes that many epochs, with a validation after each.
    A few-shot run takes `shot_epochs` epochs over its few clips (AVS-V3 protocol) whatever `steps`
    or `epochs` say, is validated `SHOT_VALIDATIONS` times, and warms up over a tenth of its steps at most; no weights
    are frozen then.
    `shot_learning_rate` scales the adapters' rate along with the head's.
    """
    warmup, annealing = schedule.warmup, schedule.annealing
    frozen = schedule.frozen_epochs * steps_per_epoch
    if not continued and schedule.epochs:
        steps = schedule.epochs * steps_per_epoch
        return Plan(steps, steps_per_epoch, schedule.patience, min(warmup, steps // 10), 1.0, False, annealing, frozen)
    if not continued:
        return Plan(schedule.steps, schedule.validate_every, schedule.patience, warmup, 1.0, False, annealing, frozen)
    steps = schedule.shot_epochs * steps_per_epoch
    every = -(-schedule.shot_epochs // SHOT_VALIDATIONS) * steps_per_epoch
    scale = (schedule.shot_learning_rate or schedule.learning_rate) / schedule.learning_rate
    return Plan(steps, every, None, min(warmup, steps // 10), scale, True, annealing)


def precision(schedule: Schedule, device: str) -> str:
    """'float32' or 'bfloat16': what a run computes in on a device of this type ('cpu', 'cuda').

    'auto' is bfloat16 on a GPU, where it is several times faster; processors mostly gain nothing by it.
    """
    if schedule.precision == "auto":
        return "bfloat16" if device == "cuda" else "float32"
    return schedule.precision
