"""From files to one mapping of settings: experiments, overlays, what they leave out, models that name a base."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from soundprompt import registry
from soundprompt.errors import InputError
from soundprompt.params.experiments import model_of, plain, substudy_of
from soundprompt.params.messages import nearest, not_one_of, refusal
from soundprompt.params.reading import read_yaml

Holds = Callable[[Any], bool]
LEAVES_OUT = ("models", "settings", "experiments", "substudies")  # blocks whose entries an overlay leaves out by null


def merge(base: dict[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings are merged key by key, everything else is replaced."""
    merged = copy.copy(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


# ------------------------------------------------------------------------------------------- files
class Layer(NamedTuple):
    """What one file says, in the form of the whole: experiments by name, their models among `models`."""

    path: Path | str
    content: dict[str, Any]


def read_layers(base: str | Path, overlays: Iterable[Path] = ()) -> list[Layer]:
    """`base`, the file of each experiment that it lists, and overlays, each over those before it. Raises InputError.

    Files of experiments lie in experiments/ beside `base`. One that `base` does not list is read where an overlay
    names it. The overlays name their study, lest its artifacts take the place of another's; null leaves out what is
    there.
    """
    files = {path.stem: path for path in sorted((Path(base).parent / "experiments").glob("*.yaml"))}
    layers = _base_layers(Path(base), files)
    contents = {path: lift_models(read_yaml(path), path) for path in overlays}
    if contents and not any("study" in content for content in contents.values()):
        study = layers[0].content.get("study")
        what = f"does not name its study: its artifacts would take the place of those of {study}"
        raise InputError(what, path=next(iter(contents)), remedy="write `study:` and a name")
    for path, content in contents.items():
        merged = merge_layers(layers)
        if problems := list(_left_out_in_vain(merged, content)):
            raise refusal(problems, path)
        named, known = content.get("experiments"), merged.get("experiments") or {}
        for name, value in named.items() if isinstance(named, dict) else ():
            if name in files and name not in known and value is not None:
                layers.append(_experiment_layer(name, files[name]))
        layers.append(Layer(path, content))
    return layers


def merge_layers(layers: Iterable[Layer]) -> dict[str, Any]:
    """The settings of all layers as one mapping."""
    return functools.reduce(merge, (layer.content for layer in layers), {})


def read_base(base: str | Path = "params.yaml", overlays: Iterable[Path] = ()) -> dict[str, Any]:
    """The settings of `read_layers` as one mapping. Raises InputError."""
    return merge_layers(read_layers(base, overlays))


def _base_layers(base: Path, files: Mapping[str, Path]) -> list[Layer]:
    """`base` and the experiments that it lists; each model is defined in one of these files."""
    content = read_yaml(base)
    names = content.get("experiments") or []
    if not isinstance(names, list):
        raise refusal(["experiments: here a list of names, each of a file in experiments/ that says the rest"], base)
    strange = [f"experiments: {not_one_of(name, files)}" for name in names if name not in list(files)]
    twice = [f"experiments: '{name}' stands in it twice" for place, name in enumerate(names) if name in names[:place]]
    if strange or twice:
        raise refusal(strange + twice, base)
    layers = [Layer(base, {**content, "experiments": {}}), *(_experiment_layer(name, files[name]) for name in names)]
    defined: dict[str, Path | str] = {}
    for path, here in layers:
        models = here.get("models")
        for name in models if isinstance(models, dict) else ():
            if name in defined:
                raise refusal([f"models.{name}: stands in {defined[name]} already, a model is defined once"], path)
            defined[name] = path
    return layers


def _experiment_layer(name: str, path: Path) -> Layer:
    return Layer(path, lift_models({"experiments": {name: read_yaml(path)}}, path))


def lift_models(content: dict[str, Any], path: Path | str) -> dict[str, Any]:
    """Settings with the models of each experiment among `models`, where any experiment may name them."""
    experiments, models = content.get("experiments"), content.get("models") or {}
    if not isinstance(experiments, dict) or not isinstance(models, dict):
        return content
    lifted, models, problems = dict(experiments), dict(models), []
    for name, experiment in experiments.items():
        if isinstance(experiment, dict) and isinstance(experiment.get("models"), dict):
            lifted[name] = {key: value for key, value in experiment.items() if key != "models"}
            twice = experiment["models"].keys() & models.keys()
            problems += [f"experiments.{name}.models.{model}: stands in this file already" for model in sorted(twice)]
            models |= experiment["models"]
    if problems:
        raise refusal(problems, path)
    return {**content, "experiments": lifted, **({"models": models} if models else {})}


def _left_out_in_vain(base: dict[str, Any], overlay: dict[str, Any]) -> Iterable[str]:
    for block in (*LEAVES_OUT, "world.scenes"):
        entries, known = overlay, base
        for key in block.split("."):
            entries, known = (place.get(key) if isinstance(place, dict) else None for place in (entries, known))
        for name, value in entries.items() if isinstance(entries, dict) and isinstance(known, dict) else ():
            if value is None and name not in known:
                yield f"{block}.{name}: null leaves out what is there, and there is no such entry{nearest(name, known)}"


# --------------------------------------------------------------------------------- what null leaves out
def without_nulls(raw: dict[str, Any]) -> dict[str, Any]:
    """The settings without what is given as null.

    With a setting go those that start from it or borrow its model, and what models say of it (`per_setting`); with
    settings and models their places in experiments and plots, and the experiments that are left with none. What a
    remaining model has as its base stays needed: `resolve_models` says so.
    """
    blocks = {name: raw.get(name) for name in LEAVES_OUT}
    if not all(isinstance(block, dict) for name, block in blocks.items() if name in raw):
        return raw
    blocks = {name: block or {} for name, block in blocks.items()}
    gone = {name: {key for key, value in block.items() if value is None} for name, block in blocks.items()}
    settings = blocks["settings"]
    while more := {n for n, v in settings.items() if n not in gone["settings"] and gone["settings"] & _origins(v)}:
        gone["settings"] |= more
    kept = {name: {k: v for k, v in block.items() if k not in gone[name]} for name, block in blocks.items()}
    kept["models"] = {name: _model_without(value, gone["settings"]) for name, value in kept["models"].items()}
    if gone["settings"] or gone["models"] or gone["substudies"]:
        left = {name: _experiment_without(value, gone) for name, value in kept["experiments"].items()}
        kept["experiments"] = {name: value for name, value in left.items() if value is not None}
    return {**raw, **{name: block for name, block in kept.items() if name in raw}}


def _model_without(model: Any, settings: set[str]) -> Any:
    """A model without what it says of settings that are left out, and of those for which it says null."""
    if not (isinstance(model, dict) and isinstance(said := model.get("per_setting"), dict)):
        return model
    return {**model, "per_setting": {k: v for k, v in said.items() if v is not None and k not in settings}}


def _experiment_without(experiment: Any, gone: dict[str, set[str]]) -> Any:
    """An experiment without the settings, substudies and models that are left out; None where none are left."""
    if not isinstance(experiment, dict):
        return experiment

    def stays(name: Any) -> bool:
        return plain(str(name)) not in gone["settings"] and substudy_of(str(name)) not in gone["substudies"]

    def tried(name: Any) -> bool:
        return model_of(str(name)) not in gone["models"]

    changed = dict(experiment)
    for key, holds in (("settings", stays), ("methods", tried)):
        named = experiment.get(key)
        if isinstance(named, list | tuple):
            changed[key] = [name for name in named if holds(name)]
            if named and not changed[key]:
                return None
    if "reference" in changed and not tried(changed["reference"]):
        changed["reference"] = None
    try:
        return changed | _plots_without(experiment, stays, tried)
    except (AttributeError, IndexError, TypeError):
        return changed  # plots of another form stay as they are, and validation says what is wrong with them


def _plots_without(experiment: dict[str, Any], stays: Holds, tried: Holds) -> dict[str, Any]:
    """Its curves and dot plots without what is left out, and without those left empty; strange ones as they are."""
    found: dict[str, Any] = {}
    if _of_mappings(experiment.get("curves")):
        curves = [_curve_without(curve, stays, tried) for curve in experiment["curves"]]
        found["curves"] = [curve for curve in curves if curve is not None]
    if _of_mappings(experiment.get("dots")):
        dots = [_dots_without(plot, stays, tried) for plot in experiment["dots"]]
        found["dots"] = [plot for plot in dots if plot is not None]
    return found


def _curve_without(curve: dict[str, Any], stays: Holds, tried: Holds) -> dict[str, Any] | None:
    along, x = curve.get("along"), curve.get("x")
    holds = {"settings": stays, "methods": tried}.get(str(curve.get("over")))
    if holds and isinstance(along, list | tuple):
        kept = [i for i, name in enumerate(along) if holds(name)]
        points = {"x": [x[i] for i in kept]} if isinstance(x, list | tuple) and len(x) == len(along) else {}
        curve = {**curve, "along": [along[i] for i in kept], **points}
    whole = stays(curve.get("setting")) and (along is None or curve["along"])
    return _lines_without(curve, tried) if whole else None


def _dots_without(plot: dict[str, Any], stays: Holds, tried: Holds) -> dict[str, Any] | None:
    panels = plot.get("panels")
    if not _of_mappings(panels):
        return plot
    kept = [panel for panel in panels if stays(panel.get("setting"))]
    return _lines_without({**plot, "panels": kept}, tried) if kept else None


def _lines_without(plot: dict[str, Any], tried: Holds) -> dict[str, Any] | None:
    methods = plot.get("methods")
    if not isinstance(methods, list | tuple) or not methods:
        return plot
    kept = [method for method in methods if tried(method)]
    return {**plot, "methods": kept} if kept else None


def _of_mappings(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, dict) for each in value)


