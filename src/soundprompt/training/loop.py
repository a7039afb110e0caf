"""The training loop: steps, validation, the best step, and resuming after a kill, on a CPU to the same bits.

Nothing here depends on what happened before a step except parameters, optimiser state and the best
so far. Batches and random numbers are functions of (seed, step), the same on every device (`soundprompt.draws`);
learning rates of the step.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from soundprompt import finite
from soundprompt.features import loading
from soundprompt.features.frames import whole_clips
from soundprompt.params import Model
from soundprompt.progress import Progress
from soundprompt.training import checkpoint, journal, losses, negatives, validation
from soundprompt.training.sampler import Sampler
from soundprompt.training.schedule import Plan, precision
from soundprompt.training.team import Team

if TYPE_CHECKING:
    from soundprompt.features.frames import Batch, Frames, Read
    from soundprompt.foundation.encoders import Encoder
    from soundprompt.models import Segmenter
    from soundprompt.models.segmenter import Prediction

# Of a step: its frames, further ones of their clips, and a spare one.
Reading = tuple["Read", "Read | None", "Read | None"]
RESUME = "resume.pt"
METRICS = "metrics.csv"


class Stopped(Exception):
    """The run was asked to stop, and has saved its state: started again, it goes on."""


@dataclass
class Best:
    """The best validation so far, or the last one (`Schedule.keep`). step 0 is the starting point of a few-shot run."""

    step: int = -1
    score: float = -math.inf
    scores: dict[str, float] = field(default_factory=dict)
    parameters: dict[str, Tensor] = field(default_factory=dict)
    misses: int = 0  # validations since


class Trainer:
    """One model in training: what a step does, and the state that a step changes.

    train: the frames that `sampler` draws from. validation: selection -> frames, all with masks. The
    model lies on `device`; batches are moved there. label: names the run in messages. team: the processes that
    train it together; each has a trainer of its own, and all of these stay equal.
    """

    def __init__(
        self,
        model: Segmenter,
        settings: Model,
        plan: Plan,
        encoder: Encoder,
        sampler: Sampler,
        train: Frames,
        validation: Mapping[str, Frames],
        device: str = "cpu",
        label: str = "training",
        team: Team = Team(),
    ):
        self.model, self.settings, self.plan, self.restore = model, settings, plan, encoder.restore
        self.sampler, self.train, self.validation = sampler, train, validation
        self.device, self.label, self.team = torch.device(device), label, team
        self.precision = precision(settings.schedule, self.device.type)
        # A spare frame goes through the model with the batch where launches are what a small step costs. A processor is
        # quicker without the spare's mask and backward pass.
        self.fused = self.device.type != "cpu"
        self.parameters, self.changing = model.trained_parameters(), model.trained_state()
        groups = model.parameter_groups(settings.schedule)
        self.rates = [group["lr"] for group in groups]
        # fused: one call for all tensors, a fifth of the time of a loop over them
        decay = settings.schedule.weight_decay
        self.optimizer = torch.optim.AdamW(groups, weight_decay=decay, fused=True)
        self.step, self.best = 0, Best()
        self.waited = 0.0  # seconds in which nothing was there to compute with
        self._stream, self._next = self._timed(iter(())), 0

    # ---- one step
    def sample(self, step: int) -> tuple[Batch, Batch | None]:
        """The batch of a step, and the spare frame that it needs for a triplet, if it does."""
        return self._sample(step, self.read(step))

    def read(self, step: int) -> Reading:
        """What has to be read for a step: a function of the seed and the step, wherever it is called."""
        indices, train = self.sampler.batch(step), self.train
        spare = self.sampler.spare(step) if self.settings.triplet.weight else None
        others = train.context(indices) if self.model.whole_clips else []
        read = functools.partial(train.read, device=self.device)
        context = read(others, labels=False) if others else None
        return read(indices), context, None if spare is None else read([spare], labels=False)

    def _sample(self, step: int, reading: Reading) -> tuple[Batch, Batch | None]:
        schedule = self.settings.schedule
        targets = schedule.loss_size == "decoder"
        first, *others = reading
        batch = self.train.complete(first, self.device, masks=not targets, targets=targets)
        context, spare = (None if read is None else self.train.complete(read, self.device) for read in others)
        batch = dataclasses.replace(batch, context=context)
        if schedule.negatives:
            batch = negatives.given(batch, self.sampler.negatives(step, schedule.negatives), self.train)
        return batch, spare

    def _readings(self, step: int) -> Iterator[Reading]:
        """Those of this step and all that follow, read ahead."""
        if step != self._next:
            self.close()
            steps = range(step, self.plan.steps + 1)
            self._stream = self._timed(loading.ahead(self.read, steps, self.train.workers))
        self._next = step + 1
        return self._stream

    def close(self) -> None:
        """Ends what reads ahead."""
        self._stream.close()
        self._next = 0

    def _timed(self, items: Iterator[Any]) -> Generator[Any, None, None]:
        """The same items; the time that passes until they are there counts as waiting."""
        while True:
            start = time.perf_counter()
            item = next(items, None)
            self.waited += time.perf_counter() - start
            if item is None:
                return
            yield item

    def loss(self, batch: Batch, spare: Batch | None = None) -> dict[str, Tensor]:
        """Loss of a batch and its parts: loss, mask, triplet, active (see `journal`).

        In a team only this process's part of the batch goes through the model: loss and mask are its shares of those
        of the whole batch, and their sums over the processes are what one process would find.
        """
        self.model.train()
        here = self.team.part(batch.group if self.model.temporal else range(len(batch.sizes)))
        length, count = len(batch.sizes), here.stop - here.start
        # a process without a frame of its own looks at the first, which then counts for nothing
        mine = batch if count == length else batch.part(here if count else slice(0, 1))
        with self._autocast():
            prediction, other = self._answer(mine, spare)
        share = count / length
        mask = self._drawing_loss(prediction, mine) * share
        total = mask
        if prediction.presence is not None:
            presence = losses.presence_loss(prediction.presence, mine.sounding()).mean()
            total = total + self.settings.presence.weight * presence * share
        if prediction.auxiliary is not None:
            auxiliary = self._mask_losses(prediction.auxiliary, mine, self.model.auxiliary_loss).mean()
            total = total + self.model.auxiliary_weight * auxiliary * share
        if prediction.penalty is not None:
            total = total + prediction.penalty.mean() * share
        if not self.settings.triplet.weight:
            return {"loss": total, "mask": mask.detach()}
        prediction.cue = self.team.whole(prediction.cue[:count], here, length)
        prediction.sound = self.team.whole(prediction.sound[:count], here, length)
        triplet, active = self._triplet(prediction, batch, spare, other)
        total = total + self.settings.triplet.weight * triplet
        return {"loss": total, "mask": mask.detach(), "triplet": triplet.detach(), "active": active}

    def update(self, step: int, loss: Tensor) -> Tensor:
        """Backward pass and optimiser step; returns the gradient's norm. Not finite: nothing is updated."""
        self.optimizer.zero_grad()
        loss.backward()
        self.team.add_gradients(weight for weight in self.parameters.values() if weight.requires_grad)
        largest = self.settings.schedule.clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters.values(), largest)
        factor = self.plan.factor(step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        if math.isfinite(norm):
            self.optimizer.step()
        return norm

    def advance(self) -> dict[str, float]:
        """Takes the next step; returns its row of metrics. Raises InputError when loss or gradient are not finite."""
        step = self.step + 1
        torch.manual_seed(self.sampler.torch_seed(step))
        for name, weight in self.parameters.items():
            weight.requires_grad_(step > self.plan.frozen or not name.startswith("encoder."))
        batch, spare = self._sample(step, next(self._readings(step)))
        parts = self.loss(batch, spare)
        row = {"step": step, **self._of_team({name: value.item() for name, value in parts.items()})}
        self._check(row["loss"], "loss", step, batch)
        row["gradient"] = self.update(step, parts["loss"]).item()
        self._check(row["gradient"], "gradient", step, batch)
        self.step = step
        return row | {"rate": self.settings.schedule.learning_rate * self.plan.factor(step)}

    # ---- validation
    def validate(self) -> dict[str, float]:
        """Scores the model as it is and keeps it if it is the best, or the last; returns the scores by selection and
        their mean.

        Raises InputError when an answer is not finite.
        """
        self.model.eval()
        self.team.average(self.model.running_statistics().values())
        threshold = self.settings.schedule.selection_threshold
        scores = {
            name: validation.mean_iou(
                self._predict,
                self._batches(frames),
                self.restore,
                self.team,
                threshold,
                label=f"{self.label}: validation on {name} after step {self.step}",
            )
            for name, frames in self.validation.items()
        }
        mean = sum(scores.values()) / len(scores)
        if mean > self.best.score or self.settings.schedule.keep == "last":
            kept = {name: tensor.detach().clone() for name, tensor in self.changing.items()}
            self.best = Best(self.step, mean, scores, kept)
        else:
            self.best.misses += 1
        return {"validation": mean, **scores}

    @property
    def finished(self) -> bool:
        """All steps taken, or no new best for `patience` validations."""
        patience = self.plan.patience
        return self.step >= self.plan.steps or (patience is not None and self.best.misses >= patience)

    # ---- state
    def state(self) -> dict[str, Any]:
        """All that the next steps depend on, as `checkpoint.save_resume` takes it; not a copy."""
        return {
            "step": self.step,
            "parameters": {name: tensor.detach() for name, tensor in self.changing.items()},
            "optimizer": self.optimizer.state_dict(),
            "best": dataclasses.asdict(self.best),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Goes back to a state."""
        with torch.no_grad():
            for name, tensor in self.changing.items():
                tensor.copy_(state["parameters"][name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best = state["step"], Best(**state["best"])

    # ---- inside
    def _of_team(self, row: dict[str, float]) -> dict[str, float]:
        """A step's numbers of the whole batch. The triplet loss is that already, in every process."""
        if self.team.size == 1:
            return row
        of_triplet = self.settings.triplet.weight * row.get("triplet", 0.0)
        mask, masks = self.team.total([row["mask"], row["loss"] - of_triplet])
        return {**row, "mask": mask, "loss": masks + of_triplet}

    def _drawing_loss(self, prediction: Prediction, batch: Batch) -> Tensor:
        """Of the masks. Where a presence score answers for frames without one, these count 0 in the mean."""
        kind = self.settings.schedule.mask_loss
        if prediction.drawn is None:
            return self._mask_losses(prediction.logits, batch, kind).mean()
        return (self._mask_losses(prediction.drawn, batch, kind) * batch.sounding()).mean()

    def _mask_losses(self, logits: Tensor, batch: Batch, kind: str) -> Tensor:
        if self.settings.schedule.loss_size == "decoder":
            return losses.decoder_loss(logits.float(), batch.targets, batch.target_valid, kind)
        return losses.original_loss(logits.float(), batch.masks, self.restore, kind)

    def _triplet(
        self, prediction: Prediction, batch: Batch, spare: Batch | None = None, other: Any = None
    ) -> tuple[Tensor, Tensor]:
        """Loss, and the share of triplets above 0. other: cue and sound of the spare frame."""
        cue, sound = prediction.cue, prediction.sound
        videos, classes = list(batch.videos), list(batch.classes)
        if spare is not None:
            cue, sound = torch.cat([cue, other[0]]), torch.cat([sound, other[1]])
            videos, classes = videos + list(spare.videos), classes + list(spare.classes)
        anchors = len(batch.videos)
        if batch.negative is not None:  # a sound that is not the frame's says nothing of how the two belong together
            kept = [i for i in range(len(videos)) if i >= anchors or not batch.negative[i]]
            cue, sound = cue[kept], sound[kept]
            videos, classes = [videos[i] for i in kept], [classes[i] for i in kept]
            anchors -= int(batch.negative.sum())
        others = losses.allowed_negatives(videos, classes)[:anchors]
        triplet = self.settings.triplet
        if self.team.size > 1:  # the processes draw the same negatives, whatever their models drew before
            torch.manual_seed(self.sampler.torch_seed(self.step + 1))
        return losses.triplet_loss(cue, sound, others, triplet.margin, triplet.anchor)

    def _answer(self, batch: Batch, spare: Batch | None) -> tuple[Prediction, Any]:
        """What the model says of the batch's frames, with others of their clips as context; cue and sound of the spare.

        No gradient flows to the latter.
        """
        shown, count = batch.with_context(), len(batch.sizes)
        if spare is None:
            return self.model(shown).first(count), None
        if self.fused:
            both, first = self.model(shown.beside(spare)), len(shown.sizes)
            return both.first(count), (both.cue[first:].detach(), both.sound[first:].detach())
        prediction = self.model(shown).first(count)
        with torch.no_grad():
            return prediction, self.model.compare(spare)

    def _predict(self, batch: Batch) -> Tensor:
        with self._autocast():
            return self.model(batch).logits

    def _batches(self, frames: Frames) -> Iterator[Batch]:
        size = 2 * self.settings.schedule.clips_per_step * self.settings.schedule.frames_per_clip
        everything = range(len(frames))
        if self.model.temporal:
            batches = whole_clips(frames.group, everything, size)
        else:
            batches = [list(everything[start : start + size]) for start in everything[::size]]
        return self._timed(frames.batches(batches[self.team.rank :: self.team.size], self.device))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _check(self, value: float, what: str, step: int, batch: Batch) -> None:
        finite.check(value, f"{self.label}: the {what} at step {step} is", clips=batch.clips, remedy=validation.REMEDY)


def fit(trainer: Trainer, folder: Path, key: str, stop: Callable[[], bool] = lambda: False) -> float:
    """Trains until `trainer.finished`, resuming what was begun in `folder` under the same key.

    Writes metrics.csv row by row, and resume.pt at each validation and when `stop()` turns true; then
    raises Stopped. Returns the seconds that training took, all its attempts together, of which it waited for data
    `trainer.waited`.
    """
    label = trainer.label
    state, offset, spent = _begun(folder, key, label)
    if state is not None:
        trainer.load_state(state)
        trainer.waited = state["waited"]
    team, leads = trainer.team, trainer.team.leads
    log = journal.Journal(folder / METRICS, list(trainer.validation), offset) if leads else None
    began = time.perf_counter() - spent
    progress = Progress(label, trainer.plan.steps - trainer.step)

    def save() -> None:
        if not leads:
            return
        seconds = time.perf_counter() - began
        done = {"metrics": log.offset(), "rows": journal.written(folder / METRICS, log.offset())}
        state = {**trainer.state(), **done, "seconds": seconds, "waited": trainer.waited}
        checkpoint.save_resume(folder / RESUME, key, state)

    try:
        if state is None and trainer.plan.continued:
            torch.manual_seed(trainer.sampler.torch_seed(0))
            row = {"step": 0, **trainer.validate()}
            if leads:
                log.write(row)
        while not trainer.finished:
            row = trainer.advance()
            validates = trainer.plan.validates(trainer.step)
            if validates:
                row |= trainer.validate()
            if leads:
                log.write(row)
            stopping = team.anyone(stop()) and not trainer.finished
            if validates or stopping:
                save()
            if leads:
                progress.advance(_note(row, trainer.best))
            if stopping:
                raise Stopped(f"{label}: stopped after step {trainer.step}; started again, it goes on from there")
        if leads and progress.done < progress.total:
            progress.total = progress.done
            progress.advance(f"no new best for {trainer.best.misses} validations", steps=0)
    finally:
        trainer.close()
        if log is not None:
            log.close()
    return time.perf_counter() - began


def _begun(folder: Path, key: str, label: str) -> tuple[dict[str, Any] | None, int | None, float]:
    """State to go on from, length of its metrics file and seconds spent; None, None, 0 for a fresh start."""
    state, why = checkpoint.load_resume(folder / RESUME, key)
    if state is not None and journal.written(folder / METRICS, state["metrics"]) != state["rows"]:
        state, why = None, f"{folder / METRICS} is missing, cut short or altered"
    if state is None:
        if why:
            print(f"{label}: {why}; starting from the beginning", file=sys.stderr, flush=True)
        return None, None, 0.0
    print(f"{label}: going on after step {state['step']}", file=sys.stderr, flush=True)
    return state, state["metrics"], state["seconds"]


def _note(row: Mapping[str, float], best: Best) -> str:
    note = f"loss {row['loss']:.4f}"
    return note if best.step < 0 else f"{note}, best mIoU {best.score:.3f} at step {best.step}"
