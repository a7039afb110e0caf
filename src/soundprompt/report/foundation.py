"""The foundation models in the report: their own quality, and how they depart from the released ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.params import Params
from soundprompt.params.foundation import Frozen
from soundprompt.report import fragments, names

TITLES = {
    "sam": "Image model (SAM)",
    "audio": "Sound encoder (VGGish)",
    "pyramid": "Image encoder of the fusion baselines (pyramid)",
}
WORDS = {
    "iou": "mask overlap (IoU) by prompt",
    "probes": "linear probes of the features",
    "parameters": "parameters",
    "pictures": "held-out pictures",
    "mean": "mean ± standard error",
}


@dataclass(frozen=True)
class Foundation:
    """One model: facts as (label, value), and the quality as tables (caption, heads, rows)."""

    title: str
    facts: list[tuple[str, str]]
    sheets: list[tuple[str, list[str], list[list[str]]]]
    departures: list[str]
    missing: str = ""


def run(params: Params) -> list[Foundation]:
    """The foundation models of a study and of its substudies."""
    departures_of = {"sam": _sam_departures, "audio": _audio_departures, "pyramid": _pyramid_departures}
    found = []
    for study, name in made(params):
        title, settings = TITLES[name], getattr(study.foundation, name)
        if study.within:
            title = f"{title}: {names.substudy(study.within)}"
        departures = departures_of[name](study)
        try:
            content = read_json(study.layout.foundation_quality(name))
        except InputError as error:
            found.append(Foundation(title, [("architecture", settings.architecture)], [], departures, str(error)))
            continue
        quality = content.get("quality", content)
        plain = [(WORDS.get(k, k.replace("_", " ")), _text(v)) for k, v in quality.items() if not isinstance(v, dict)]
        origin = content.get("provenance", {})
        training = origin.get("made", origin)  # of weights that the project comes with: when they were made
        cost = training.get("cost", {})
        plain += [("made in", f"{cost['wall_s']:.0f} s, {cost['peak_mib']:.0f} MiB")] if "wall_s" in cost else []
        plain += [("weights", "released with this project" if "made" in origin else _source(settings))]
        sheets = [sheet for key, value in quality.items() if isinstance(value, dict) for sheet in _sheets(key, value)]
        found.append(Foundation(title, [("architecture", settings.architecture), *plain], sheets, departures))
    return found


def made(params: Params) -> list[tuple[Params, str]]:
    """(study, foundation model) of the study and its substudies, each where it is made."""
    return [
        (study, name)
        for study in params.studies().values()
        for name in study.foundations()
        if name not in study.layout.shared
    ]


def _sheets(key: str, value: dict[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """A dict of dicts as one table, a flat dict as a table of one row; entries that are null say so."""
    caption = WORDS.get(key, key.replace("_", " "))
    inner = {name: entry for name, entry in value.items() if isinstance(entry, dict)}
    if not inner:
        return [(caption, list(value), [[_text(v) for v in value.values()]])]
    inner = {name: _with_error(entry) for name, entry in inner.items()}
    heads = sorted({head for entry in inner.values() for head in entry}, key=lambda head: (_ORDER.get(head, 9), head))
    rows = []
    for name, entry in value.items():
        if name in inner:
            rows.append([name, *(_text(inner[name].get(head)) for head in heads)])
        else:
            rows.append([name, *([_text(entry)] + [""] * (len(heads) - 1))])
    return [(caption, ["", *(WORDS.get(h, h.replace("_", " ")) for h in heads)], rows)]


_ORDER = {"mean": 0, "chance": 1, "seen": 2, "new combination": 3, "new level": 4}


def _with_error(entry: dict[str, Any]) -> dict[str, Any]:
    """A mean and its standard error as one entry."""
    if not {"mean", "standard_error"} <= set(entry):
        return entry
    rest = {key: value for key, value in entry.items() if key != "standard_error"}
    return {**rest, "mean": f"{_text(entry['mean'])} ± {_text(entry['standard_error'])}"}


def _source(settings: Frozen) -> str:
    return "trained in this study" if settings.source == "train" else "released"


def _text(value: Any) -> str:
    if value is None:
        return fragments.NOTHING  # no picture or sound asks this, or fitting never met one of the levels
    if isinstance(value, float):
        return f"{value:.3f}"
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)


def _sam_departures(params: Params) -> list[str]:
    sam = params.foundation.sam
    if not sam.is_own:
        return ["None in the weights: the released checkpoint, read as it is."]
    found = [
        "The modules are those of the segment_anything package; width, depth and input size are smaller, and the "
        "weights are this project's own, trained on generated pictures without sound.",
        "Beside the patch embedding convolutions look at the picture, and the decoder enlarges its grid eight times "
        "instead of four: masks are drawn at half of the picture's side, not at a quarter.",
    ]
    if sam.prompts == "concept":
        found.append(
            "Half of the prompts in pre-training are concept vectors, made from the look of the same object in another "
            "view. The released SAM was trained on points, boxes and masks only. Without concept prompts "
            "(foundation.sam.prompts: points) its frozen attention is much harder to steer by content."
        )
    found.append("A masked-feature loss is added, so that features of this small encoder carry texture and shape.")
    return found


def _audio_departures(params: Params) -> list[str]:
    if not params.foundation.audio.is_own:
        return ["None in the weights: the released VGGish, read as it is."]
    return [
        "The log-mel front end is VGGish's own; the network behind it is smaller and is trained on generated "
        "sounds without pictures, to name attributes of a sound."
    ]


def _pyramid_departures(params: Params) -> list[str]:
    if not params.foundation.pyramid.is_own:
        return ["None in the weights: the released PVT-v2-b5, without its classifier."]
    return [
        "A small convolutional pyramid in place of PVT-v2-b5, which was trained to name what ImageNet's pictures show. "
        "It is trained on the pictures of the mini SAM, without any class: to find objects and outlines, to "
        "describe hidden patches, and to recognise an object in another view."
    ]
