"""What no block of the settings can see alone: whether they name things that exist and that go together.

Everything here is found before a job runs, and told as 'key: what is wrong', one sentence for each mistake.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from pathlib import Path

from soundprompt import registry
from soundprompt.errors import InputError
from soundprompt.params.experiments import Experiment, Setting, model_of, plain, substudy_of
from soundprompt.params.foundation import BLOCKS
from soundprompt.params.messages import nearest, not_one_of
from soundprompt.params.study import Params


def problems(params: Params) -> list[str]:
    """Every mistake, in the order of the settings; empty where there is none."""
    found = [*_of_world(params), *_of_data(params), *_of_models(params)]
    for name, setting in params.settings.items():
        found += _of_setting(params, f"settings.{name}", name, setting)
    if found:
        return found  # experiments name what is wrong above
    found += _of_substudies(params)
    if not params.experiments and not params.within:
        found.append("experiments: none is left, so that there is nothing to do")
    for name, experiment in params.experiments.items():
        found += _of_experiment(params, f"experiments.{name}", experiment)
    return found


def of_source(params: Params) -> list[str]:
    """What is asked for that real data do not have; empty with the generated world."""
    if params.data.source == "generated":
        return []
    found = [
        f"settings.{name}.test: '{selection}' is of the generated world, data.source is '{params.data.source}'"
        for name, setting in params.settings.items()
        for selection in setting.test
        if (dataset := registry.datasets().get(selection.partition("/")[0])) and dataset.generated == "only"
    ]
    return found + [
        f"experiments.{name}.methods: '{method}': in real videos nobody has annotated the silent objects, "
        f"{probe} needs them"
        for name, experiment in params.experiments.items()
        for method in experiment.methods
        if (probe := method.partition("@")[2]) and registry.probes()[probe].needs_silent
    ]


# ----------------------------------------------------------------------------------- data and models
def _of_world(params: Params) -> Iterator[str]:
    if params.data.source == "generated":
        from soundprompt.data.world.parts import check_world

        try:
            check_world(params.world, params.data.shots)
        except InputError as error:
            yield error.what


def _of_data(params: Params) -> Iterator[str]:
    place = params.data.vggss_clips
    if place not in ("youtube", "none") and not Path(place).is_dir():
        hint = nearest(place, ("youtube", "none"))
        yield f"data.vggss_clips: '{place}' is neither youtube, none nor a folder that is there{hint}"
    cookies = params.data.youtube.cookies
    if cookies is not None and not Path(cookies).is_file():
        yield f"data.youtube.cookies: '{cookies}' is not a file"


def _of_models(params: Params) -> Iterator[str]:
    yield from _too_alike("models", params.models)
    blocks, reported = BLOCKS[params.foundation.sam.architecture], set()
    trains = [name for name, setting in params.settings.items() if setting.train]
    for name, model in params.models.items():
        if not params.within:  # a substudy has some of the settings
            yield from _unknown(f"models.{name}.per_setting", model.per_setting, trains)
        start, schedule = model.visual.tune_from, model.schedule
        if start is not None and start >= blocks and (model.base, start) not in reported:
            yield f"models.{name}.visual.tune_from: {start} is no block of this SAM, which has 0 to {blocks - 1}"
        reported |= {(name, start)}
        chosen = {"warmup", "steps"} <= schedule.model_fields_set  # few-shot runs and epochs shorten it themselves
        warmup, steps = schedule.warmup, schedule.steps
        if chosen and schedule.epochs is None and warmup > steps:
            if (model.base, warmup, "warmup") not in reported:
                yield f"models.{name}.schedule.warmup: {warmup} is longer than the training of {steps} steps"
            reported |= {(name, warmup, "warmup")}


def _too_alike(block: str, names: Iterable[str]) -> Iterator[str]:
    """Names that nobody tells apart."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.replace("-", "_"), name)
        if other != name:
            yield f"{block}.{name}: differs from '{other}' in '-' and '_' alone"


# --------------------------------------------------------------------------------------- settings
def splits(params: Params) -> dict[str, tuple[str, ...]]:
    """Dataset -> the splits that it has."""
    return {name: tuple(_splits_of(dataset, params)) for name, dataset in registry.datasets().items()}


def _splits_of(dataset: registry.Dataset, params: Params) -> Iterator[str]:
    yield from (split for split in dataset.splits if "{shots}" not in split)
    for shots in params.data.shots:
        yield from (split.format(shots=shots) for split in dataset.splits if "{shots}" in split)
    if dataset.splits_of:
        yield from operator.attrgetter(dataset.splits_of)(params)
    if params.data.source != "generated":
        yield from dataset.protocols


def _of_setting(params: Params, where: str, name: str, setting: Setting) -> Iterator[str]:
    for selection in setting.validate_on:
        if selection in setting.train:
            yield f"{where}.validate_on: '{selection}' is what it trains on"
    for key in ("train", "validate_on", "test"):
        for selection in getattr(setting, key):
            yield from (f"{where}.{key}: {what}" for what in _of_selection(params, selection, key))
    origins = {"start_from": setting.start_from, "model_of": setting.model_of}
    for key, other in ((key, other) for key, other in origins.items() if other is not None):
        trained = [known for known, spec in params.settings.items() if spec.train]
        if other not in trained:
            yield f"{where}.{key}: '{other}' is not a setting that trains, these are {', '.join(trained)}" + nearest(
                other, trained
            )
        elif name in _lineage(params, other):
            yield f"{where}.{key}: '{other}' leads back to '{name}' itself"
    met = {s for one in (name, *_lineage(params, name)) for s in _seen_by(params, one)}
    for selection in setting.test:
        if selection in met:
            yield f"{where}.test: '{selection}' is what its model is trained or selected on"


