"""The weights that the project comes with: made once by `studies/release.yaml`, imported where the settings fit.

Beside each file lies its card: the record that the training wrote (quality, settings, code, commit), and the sha256.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from soundprompt import params, provenance, records
from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.layout import Layout

FOLDER = Path(__file__).parent / "released"


def files(name: str, view: params.PretrainView) -> tuple[Path, Path]:
    """The weights that a view's settings stand for, and their card.

    Raises InputError when there are none, or when they were made with other settings than the view's.
    """
    model = view.model
    weights = Path(model.checkpoint) if model.checkpoint else _own(name, model)
    card = weights.with_suffix(".json")
    train = f"set foundation.{name}.source: train"
    for file in (weights, card):
        if not file.exists():
            raise InputError("no such released weights", path=file, remedy=f"{train}, which makes such a model here")
    differing = _differing(name, view.model_dump(mode="json"), _provenance(card)["settings"])
    if differing:
        raise InputError(f"made with other settings: {'; '.join(differing)}", path=weights, remedy=train)
    return weights, card


def check(study: params.Params) -> None:
    """Raises InputError where a study or a substudy of it asks for released weights that do not fit it (`files`)."""
    for each in study.studies().values():
        for name in each.foundations():
            model = getattr(each.foundation, name)
            if name not in each.layout.shared and model.source == "released" and model.is_own:
                files(name, params.pretrain_view(each, name))


def run(name: str, view: params.PretrainView, layout: Layout) -> None:
    """Writes layout.foundation(name) from the released weights, in float32, and their quality beside it.

    Raises InputError when settings do not fit (`files`), or when the weights are not those of which the card tells.
    """
    from soundprompt.foundation import weights as weight_files

    watch = provenance.Stopwatch()
    weights, card = files(name, view)
    target, content = layout.foundation(name), read_json(card)
    unpack(weights, target)
    inputs = {"released": records.sha256(weights), "card": records.sha256(card)}
    written, made = records.sha256(target), content["provenance"]
    origin = provenance.record(f"pretrain/{name}", view, None, inputs, watch, weights=written, made=made)
    weight_files.conclude(target, content["quality"], origin)


def unpack(packed: Path, target: Path) -> None:
    """Writes packed weights in float32; equal files give equal bytes. Raises InputError when they are damaged."""
    from soundprompt import tensorfile
    from soundprompt.foundation import weights as weight_files

    records.check(packed, remedy="bring it and the json beside it back from the repository (git checkout)")
    tensors, facts = weight_files.read(packed)
    whole = {key: value.float() if value.is_floating_point() else value for key, value in tensors.items()}
    tensorfile.write(target, whole, facts)


def pack(name: str, view: params.PretrainView, layout: Layout) -> Path:
    """Puts what the rule trained, layout.foundation(name), among the files that the project comes with.

    Floats are rounded to 16 bits: half of the size, and IoU moves in the fifth digit. Returns the file's path.
    """
    from soundprompt import tensorfile
    from soundprompt.foundation import weights as weight_files

    tensors, facts = weight_files.read(layout.foundation(name))
    half = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    target, record = _own(name, view.model), read_json(layout.foundation_quality(name))
    target.with_suffix(".json").unlink(missing_ok=True)  # it tells of other weights
    tensorfile.write(target, half, facts)
    weight_files.conclude(target, record["quality"], record["provenance"])
    return target


def _own(name: str, model: params.Sam | params.Audio | params.Pyramid) -> Path:
    return FOLDER / f"{name}-{model.prompts}.safetensors" if name == "sam" else FOLDER / f"{name}.safetensors"


def _provenance(card: Path) -> dict[str, Any]:
    content = read_json(card)
    found = content.get("provenance") if isinstance(content, dict) and "quality" in content else None
    if not isinstance(found, dict) or not {"settings", "weights"} <= found.keys():
        remedy = "use the json file that `soundprompt pretrain` wrote beside the weights"
        raise InputError("no card of weights: quality, provenance.settings or provenance.weights is missing", path=card,
                         remedy=remedy)  # fmt: skip
    return found


def _differing(name: str, wanted: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """The settings that weights depend on whatever they were trained with, where those of the card are others."""
    model = {"sam": params.Sam, "audio": params.Audio, "pyramid": params.Pyramid}[name]
    places = {f"foundation.{name}.{each}": ("model", each) for each in model.made_for}
    places |= {"world.size": ("scene", "size"), "world.levels": ("scene", "levels")}
    if name == "pyramid":
        places["foundation.sam.seed"] = ("pool_seed",)
    return [
        f"{place} is {_at(wanted, keys)} here and {_at(made, keys)} there"
        for place, keys in places.items()
        if _at(wanted, keys) != _at(made, keys)
    ]


def _at(settings: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        settings = settings.get(key) if isinstance(settings, dict) else None
    return settings
