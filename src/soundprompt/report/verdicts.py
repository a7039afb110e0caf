"""What the study says about the paper's claims: holds, does not hold, undecided, or not tested.

A claim is decided by intervals, never by means alone: it holds when every comparison it rests on
lies wholly on its side, does not hold when one lies wholly on the other side, and is undecided
else. The comparisons are shown with the verdict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import nan

import pandas as pd

from soundprompt.evaluation import summary
from soundprompt.layout import Layout
from soundprompt.params import Params
from soundprompt.report import evidence, names, origins

HOLDS, FAILS, UNDECIDED, UNTESTED = "holds", "does not hold", "undecided", "not tested here"


@dataclass(frozen=True)
class Comparison:
    """A lead of one method over another: first minus second, in [-1, 1], with its 95 % interval.

    first, second: the two values where the claim asks whether intervals touch. separate: whether
    they do not; None when the lead's own interval decides. decides: part of the verdict, or
    shown for its interest only.
    """

    label: str
    lead: float
    low: float
    high: float
    first: tuple[float, float, float] | None = None
    second: tuple[float, float, float] | None = None
    decides: bool = True

    @property
    def known(self) -> bool:
        """Whether there were scores to compare."""
        return self.lead == self.lead  # not NaN

    @property
    def sign(self) -> int:
        """1: wholly above zero, -1: wholly below, 0: the interval holds zero, or values' intervals touch."""
        sign = 1 if self.low > 0 else -1 if self.high < 0 else 0
        if self.first and self.second and sign:
            touching = self.first[1] <= self.second[2] if sign > 0 else self.second[1] <= self.first[2]
            return 0 if touching else sign
        return sign


@dataclass(frozen=True)
class Verdict:
    """A claim with its outcome, the rule that decided, the comparisons, and what was missing."""

    claim: str
    paper: str
    rule: str
    outcome: str
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Scores:
    """Scores of a study, read once each."""

    def __init__(self, params: Params, layout: Layout):
        self.params, self.layout = params, layout
        self._read: dict[tuple[str, str], pd.DataFrame] = {}

    def rows(self, setting: str, method: str, selection: str, kind: str | None = None) -> pd.DataFrame:
        """A method's scores on a selection; empty when there are none."""
        key = (setting, method)
        if key not in self._read:
            self._read[key] = evidence.scores(self.layout, setting, method, self.params.seeds)
        rows = self._read[key]
        rows = rows[rows["selection"] == selection]
        return rows[rows["kind"] == kind] if kind else rows

    def compare(
        self, label: str, first: pd.DataFrame, second: pd.DataFrame, metric: str, *, apart: bool = False, decides=True
    ) -> Comparison:
        """Paired comparison on the clips that both were scored on; its lead is NaN where that is impossible.

        apart: the verdict also asks that the two values' own intervals do not touch.
        """
        shared = set(first["clip"]) & set(second["clip"])
        first, second = (rows[rows["clip"].isin(shared)] for rows in (first, second))
        draws = self.params.evaluation.bootstrap
        try:
            lead = summary.difference(first, second, metric, draws)
            ends = [summary.interval(rows, metric, draws) for rows in (first, second)] if apart else []
        except ValueError:
            return Comparison(label, nan, nan, nan, decides=decides)
        one, other = [(i.mean, i.low, i.high) for i in ends] or (None, None)
        return Comparison(label, lead.value, lead.low, lead.high, one, other, decides)


def run(params: Params, layout: Layout) -> list[Verdict]:
    """A verdict for every claim, in the order of the report."""
    scores = Scores(params, layout)
    claims: list[Callable[[Scores], Verdict]] = [
        sound_matters,
        prompting_on_unseen,
        prompting_on_seen,
        shots_help,
        one_shot_suffices,
        parts_of_sap,
        cross_dataset,
    ]
    return [claim(scores) for claim in claims] + _not_tested(params)


