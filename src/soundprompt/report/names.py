"""How methods, settings and metrics are called and coloured for readers.

Models, datasets, metrics, floors and probes say it where they are registered; here is what is made of settings: the
variants of models, settings, substudies and experiments.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from soundprompt import registry
from soundprompt.registry import Metric

_VARIANTS_OF_MODELS = {
    "gavs-no_audio": "GAVS trained without sound",
    "gavs-no_cue": "without the visual cue",
    "gavs-no_noise": "without the noise token",
    "gavs-no_triplet": "without the triplet loss",
    "gavs-audio_only": "audio token only",
    "gavs-cue_only": "visual cue only, no sound",
    "gavs-released_code": "GAVS as the released code has it",
    "gavs-relu": "GAVS with a ReLU behind the sound encoder",
    "gavs-negatives": "GAVS trained with negatives",
    "gavs-presence": "GAVS with a presence score",
    "gavs-frozen": "decoder frozen",
    "gavs-no_cola": "without ColA",
    "gavs-cross_attention": "cross-attention tuned",
    "gavs-decoder_full": "whole decoder tuned",
    "audio_sam": "Audio-SAM",
    "sam_fusion-scratch": "SAM-Fusion, new decoder",
    "sam_fusion-negatives": "SAM-Fusion trained with negatives",
    "sam_fusion-presence": "SAM-Fusion with a presence score",
    "avsbench_tpavi-own_second": "AVSBench (TPAVI), own second only",
}
# Variants of GAVS that differ by a number or a word in their name.
_PATTERNS = (
    (r"cola_dim(\d+)", "ColA {} wide"),
    (r"cola_relu", "ColA with ReLU"),
    (r"cola_gelu", "ColA with GELU"),
    (r"cola_(attention|parallel)", "ColA in {}"),
    (r"cola_zero_init", "ColA starting at zero"),
    (r"cola_no_zero_init|cola_random_init", "ColA starting at random"),
    (r"noise_additive", "noise: learned, added to the sound"),
    (r"noise_gaussian", "noise: Gaussian, added to the sound"),
    (r"noise_replace", "noise: Gaussian in place of the sound"),
    (r"noise_(.+)", "noise: {}"),
    (r"margin_(.+)", "triplet margin {}"),
    (r"weight_(.+)", "triplet weight {}"),
    (r"rate_low", "lower learning rate"),
    (r"rate_high", "higher learning rate"),
    (r"no_visual|no_adapters|no_visual_adapters", "without visual adapters"),
)

SETTINGS = {
    "v1s": "V1S, one source",
    "v1m": "V1M, several sources",
    "v2": "V2, more classes",
    "v3_0shot": "V3, 0 shots",
    "v3_1shot": "V3, 1 shot",
    "v3_3shot": "V3, 3 shots",
    "v3_5shot": "V3, 5 shots",
    "v3_seen": "V3, its seen classes in V1S",
    "vggss": "VGG-SS, other domain",
    "vggss_heard": "VGG-SS, heard classes",
    "vggss_unheard": "VGG-SS, unheard classes",
    "open_novel": "V2, 30 novel classes",
    "open_base": "V2, its 40 base classes",
    "sources_count": "Scenes by number of sources",
    "sources_overlap": "Scenes by overlap of two sources",
    "sources_likeness": "Scenes by likeness of silent objects",
    "domains": "Scenes in shifted domains",
}
SUBSTUDIES = {"points": "SAM of points and boxes", "bgr": "BGR pictures", "released": "read as the released code does"}
# Experiment names by how they begin -> heading of their group in the report.
GROUPS = {
    "table": "Main tables",
    "curve": "Main tables",
    "ablation": "Ablations",
    "study": "Studies",
    "released": "Studies",
    "worlds": "Worlds, foundations, searches",
    "foundations": "Worlds, foundations, searches",
    "search": "Worlds, foundations, searches",
}
OTHER_GROUP = "Studies"
KINDS = {
    "all": "all classes",
    "seen": "seen classes",
    "new combination": "new combinations of known levels",
    "new level": "classes with a level never met",
}


# Mid-tones that read on white and on near-black; told apart also by readers who see red and green alike.
_COLOURS = {
    "gavs@mismatched": "#8fb4e3",
    "gavs@muted": "#8fb4e3",
    "gavs-no_audio": "#2a9d8f",
    "audio_sam": "#9b6bd3",
    "sam_fusion-scratch": "#dfa06f",
    "gavs-negatives": "#5aa5e8",
    "gavs-presence": "#1c5bab",
    "sam_fusion-negatives": "#c9541a",
    "sam_fusion-presence": "#8f3d12",
}
_FLOOR = "#949aa5"
_PLAIN = "#7c8796"
_OTHER = ("#4f6f8f", "#b8902a", "#7a78c9", "#b5654a", "#3f8f8a", "#a3647f")
LINES = ("#2f7de1", "#e0762b", "#2a9d8f", "#c2578a", "#b8902a", "#9b6bd3")  # for lines that are not methods


def method(name: str) -> str:
    """'gavs@mismatched' -> 'GAVS, sound of another clip'; an unknown name stays readable."""
    model, _, probe = name.partition("@")
    if probe:
        known = registry.probes().get(probe)
        return f"{method(model)}, {known.title if known else f'{probe} sound'}"
    base, _, variant = model.partition("-")
    words = _titled(model) or _pattern(base, variant)
    if not words:
        words = _titled(base) or base.replace("_", " ")
        words += f", {_spoken(variant)}" if variant else ""
    return words


def _titled(name: str) -> str:
    """What a model or floor has been named by hand; '' for others."""
    registered = registry.architectures().get(name) or registry.floors().get(name)
    return registered.title if registered else _VARIANTS_OF_MODELS.get(name, "")


def _pattern(base: str, variant: str) -> str:
    """A variant that differs in one number or word; what is of GAVS does not say so, as tables of its parts do."""
    for pattern, words in _PATTERNS:
        found = re.fullmatch(pattern, variant)
        if found:
            words = words.format(*(_spoken(group) for group in found.groups()))
            return (
                words
                if base == "gavs" and not variant.startswith("rate_")
                else f"{_titled(base) or _spoken(base)}, {words}"
            )
    return ""


def _spoken(name: str) -> str:
    """'gaussian_replace' -> 'gaussian replace', '0p3' and '03' -> '0.3'."""
    return re.sub(r"\b0p?(?=\d)", "0.", name).replace("_", " ")


def setting(name: str) -> str:
    """'world1/v3_1shot' -> 'V3, 1 shot · world 1'; 'v2_10' -> 'V2, 10 % of its clips'."""
    within, _, plain = name.rpartition("/")
    share = re.fullmatch(r"(.+)_(\d\d)", plain)
    words = SETTINGS.get(plain) or (f"{share[1].upper()}, {share[2]} % of its clips" if share else _spoken(plain))
    return f"{words} · {substudy(within)}" if within else words


def substudy(name: str) -> str:
    """'world1' -> 'world 1', 'size_64' -> 'input size 64'."""
    number = re.fullmatch(r"([a-z_]*?)_?(\d+)", name)
    if name in SUBSTUDIES or not number:
        return SUBSTUDIES.get(name, _spoken(name))
    return f"{'input size' if number[1] == 'size' else _spoken(number[1])} {number[2]}"


def stem(setting: str) -> str:
    """Of the files of plots: 'points/v1s' -> 'points-v1s'."""
    return setting.replace("/", "-")


def selection(name: str) -> str:
    """'v3/1_shot_test' -> 'V3, 1 shot test'; 'scenes/sources_2' -> 'Scenes, sources 2'."""
    if name == "foundation/held_out":
        return "pictures that pre-training held back"
    dataset, slash, split = name.partition("/")
    if not slash:
        return name
    registered = registry.datasets().get(dataset)
    return f"{registered.title if registered else dataset}, {split.replace('_', ' ')}"


def group(experiment: str) -> str:
    """Heading under which an experiment stands in the report."""
    return GROUPS.get(experiment.partition("_")[0], OTHER_GROUP)


def kind(name: str) -> str:
    """'new level' -> 'classes with a level never met'."""
    return KINDS.get(name, name or "all classes")


def metric(name: str) -> Metric:
    """Label, meaning and direction of a metric; the name itself for an unknown one."""
    return registry.metrics().get(name) or Metric(name=name, label=name.replace("_", " "), meaning="")


def is_floor(name: str) -> bool:
    """Whether a method needs no training."""
    return name in registry.floors()


def dashes(name: str) -> tuple[float, ...] | None:
    """Of a method's line in plots; None for a whole one."""
    return (registry.floors()[name].dashes or None) if is_floor(name) else None


def plain_colour(name: str) -> str:
    """As `colour`, but one grey for all that has none of its own: where rows are told apart by their labels."""
    return _own_colour(name) or _PLAIN


def distinct(methods: Iterable[str]) -> dict[str, str]:
    """A colour for each line of one plot: a method's own, and for those without one after another."""
    others = itertools.cycle(_OTHER)
    return {name: _own_colour(name) or next(others) for name in methods}


def colour(name: str) -> str:
    """A method's colour, the same in every plot."""
    return _own_colour(name) or _OTHER[sum(map(ord, name)) % len(_OTHER)]


def _own_colour(name: str) -> str | None:
    """Of a floor; as registered, or as a variant has it here; under another sound as the model's."""
    if is_floor(name):
        return _FLOOR
    model = name.partition("@")[0]
    registered = registry.architectures().get(model)
    return _COLOURS.get(name) or _COLOURS.get(model) or (registered.colour if registered else None)
