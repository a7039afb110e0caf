"""How claims are judged: comparisons with intervals, and the verdict that they add up to.

A claim is decided by intervals, never by means alone. What it takes is asked in both directions apart:
- it holds when *every* comparison it rests on lies wholly on its side. Each is asked at the full level: that all of
  several tests succeed by chance is no likelier than that one does, so nothing is corrected;
- it does not hold when *any* of them lies wholly on the other side. That one of k does so by chance is up to k times
  as likely, so this is asked after Holm's correction for the k comparisons of the claim, its *family*.
Else it is undecided. A comparison in which a trained method has one seed decides nothing. The comparisons are shown
with the verdict. Claims are questions of their own: nothing is corrected for their number. They stand in `claims`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import inf, nan
from typing import Any

import pandas as pd

from soundprompt.evaluation import statistics, summary
from soundprompt.evaluation.statistics import TAIL, Contributions, Estimate
from soundprompt.layout import Layout
from soundprompt.params import Params, model_of, plain
from soundprompt.report import convergence, evidence, names

HOLDS, FAILS, UNDECIDED, UNTESTED = "holds", "does not hold", "undecided at this size", "not tested here"


@dataclass(frozen=True)
class Comparison:
    """A lead of one method over another: first minus second, in [-1, 1], with its 95 % interval.

    first, second: the two values where the claim asks whether intervals touch; the verdict then
    asks that they do not. bar: what the lead must exceed; below: what it must stay under instead.
    decides: part of the verdict, or shown for its interest only. over: what the interval is over (`statistics`);
    n_*: what it is made from. one_seed: it says nothing of other seeds, and decides nothing.
    p_against: one-sided p value of the lead against the claim: small where it lies clearly on the other side of its
    bar; NaN for one seed. p_holm: the same, corrected for the comparisons of its family; NaN for one that has none.
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
    over: str = ""
    one_seed: bool = False
    p_against: float = nan
    p_holm: float = nan

    @property
    def known(self) -> bool:
        """Whether there were scores to compare."""
        return self.lead == self.lead  # not NaN

    @property
    def bounded(self) -> bool:
        """Whether its interval is known: two videos are needed, and over worlds two of them."""
        return self.low == self.low  # not NaN

    @property
    def against(self) -> bool:
        """Whether it speaks against the claim also after correction."""
        return self.sign < 0 and self.p_holm <= TAIL

    @property
    def sign(self) -> int:
        """1: the interval lies wholly on the claim's side, -1: wholly on the other, 0: neither, or it decides nothing.

        Where two values are asked not to touch and do, it is 0 too.
        """
        if self.one_seed:
            return 0
        sign = 1 if self.low > self.bar else -1 if self.high < self.bar else 0
        if self.first and self.second and sign:
            touching = self.first[1] <= self.second[2] if sign > 0 else self.second[1] <= self.first[2]
            return 0 if touching else sign
        return -sign if self.below else sign

    @property
    def room(self) -> float:
        """How far the interval's worse end is on the claim's side of the bar; negative where it is not."""
        if not self.bounded:
            return -inf
        return self.bar - self.high if self.below else self.low - self.bar


