"""The whole of the settings, what its experiments need, and its substudies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, PrivateAttr, ValidationError

from soundprompt import files, registry
from soundprompt.errors import InputError
from soundprompt.layout import Layout
from soundprompt.params.base import Count, Distinct, Name, Positive, Settings
from soundprompt.params.data import Data, World
from soundprompt.params.evaluation import Cost, Evaluation
from soundprompt.params.experiments import Experiment, Setting, Substudy, model_of, plain, substudy_of
from soundprompt.params.foundation import Features, Foundation
from soundprompt.params.loading import (
    Layer,
    lift_models,
    merge,
    merge_layers,
    read_layers,
    resolve_models,
    with_probes,
    without_nulls,
)
from soundprompt.params.messages import Refusal, describe, nearest, refusal
from soundprompt.params.models import Model, Schedule
from soundprompt.params.reading import read_given, read_yaml

Run = tuple[str, str, int]  # setting, model, seed


class Params(Settings):
    """The whole of params.yaml with the files of its experiments and with its overlay."""

    study: Name
    seeds: Distinct[Count] = Field(min_length=1)
    seeds_per_job: Positive = Field(3, description="runs packed into one process, so that start-up does not dominate")
    world: World
    data: Data
    foundation: Foundation
    features: Features
    models: dict[Name, Model]
    settings: dict[Name, Setting]
    evaluation: Evaluation
    cost: Cost = Cost()
    substudies: dict[Name, Substudy] = Field({}, description="this study once more, but for what each says")
    experiments: dict[Name, Experiment]
    schedule: Schedule = Field(
        Schedule(), exclude=True, description="what models without a `base` start from; theirs goes over it"
    )
    _shared: tuple[str, ...] = PrivateAttr(())  # of a substudy: what its study makes for both

    # ---- the study and its substudies
    @property
    def layout(self) -> Layout:
        """Where this study's artifacts lie."""
        return Layout(self.study, self._shared)

    @property
    def within(self) -> str:
        """A substudy's name within its study: 'points' for full.points; '' for a study that is no substudy."""
        return self.study.partition(".")[2]

    def studies(self) -> dict[str, Params]:
        """This study and its substudies that some experiment asks for, by their full names."""
        asked = {substudy_of(setting) for experiment in self.experiments.values() for setting in experiment.settings}
        substudies = [self.substudy(name) for name in self.substudies if name in asked]
        return {params.study: params for params in (self, *substudies)}

    def substudy(self, name: str) -> Params:
        """A substudy as a study of its own, full.points, with what the experiments ask of it. Raises InputError."""
        if name not in self.substudies:
            known = f"these are {', '.join(self.substudies)}" if self.substudies else "it has none"
            raise InputError(f"'{name}' is no substudy of {self.study}, {known}", remedy="see `substudies` in its file")
        overlay = self.substudies[name]
        asked = {
            key: experiment.model_copy(update={"settings": here, "curves": (), "dots": ()})  # the study's own plots
            for key, experiment in self.experiments.items()
            if (here := tuple(plain(s) for s in experiment.settings if substudy_of(s) == name))
        }
        wanted = {setting for experiment in asked.values() for setting in experiment.settings}
        origins = {o for s in wanted for o in (self.settings[s].start_from, self.settings[s].model_of)}
        content = {
            **merge(
                self.model_dump(exclude={"substudies", "experiments", "settings"}, exclude_unset=True),
                overlay.model_dump(),
            ),
            "settings": {s: spec.model_dump() for s, spec in self.settings.items() if s in wanted | origins},
            "experiments": {key: experiment.model_dump() for key, experiment in asked.items()},
        }
        where = f"substudies.{name}: "
        found = _typed(content, where).model_copy(update={"study": f"{self.study}.{name}"})
        found._shared = overlay.shared
        return _checked(found, where)

    def everywhere(self, asked: Callable[[Params], list[Run]]) -> list[Run]:
        """What a method such as `Params.runs` lists, of all its studies, with settings as tables name them."""
        return [
            (f"{study.within}/{setting}" if study.within else setting, model, seed)
            for study in self.studies().values()
            for setting, model, seed in asked(study)
        ]

    # ---- what the experiments need
    def runs(self) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) to train, once, in a stable order; cross-dataset settings train nothing.

        Runs of substudies are not among these and the following: `substudy` has them.
        """
        wanted: dict[tuple[str, str, int], None] = {}
        for setting, model, seed in [*self.evaluations(), *self._asked(of_validation=True)]:
            spec = self.settings[setting]
            for origin in filter(None, (spec.model_of or setting, spec.start_from)):
                wanted.setdefault((origin, model, seed))
        return sorted(wanted)

    def evaluations(self) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) that some experiment scores, once."""
        return self._asked(of_validation=False)

    def _asked(self, *, of_validation: bool) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) of the experiments made from scores, or of those made from validation."""
        wanted = {
            (setting, model_of(method), seed)
            for experiment in self.experiments.values()
            if experiment.of_validation == of_validation
            for setting in experiment.settings
            if not substudy_of(setting)
            for method in experiment.methods
            if model_of(method) in self.models
            for seed in experiment.seeds or self.seeds
        }
        return sorted(wanted)

    def probes(self, setting: str, model: str) -> tuple[str, ...]:
        """Sounds at test time under which (setting, model) is scored; 'own' always."""
        asked = {
            method.partition("@")[2]
            for experiment in self.experiments.values()
            if setting in experiment.settings
            for method in experiment.methods
            if model_of(method) == model
        }
        return ("own", *(probe for probe in registry.probes() if probe in asked))

    def on(self, setting: str, model: str) -> Model:
        """A model's settings for a setting: those with which it is, or was, trained for it."""
        return self.models[model].on(self.settings[setting].model_of or setting)

    def costed(self) -> dict[str, str]:
        """The models whose cost some experiment asks for, in the order of `models`, and for which setting first."""
        asked: dict[str, str] = {}
        for experiment in self.experiments.values():
            if experiment.measures_cost:
                for method in experiment.methods:
                    asked.setdefault(model_of(method), plain(experiment.settings[0]))
        return {name: asked[name] for name in self.models if name in asked}

    def examinations(self) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) of which some experiment asks more than its masks, once."""
        wanted = {
            (setting, model_of(method), seed)
            for experiment in self.experiments.values()
            for setting in experiment.settings
            if not substudy_of(setting)
            for method in experiment.methods
            if model_of(method) in self.models and self._wanted(experiment, model_of(method))
            for seed in experiment.seeds or self.seeds
        }
        return sorted(wanted)

    def measures(self, setting: str, model: str) -> tuple[str, ...]:
        """What is examined of (setting, model): of what the model has, that which some experiment asks for."""
        asked = {
            measure
            for experiment in self.experiments.values()
            if setting in experiment.settings and model in map(model_of, experiment.methods)
            for measure in self._wanted(experiment, model)
        }
        return tuple(measure for measure in self.models[model].measures() if measure in asked)

    def _wanted(self, experiment: Experiment, model: str) -> set[str]:
        return experiment.asks & set(self.models[model].measures())

    def extra_metrics(self, setting: str, model: str | None = None) -> tuple[str, ...]:
        """The metrics of other packages that some experiment asks of a setting: of one model, or of floors."""
        extra = [name for name in registry.metrics_of("score") if not registry.metrics()[name].built_in]
        asked = {
            metric
            for experiment in (self.experiments.values() if extra else ())
            if setting in experiment.settings and (model is None or model in map(model_of, experiment.methods))
            for metric in experiment.metrics
        }
        return tuple(name for name in extra if name in asked)

    def packs(self, setting: str, model: str, *, evaluate: bool = False) -> list[tuple[int, ...]]:
        """The seeds of (setting, model), divided into jobs of at most `seeds_per_job`."""
        return self._packed(self.evaluations() if evaluate else self.runs(), setting, model)

    def examined_packs(self, setting: str, model: str) -> list[tuple[int, ...]]:
        """As `packs`, of the runs that are examined."""
        return self._packed(self.examinations(), setting, model)

    def _packed(self, keys: list[tuple[str, str, int]], setting: str, model: str) -> list[tuple[int, ...]]:
        seeds = [seed for s, m, seed in keys if (s, m) == (setting, model)]
        return [tuple(seeds[i : i + self.seeds_per_job]) for i in range(0, len(seeds), self.seeds_per_job)]

    def tables(self) -> list[str]:
        """The frame tables (datasets) that the settings draw from."""
        return sorted({selection.partition("/")[0] for selection in self._selections()})

    def protocols(self) -> tuple[str, ...]:
        """The selections by published protocols that the settings draw from, such as vggss/heard."""
        published = {f"{name}/{split}" for name, dataset in registry.datasets().items() for split in dataset.protocols}
        return tuple(sorted(published & self._selections()))

    def _selections(self) -> set[str]:
        return {s for setting in self.settings.values() for s in setting.train + setting.validate_on + setting.test}

    def taps(self) -> list[int | None]:
        """Encoder blocks whose input the visual cache holds; None is the encoder's output."""
        used = {self.models[model].tap for _, model, _ in self.runs() if self.models[model].reads == "sam"}
        return sorted(used, key=lambda tap: (tap is None, tap))

    def foundations(self) -> list[str]:
        """The foundation models that the study makes: the pyramid only where a model reads it."""
        reading = any(self.models[model].reads == "pyramid" for _, model, _ in self.runs())
        return ["sam", "audio", *(["pyramid"] if reading else [])]