def _of_selection(params: Params, selection: str, key: str) -> Iterator[str]:
    dataset, slash, split = selection.partition("/")
    known = splits(params)
    if not slash or dataset not in known or split not in known[dataset]:
        everything = [f"{one}/{part}" for one, parts in known.items() for part in parts]
        there = [f"{dataset}/{part}" for part in known.get(dataset, ())] or [f"{one}/..." for one in known]
        yield f"'{selection}' is not a dataset/split, there are {', '.join(there)}{nearest(selection, everything)}"
    elif key != "test" and (why := registry.datasets()[dataset].tests_only):
        yield f"'{selection}' is for tests, {dataset} {why}"


def _lineage(params: Params, name: str) -> list[str]:
    """The settings whose models a setting starts from or borrows, back to the first; a circle is gone round once."""
    found: list[str] = []
    here = params.settings.get(name)
    while here is not None and (other := here.start_from or here.model_of) is not None and other not in found:
        found.append(other)
        here = params.settings.get(other)
    return found


def _seen_by(params: Params, name: str) -> tuple[str, ...]:
    setting = params.settings.get(name)
    return (*setting.train, *setting.validate_on) if setting else ()


# ------------------------------------------------------------------------ substudies and experiments
def _of_substudies(params: Params) -> Iterator[str]:
    yield from _too_alike("substudies", params.substudies)
    for name, substudy in params.substudies.items():
        if not (substudy.world or substudy.data or substudy.foundation):
            yield f"substudies.{name}: changes nothing, it would be the study once more"


def _of_experiment(params: Params, where: str, experiment: Experiment) -> Iterator[str]:
    yield from _unknown(f"{where}.settings", map(plain, experiment.settings), params.settings)
    named = [substudy_of(setting) for setting in experiment.settings if "/" in setting]
    yield from _unknown(f"{where}.settings", named, params.substudies)
    yield from _unknown(f"{where}.metrics", experiment.metrics, registry.metrics())
    strange = [what for method in experiment.methods for what in _of_method(params, method, experiment)]
    yield from (f"{where}.methods: {what}" for what in strange)
    if strange or not set(map(plain, experiment.settings)) <= set(params.settings):
        return  # what follows looks at them
    for setting in map(plain, experiment.settings) if experiment.of_validation else ():
        if not params.settings[setting].train:
            yield f"{where}.settings: '{setting}' trains nothing, so that nothing validated it"
    if experiment.reference and experiment.reference not in experiment.methods:
        yield f"{where}.reference: '{experiment.reference}' is not among its methods" + nearest(
            experiment.reference, experiment.methods
        )
    yield from _of_plots(params, where, experiment)


def _of_method(params: Params, method: str, experiment: Experiment) -> Iterator[str]:
    model, at, probe = method.partition("@")
    known, probes = [*params.models, *registry.floors()], registry.probes()
    if model not in known:
        yield not_one_of(model, known)
    elif at and probe not in probes:
        yield f"{method}: {not_one_of(probe, probes)}"
    elif at and model in registry.floors():
        yield f"'{method}': {model} hears nothing, it has no other sound"
    elif experiment.of_validation and (at or model in registry.floors()):
        yield f"'{method}' is not trained, so that nothing validated it"


def _of_plots(params: Params, where: str, experiment: Experiment) -> Iterator[str]:
    """Curves and dots show what their experiment has."""
    for curve in experiment.curves:
        at = f"{where}.curves.{curve.name}"
        setting = curve.setting or experiment.settings[0]
        yield from _unknown(f"{at}.setting", [setting], experiment.settings)
        selections = params.settings[plain(setting)].test if plain(setting) in params.settings else ()
        along = {"settings": experiment.settings, "selections": selections, "methods": experiment.methods}
        yield from _unknown(f"{at}.along", curve.along or (), along[curve.over])
        yield from _unknown(f"{at}.methods", curve.methods or (), experiment.methods)
        yield from _unknown(f"{at}.metrics", curve.metrics or (), experiment.metrics)
    for dots in experiment.dots:
        at = f"{where}.dots.{dots.name}"
        methods = dict.fromkeys([*experiment.methods, *map(model_of, experiment.methods)])
        yield from _unknown(f"{at}.methods", dots.methods or (), methods)
        for panel in dots.panels:
            yield from _unknown(f"{at}.metric", filter(None, [panel.metric, panel.against]), experiment.metrics)
            yield from _unknown(f"{at}.setting", filter(None, [panel.setting]), experiment.settings)
            yield from _unknown(f"{at}.probe", filter(None, [panel.probe]), ["own", *registry.probes()])
            chosen = params.settings.get(plain(panel.setting or experiment.settings[0]))
            yield from _unknown(f"{at}.selection", filter(None, [panel.selection]), chosen.test if chosen else ())
    for kind, plots in (("curves", experiment.curves), ("dots", experiment.dots)):
        if len({plot.name for plot in plots}) < len(plots):
            yield f"{where}.{kind}: two have the same name, give each a `name:`"


def _unknown(where: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    known = list(known)
    return (f"{where}: {not_one_of(name, known)}" for name in names if name not in known)