@dataclass(frozen=True)
class Verdict:
    """A claim with its outcome, the rule that decided, the comparisons, and what was missing.

    not_compared: why some methods were left out; name: in files; section: the experiment whose section of the report
    shows more, '' for none. family: what `p_holm` is corrected for, such as '6 comparisons'; '' where nothing was
    compared.
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
    family: str = ""

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
        """(setting, selection it is about) for those that some experiment asks for."""
        asked = self.asked()
        return [(name, evidence.primary(self.params.settings[plain(name)])) for name in settings if name in asked]

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
        try:
            one, two = _contributions(first, second, metric, other or metric)
            lead = summary.lead(one, two, metric)
        except ValueError:
            return Comparison(label, nan, nan, nan, decides=decides)
        ends = [_ends(statistics.own(of)) for of in (one, two)] if apart else (None, None)
        return _comparison(label, lead, bar, decides=decides, first=ends[0], second=ends[1])

    def pooled(self, label: str, pairs: Sequence[tuple[pd.DataFrame, pd.DataFrame]], metric: str) -> Comparison:
        """The mean lead over worlds, by Student's t over them; its lead is NaN where a world lacks scores."""
        try:
            leads = [summary.lead(*_contributions(*pair, metric, metric), metric) for pair in pairs]
            return _comparison(label, statistics.over_worlds(leads), 0.0)
        except ValueError:
            return Comparison(label, nan, nan, nan)

    def level(self, label: str, rows: pd.DataFrame, metric: str, bar: float) -> Comparison:
        """One method's value, a share that should stay below a bar; the interval is over seeds and videos."""
        try:
            value = statistics.level(summary.contributions(rows, metric), bar)
        except ValueError:
            return Comparison(label, nan, nan, nan)
        found = _comparison(label, value, bar, below=True)
        return replace(found, low=max(found.low, 0.0), high=min(found.high, 1.0))


def _contributions(
    first: pd.DataFrame, second: pd.DataFrame, metric: str, other: str
) -> tuple[Contributions, Contributions]:
    """Of the clips that both have. Raises ValueError when there are no such clips."""
    pair = [summary.rows_of(rows, name) for rows, name in ((first, metric), (second, other))]
    if metric != "iou_in_hits":  # there a method without hits on a clip has no row of it
        shared = set(pair[0]["clip"]) & set(pair[1]["clip"])
    else:
        shared = set(first["clip"]) & set(second["clip"])
    one, two = (
        summary.contributions(rows[rows["clip"].isin(shared)], name)
        for rows, name in zip(pair, (metric, other), strict=True)
    )
    return one, two


def _ends(of: Estimate) -> tuple[float, float, float]:
    return of.value, of.low, of.high


def _comparison(label: str, of: Estimate, bar: float, *, below: bool = False, **more: Any) -> Comparison:
    p = nan if of.one_seed else of.p_below(bar)
    return Comparison(
        label,
        *_ends(of),
        bar=bar,
        below=below,
        n_videos=of.n_videos,
        n_seeds=of.n_seeds,
        n_worlds=of.n_worlds,
        over=of.over,
        one_seed=of.one_seed,
        p_against=1 - p if below else p,
        **more,
    )


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
    comparisons = corrected(comparisons)
    deciding = [c for c in comparisons if c.decides]
    outcome = HOLDS if {c.sign for c in deciding} == {1} and whole else UNDECIDED
    outcome = FAILS if any(c.against for c in deciding) else outcome
    family = f"{len(deciding)} comparison{'s' if len(deciding) > 1 else ''}"
    return Verdict(claim, paper, rule, outcome, comparisons, [*notes, *_exceptions(deciding)], family=family)


def corrected(comparisons: list[Comparison]) -> list[Comparison]:
    """The same with `p_holm`, those that decide being one family."""
    p = iter(statistics.holm([c.p_against for c in comparisons if c.decides]))
    return [replace(c, p_holm=next(p)) if c.decides else c for c in comparisons]


def _exceptions(deciding: list[Comparison]) -> list[str]:
    notes = [f"Against it: {c.label}." for c in deciding if c.against]
    unsure = [c.label for c in deciding if c.sign < 0 and not c.against]
    if unsure:
        notes.append(
            f"On the other side by {'its' if len(unsure) == 1 else 'their'} own interval, but not after Holm's "
            f"correction for {len(deciding)} comparisons: {'; '.join(unsure)}."
        )
    single = [c.label for c in deciding if c.one_seed]
    if single:
        which = "" if len(single) == len(deciding) else f" ({'; '.join(single)})"
        notes.append(f"One seed decides nothing: what another would give is not known{which}.")
    open_ones = [c.label for c in deciding if c.sign == 0 and not c.one_seed]
    if open_ones and len(open_ones) < len(deciding):
        notes.append(f"Open: {'; '.join(open_ones)}.")
    return notes