def load(study: str | Path | None = None, base: str | Path = "params.yaml", *, fetching: bool = False) -> Params:
    """Reads `params.yaml` with the overlay of a study: a name such as 'smoke', or a path; '.points' behind it is a
    substudy.

    fetching: real data may still be asked for what only the generated world has, since what is fetched does not depend
    on that. Raises InputError naming the key, its value and what is allowed.
    """
    whole, dot, last = str(study or "").rpartition(".")
    if dot and "/" not in last and last not in ("yaml", "yml"):
        return load(whole, base, fetching=fetching).substudy(last)
    own = read_yaml(base).get("study")
    if study is None or str(study) == own:
        return read(base=base, fetching=fetching)
    path = Path(study) if str(study).endswith((".yaml", ".yml")) else Path("studies") / f"{study}.yaml"
    if not path.exists():
        known = [own, *sorted(p.stem for p in Path("studies").glob("*.yaml"))]
        raise InputError(f"no such study{nearest(study, known)}", path=path, remedy=f"use one of {', '.join(known)}")
    return read([path], base, fetching=fetching)


def write(params: Params) -> Path:
    """Writes the settings of a study, merged and checked, to where the jobs of the workflow read them.

    The file is named by its content, so that jobs at work keep theirs when settings change.
    """
    text = params.model_dump_json(indent=1, exclude_unset=True) + "\n"  # substudies are made from what is set
    path = params.layout.logs / f"settings-{files.digest_bytes(text.encode())[:12]}.json"
    if not path.exists():
        files.write_text(path, text)
    return path


