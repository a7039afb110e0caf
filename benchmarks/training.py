"""What a training step of each model costs, and where its time goes, within one run.

    python benchmarks/training.py [--study mini] [--models gavs sam_fusion ...] [--frames 240] [--rounds 20]

Makes a throw-away project of noise pictures and sounds of the study's size with untrained encoders (their
speed is that of trained ones), and takes real steps of `training.loop.Trainer` on one thread. The models
take turns, so that a busy machine troubles all alike; times are medians of processor time. Columns:
- trained: parameters; ms: a step without validation; ratio: to the first model.
- sample, forward (with the loss), backward (with clipping and the optimiser), check: shares of the step.
- val: time of validating on `--frames` frames, as a share of the training time that it interrupts
  (`validate_every` steps).
- writing: share of a row of metrics and, every `validate_every` steps, of the state for resuming.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from features import make_project
from soundprompt import params
from soundprompt.layout import Layout
from soundprompt.training import checkpoint, run
from soundprompt.training.journal import Journal
from soundprompt.training.loop import Trainer

clock = time.process_time  # of one thread: what others do on the machine does not count
PARTS = ("sample", "forward", "backward", "check")


def main() -> None:
    """Prints the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--study", default="mini")
    options.add_argument("--models", nargs="*")
    options.add_argument("--frames", type=int, default=240)
    options.add_argument("--rounds", type=int, default=20)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    study = params.load(None if chosen.study == "mini" else chosen.study)
    named = chosen.models or [name for name in study.models if "-" not in name]  # a dash names a variant of a model
    models = {name: study.models[name] for name in named}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        taps = [model.visual.tune_from for model in models.values() if model.reads == "sam"]
        layout = make_project(study, chosen.frames, taps).layout
        trainers = {name: make_trainer(name, model, layout) for name, model in models.items()}
        took = measure(trainers, chosen.rounds)
        os.chdir("/")
    report(trainers, took)


def make_trainer(name: str, model: params.Model, layout: Layout) -> Trainer:
    """A trainer on the CPU whose training and validation frames are the same."""
    setting = {"train": ["v2/train"], "validate_on": ["v2/train"], "test": ["v2/train"]}
    view = params.TrainView(
        study=layout.study, setting_name="noise", setting=setting, model_name=name, model=model, data={}
    )
    trainer = run.Run(view, 0, layout, run.PackData(view, layout)).trainer("cpu")
    trainer.train.batch(trainer.train.supervised)  # targets are computed once; this is that once
    return trainer


def measure(trainers: dict[str, Trainer], rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each part of each model; the first round warms up and does not count."""
    times: dict[str, list[dict[str, float]]] = {name: [] for name in trainers}
    for step in range(1, rounds + 2):
        for name, trainer in trainers.items():
            times[name].append(timed_step(trainer, step))
    took = {
        name: {part: statistics.median(row[part] for row in rows[1:]) for part in rows[0]}
        for name, rows in times.items()
    }
    for name, trainer in trainers.items():
        took[name] |= timed_rest(name, trainer)
    return took


def timed_step(trainer: Trainer, step: int) -> dict[str, float]:
    """Seconds of the parts of one step: the same calls as `Trainer.advance`."""
    marks = [clock()]
    torch.manual_seed(trainer.sampler.torch_seed(step))
    batch, spare = trainer.sample(step)
    marks.append(clock())
    parts = trainer.loss(batch, spare)
    marks.append(clock())
    trainer.update(step, parts["loss"]).item()
    marks.append(clock())
    _ = {name: value.item() for name, value in parts.items()}
    marks.append(clock())
    trainer.step = step
    return {part: marks[i + 1] - marks[i] for i, part in enumerate(PARTS)}


def timed_rest(name: str, trainer: Trainer) -> dict[str, float]:
    """Seconds of a validation, of a row of metrics and of saving the state."""
    trainer.validate()  # masks are read once; this is that once
    start = clock()
    scores = trainer.validate()
    validation = clock() - start
    log = Journal(Path(name) / "metrics.csv", list(trainer.validation))
    start = clock()
    log.write({"step": 1, "loss": 0.5, "mask": 0.5, **scores})
    row = clock() - start
    start = clock()
    checkpoint.save_resume(Path(name) / "resume.pt", "key", trainer.state())
    save = clock() - start
    log.close()
    return {"validation": validation, "row": row, "save": save}


def report(trainers: dict[str, Trainer], took: dict[str, dict[str, float]]) -> None:
    """The table."""
    print(f"\n{'':22}{'trained':>9}{'ms':>8}{'ratio':>7}" + "".join(f"{p:>10}" for p in (*PARTS, "val", "writing")))
    first = None
    for name, trainer in trainers.items():
        times, every = took[name], trainer.plan.validate_every
        step = sum(times[part] for part in PARTS)
        first = first or step
        count = sum(weight.numel() for weight in trainer.parameters.values())
        shares = [times[part] / step for part in PARTS]
        shares += [times["validation"] / (every * step), (times["row"] + times["save"] / every) / step]
        cells = "".join(f"{share:10.1%}" for share in shares)
        print(f"{name:22}{count:9,}{1000 * step:8.1f}{step / first:7.2f}{cells}")


if __name__ == "__main__":
    main()
