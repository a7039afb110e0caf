"""From YAML to one mapping of settings: overlays, what they leave out, models that name a base."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml

from soundprompt.errors import InputError
from soundprompt.params.experiments import plain


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises InputError."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="run from the root of the project") from error
    except yaml.YAMLError as error:
        raise InputError(f"not valid YAML: {error}", path=path) from error
    if not isinstance(content, dict):
        raise InputError("must hold a mapping of settings", path=path)
    return content


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings are merged key by key, everything else is replaced. As Snakemake merges configfiles."""
    merged = copy.copy(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def left_in(raw: dict[str, Any]) -> dict[str, Any]:
    """The settings without what is given as null: settings, experiments, and left-out settings in experiments."""
    settings, experiments = raw.get("settings"), raw.get("experiments")
    if not (isinstance(settings, dict) and isinstance(experiments, dict)):
        return raw
    left_out = {name for name, value in settings.items() if value is None}
    left_out |= {name for name, value in settings.items() if value and left_out & _origins(value)}
    kept = {}
    for name, value in experiments.items():
        named = value.get("settings") if isinstance(value, dict) else None
        if left_out and isinstance(named, list | tuple) and left_out & set(map(plain, named)):
            named = [setting for setting in named if plain(setting) not in left_out]
            value = {**value, "settings": named, **_plots_left_in(value, left_out)} if named else None
        if value is not None:
            kept[name] = value
    return {**raw, "settings": {n: v for n, v in settings.items() if n not in left_out}, "experiments": kept}


def _plots_left_in(experiment: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    """An experiment's curves and dot plots without the settings that are left out, and without those left empty."""

    def stays(name: Any) -> bool:
        return plain(str(name)) not in left_out

    curves = []
    for curve in experiment.get("curves") or ():
        along, x = curve.get("along"), curve.get("x")
        if along and curve.get("over") == "settings":
            kept = [i for i, name in enumerate(along) if stays(name)]
            part = {"along": [along[i] for i in kept], **({"x": [x[i] for i in kept]} if x else {})}
            curves += [{**curve, **part}] if kept else []
        elif stays(curve.get("setting")):
            curves.append(curve)
    dots = []
    for plot in experiment.get("dots") or ():
        panels = [panel for panel in plot.get("panels") or () if stays(panel.get("setting"))]
        dots += [{**plot, "panels": panels}] if panels else []
    return {"curves": curves, "dots": dots}


def _origins(setting: Any) -> set[Any]:
    return {setting.get("start_from"), setting.get("model_of")} if isinstance(setting, dict) else set()


def resolve_models(models: dict[str, Any]) -> dict[str, Any]:
    """Follows `base:` (one model named as another with overrides) down to complete settings."""

    def resolve(name: str, chain: tuple[str, ...]) -> dict[str, Any]:
        if name in chain:
            raise InputError(f"models: 'base' goes in a circle: {' -> '.join((*chain, name))}")
        if name not in models:
            raise InputError(f"models.{chain[-1]}.base: '{name}' is not one of {', '.join(models)}")
        own = dict(models[name] or {})
        base = own.pop("base", None)
        return {**merge(resolve(base, (*chain, name)), own), "base": base} if base else own

    return {name: resolve(name, ()) for name in models}


def describe(problem: Any) -> str:
    """One pydantic error as 'key: what is allowed, got value'."""
    key = ".".join(str(part) for part in problem["loc"]) or "settings"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if problem["type"] in ("missing", "value_error"):
        return f"{key}: {message}"
    return f"{key}: {message}, got {problem['input']!r}"
