"""How long the steps of a study take on this machine, measured on a project of noise (`noise`)."""

from __future__ import annotations

import contextlib
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import torch

from soundprompt import devices
from soundprompt.evaluation.run import score_pack
from soundprompt.features import frames as feature_frames
from soundprompt.files import write_sealed
from soundprompt.foundation import making, pictures, pretrain_audio, pretrain_pyramid, pretrain_sam
from soundprompt.params import Model, Params, Schedule, ScoreView, TrainView, pretrain_view
from soundprompt.planning import hours, noise
from soundprompt.planning.figures import Figure, Figures, family
from soundprompt.planning.noise import Noise
from soundprompt.training import run
from soundprompt.training.loop import Trainer

CLIPS = 4  # of V1S and of V2 to train on
TESTED = 4 * noise.SECONDS["v2"]  # frames
VALIDATED = {"cpu": 2, "cuda": 12}  # clips of V2, a batch each; of batches read ahead the first tell nothing
READERS = 4  # threads that read ahead for a GPU, as its profile has it
STEPS = {"cpu": 8, "cuda": 24}  # of a run; here too the first tell nothing
LONG = 2.0  # seconds of a step from which on a few tell as much as many


def of_study(study: Params) -> Figures:
    """What the kinds of work of a study take here, each by models and sizes of the study.

    The clock counts, so that what else the machine does makes it slower.
    """
    with project_of(study) as project:
        rows = [*of_project(study, project), *of_pretraining(study)]
        for name, model in families(study).items():
            print(f"measuring {name}", file=sys.stderr, flush=True)
            rows += of_model(study, project, model)
    return Figures(rows)


def families(study: Params) -> dict[str, Model]:
    """Of each family of models that a study trains one, as it trains on most settings."""
    found: dict[str, Model] = {}
    for setting, name, _ in study.runs():
        found.setdefault(family(study.on(setting, name)), study.models[name])
    return found


def card() -> str:
    """A name for what computes here: of the GPU, such as h200; else cpu."""
    if devices.best() == "cpu":
        return "cpu"
    words = torch.cuda.get_device_name().lower().replace("-", " ").split()
    return "_".join(word for word in words if word not in ("nvidia", "geforce", "tesla"))


def readers() -> int:
    """Threads that read ahead in the jobs of a study here."""
    return READERS if devices.best() == "cuda" else 0


@contextlib.contextmanager
def project_of(study: Params) -> Iterator[Noise]:
    """Noise for a study, in a folder that is the current one meanwhile.

    Features of released encoders are read from files, as in a study, where they would not fit in memory. Their pictures
    are but two on a processor, which would take an hour for all.
    """
    full, side = not study.foundation.sam.is_own, study.world.size
    different = 2 if full and devices.best() == "cpu" else 10**6
    limit = feature_frames.IN_MEMORY
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        try:
            feature_frames.IN_MEMORY = 0 if full else limit
            size, validated = study.cost.picture or (side, side), VALIDATED[devices.best()]
            yield noise.make(study, CLIPS, size, different, study.taps(), validated)
        finally:
            feature_frames.IN_MEMORY = limit


def of_project(study: Params, project: Noise) -> list[Figure]:
    """What making the project told: frame tables, encoders."""
    sam, audio = study.foundation.sam, study.foundation.audio
    return [
        _figure("table", "", 0, 1, project.table),
        _figure("encode", sam.architecture, sam.image_size, 1, project.encode),
        _figure("sound", audio.architecture, 0, 1, project.sound),
    ]


def of_model(study: Params, project: Noise, model: Model) -> list[Figure]:
    """A step on V1S and one on V2, of few frames and of many; and a frame in validation and in scoring."""
    found, steps = [], STEPS[devices.best()]
    for dataset in ("v1s", "v2"):
        there = model.on(dataset)
        counted = hours.shown(there, noise.SECONDS[dataset], 1 if dataset == "v1s" else noise.SECONDS[dataset])
        size = hours.input_size(study, there)
        view = train_view(there, dataset, steps)
        trainer, step, validation = train(view, project)
        found.append(_figure("step", family(there), size, counted, step, step_alone(trainer)))
        if dataset == "v2":
            alone = frame_alone(trainer)
            found.append(_figure("validation", family(there), size, 1, validation, alone))
            score = ScoreView(**dict(view), evaluation=study.evaluation, probes=("own",))
            began = time.perf_counter()
            score_pack(score, (0,), project.layout, readers())
            found.append(_figure("score", family(there), size, 1, (time.perf_counter() - began) / TESTED, alone))
    return found