# ----------------------------------------------------------------------------------- claims
def sound_matters(scores: Scores) -> Verdict:
    """GAVS above the model without sound and above mismatched sound, intervals apart."""
    found = []
    for setting, selection in _present(scores.params, ("v1s", "v3_0shot")):
        for other in ("gavs-no_audio", "gavs@mismatched"):
            for metric in ("miou", "f_score"):
                where = f"{names.setting(setting)}, {names.metric(metric).label}"
                label = f"{where}: lead over “{names.method(other)}”"
                rows = (scores.rows(setting, method, selection) for method in ("gavs", other))
                found.append(scores.compare(label, *rows, metric, apart=True))
    return _decide(
        "Sound decides what is segmented.",
        "The premise of prompting with sound; the paper prints no model without sound.",
        "Every lead is above zero and the 95 % intervals of the two methods do not touch.",
        found,
    )


def prompting_on_unseen(scores: Scores) -> Verdict:
    """GAVS against SAM-Fusion on unseen classes without examples."""
    return _against_fusion(
        scores,
        ("v3_0shot",),
        "Prompting carries over to unseen classes better than fusion.",
        "AVS-V3, 0 shots: GAVS 54.71 mIoU, SAM-Fusion 46.25.",
    )


def prompting_on_seen(scores: Scores) -> Verdict:
    """GAVS against SAM-Fusion on the benchmarks."""
    return _against_fusion(
        scores,
        ("v1s", "v1m", "v2"),
        "GAVS is better than SAM-Fusion on the AVS-Benchmarks.",
        "mIoU of GAVS and SAM-Fusion: V1S 80.06 and 71.92, V1M 63.70 and 50.61, V2 67.70 and 60.19.",
    )


def shots_help(scores: Scores) -> Verdict:
    """GAVS after k shots against itself before, on the same clips."""
    found = []
    for shots in (1, 3, 5):
        for setting, selection in _present(scores.params, (f"v3_{shots}shot",)):
            for kind in (None, "new combination", "new level"):
                before = scores.rows("v3_0shot", "gavs", selection, kind)
                after = scores.rows(setting, "gavs", selection, kind)
                label = f"gain by {shots} shot{'s' if shots > 1 else ''}, {names.kind(kind or 'all')}, mIoU"
                found.append(scores.compare(label, after, before, "miou", decides=shots == 5 and kind is None))
    verdict = _decide(
        "A few examples of an unseen class help.",
        "AVS-V3: GAVS rises from 54.71 mIoU (0 shots) to 62.89, 66.28 and 67.75 (1, 3, 5 shots).",
        "On the clips of the 5-shot test, GAVS after five shots is above GAVS before them.",
        found,
    )
    return replace(verdict, notes=[*verdict.notes, *_kept_starts(scores)])


def _kept_starts(scores: Scores) -> list[str]:
    kept = origins.kept_starts(origins.records(scores.params, scores.layout))
    said = [f"{names.setting(setting)} {count}" for (setting, model), count in kept.items() if model == "gavs"]
    if not said:
        return []
    return [f"Runs that kept their start, as no step was better on validation: {', '.join(said)}. Their gain is zero."]


def one_shot_suffices(scores: Scores) -> Verdict:
    """GAVS with one shot against SAM-Fusion with five, on the clips that both tests share."""
    found = []
    few, many = (list(_present(scores.params, (name,))) for name in ("v3_1shot", "v3_5shot"))
    for (first, chosen), (second, selection) in zip(few, many, strict=False):
        rows = scores.rows(first, "gavs", chosen), scores.rows(second, "sam_fusion", selection)
        found.append(scores.compare("GAVS with 1 shot over SAM-Fusion with 5, mIoU", *rows, "miou"))
    return _decide(
        "One example is worth more to GAVS than five to SAM-Fusion.",
        "AVS-V3: GAVS with 1 shot 62.89 mIoU, SAM-Fusion with 5 shots 60.82.",
        "The paired lead on the clips that both tests share is above zero.",
        found,
    )


def parts_of_sap(scores: Scores) -> Verdict:
    """GAVS against itself without each part of its prompt."""
    found = []
    variants = ("gavs-no_cue", "gavs-no_noise", "gavs-no_triplet", "gavs-audio_only")
    for setting, selection in _present(scores.params, ("v3_0shot",)):
        for other in variants:
            rows = (scores.rows(setting, method, selection) for method in ("gavs", other))
            found.append(scores.compare(f"lead over GAVS {names.method(other)}, mIoU", *rows, "miou"))
    return _decide(
        "Each part of the semantic-aware prompt (cue, noise, triplet loss) helps.",
        "The method section argues for each part; the ablation's figures could not be obtained.",
        "On unseen classes, GAVS is above every variant that lacks a part.",
        found,
    )


