"""How claims are judged: comparisons with intervals, and the verdict that they add up to.

A claim is decided by intervals, never by means alone: it holds when every comparison it rests on
lies wholly on its side, does not hold when one lies wholly on the other side, and is undecided
else. The comparisons are shown with the verdict. The claims themselves stand in `claims`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import nan

import pandas as pd

from soundprompt.evaluation import statistics, summary
from soundprompt.evaluation.statistics import Contributions, Difference
from soundprompt.layout import Layout
from soundprompt.params import Params, model_of, plain, variant_of
from soundprompt.report import convergence, evidence, names

HOLDS, FAILS, UNDECIDED, UNTESTED = "holds", "does not hold", "undecided at this size", "not tested here"


@dataclass(frozen=True)
class Comparison:
    """A lead of one method over another: first minus second, in [-1, 1], with its 95 % interval.

    first, second: the two values where the claim asks whether intervals touch; the verdict then
    asks that they do not. bar: what the lead must exceed; below: what it must stay under instead.
    decides: part of the verdict, or shown for its interest only. n_*: what the interval is made from.
    """

    label: str
    lead: float
    low: float
    high: float
    first: tuple[float, float, float] | None = None
    second: tuple[float, float, float] | None = None
    decides: bool = True
    bar: float = 0.0
    below: bool = False
    n_videos: int = 0
    n_seeds: int = 0
    n_worlds: int = 1

    @property
    def known(self) -> bool:
        """Whether there were scores to compare."""
        return self.lead == self.lead  # not NaN

    @property
    def sign(self) -> int:
        """1: wholly on the claim's side, -1: wholly on the other, 0: the interval holds the bar, or values touch."""
        sign = 1 if self.low > self.bar else -1 if self.high < self.bar else 0
        if self.first and self.second and sign:
            touching = self.first[1] <= self.second[2] if sign > 0 else self.second[1] <= self.first[2]
            return 0 if touching else sign
        return -sign if self.below else sign

    @property
    def room(self) -> float:
        """How far the interval's worse end is on the claim's side of the bar; negative where it is not."""
        return self.bar - self.high if self.below else self.low - self.bar


@dataclass(frozen=True)
class Verdict:
    """A claim with its outcome, the rule that decided, the comparisons, and what was missing.

    not_compared: why some methods were left out; name: in files; section: the experiment whose section of the report
    shows more, '' for none.
    """

    claim: str
    paper: str
    rule: str
    outcome: str
    comparisons: list[Comparison] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    not_compared: list[str] = field(default_factory=list)
    name: str = ""
    section: str = ""

    @property
    def key(self) -> Comparison | None:
        """The comparison that the verdict hangs on: of those that decide, the one with the least room."""
        return min((c for c in self.comparisons if c.decides), key=lambda c: c.room, default=None)


