"""How methods, settings and metrics are called and coloured for readers."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

METHODS = {
    "gavs": "GAVS",
    "gavs@mismatched": "GAVS, sound of another clip",
    "gavs@muted": "GAVS, sound switched off in the test",
    "gavs-no_audio": "GAVS trained without sound",
    "gavs-no_cue": "without the visual cue",
    "gavs-no_noise": "without the noise token",
    "gavs-no_triplet": "without the triplet loss",
    "gavs-audio_only": "audio token only",
    "gavs-cue_only": "visual cue only, no sound",
    "gavs-released_code": "GAVS as the released code has it",
    "gavs-relu": "GAVS with a ReLU behind the sound encoder",
    "gavs-negatives": "GAVS trained with negatives",
    "gavs-frozen": "decoder frozen",
    "gavs-no_cola": "without ColA",
    "gavs-cross_attention": "cross-attention tuned",
    "gavs-decoder_full": "whole decoder tuned",
    "audio_sam": "Audio-SAM",
    "sam_fusion": "SAM-Fusion",
    "sam_fusion-scratch": "SAM-Fusion, new decoder",
    "sam_fusion-negatives": "SAM-Fusion trained with negatives",
    "avsbench_tpavi": "AVSBench (TPAVI)",
    "avsbench_tpavi-own_second": "AVSBench (TPAVI), own second only",
    "avsegformer": "AVSegFormer",
    "all_positive": "everything (floor)",
    "all_objects": "all objects (floor)",
    "centre_disc": "centre disc (floor)",
}
PROBES = {
    "mismatched": "sound of another clip",
    "muted": "sound switched off in the test",
    "silence": "a silent recording",
    "ambient": "room noise",
    "off_screen": "a sound from off the screen",
}
FLOORS = ("all_positive", "all_objects", "centre_disc")
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
VARIANTS = {"points": "SAM of points and boxes", "bgr": "BGR pictures", "released": "read as the released code does"}
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


@dataclass(frozen=True)
class Metric:
    """label: for table heads; meaning: one sentence; higher_is_better: None where neither end is the good one.

    amount: a size, a count or a time, not a share of 1.
    """

    label: str
    meaning: str
    higher_is_better: bool | None = True
    amount: bool = False


METRICS = {
    "miou": Metric("mIoU", "Overlap of mask and truth (intersection over union), averaged over frames."),
    "miou_04": Metric("mIoU at 0.4", "mIoU when masks are cut at probability 0.4, as the released code does."),
    "f_score": Metric("F-score", "Precision and recall (beta² 0.3) at the best threshold of each clip."),
    "f_score_clip": Metric("F, clip", "F-score with the best threshold of each clip, as COMBO and CAVP have it."),
    "f_score_batch2": Metric("F, 2 clips", "The same of each two clips, as AVSegFormer has it on S4 and MS3."),
    "f_score_batch4": Metric("F, 4 clips", "The same of each four clips, as AVSBench has it."),
    "hit_rate": Metric("right object", "Share of frames whose IoU is high enough to have found the right object."),
    "wrong_rate": Metric("wrong object", "Share of frames whose IoU is so low that another object was taken.", False),
    "iou_in_hits": Metric("IoU in hits", "IoU in the frames with the right object: how well masks are drawn."),
    "area": Metric(
        "area on", "Share of the frame's pixels in the mask; of a sound that nothing in it makes, all are false.", False
    ),
    "alarm": Metric("alarms", "Share of frames with a mask of more than a hundredth of the picture.", False),
    "ciou": Metric("cIoU", "Share of clips whose consensus IoU with the boxes is 0.5 or more; map cut at its median."),
    "auc": Metric("AUC", "Area under the curve of successes over all cIoU limits; map cut at its median."),
    "ciou_float64": Metric(
        "cIoU, float64", "As cIoU, the map cut in float64; the published evaluator works in float32."
    ),
    "auc_float64": Metric("AUC, float64", "As AUC, the map cut in float64; the published evaluator works in float32."),
    "ciou_fixed": Metric("cIoU, mask", "As cIoU, for the mask at probability 0.5."),
    "auc_fixed": Metric("AUC, mask", "As AUC, for the mask at probability 0.5."),
    "validation": Metric("mIoU, validation", "mIoU on the validation frames at the best step of training; no test."),
    "trained_parameters": Metric("trained parameters", "Numbers that training changes.", False, True),
    "total_parameters": Metric("all parameters", "Numbers that a frame goes through, frozen ones too.", False, True),
    "gflops": Metric(
        "GFLOP a frame", "10⁹ operations in matrix products and convolutions, with encoders.", False, True
    ),
    "gflops_cached": Metric(
        "GFLOP, cached", "The same from cached features: what the encoders took is left out.", False, True
    ),
    "latency_ms": Metric(
        "ms a frame", "From a picture and its second of sound to the mask, one frame at a time.", False, True
    ),
    "latency_cached_ms": Metric("ms, cached", "The same from cached features.", False, True),
    "rtf_1": Metric(
        "real time, 1 a second", "Time for a second of film at 1 frame a second; below 1 keeps up.", False, True
    ),
    "rtf_25": Metric(
        "real time, 25 a second", "Time for a second of film at 25 frames a second; below 1 keeps up.", False, True
    ),
    "peak_mib": Metric(
        "memory, MiB", "Weights that a frame needs, and the most that its tensors took at once.", False, True
    ),
    "training_s": Metric("training, s", "Time that training a run took, validations included.", False, True),
    "training_steps": Metric("training steps", "Steps until training stopped.", False, True),
    "retrieval": Metric(
        "retrieval", "Share of frames in which the object whose visual cue is nearest to the sound is one that sounds."
    ),
    "retrieval_chance": Metric(
        "retrieval, chance", "Retrieval by guessing: the share of a frame's objects that sound.", None
    ),
    "margin_kept": Metric(
        "margin kept",
        "Share of frames whose sound is nearer to their own cue than to one of another class, by the margin.",
    ),
    "modality_gap": Metric("modality gap", "Distance between the mean directions of all sounds and all cues.", None),
    "knowledge": Metric(
        "knowledge kept", "IoU of the masks that the tuned decoder draws for one point, on pictures without sound."
    ),
    "knowledge_untouched": Metric("untouched", "The same by the decoder that nobody tuned.", None),
}

# Mid-tones that read on white and on near-black; told apart also by readers who see red and green alike.
_COLOURS = {
    "gavs": "#2f7de1",
    "gavs@mismatched": "#8fb4e3",
    "gavs@muted": "#8fb4e3",
    "gavs-no_audio": "#2a9d8f",
    "audio_sam": "#9b6bd3",
    "sam_fusion": "#e0762b",
    "sam_fusion-scratch": "#dfa06f",
    "avsbench_tpavi": "#5a8f3c",
    "avsegformer": "#c2578a",
    "gavs-negatives": "#5aa5e8",
    "sam_fusion-negatives": "#c9541a",
}
_FLOOR = "#949aa5"
_PLAIN = "#7c8796"
_OTHER = ("#4f6f8f", "#b8902a", "#7a78c9", "#b5654a", "#3f8f8a", "#a3647f")
LINES = ("#2f7de1", "#e0762b", "#2a9d8f", "#c2578a", "#b8902a", "#9b6bd3")  # for lines that are not methods


def method(name: str) -> str:
    """'gavs@mismatched' -> 'GAVS, sound of another clip'; an unknown name stays readable."""
    if name in METHODS:
        return METHODS[name]
    model, _, probe = name.partition("@")
    if probe:
        return f"{method(model)}, {PROBES.get(probe, f'{probe} sound')}"
    base, _, variant = model.partition("-")
    words = METHODS.get(model) or _pattern(base, variant)
    if not words:
        words = METHODS.get(base, base.replace("_", " "))
        words += f", {_spoken(variant)}" if variant else ""
    return words


def _pattern(base: str, variant: str) -> str:
    """A variant that differs in one number or word; what is of GAVS does not say so, as tables of its parts do."""
    for pattern, words in _PATTERNS:
        found = re.fullmatch(pattern, variant)
        if found:
            words = words.format(*(_spoken(group) for group in found.groups()))
            return (
                words
                if base == "gavs" and not variant.startswith("rate_")
                else f"{METHODS.get(base, _spoken(base))}, {words}"
            )
    return ""


def _spoken(name: str) -> str:
    """'gaussian_replace' -> 'gaussian replace', '0p3' and '03' -> '0.3'."""
    return re.sub(r"\b0p?(?=\d)", "0.", name).replace("_", " ")


def setting(name: str) -> str:
    """'v3_1shot@world1' -> 'V3, 1 shot · world 1'; 'v2_10' -> 'V2, 10 % of its clips'."""
    plain, _, variant = name.partition("@")
    share = re.fullmatch(r"(.+)_(\d\d)", plain)
    words = SETTINGS.get(plain) or (f"{share[1].upper()}, {share[2]} % of its clips" if share else _spoken(plain))
    return f"{words} · {variant_of(variant)}" if variant else words


def variant_of(name: str) -> str:
    """Of the study: 'world1' -> 'world 1', 'size_64' -> 'input size 64'."""
    number = re.fullmatch(r"([a-z_]*?)_?(\d+)", name)
    if name in VARIANTS or not number:
        return VARIANTS.get(name, _spoken(name))
    return f"{'input size' if number[1] == 'size' else _spoken(number[1])} {number[2]}"


def selection(name: str) -> str:
    """'v3/1_shot_test' -> 'V3, 1 shot test'; 'scenes/sources_2' -> 'Scenes, sources 2'."""
    if name == "foundation/held_out":
        return "pictures that pre-training held back"
    dataset, slash, split = name.partition("/")
    if not slash:
        return name
    dataset = dataset.capitalize() if dataset == "scenes" else dataset.upper().replace("VGGSS", "VGG-SS")
    return f"{dataset}, {split.replace('_', ' ')}"


def group(experiment: str) -> str:
    """Heading under which an experiment stands in the report."""
    return GROUPS.get(experiment.partition("_")[0], OTHER_GROUP)


def kind(name: str) -> str:
    """'new level' -> 'classes with a level never met'."""
    return KINDS.get(name, name or "all classes")


def metric(name: str) -> Metric:
    """Label, meaning and direction of a metric; the name itself for an unknown one."""
    return METRICS.get(name) or Metric(name.replace("_", " "), "")


def is_floor(name: str) -> bool:
    """Whether a method needs no training."""
    return name in FLOORS


def plain_colour(name: str) -> str:
    """As `colour`, but one grey for all that has none of its own: where rows are told apart by their labels."""
    known = name in _COLOURS or is_floor(name) or name.partition("@")[0] in _COLOURS
    return colour(name) if known else _PLAIN


def distinct(methods: Iterable[str]) -> dict[str, str]:
    """A colour for each line of one plot: a method's own, and for those without one after another."""
    others = itertools.cycle(_OTHER)
    return {name: next(others) if plain_colour(name) == _PLAIN else colour(name) for name in methods}


def colour(name: str) -> str:
    """A method's colour, the same in every plot."""
    if is_floor(name):
        return _FLOOR
    if name in _COLOURS:
        return _COLOURS[name]
    if "@" in name and name.partition("@")[0] in _COLOURS:
        return _COLOURS[name.partition("@")[0]]
    return _OTHER[sum(map(ord, name)) % len(_OTHER)]
