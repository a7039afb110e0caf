import numpy as np
import pandas as pd
import pytest

import artifacts
from soundprompt.evaluation.statistics import BOTH, TAIL, VIDEOS, Contributions, difference
from soundprompt.report import claims, verdicts
from soundprompt.report.verdicts import FAILS, HOLDS, UNDECIDED, UNTESTED, Comparison


def outcome(claim, params, layout):
    return claim(verdicts.Scores(params, layout)).outcome


@pytest.fixture
def retold(study):
    """Scores of unseen classes drawn again around other levels."""
    params, layout = study

    def tell(setting="v3_0shot", **levels):
        frames = artifacts.frame_table.select(layout, params.settings[setting].test)
        for model, level in levels.items():
            for seed in params.seeds:
                path = layout.run(setting, model, seed) / "scores.parquet"
                path.unlink()
                parts = [artifacts._scores(frames, model, seed, level)]
                if model == "gavs":
                    parts.append(artifacts._scores(frames, "gavs@mismatched", seed, 0.2))
                artifacts._parquet(artifacts.pd.concat(parts), path)
        return params, layout

    return tell


def test_a_clear_lead_holds(retold):
    assert outcome(claims.prompting_on_unseen, *retold(gavs=0.8, sam_fusion=0.4)) == HOLDS


def test_a_clear_loss_does_not_hold(retold):
    assert outcome(claims.prompting_on_unseen, *retold(gavs=0.4, sam_fusion=0.8)) == FAILS


def test_a_tie_is_undecided(study):
    params, layout = study
    for seed in params.seeds:
        rows = artifacts.pd.read_parquet(layout.run("v3_0shot", "gavs", seed) / "scores.parquet")
        path = layout.run("v3_0shot", "sam_fusion", seed) / "scores.parquet"
        path.unlink()
        artifacts._parquet(rows[rows["method"] == "gavs"].assign(method="sam_fusion"), path)
    assert outcome(claims.prompting_on_unseen, params, layout) == UNDECIDED


def test_sound_must_matter_against_both_controls(retold):
    clear = outcome(claims.sound_matters, *retold(**{"gavs": 0.8, "gavs-no_audio": 0.2}))
    deaf = outcome(claims.sound_matters, *retold(**{"gavs": 0.8, "gavs-no_audio": 0.8}))
    assert clear in (HOLDS, UNDECIDED)  # two seeds make wide intervals, which may touch
    assert deaf in (UNDECIDED, FAILS)


def test_touching_intervals_are_not_a_clear_lead():
    apart = Comparison("", 0.3, 0.2, 0.4, first=(0.8, 0.7, 0.9), second=(0.5, 0.4, 0.6))
    touching = Comparison("", 0.3, 0.2, 0.4, first=(0.8, 0.55, 1.0), second=(0.5, 0.4, 0.6))
    assert (apart.sign, touching.sign) == (1, 0)
    assert Comparison("", -0.3, -0.4, -0.2).sign == -1
    assert Comparison("", 0.1, -0.1, 0.3).sign == 0


def test_shots_are_judged_on_the_same_clips(retold):
    retold(gavs=0.3)
    params, layout = retold("v3_5shot", gavs=0.95)
    verdict = claims.shots_help(verdicts.Scores(params, layout))
    assert verdict.outcome == HOLDS
    deciding = [c for c in verdict.comparisons if c.decides]
    assert len(deciding) == 1 and "5 shots" in deciding[0].label


def test_a_claim_cannot_hold_while_a_deciding_comparison_is_missing(retold):
    params, layout = retold(gavs=0.9, sam_fusion=0.4)
    assert outcome(claims.prompting_on_unseen, params, layout) == HOLDS
    for seed in params.seeds:
        (layout.run("v3_0shot", "gavs", seed) / "scores.parquet").unlink()
    assert outcome(claims.prompting_on_unseen, params, layout) == UNTESTED
    partial = [Comparison("a", 0.3, 0.2, 0.4), Comparison("b", float("nan"), float("nan"), float("nan"))]
    assert verdicts.decide("", "", "", partial).outcome == UNDECIDED


def test_what_was_not_run_is_not_tested(study):
    params, layout = study
    scores = verdicts.Scores(params, layout)
    assert claims.cross_dataset(scores).outcome == UNTESTED
    assert all(make(scores).outcome == UNTESTED for name, make, _ in claims.CLAIMS if name.startswith("sap"))
    outcomes = {v.claim: v.outcome for v in claims.run(params, layout)}
    assert outcomes["Half of the training data is enough to beat the others."] == UNTESTED