class Scores:
    """Scores of a study, read once each, and comparisons of them.

    not_compared: of what was asked for, the methods that have not converged, as sentences.
    """

    def __init__(self, params: Params, layout: Layout):
        self.params, self.layout = params, layout
        self.not_compared: dict[str, None] = {}
        self._read: dict[tuple[str, str], tuple[pd.DataFrame, str]] = {}

    def rows(self, setting: str, method: str, selection: str | None, kind: str | None = None) -> pd.DataFrame:
        """A method's scores on a selection (None: on all); empty when there are none, or it has not converged."""
        key = (setting, method)
        if key not in self._read:
            self._read[key] = self._scores(setting, method)
        rows, doubt = self._read[key]
        if doubt and len(rows):
            self.not_compared[doubt] = None
            return rows.iloc[:0]
        rows = rows[rows["selection"] == selection] if selection else rows
        return rows[rows["kind"] == kind] if kind else rows

    def _scores(self, setting: str, method: str) -> tuple[pd.DataFrame, str]:
        seeds = self.seeds(setting, method)
        rows = summary.coded(evidence.scores(self.layout, setting, method, seeds))
        doubt = convergence.doubt(self.layout, setting, self.params.settings[plain(setting)], method, seeds)
        who = f"{names.method(model_of(method))} on {names.setting(setting)}"
        return rows, f"{who} {doubt}" if doubt else ""

    def seeds(self, setting: str, method: str) -> tuple[int, ...]:
        """The seeds that experiments ask for; the study's where none does."""
        asked = {
            seed
            for experiment in self.params.experiments.values()
            if setting in experiment.settings and method in experiment.methods
            for seed in experiment.seeds or self.params.seeds
        }
        return tuple(sorted(asked)) or self.params.seeds

    def present(self, *settings: str) -> list[tuple[str, str]]:
        """(setting, selection it is about) for those that the study has; of variants those that are asked for."""
        asked = self.asked()
        return [
            (name, evidence.primary(self.params.settings[plain(name)]))
            for name in settings
            if plain(name) in self.params.settings and (name in asked or not variant_of(name))
        ]

    def asked(self, method: str | None = None) -> list[str]:
        """The settings of all experiments, or of those with a method, each once."""
        experiments = self.params.experiments.values()
        return list(dict.fromkeys(s for e in experiments if method is None or method in e.methods for s in e.settings))

    def compare(
        self,
        label: str,
        first: pd.DataFrame,
        second: pd.DataFrame,
        metric: str,
        *,
        other: str | None = None,
        apart: bool = False,
        decides: bool = True,
        bar: float = 0.0,
    ) -> Comparison:
        """Paired comparison on the clips that both were scored on; its lead is NaN where that is impossible.

        other: the metric of the second, if not the same. apart: the verdict also asks that the two values' own
        intervals do not touch.
        """
        draws = self.params.evaluation.bootstrap
        try:
            one, two = _contributions(first, second, metric, other or metric)
            lead = statistics.paired_bootstrap(one, two, draws)
            ends = [_ends(of, draws) for of in (one, two)] if apart else (None, None)
        except ValueError:
            return Comparison(label, nan, nan, nan, decides=decides)
        return _comparison(label, lead, decides, bar, *ends)

    def pooled(self, label: str, pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]], metric: str) -> list[Comparison]:
        """The mean lead over worlds, by the bootstrap over worlds, and for interest by Student's t over them."""
        draws = self.params.evaluation.bootstrap
        try:
            worlds = [_contributions(first, second, metric, metric) for first, second in pairs]
            lead = statistics.worlds_bootstrap(worlds, draws)
        except ValueError:
            return [Comparison(label, nan, nan, nan)]
        by_t = statistics.t_interval([one.values().mean() - two.values().mean() for one, two in worlds])
        aside = f"{label}, t-interval over the {by_t.n} worlds alone"
        pooled = _comparison(label, lead, True, 0.0)
        return [pooled, Comparison(aside, by_t.mean, by_t.low, by_t.high, decides=False, n_worlds=by_t.n)]

    def level(self, label: str, rows: pd.DataFrame, metric: str, bar: float) -> Comparison:
        """One method's value, which should stay below a bar; the interval is over seeds, or over videos for one."""
        try:
            of = summary.contributions(rows, metric)
        except ValueError:
            return Comparison(label, nan, nan, nan)
        mean, low, high = _ends(of, self.params.evaluation.bootstrap)
        counts = {"n_videos": len(of.videos), "n_seeds": len(of.seeds)}
        return Comparison(label, mean, low, high, bar=bar, below=True, **counts)


def _contributions(
    first: pd.DataFrame, second: pd.DataFrame, metric: str, other: str
) -> tuple[Contributions, Contributions]:
    """Of the clips, and of the seeds, that both have. Raises ValueError when there are no such clips."""
    first, second = _same_seeds(first, second)
    pair = [summary.rows_of(rows, name) for rows, name in ((first, metric), (second, other))]
    if metric != "iou_in_hits":  # there a method without hits on a clip has no row of it
        shared = set(pair[0]["clip"]) & set(pair[1]["clip"])
    else:
        shared = set(first["clip"]) & set(second["clip"])
    one, two = (
        summary.contributions(rows[rows["clip"].isin(shared)], name)
        for rows, name in zip(pair, (metric, other), strict=True)
    )
    return summary.on_same_videos(one, two, metric)


def _same_seeds(first: pd.DataFrame, second: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of the seeds of both, as the tables compare; one without a choice of seeds (a floor) meets them all."""
    seeds = [set(rows["seed"]) for rows in (first, second)]
    if min(map(len, seeds)) < 2:
        return first, second
    return tuple(rows[rows["seed"].isin(seeds[0] & seeds[1])] for rows in (first, second))


def _ends(of: Contributions, draws: int) -> tuple[float, float, float]:
    several = len(of.seeds) > 1
    found = statistics.t_interval(of.values()) if several else statistics.bootstrap_interval(of, draws)
    return found.mean, found.low, found.high


def _comparison(label: str, lead: Difference, decides: bool, bar: float, first=None, second=None) -> Comparison:
    counts = {"n_videos": lead.n_videos, "n_seeds": lead.n_seeds, "n_worlds": lead.n_worlds}
    return Comparison(label, lead.value, lead.low, lead.high, first, second, decides, bar, **counts)


# ---------------------------------------------------------------------------------- deciding
def decide(claim: str, paper: str, rule: str, found: list[Comparison]) -> Verdict:
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
