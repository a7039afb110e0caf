import pandas as pd
import pytest

import artifacts
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


def test_two_methods_are_compared_on_the_seeds_of_both():
    def rows(values):
        clips = [{"clip": f"c{i}", "video": f"v{i}", "frame": 0, "metric": "miou"} for i in range(4)]
        return pd.DataFrame(
            [{**clip, "seed": seed, "value": value} for seed, value in values.items() for clip in clips]
        )

    five, three, floor = rows({0: 0.5, 1: 0.6, 2: 0.7, 3: 0.1, 4: 0.1}), rows({0: 0.4, 1: 0.5, 2: 0.6}), rows({0: 0.2})
    here, there = verdicts._same_seeds(five, three)
    assert sorted(set(here["seed"])) == sorted(set(there["seed"])) == [0, 1, 2]
    assert here["value"].mean() - there["value"].mean() == pytest.approx(0.1)
    here, there = verdicts._same_seeds(five, floor)
    assert len(set(here["seed"])) == 5 and len(there) == 4, "a floor has no seeds to match"