def read_written(path: Path, study: str) -> Params:
    """What `write` wrote, of the study or of a substudy of it. Raises InputError."""
    try:
        params = Params.model_validate_json(path.read_bytes(), strict=True)
    except (OSError, ValidationError) as error:
        remedy = "run the workflow, which writes it, or leave out --settings"
        raise InputError(f"are no settings that the workflow wrote ({error})", path=path, remedy=remedy) from error
    return params if study == params.study else params.substudy(study.removeprefix(f"{params.study}."))


def read(
    overlays: Iterable[Path] = (), base: str | Path = "params.yaml", *, fetching: bool = False, **given: Any
) -> Params:
    """The settings of `base` and of overlays, later ones over earlier ones, and of what was given by hand over all.

    fetching: as for `load`. Raises InputError that lists every problem.
    """
    overlays = list(overlays)
    layers = read_layers(base, overlays)
    layers += [Layer("--config", lift_models(read_given(given), "--config"))] if given else []
    try:
        return validate(merge_layers(layers), fetching=fetching)
    except Refusal as error:
        raise error.in_files(layers, [*overlays, *(["--config"] if given else [])]) from error


def validate(raw: dict[str, Any], *, fetching: bool = False) -> Params:
    """Resolves model bases and validates. Raises InputError that lists every problem.

    An entry of models, settings, experiments or substudies that an overlay gives as null is left out: a study of one
    dataset says so (`without_nulls`). fetching: as for `load`.
    """
    raw = with_probes(without_nulls(raw))
    models = raw.get("models")
    resolved = resolve_models(models, raw.get("schedule"))
    params = _checked(_typed({**raw, "models": resolved}, models=models), fetching=fetching)
    for name in () if fetching else params.substudies:
        params.substudy(name)  # what they say are settings too
    return params


def _typed(content: dict[str, Any], where: str = "", models: Any = None) -> Params:
    """Numbers are numbers and truth values truth values, as in JSON. models: before their bases were resolved."""
    try:
        text = json.dumps(content, default=str)
    except (ValueError, RecursionError) as error:
        raise refusal([f"{where}something in them holds itself, by an alias of YAML"]) from error
    try:
        return Params.model_validate_json(text, strict=True)
    except ValidationError as error:
        found = error.errors()
        own = [problem for problem in found if not (_inherited(problem, found, models) or _follows(problem, found))]
        raise refusal(where + describe(Params, problem) for problem in own) from error


def _checked(params: Params, where: str = "", *, fetching: bool = False) -> Params:
    """The settings. Raises InputError where their parts do not go together."""
    from soundprompt.params import checks

    if problems := checks.problems(params) or ([] if fetching else checks.of_source(params)):
        raise refusal(where + problem for problem in problems)
    return params


def _inherited(problem: Any, problems: list[Any], models: Any) -> bool:
    """Whether a model has a problem only because its base, or the schedule that all share, has it."""
    model = models.get(problem["loc"][1]) if problem["loc"][:1] == ("models",) and isinstance(models, dict) else None
    if not isinstance(model, dict):
        return False
    same = {("models", model.get("base"), *problem["loc"][2:]), problem["loc"][2:]}
    return any(other["loc"] in same and other["msg"] == problem["msg"] for other in problems)


def _follows(problem: Any, problems: list[Any]) -> bool:
    """Whether a list is called too short only because what stands in it is wrong."""
    loc = problem["loc"]
    return problem["type"] == "too_short" and any(o["loc"][: len(loc)] == loc and o is not problem for o in problems)
