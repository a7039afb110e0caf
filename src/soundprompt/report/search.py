"""Tables of a search for learning rates: from the runs' own validation, never from a test.

A *trial* of a model is another method of the experiment whose `base` is that model and which differs from it in
learning rates alone. The settings hold the winner of a search; a row says so where they do not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from soundprompt.errors import InputError
from soundprompt.evaluation import statistics
from soundprompt.files import read_json
from soundprompt.layout import Layout
from soundprompt.params import Model, TableView

RATES = ("learning_rate", "adapter_learning_rate", "shot_learning_rate")


def rows(view: TableView, layout: Layout) -> list[dict[str, Any]]:
    """A row for each setting and method with a run: the mean over seeds of validation at the best step.

    n_frames: validation frames, the same for all trials of a setting. n_seeds: runs that are there.
    """
    found = []
    for setting in view.settings:
        results = {m: _results(view, layout, setting, m) for m in view.experiment.methods}
        results = {method: runs for method, runs in results.items() if runs}
        remarks = _remarks(view, results)
        for method, runs in results.items():
            head = {"setting": setting, "selection": "validation", "kind": "all", "method": method}
            frames = next(iter(runs.values())).get("validation_frames")
            value = statistics.over_seeds([result["validation"] for result in runs.values()])
            own = {**value.columns(), "n_frames": frames, "remark": remarks.get(method)}
            found.append({**head, "metric": "validation", **own})
    return found


def lacking(view: TableView, layout: Layout) -> list[str]:
    """Sentences that name the runs that a search should have but does not."""
    wanted = [(s, m, seed) for s in view.settings for m in view.experiment.methods for seed in view.seeds]
    paths = {run: layout.run(*run) / "provenance.json" for run in wanted}
    return [f"{run[1]} on {run[0]}: {path} is missing" for run, path in paths.items() if not path.exists()]


def trials(models: dict[str, Model]) -> dict[str, str]:
    """{trial: the model that it is a trial of}, among the given models."""
    return {
        name: model.base
        for name, model in models.items()
        if model.base in models and _but_for_rates(model) == _but_for_rates(models[model.base])
    }


def _but_for_rates(model: Model) -> Model:
    same = model.schedule.model_copy(update={"learning_rate": 0.5, **dict.fromkeys(RATES[1:])})
    return model.model_copy(update={"base": None, "schedule": same})


def _remarks(view: TableView, results: dict[str, dict[int, dict]]) -> dict[str, str]:
    """Method -> what is wrong: a trial of it is better, or it had another number of trials than the others."""
    of = trials(view.models)
    tried = {method: [trial for trial, base in of.items() if base == method] for method in view.models}
    bases = [method for method in view.models if method not in of]
    most = max((len(tried[method]) for method in bases), default=0)
    found = {}
    for method in bases:
        sentences = [_better(view, results, method, tried[method])] if method in results else []
        if len(tried[method]) < most:
            sentences.append(f"it had {len(tried[method])} trials beside itself where another method had {most}")
        if any(sentences):
            found[method] = "; ".join(filter(None, sentences))
    return found


def _better(view: TableView, results: dict[str, dict[int, dict]], method: str, tried: list[str]) -> str:
    """Says which trial is better than the model itself, over the seeds that both have; '' when none is."""
    leads = {}
    for trial in tried:
        seeds = sorted(results.get(trial, {}).keys() & results[method].keys())
        if seeds:
            theirs, own = (np.mean([results[m][seed]["validation"] for seed in seeds]) for m in (trial, method))
            leads[trial] = (theirs - own, f"{theirs:.3f} against {own:.3f}")
    rival = max(leads, key=lambda trial: leads[trial][0], default=None)
    if rival is None or leads[rival][0] <= 0:
        return ""
    schedule = view.models[rival].schedule
    rates = {name: getattr(schedule, name) for name in RATES if getattr(schedule, name) is not None}
    given = ", ".join(f"{name}: {value:g}" for name, value in rates.items())
    return (
        f"its trial {rival} is better on validation ({leads[rival][1]}): the settings do not hold the winner, {given}"
    )


def _results(view: TableView, layout: Layout, setting: str, method: str) -> dict[int, dict[str, Any]]:
    """Seed -> the `result` that training wrote down. Raises InputError when a file is damaged."""
    found = {}
    for seed in view.seeds:
        path = layout.run(setting, method, seed) / "provenance.json"
        if not path.exists():
            continue
        result = read_json(path).get("result", {})
        if "validation" not in result:
            raise InputError("has no validation score", path=path, remedy="delete it and run `soundprompt train` again")
        found[seed] = result
    return found