# ------------------------------------------------------------------------------ seeds
def rows(levels, method="gavs", videos=12):
    """Scores of one method whose clips lie around a level for each seed."""
    wobble = np.random.default_rng(0).normal(0, 0.05, videos)
    clips = [{"clip": f"c{i}", "video": f"v{i}", "value": value} for i, value in enumerate(wobble)]
    head = {"selection": "v1s/test", "method": method, "frame": 0, "metric": "miou"}
    return pd.DataFrame(
        [{**head, **clip, "seed": seed, "value": clip["value"] + at} for seed, at in levels.items() for clip in clips]
    )


def test_two_methods_are_compared_on_the_seeds_of_both(study):
    scores = verdicts.Scores(*study)
    five, three = rows({0: 0.5, 1: 0.6, 2: 0.7, 3: 0.1, 4: 0.1}), rows({0: 0.4, 1: 0.5, 2: 0.6}, "sam_fusion")
    found = scores.compare("", five, three, "miou")
    assert (found.lead, found.n_seeds, found.over) == (pytest.approx(0.1), 3, BOTH)
    floor = scores.compare("", five, rows({0: 0.2}, "centre_disc"), "miou")
    assert (floor.lead, floor.n_seeds) == (pytest.approx(0.2), 5), "a floor meets all seeds"


@pytest.mark.parametrize(("ours", "theirs"), [(0.9, 0.1), (0.1, 0.9)])
def test_one_seed_decides_nothing_however_clear_it_looks(study, ours, theirs):
    scores = verdicts.Scores(*study)
    single = scores.compare("a lead", rows({0: ours}), rows({0: theirs}, "sam_fusion"), "miou")
    assert single.lead == pytest.approx(ours - theirs) and single.low * single.high > 0
    assert (single.sign, single.over, single.one_seed) == (0, VIDEOS, True)
    verdict = verdicts.decide("", "", "", [single])
    assert verdict.outcome == UNDECIDED
    assert any("One seed decides nothing" in note for note in verdict.notes)
    several = scores.compare("b", rows({0: ours, 1: ours}), rows({0: theirs, 1: theirs}, "sam_fusion"), "miou")
    assert verdicts.decide("", "", "", [several]).outcome == (HOLDS if ours > theirs else FAILS)


# ------------------------------------------------------------------- many comparisons in a claim
def lead(rng, true=0.0, seeds=5, videos=30):
    """A comparison of two methods that were measured with errors."""
    names = tuple(map(str, range(videos)))
    pair = [
        Contributions(values, np.ones_like(values), tuple(range(seeds)), names)
        for values in (level + rng.normal(0, 0.2, videos) + rng.normal(0, 0.02, (seeds, 1)) for level in (true, 0.0))
    ]
    return verdicts._comparison("a lead", difference(*pair), 0.0)


def outcomes(rng, true, n=300):
    found = [verdicts.decide("", "", "", [lead(rng, level) for level in true]) for _ in range(n)]
    alone = np.mean([any(c.sign < 0 for c in verdict.comparisons) for verdict in found])
    kinds = [verdict.outcome for verdict in found]
    return {kind: kinds.count(kind) / n for kind in (HOLDS, FAILS, UNDECIDED)}, alone


def test_that_one_of_many_comparisons_is_against_a_claim_is_not_found_by_chance():
    """Eight methods that are no better and no worse: by their own intervals one in seven claims would fail."""
    found, alone = outcomes(np.random.default_rng(1), [0.0] * 8)
    assert found[FAILS] <= 0.04 < 0.08 < alone


def test_a_claim_holds_by_chance_no_oftener_for_many_comparisons():
    """One that is not there, and seven clear leads: all must be on the claim's side, so nothing is corrected."""
    found, _ = outcomes(np.random.default_rng(2), [0.0] + [0.5] * 7)
    assert found[HOLDS] <= 0.04


def test_what_is_clearly_against_a_claim_is_found_among_many():
    found, _ = outcomes(np.random.default_rng(3), [0.5] * 7 + [-0.5], n=40)
    assert found[FAILS] > 0.95


def test_a_loss_that_correction_leaves_open_is_named():
    def compared(p, low, high, label):
        return Comparison(label, (low + high) / 2, low, high, p_against=p)

    weak, strong = compared(0.02, -0.3, -0.01, "weak"), compared(0.9, -0.1, 0.3, "even")
    verdict = verdicts.decide("", "", "", [weak, strong])
    assert (verdict.outcome, verdict.family) == (UNDECIDED, "2 comparisons")
    assert verdict.comparisons[0].p_holm == pytest.approx(0.04)
    assert any("weak" in note and "Holm" in note for note in verdict.notes)
    alone = verdicts.decide("", "", "", [weak, Comparison("aside", 0.1, 0, 0.2, decides=False)])
    assert (alone.outcome, alone.family) == (FAILS, "1 comparison")
    assert alone.comparisons[0].p_holm <= TAIL and np.isnan(alone.comparisons[1].p_holm)
