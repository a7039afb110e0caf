"""From files to one mapping of settings: overlays, what they leave out, models that name a base."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from soundprompt.errors import InputError
from soundprompt.params.experiments import model_of
from soundprompt.params.messages import nearest, not_one_of, refusal
from soundprompt.params.reading import read_yaml

Holds = Callable[[Any], bool]
LEAVES_OUT = ("models", "settings", "experiments", "variants")  # blocks whose entries an overlay leaves out by null


def merge(base: dict[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings are merged key by key, everything else is replaced."""
    merged = copy.copy(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def read_overlays(base: str | Path, overlays: Iterable[Path]) -> dict[str, Any]:
    """The settings of `base` with each overlay over it. Raises InputError.

    The overlays name their study, lest its artifacts take the place of another's; null leaves out what is there.
    """
    merged, contents = read_yaml(base), {path: read_yaml(path) for path in overlays}
    if contents and not any("study" in content for content in contents.values()):
        what = f"does not name its study: its artifacts would take the place of those of {merged.get('study')}"
        raise InputError(what, path=next(iter(contents)), remedy="write `study:` and a name")
    for path, content in contents.items():
        if problems := list(_left_out_in_vain(merged, content)):
            raise refusal(problems, path)
        merged = merge(merged, content)
    return merged


def _left_out_in_vain(base: dict[str, Any], overlay: dict[str, Any]) -> Iterable[str]:
    for block in (*LEAVES_OUT, "world.scenes"):
        entries, known = overlay, base
        for key in block.split("."):
            entries, known = (place.get(key) if isinstance(place, dict) else None for place in (entries, known))
        for name, value in entries.items() if isinstance(entries, dict) and isinstance(known, dict) else ():
            if value is None and name not in known:
                yield f"{block}.{name}: null leaves out what is there, and there is no such entry{nearest(name, known)}"


# --------------------------------------------------------------------------------- what null leaves out
def left_in(raw: dict[str, Any]) -> dict[str, Any]:
    """The settings without what is given as null.

    With a setting go those that start from it or borrow its model, with settings and models their places in
    experiments and plots, and the experiments that are left with none. What a remaining model has as its base stays
    needed: `resolve_models` says so.
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
    if gone["settings"] or gone["models"] or gone["variants"]:
        left = {name: _experiment_left_in(value, gone) for name, value in kept["experiments"].items()}
        kept["experiments"] = {name: value for name, value in left.items() if value is not None}
    return {**raw, **{name: block for name, block in kept.items() if name in raw}}


def _experiment_left_in(experiment: Any, gone: dict[str, set[str]]) -> Any:
    """An experiment without the settings, variants and models that are left out; None where none are left."""
    if not isinstance(experiment, dict):
        return experiment

    def stays(name: Any) -> bool:
        setting, _, variant = str(name).partition("@")
        return setting not in gone["settings"] and variant not in gone["variants"]

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
        return changed | _plots_left_in(experiment, stays, tried)
    except (AttributeError, IndexError, TypeError):
        return changed  # plots of another form stay as they are, and validation says what is wrong with them


def _plots_left_in(experiment: dict[str, Any], stays: Holds, tried: Holds) -> dict[str, Any]:
    """Its curves and dot plots without what is left out, and without those left empty; strange ones as they are."""
    found: dict[str, Any] = {}
    if _of_mappings(experiment.get("curves")):
        curves = [_curve_left_in(curve, stays, tried) for curve in experiment["curves"]]
        found["curves"] = [curve for curve in curves if curve is not None]
    if _of_mappings(experiment.get("dots")):
        dots = [_dots_left_in(plot, stays, tried) for plot in experiment["dots"]]
        found["dots"] = [plot for plot in dots if plot is not None]
    return found


def _curve_left_in(curve: dict[str, Any], stays: Holds, tried: Holds) -> dict[str, Any] | None:
    along, x = curve.get("along"), curve.get("x")
    holds = {"settings": stays, "methods": tried}.get(str(curve.get("over")))
    if holds and isinstance(along, list | tuple):
        kept = [i for i, name in enumerate(along) if holds(name)]
        points = {"x": [x[i] for i in kept]} if isinstance(x, list | tuple) and len(x) == len(along) else {}
        curve = {**curve, "along": [along[i] for i in kept], **points}
    whole = stays(curve.get("setting")) and (along is None or curve["along"])
    return _lines_left_in(curve, tried) if whole else None


def _dots_left_in(plot: dict[str, Any], stays: Holds, tried: Holds) -> dict[str, Any] | None:
    panels = plot.get("panels")
    if not _of_mappings(panels):
        return plot
    kept = [panel for panel in panels if stays(panel.get("setting"))]
    return _lines_left_in({**plot, "panels": kept}, tried) if kept else None


def _lines_left_in(plot: dict[str, Any], tried: Holds) -> dict[str, Any] | None:
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
def resolve_models(models: dict[str, Any]) -> dict[str, Any]:
    """Follows `base:` (one model named as another with overrides) down to complete settings. Raises InputError."""

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
            return own
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