def _origins(setting: Any) -> set[str]:
    named = (setting.get("start_from"), setting.get("model_of")) if isinstance(setting, dict) else ()
    return {name for name in named if isinstance(name, str)}


# ------------------------------------------------------------------------------------------- models
def with_probes(raw: dict[str, Any]) -> dict[str, Any]:
    """The settings with the methods of each experiment written out: behind each that hears the same under `probes`."""

    def written_out(experiment: Any) -> Any:
        methods, probes = (experiment.get(k) for k in ("methods", "probes")) if isinstance(experiment, dict) else (0, 0)
        if not isinstance(methods, list) or not isinstance(probes, list):
            return experiment
        hearing = [method for method in methods if "@" not in str(method) and method not in registry.floors()]
        product = [[method, *(f"{method}@{probe}" for probe in probes if method in hearing)] for method in methods]
        return {**experiment, "methods": list(itertools.chain.from_iterable(product))}

    experiments = raw.get("experiments")
    if not isinstance(experiments, dict):
        return raw
    return {**raw, "experiments": {name: written_out(experiment) for name, experiment in experiments.items()}}


def resolve_models(models: dict[str, Any], schedule: Any = None) -> dict[str, Any]:
    """Follows `base:` (one model named as another with overrides) down to complete settings. Raises InputError.

    schedule: what the schedules of the models without a base have in common.
    """

    def resolve(name: str, chain: tuple[str, ...]) -> Any:
        if name in chain:
            raise refusal([f"models: 'base' goes in a circle: {' -> '.join((*chain, name))}"])
        if name not in models:
            made = [other for other, model in models.items() if isinstance(model, dict) and model.get("base") == name]
            known = [other for other in models if other not in made]
            raise refusal([f"models.{', '.join(made)}: base {not_one_of(name, known)}"])
        if not isinstance(models[name], dict):
            return models[name]
        own = dict(models[name])
        base = own.pop("base", None)
        if base is None:
            return merge({"schedule": schedule}, own) if isinstance(schedule, dict) else own
        inherited = resolve(str(base), (*chain, name))
        return {**merge(inherited, own), "base": base} if isinstance(inherited, dict) else inherited

    if not isinstance(models, dict):
        return models
    rootless = [
        f"models.{name}: a model says `architecture:`, or `base:` the model that it is made from"
        f"{nearest(name, [other for other in models if other != name])}"
        for name, model in models.items()
        if isinstance(model, dict) and not (model.get("base") or model.get("architecture"))
    ]
    if rootless:
        raise refusal(rootless)
    return {name: resolve(name, ()) for name in models}
