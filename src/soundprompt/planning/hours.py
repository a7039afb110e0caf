"""The hours of a study's jobs, kind by kind, before any of them runs: `soundprompt cost --plan`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from soundprompt.params import Model, Params
from soundprompt.planning import counts
from soundprompt.planning.counts import Counts
from soundprompt.planning.figures import Estimate, Figures, family
from soundprompt.training import schedule

HOUR = 3600.0


@dataclass
class Kind:
    """Jobs of one kind. hours: of each job. waiting: hours of all together in which the model waits.

    runs: trained models in them. taken_from: what stands for what was not measured.
    """

    rule: str
    what: str
    hours: list[float] = field(default_factory=list)
    waiting: float = 0.0
    runs: int = 0
    taken_from: set[str] = field(default_factory=set)

    def add(self, estimates: list[tuple[float, Estimate]], runs: int = 0) -> None:
        """A job. estimates: how often, and what each time takes."""
        self.hours.append(sum(times * each.seconds for times, each in estimates) / HOUR)
        self.waiting += sum(times * each.seconds * each.waiting for times, each in estimates) / HOUR
        self.taken_from |= {each.taken_from for times, each in estimates if times and each.taken_from}
        self.runs += runs


@dataclass
class Plan:
    """What a study takes. missing: kinds of work that no figure tells the time of."""

    study: str
    card: str
    counted: str
    kinds: list[Kind]
    missing: list[str]

    @property
    def hours(self) -> float:
        """All of it, one job after the other."""
        return sum(sum(kind.hours) for kind in self.kinds)

    @property
    def waiting(self) -> float:
        """Of these, those in which a model waits."""
        return sum(kind.waiting for kind in self.kinds)

    def longest(self, rule: str) -> float:
        """Hours of the longest job of a rule; 0 where it has none."""
        return max((hours for kind in self.kinds if kind.rule == rule for hours in kind.hours), default=0.0)


def plan(study: Params, figures: Figures) -> Plan:
    """The plan of a study and its substudies. Schedules count to their end: what stops early takes less."""
    kinds: dict[tuple[str, str], Kind] = {}
    missing: dict[str, None] = {}
    sources: dict[str, None] = {}
    for each in study.studies().values():
        counted = counts.of_study(each)
        sources.setdefault(counted.source)
        for rule, what, estimates, runs in _jobs(each, counted, figures):
            lacking = [name for name, times, found in estimates if times and found is None]
            missing.update(dict.fromkeys(lacking))
            known = [(times, found) for _, times, found in estimates if found is not None]
            if known:
                kinds.setdefault((rule, what), Kind(rule, what)).add(known, runs)
    return Plan(study.study, figures.card, ", ".join(sources), list(kinds.values()), list(missing))


Job = tuple[str, str, list[tuple[str, float, Estimate | None]], int]  # rule, kind, [(what, times, figure)], runs


def _jobs(study: Params, counted: Counts, figures: Figures) -> Iterator[Job]:
    yield from _of_foundation(study, figures)
    yield from _of_features(study, counted, figures)
    for setting, model in sorted({run[:2] for run in study.runs()}):
        yield from _of_training(study, setting, model, counted, figures)
    for setting, model in sorted({run[:2] for run in study.evaluations()}):
        tested = counted.total(study.settings[setting].test).labelled * len(study.probes(setting, model))
        for pack in study.packs(setting, model, evaluate=True):
            yield _on_frames("score", study.on(setting, model), study, figures, tested, len(pack))
    for setting, model in sorted({run[:2] for run in study.examinations()}):
        selections = study.settings[setting].test
        most = study.evaluation.examined_frames
        frames = sum(min(most, counted.total([name]).frames) for name in selections)
        for pack in study.examined_packs(setting, model):
            yield _on_frames("examine", study.on(setting, model), study, figures, frames, len(pack))


def _of_foundation(study: Params, figures: Figures) -> Iterator[Job]:
    for name in study.foundations():
        model = getattr(study.foundation, name)
        if model.source == "train" and study.layout.foundation(name).parts[1] == study.study:
            if name == "audio":
                steps, size = model.epochs * max(1, model.sounds // 32), 0
            else:
                steps, size = model.steps, model.image_size
            found = figures.of("pretrain", model.architecture, size)
            yield "pretrain", name, [(f"pre-training {model.architecture}", steps, found)], 0


def _of_features(study: Params, counted: Counts, figures: Figures) -> Iterator[Job]:
    sam, audio = study.foundation.sam, study.foundation.audio
    pictures = counted.pictures(study.tables())
    found = figures.of("encode", sam.architecture, sam.image_size)
    for _ in range(study.features.shards if study.taps() else 0):
        each = pictures / study.features.shards
        yield "visual_features", f"at {sam.image_size} pixels", [(f"encoding by {sam.architecture}", each, found)], 0
    if study.layout.audio_features.parts[1] == study.study:
        seconds = _seconds(study, counted)
        heard = figures.of("sound", audio.architecture, 0)
        yield "audio_features", audio.architecture, [(f"encoding by {audio.architecture}", seconds, heard)], 0
    table = figures.of("table", "", 0)
    own = [name for name in study.tables() if study.layout.table(name).parts[1] == study.study]
    for name in own:
        yield "frame_table", "", [("reading frames", counted.pictures([name]), table)], 0


def _seconds(study: Params, counted: Counts) -> int:
    """Seconds of sound; a clip of vggss has ten and one picture."""
    return sum(counted.pictures([name]) * (10 if name == "vggss" else 1) for name in study.tables())


def _of_training(study: Params, setting: str, name: str, counted: Counts, figures: Figures) -> Iterator[Job]:
    model, spec = study.on(setting, name), study.settings[setting]
    train = counted.total(spec.train, spec.share)
    steps_per_epoch = -(-train.clips // model.schedule.clips_per_step)
    course = schedule.plan(model.schedule, steps_per_epoch, spec.start_from is not None)
    limit = model.schedule.validation_frames
    held = [counted.total([selection]).labelled for selection in spec.validate_on]
    validated = sum(min(limit or frames, frames) for frames in held)
    times = -(-course.steps // course.validate_every) + course.continued
    kind, size = family(model), input_size(study, model)
    step = figures.of("step", kind, size, shown(model, train.frames / train.clips, train.labelled / train.clips))
    validation = figures.of("validation", kind, size)
    each = [(f"steps of {kind}", course.steps, step), (f"validation of {kind}", times * validated, validation)]
    for pack in study.packs(setting, name):
        label = f"{'few shots' if spec.start_from else ' + '.join(spec.train)}, {kind}"
        yield "train", label, [(what, len(pack) * count, found) for what, count, found in each], len(pack)


def _on_frames(rule: str, model: Model, study: Params, figures: Figures, frames: float, runs: int) -> Job:
    found = figures.of(rule, family(model), input_size(study, model))
    return rule, family(model), [(f"{rule} of {family(model)}", frames * runs, found)], runs


def input_size(study: Params, model: Model) -> int:
    """Side of the input of the encoder that a model reads, pixels."""
    if model.reads == "sam":
        return study.foundation.sam.image_size
    return model.pyramid.image_size or study.foundation.pyramid.image_size


def shown(model: Model, frames: float, labelled: float) -> int:
    """Frames that a training step shows to a model; of the clips that it learns from: how many frames, with masks."""
    drawn = min(model.schedule.frames_per_clip, labelled)
    each = frames if model.temporal and model.tpavi.whole_clips else drawn
    return max(1, round(model.schedule.clips_per_step * each))


# ----------------------------------------------------------------------------------------- shown
def table(found: Plan) -> str:
    """The plan as a table in Markdown, and what it rests on."""
    unit, each = ("h", 1.0) if found.hours > 2 else ("min", 60.0)

    def amount(hours: float) -> str:
        return f"{hours * each:,.0f}" if hours * each >= 10 else f"{hours * each:.2g}"

    columns = f"longest job, {unit} | all, {unit} | of these waiting, {unit}"
    lines = [
        f"Study {found.study} on {found.card}; clips counted from {found.counted}.",
        "",
        f"| rule | what | jobs | runs | {columns} | not measured, taken from |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in found.kinds:
        cells = [kind.rule, kind.what, str(len(kind.hours)), str(kind.runs or "")]
        cells += [amount(max(kind.hours)), amount(sum(kind.hours)), amount(kind.waiting)]
        lines.append(f"| {' | '.join([*cells, '; '.join(sorted(kind.taken_from))])} |")
    jobs = sum(len(kind.hours) for kind in found.kinds)
    whole = [amount(found.hours), amount(found.waiting)]
    lines.append(f"| **whole** | | {jobs} | | | **{whole[0]}** | {whole[1]} | |")
    if found.missing:
        lines += ["", "Not in it, since nothing like it was measured: " + ", ".join(found.missing) + "."]
    return "\n".join(lines)
