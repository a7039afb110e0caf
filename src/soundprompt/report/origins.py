"""What each run cost and where each number comes from, read from what the stages wrote beside their results."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.layout import Layout
from soundprompt.params import Params
from soundprompt.report import foundation, names


@dataclass(frozen=True)
class Cost:
    """Of one model on one setting, over its seeds: mean seconds, largest memory (MiB), trained parameters.

    waiting: share of the seconds in which it waited for data.
    """

    setting: str
    model: str
    parameters: int | None
    seconds: float | None
    waiting: float | None
    peak_mib: float | None
    best_steps: str
    runs: int
    device: str


@dataclass(frozen=True)
class Origin:
    """One result: what it is, the key that names it, and the digests of what went in and came out."""

    what: str
    key: str
    seed: str
    commit: str
    code: str
    inputs: dict[str, str]
    outputs: dict[str, str]


def records(params: Params, layout: Layout) -> dict[tuple[str, str, int], dict[str, Any]]:
    """(setting, model, seed) -> the provenance of its training, for runs that are there."""
    found = {}
    for setting, model, seed in params.everywhere(Params.runs):
        path = layout.run(setting, model, seed) / "provenance.json"
        if path.exists():
            found[setting, model, seed] = read_json(path)
    return found


def costs(records: dict[tuple[str, str, int], dict[str, Any]]) -> list[Cost]:
    """One row for each (setting, model), in the order of the runs."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for (setting, model, _), record in records.items():
        groups.setdefault((setting, model), []).append(record)
    return [_cost(setting, model, group) for (setting, model), group in groups.items()]


def _cost(setting: str, model: str, group: list[dict[str, Any]]) -> Cost:
    results = [record.get("result", {}) for record in group]
    seconds = [record["training_s"] for record in group if "training_s" in record]
    shares = [record["waiting_s"] / record["training_s"] for record in group if "waiting_s" in record]
    peaks = [record["cost"]["peak_mib"] for record in group if "cost" in record]
    steps = [f"{r['best_step']} of {r['steps']}" for r in results if "best_step" in r and "steps" in r]
    return Cost(
        names.setting(setting),
        names.method(model),
        next((r["trained_parameters"] for r in results if "trained_parameters" in r), None),
        sum(seconds) / len(seconds) if seconds else None,
        sum(shares) / len(shares) if shares else None,
        max(peaks, default=None),
        ", ".join(steps),
        len(group),
        ", ".join(sorted({record.get("device", "") for record in group} - {""})),
    )


def kept_starts(records: dict[tuple[str, str, int], dict[str, Any]]) -> dict[tuple[str, str], int]:
    """(setting, model) -> how many few-shot runs found no step better on validation than their start."""
    kept: dict[tuple[str, str], int] = {}
    for (setting, model, _), record in records.items():
        if record.get("result", {}).get("start_kept"):
            kept[setting, model] = kept.get((setting, model), 0) + 1
    return kept


def origins(params: Params, layout: Layout) -> list[Origin]:
    """Every result that the report's numbers rest on: foundation models, trained runs, scores, floors, costs."""
    found = []
    for study, model in foundation.made(params):
        what = f"foundation model: {model}" + (f" of {study.study}" if study.within else "")
        found += _origin(what, study.layout.foundation_quality(model), nested=True)
    for setting, model, seed in params.everywhere(Params.runs):
        found += _origin(f"{setting} / {model}: training", layout.run(setting, model, seed) / "provenance.json")
    for setting, model, seed in params.everywhere(Params.evaluations):
        found += _origin(f"{setting} / {model}: scores", layout.run(setting, model, seed) / "scores.json")
    for setting in dict.fromkeys(s for experiment in params.experiments.values() for s in experiment.settings):
        found += _origin(f"{setting} / floors: scores", layout.floors(setting).parent / "scores.json")
    return found + _origin("what a frame costs", layout.cost, nested=True)


def _origin(what: str, path: Path, nested: bool = False) -> list[Origin]:
    try:
        record = read_json(path)
    except InputError:
        return []
    record = record.get("provenance", {}) if nested else record
    result = record.get("result", {})
    outputs = {name: result[name] for name in ("checkpoint", "scores") if name in result}
    outputs |= {"weights": record["weights"]} if "weights" in record else {}
    seed = record.get("seed")
    return [
        Origin(
            what,
            record.get("key", ""),
            "" if seed is None else str(seed),
            record.get("commit", ""),
            record.get("code", ""),
            record.get("inputs", {}),
            outputs,
        )
    ]


def environment(records: dict[tuple[str, str, int], dict[str, Any]]) -> dict[str, str]:
    """Versions and machine of the runs; several values are listed."""
    found: dict[str, set[str]] = {}
    for record in records.values():
        for name, value in {**record.get("packages", {}), **record.get("machine", {})}.items():
            found.setdefault(name, set()).add(str(value))
    return {name: ", ".join(sorted(values)) for name, values in found.items()}