def train_view(model: Model, dataset: str, steps: int) -> TrainView:
    """A run of a few steps on noise, with a validation after the last."""
    course = {"steps": steps, "validate_every": steps, "epochs": None, "warmup": 0, "frozen_epochs": 0}
    schedule = Schedule(**{**model.schedule.model_dump(), **course, "validation_frames": None})
    return TrainView(
        study=noise.STUDY,
        setting_name=f"on_{dataset}",
        setting={"train": [f"{dataset}/train"], "validate_on": ["v2/val"], "test": ["v2/test"]},
        model_name=family(model),
        model=model.model_copy(update={"schedule": schedule, "per_setting": {}}),
        data={"source": "avsbench"},
    )


def train(view: TrainView, project: Noise) -> tuple[Trainer, float, float]:
    """Trains as `soundprompt train` does; a trainer like its own, seconds of a step, and of a frame in validation."""
    layout, ticks = project.layout, []
    device = devices.best()
    one = run.Run(view, 0, layout, run.PackData(view, layout, workers=readers(), device=device))

    def tick() -> bool:
        ticks.append(time.perf_counter())
        return False

    entry = one.train(tick)
    write_sealed(layout.trained(view.setting_name, view.model_name, "0"), {"runs": {"0": entry}})
    took = [later - earlier for earlier, later in itertools.pairwise(ticks)]
    validated = VALIDATED[device] * noise.SECONDS["v2"]
    step = statistics.fmean(took[len(took) // 3 : -1])  # the mean: readers come in turns; the last has the validation
    return one.trainer(device), step, max(took[-1] - step, 0.0) / validated


def step_alone(trainer: Trainer) -> float:
    """Seconds of a step whose batch is there already."""
    batch, spare = trainer.sample(1)
    batch, spare = batch.to(trainer.device), spare and spare.to(trainer.device)
    return timed(lambda: trainer.update(1, trainer.loss(batch, spare)["loss"]))


@torch.no_grad()
def frame_alone(trainer: Trainer) -> float:
    """Seconds of a frame in validation whose batch is there already."""
    (data,) = trainer.validation.values()
    count = noise.SECONDS["v2"]
    batch = data.batch(range(count)).to(trainer.device)
    trainer.model.eval()

    def see() -> None:
        with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.precision == "bfloat16"):
            logits = trainer.model(batch).logits
        trainer.restore(logits.float(), batch.sizes)

    return timed(see) / count


def of_pretraining(study: Params) -> list[Figure]:
    """A step of each pre-training that the study asks for."""
    found = []
    for name in study.foundations():
        model = getattr(study.foundation, name)
        if model.source == "train":
            size = 0 if name == "audio" else model.image_size
            found.append(_figure("pretrain", model.architecture, size, 1, _pretraining_step(study, name)))
    return found


def _pretraining_step(study: Params, name: str) -> float:
    """Pictures and sounds are drawn before; a study draws them once for all steps."""
    view, device = pretrain_view(study, name), devices.best()  # type: ignore[arg-type]  # one of its three
    if name == "audio":
        few = view.model.model_copy(update={"sounds": pretrain_audio.BATCH, "epochs": 1})  # an epoch of one step
        sounds = pretrain_audio.Trainer(view.model_copy(update={"model": few}))
        making.move(sounds, device)
        examples, tags = (of_pool.to(device) for of_pool in sounds.sounds)
        return timed(lambda: sounds.update(examples, tags, pretrain_audio.PEAK_RATE))
    trainer = {"sam": pretrain_sam, "pyramid": pretrain_pyramid}[name].Trainer(view)
    making.move(trainer, device)
    drawn = pictures.pool(0, 8, view.scene, getattr(study.foundation, name).image_size)
    where = trainer.trained[0].device
    return timed(lambda: trainer.update(making.moved(trainer.draw(drawn), where)))


def timed(work: Callable[[], object]) -> float:
    """Median seconds of a call, the first not counted; of a few where it is long."""
    took = [_timed(work) for _ in range(2)][1:]
    while took[0] < LONG and len(took) < 5:
        took.append(_timed(work))
    return statistics.median(took)


def _timed(work: Callable[[], object]) -> float:
    began = _now()
    work()
    return _now() - began


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _figure(kind: str, model: str, size: int, frames: int, seconds: float, alone: float | None = None) -> Figure:
    waiting = 0.0 if alone is None else min(1.0, max(0.0, 1 - alone / seconds)) if seconds else 0.0
    return Figure(card(), kind, model, size, frames, seconds, "s", waiting, "measured here")