def cross_dataset(scores: Scores) -> Verdict:
    """GAVS against SAM-Fusion and the centre disc on a shifted domain."""
    found = []
    for setting, selection in _present(scores.params, ("vggss",)):
        for other in ("sam_fusion", "centre_disc"):
            for metric in ("ciou", "auc"):
                rows = (scores.rows(setting, method, selection) for method in ("gavs", other))
                label = f"{names.metric(metric).label}: lead over “{names.method(other)}”"
                found.append(scores.compare(label, *rows, metric))
    return _decide(
        "GAVS carries over to another dataset better than fusion.",
        "VGG-SS: GAVS 41.07 cIoU and 0.411 AUC, SAM-Fusion 30.17 and 0.302.",
        "Trained on V2, tested on the other domain: the leads over SAM-Fusion and over the centre disc are above zero.",
        found,
    )


def _against_fusion(scores: Scores, settings: tuple[str, ...], claim: str, paper: str) -> Verdict:
    found = []
    for setting, selection in _present(scores.params, settings):
        kinds = (None, "new combination", "new level") if setting.startswith("v3") else (None,)
        for kind in kinds:
            where = names.setting(setting) + (f", {names.kind(kind)}" if kind else "")
            rows = tuple(scores.rows(setting, method, selection, kind) for method in ("gavs", "sam_fusion"))
            found.append(scores.compare(f"{where}, mIoU", *rows, "miou", decides=kind is None))
            if kind is None:
                for metric in ("hit_rate", "iou_in_hits"):
                    label = f"{where}, {names.metric(metric).label}"
                    found.append(scores.compare(label, *rows, metric, decides=False))
    rule = "The paired lead of GAVS over SAM-Fusion in mIoU is above zero in every setting."
    return _decide(claim, paper, rule, found)


def _not_tested(params: Params) -> list[Verdict]:
    found = []
    if not any(name.startswith("v2_") for name in params.settings):
        paper = "V2: GAVS with half of the data 65.1 mIoU (read off a figure), AVSegFormer with all 64.34."
        claim = "Half of the training data is enough to beat the others."
        found.append(Verdict(claim, paper, "", UNTESTED, notes=["No setting of this study trains on a part of V2."]))
    rivals = [name for name in ("avsbench_tpavi", "avsegformer") if name not in params.models]
    if rivals:
        paper = "AVS-V3, 0 shots: GAVS 54.71, AVSegFormer 54.26, AVSBench 53.00 mIoU."
        claim = "GAVS is better than AVSBench and AVSegFormer on unseen classes."
        found.append(Verdict(claim, paper, "", UNTESTED, notes=["These two models are not part of this study."]))
    return found


# ---------------------------------------------------------------------------------- deciding
def _present(params: Params, settings: tuple[str, ...]) -> list[tuple[str, str]]:
    """(setting, selection it is about) for those that the study has."""
    return [(name, evidence.primary(params.settings[name])) for name in settings if name in params.settings]


def _decide(claim: str, paper: str, rule: str, found: list[Comparison]) -> Verdict:
    """A claim with a deciding comparison missing may fail but cannot hold."""
    comparisons = [c for c in found if c.known]
    deciding = [c for c in comparisons if c.decides]
    whole = all(c.known for c in found if c.decides)
    if not deciding:
        missing = ["The scores that would decide are missing, or were not made on the same clips."]
        return Verdict(claim, paper, rule, UNTESTED, comparisons, missing)
    absent = len(found) - len(comparisons)
    notes = [f"{absent} of {len(found)} comparisons lack scores on the same clips."] if absent else []
    signs = {c.sign for c in deciding}
    outcome = HOLDS if signs == {1} and whole else FAILS if -1 in signs else UNDECIDED
    return Verdict(claim, paper, rule, outcome, comparisons, [*notes, *_exceptions(deciding)])


def _exceptions(deciding: list[Comparison]) -> list[str]:
    against = [c.label for c in deciding if c.sign < 0]
    open_ones = [c.label for c in deciding if c.sign == 0]
    notes = [f"Against it: {label}." for label in against]
    if open_ones and len(open_ones) < len(deciding):
        notes.append(f"Open: {'; '.join(open_ones)}.")
    return notes
