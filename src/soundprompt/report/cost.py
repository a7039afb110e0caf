"""Rows of a table that say what a model costs: measured by the stage `cost`, or written down by training."""

from __future__ import annotations

from typing import Any

import numpy as np

from soundprompt import registry
from soundprompt.errors import InputError
from soundprompt.evaluation import statistics
from soundprompt.files import read_json
from soundprompt.layout import Layout
from soundprompt.params import TableView, beside


def rows(view: TableView, layout: Layout, setting: str, selection: str) -> list[dict[str, Any]]:
    """For each model of the experiment the cost metrics that it names, as rows of a result table.

    What was counted has no interval; of what was timed several times low and high are the quartiles
    (interval_over: repeats); training has a mean and an interval over seeds. Methods that are a model with another
    sound cost what the model costs and have no rows, nor have floors. What is not there is left out.
    Raises InputError when the stage's file is damaged.
    """
    counted = registry.metrics_of("cost")
    wanted = [metric for metric in view.experiment.metrics if metric in registry.metrics_of("cost", "train")]
    measured = measurements(layout, setting) if view.experiment.measures_cost else {}
    head = {"setting": setting, "selection": selection, "kind": "all"}
    found = []
    for model in (method for method in view.experiment.methods if method in view.models):
        for metric in wanted:
            if metric in counted:
                own = _measured(measured.get(model, {}).get(metric))
            else:
                taken = training(view, layout, setting, model)[metric]
                own = statistics.over_seeds(taken).columns() if taken else {}
            if own:
                found.append({**head, "method": model, "metric": metric, **own, "n_clips": 0, "n_frames": 0})
    return found


def measurements(layout: Layout, setting: str) -> dict[str, dict[str, dict[str, float]]]:
    """model -> metric -> value with, where it was timed, low and high; of the study that a setting belongs to.

    Empty when nothing was measured. Raises InputError when the file is damaged.
    """
    path = layout.of(setting)[0].cost
    if not path.exists():
        return {}
    try:
        return read_json(path)["models"]
    except (KeyError, TypeError) as error:
        remedy = "delete the file and run `soundprompt cost`"
        raise InputError("not a file of the stage `cost`", path=path, remedy=remedy) from error


def training(view: TableView, layout: Layout, setting: str, model: str) -> dict[str, list[float]]:
    """Seconds and steps that training took, for each seed whose provenance is there; of a borrowed model, its own."""
    borrowed = view.settings[setting].model_of
    origin = beside(setting, borrowed) if borrowed else setting
    found: dict[str, list[float]] = {"training_s": [], "training_steps": []}
    for seed in view.seeds:
        path = layout.run(origin, model, seed) / "provenance.json"
        record = read_json(path) if path.exists() else {}
        if "training_s" in record and "steps" in record.get("result", {}):
            found["training_s"].append(record["training_s"])
            found["training_steps"].append(record["result"]["steps"])
    return found


def lacking(view: TableView, layout: Layout) -> list[str]:
    """Sentences that name the measurements that an experiment should have but does not."""
    if not view.experiment.measures_cost:
        return []
    paths = dict.fromkeys(layout.of(setting)[0].cost for setting in view.settings)
    return [f"cost of its models: {path} is missing" for path in paths if not path.exists()]


def _measured(entry: dict[str, float] | None) -> dict[str, Any]:
    if entry is None:
        return {}
    over = "repeats" if "low" in entry else ""
    ends = {end: entry.get(end, np.nan) for end in ("low", "high")}
    return {"mean": entry["value"], "sd": np.nan, **ends, "interval_over": over, "n_seeds": 0}
