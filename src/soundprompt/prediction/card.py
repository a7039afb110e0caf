"""The model card of an exported model, written from its settings and results."""

from __future__ import annotations

from typing import Any

import yaml

from soundprompt import registry
from soundprompt.report import names

HEADLINE = ("miou", "f_score", "ciou", "auc")  # what the Hub shows in its own tables
SHOWN = (*HEADLINE, "hit_rate", "alarm")


def text(config: dict[str, Any], metrics: dict[str, Any], origin: dict[str, Any], whole: bool) -> str:
    """README.md of the folder. config, metrics, origin: contents of its json files; whole: the foundation is in it."""
    header = yaml.safe_dump(_header(config, metrics), sort_keys=False, allow_unicode=True)
    parts = [
        f"---\n{header}---",
        f"# {names.method(config['settings']['model_name'])}, trained on {_trained_on(config)}",
        _introduction(config),
        _use(),
        "## Results\n\n" + _results(metrics),
        "## Limits\n\n" + _limits(config, metrics),
        "## Foundation\n\n" + _foundation(config, whole),
        "## Provenance\n\n" + _provenance(config, origin),
    ]
    return "\n\n".join(parts) + "\n"


def _header(config: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    """The part that the Hub reads."""
    settings = config["settings"]
    own = [row for row in metrics["scores"] if row["method"] == settings["model_name"] and row["metric"] in HEADLINE]
    results = [
        {
            "task": {"type": "image-segmentation", "name": "Audio-visual segmentation"},
            "dataset": {
                "type": row["selection"].partition("/")[0] + (f"-{settings['study']}" if _generated(config) else ""),
                "name": _selection(row["selection"], config),
                "split": row["selection"].partition("/")[2],
            },
            "metrics": [{"type": row["metric"], "name": names.metric(row["metric"]).label, "value": row["value"]}],
        }
        for row in own
    ]
    header = {
        "library_name": "soundprompt",
        "license": "mit",
        "pipeline_tag": "image-segmentation",
        "tags": ["audio-visual-segmentation", settings["model"]["architecture"], "soundprompt"],
    }
    if results:
        header["model-index"] = [{"name": settings["model_name"], "results": results}]
    return header


def _introduction(config: dict[str, Any]) -> str:
    settings = config["settings"]
    return (
        "Given a picture and the second of sound that goes with it, it says which pixels show what sounds. "
        f"`{settings['model_name']}` of study `{settings['study']}`, setting `{settings['setting_name']}`, "
        f"seed {settings['seed']}; GAVS is described in arXiv 2309.07929."
    )


def _use() -> str:
    return """## Use

With `soundprompt` installed, and this folder (or `hf://owner/name`) as PLACE:

```
soundprompt predict my.mp4 --model PLACE --out heard.mp4
```

```python
import soundprompt

model = soundprompt.load("PLACE")
masks = model.segment(frames, sound, rate=44100)  # (T, H, W) probabilities for T frames, one a second
```"""


def _trained_on(config: dict[str, Any]) -> str:
    return "; ".join(_selection(one, config) for one in config["settings"]["setting"]["train"])


def _generated(config: dict[str, Any]) -> bool:
    return config["settings"]["data"]["source"] == "generated"


def _selection(name: str, config: dict[str, Any]) -> str:
    """The generated world has data sets of the published ones' names, which nobody shall take for these."""
    return names.selection(name) + (" (generated world)" if _generated(config) else "")


def _results(metrics: dict[str, Any]) -> str:
    rows = [row for row in metrics["scores"] if row["metric"] in SHOWN]
    if not rows:
        lines = [f"- {names.selection(one)}: mIoU {100 * value:.1f}" for one, value in metrics["validation"].items()]
        return "\n".join(["It was not scored on a test. On its validation frames, by which it was chosen:", "", *lines])
    shown = [metric for metric in SHOWN if any(row["metric"] == metric for row in rows)]
    values = {(row["selection"], row["method"], row["metric"]): row["value"] for row in rows}
    labels = [names.metric(metric).label for metric in shown]
    lines = [f"| test | heard | {' | '.join(labels)} |", "|---|---|" + "---:|" * len(shown)]
    for selection, method in dict.fromkeys((row["selection"], row["method"]) for row in rows):
        probe = registry.probes().get(method.partition("@")[2])
        heard = probe.title if probe else "its own sound"
        cells = [values.get((selection, method, metric)) for metric in shown]
        numbers = ["" if value is None else f"{100 * value:.1f}" for value in cells]
        lines.append(f"| {names.selection(selection)} | {heard} | {' | '.join(numbers)} |")
    meanings = [f"- {names.metric(metric).label}: {names.metric(metric).meaning}" for metric in shown]
    return "\n".join(
        [*lines, "", "In percent, of this seed alone; all conventions are in `metrics.json`.", "", *meanings]
    )


def _limits(config: dict[str, Any], metrics: dict[str, Any]) -> str:
    lines = []
    if _generated(config):
        lines.append(
            "- It has only met a generated world of simple shapes and tones. In a video from a camera it paints "
            "something that means nothing."
        )
    alarms = [row for row in metrics["scores"] if row["metric"] == "alarm" and row["method"].endswith("@off_screen")]
    if alarms:
        worst = max(alarms, key=lambda row: row["value"])
        lines.append(
            f"- A sound that nothing in view makes: it draws a mask in {100 * worst['value']:.0f} % of the frames "
            f"({names.selection(worst['selection'])})."
        )
    else:
        lines.append("- It was not tested on sounds that nothing in view makes; models of this kind often draw a mask.")
    lines.append("- The probabilities are not calibrated; masks are cut at 0.5.")
    return "\n".join(lines)


def _foundation(config: dict[str, Any], whole: bool) -> str:
    where = "They are in `foundation/`."
    if not whole:
        where = (
            "They are not in here: `soundprompt` finds them in `weights/` by their sha256, or fetches what is released."
        )
    rows = [
        f"| {name} | {one['architecture']} | {one['licence']} | `{one['sha256']}` |"
        for name, one in config["foundation"].items()
    ]
    table = "\n".join(["| frozen model | architecture | licence | sha256 |", "|---|---|---|---|", *rows])
    return f"{where}\n\n{table}"


def _provenance(config: dict[str, Any], origin: dict[str, Any]) -> str:
    training = origin["training"]
    result = training.get("result", {})
    facts = [
        f"- soundprompt {config['soundprompt_version']}, commit `{training.get('commit', 'unknown')}`",
        f"- best of {result.get('steps', 'an unknown number of')} steps: {result.get('best_step', 'unknown')}; "
        f"{result.get('trained_parameters', 'unknown')} trained parameters, sha256 `{config['sha256']}`",
        "- `provenance.json` has the digests of all inputs, the settings, packages and machine",
        "- trained weights: MIT (`LICENSE`); the data's owners may set further terms",
    ]
    return "\n".join(facts)
