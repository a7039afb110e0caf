import pandas as pd
import pytest

import artifacts
from soundprompt import params as p
from soundprompt.report import claims, verdicts
from soundprompt.report.verdicts import FAILS, HOLDS, UNDECIDED, UNTESTED, Comparison, Scores, Verdict


def comparison(low, high, **more):
    return Comparison("a lead", (low + high) / 2, low, high, **more)


@pytest.fixture
def elsewhere(study):
    """The study with an experiment on its 0-shot setting and substudies, both methods drawn around levels."""
    params, layout = study

    def make(name: str, levels: dict[str, tuple[float, float]]):
        """levels: setting -> those of gavs and of sam_fusion."""
        frames = artifacts.frame_table.select(layout, params.settings["v3_0shot"].test)
        for setting, pair in levels.items():
            for model, level in zip(("gavs", "sam_fusion"), pair, strict=True):
                for seed in params.seeds:
                    path = layout.run(setting, model, seed) / "scores.parquet"
                    path.unlink(missing_ok=True)
                    artifacts._parquet(artifacts._scores(frames, model, seed, level), path)
        asked = p.Experiment(title=name, settings=tuple(levels), methods=("gavs", "sam_fusion"))
        changed = params.model_copy(update={"experiments": {**params.experiments, name: asked}})
        return Scores(changed, layout)

    return make


def test_bars_and_levels():
    assert comparison(-0.01, 0.03).sign == 0
    assert comparison(-0.01, 0.03, bar=-0.02).sign == 1  # no worse
    assert comparison(-0.09, -0.03, bar=-0.02).sign == -1
    assert comparison(0.0, 0.04, bar=0.05, below=True).sign == 1
    assert comparison(0.3, 0.4, bar=0.05, below=True).sign == -1
    assert comparison(0.03, 0.4, bar=0.05, below=True).sign == 0


def test_a_verdict_hangs_on_the_comparison_closest_to_failing():
    strong, weak = comparison(0.2, 0.3), comparison(0.01, 0.5)
    aside = comparison(-0.5, -0.4, decides=False)
    assert Verdict("", "", "", HOLDS, [strong, weak, aside]).key is weak
    quiet = comparison(0.0, 0.04, bar=0.05, below=True)
    assert Verdict("", "", "", HOLDS, [strong, quiet]).key is quiet
    assert Verdict("", "", "", UNTESTED, [aside]).key is None


def test_the_file_has_a_row_for_each_comparison_and_one_for_each_claim_without(study):
    params, layout = study
    found = claims.run(params, layout)
    claims.write(found, layout)
    table = pd.read_csv(layout.claims, keep_default_na=False)
    assert tuple(table.columns) == claims.COLUMNS
    assert list(dict.fromkeys(table["name"])) == [name for name, _, _ in claims.CLAIMS]
    assert len(table) == sum(max(1, len(verdict.comparisons)) for verdict in found)
    assert set(table["verdict"]) <= {HOLDS, FAILS, UNDECIDED, UNTESTED}
    row = table[(table["name"] == "unseen_over_fusion") & (table["decides"] == "yes")].iloc[0]
    expected = found[0].comparisons[0]
    assert float(row["lead"]) == pytest.approx(expected.lead, abs=1e-6)
    assert (row["says"], row["section"], row["n_videos"], row["n_seeds"]) == (
        {1: "for", -1: "against", 0: "open"}[expected.sign], "table_v3", "4", "2",
    )  # fmt: skip
    assert (row["interval_over"], row["family"]) == ("seeds and videos", "1 comparison")
    assert float(row["p_against"]) == float(row["p_holm"]) == pytest.approx(expected.p_against, abs=1e-6)
    assert (table.loc[table["decides"] != "yes", ["p_holm", "family"]] == "").all(axis=None)
    empty = table[table["name"] == "half_the_data"]
    assert (empty["verdict"].item(), empty["lead"].item()) == (UNTESTED, "")


def test_a_lead_in_every_world_holds_and_one_world_against_it_leaves_it_open(elsewhere):
    places = ("v3_0shot", "world1/v3_0shot", "world2/v3_0shot")
    found = claims.across_worlds(elsewhere("worlds", dict(zip(places, [(0.8, 0.4)] * 3, strict=True))))
    assert found.outcome == HOLDS
    alone = [c for c in found.comparisons if "world " in c.label and not c.decides]
    assert [c.label.rpartition(" · ")[2] for c in alone] == ["world 0", "world 1", "world 2"]
    assert found.key.n_worlds == 3 and found.key.lead == pytest.approx(sum(c.lead for c in alone) / 3)
    mixed = dict(zip(places, [(0.8, 0.4), (0.8, 0.4), (0.4, 0.8)], strict=True))
    assert claims.across_worlds(elsewhere("worlds", mixed)).outcome == UNDECIDED


def test_one_world_says_nothing_of_worlds(study):
    assert claims.across_worlds(Scores(*study)).outcome == UNTESTED


def test_the_arm_of_sam_decides_if_leads_turn_round(elsewhere):
    turned = claims.whatever_foundation(
        elsewhere("foundations", {"v3_0shot": (0.8, 0.4), "points/v3_0shot": (0.4, 0.8)})
    )
    assert turned.outcome == FAILS
    assert any(note.endswith("SAM of concept prompts: favours GAVS.") for note in turned.notes)
    assert any(note.endswith("SAM of points and boxes: favours SAM-Fusion.") for note in turned.notes)
    same = elsewhere("foundations", {"v3_0shot": (0.4, 0.8), "points/v3_0shot": (0.4, 0.8)})
    assert claims.whatever_foundation(same).outcome == HOLDS  # which method comes first is another claim


def test_that_leads_turn_round_is_corrected_for_the_number_of_pairs():
    """Of one pair of leads or of five, each against the other at p = .02."""
    clear = {"p_against": 1 - 1e-6}, {"p_against": 0.02}
    pair = comparison(0.1, 0.3, **clear[0]), comparison(-0.3, -0.01, **clear[1])
    agreeing = comparison(0.1, 0.3, **clear[0]), comparison(0.1, 0.3, **clear[0])
    assert claims._same_way([pair], []).outcome == FAILS
    several = claims._same_way([pair, *[agreeing] * 4], [])
    assert (several.outcome, several.family) == (UNDECIDED, "5 pairs of comparisons")
    assert several.comparisons[0].p_holm == pytest.approx(0.1)
    assert claims._same_way([agreeing] * 4, []).outcome == HOLDS


def measured(params, layout, values, setting="v3_0shot", copies=1):
    """Adds rows {method: {metric: value}} to the runs' scores; copies: so many videos for each that was tested."""
    for method, metrics in values.items():
        model = method.partition("@")[0]
        for seed in params.seeds:
            path = layout.run(setting, model, seed) / "scores.parquet"
            rows = pd.read_parquet(path if path.exists() else layout.run(setting, "gavs", seed) / "scores.parquet")
            like = rows[(rows["metric"] == "miou") & (rows["method"] == rows["method"].iloc[0])]
            named = [{name: like[name] + f"_{i}" for name in ("clip", "video")} for i in range(copies)]
            like = pd.concat([like.assign(**names) for names in named]) if copies > 1 else like
            parts = [rows] if path.exists() else []
            parts += [like.assign(method=method, metric=metric, value=value) for metric, value in metrics.items()]
            parts = [rows[(rows["selection"] == "v3/unseen") | ~rows["metric"].str.startswith("kn")] for rows in parts]
            path.unlink(missing_ok=True)
            artifacts._parquet(pd.concat(parts), path)


@pytest.mark.parametrize(("kept", "outcome"), [(0.8, HOLDS), (0.7, FAILS)])
def test_knowledge_is_judged_against_full_tuning_and_against_nothing_tuned(study, kept, outcome):
    params, layout = study
    ours = {"knowledge": kept, "knowledge_untouched": 0.81}
    measured(params, layout, {"gavs-decoder_full": {"knowledge": 0.5, "knowledge_untouched": 0.81, "miou": 0.3}})
    measured(params, layout, {"gavs": ours})
    found = claims.cola_keeps_knowledge(Scores(params, layout))
    assert found.outcome == outcome
    lost = next(c for c in found.comparisons if "against the untouched" in c.label)
    assert lost.lead == pytest.approx(kept - 0.81)


@pytest.mark.parametrize(
    ("alarm", "copies", "outcome"), [(0.0, 40, HOLDS), (0.0, 1, UNDECIDED), (0.9, 40, FAILS), (0.9, 1, FAILS)]
)
def test_alarms_for_sounds_of_nothing(study, alarm, copies, outcome):
    """That none of four videos has an alarm does not prove that fewer than 5 % of all have one."""
    params, layout = study
    probes = {f"gavs@{probe}": {"alarm": alarm} for probe in claims.EMPTY}
    measured(params, layout, probes, copies=copies)
    asked = p.Experiment(title="t", settings=("v3_0shot",), methods=tuple(probes))
    params = params.model_copy(update={"experiments": {**params.experiments, "study_negative_audio": asked}})
    found = claims.quiet_without_source(Scores(params, layout))
    assert found.outcome == outcome
    assert len(found.comparisons) == 3 and found.comparisons[0].lead == pytest.approx(alarm)
    assert all(0 <= c.low <= c.high <= 1 for c in found.comparisons)


def test_what_no_experiment_asks_for_is_not_missed(tmp_path, monkeypatch):
    """A setting that is only trained on (v2, for VGG-SS), and a method that no table has, are not missed."""
    monkeypatch.chdir(tmp_path)
    params = artifacts.small_study("table_benchmarks", models=("gavs@mismatched", "sam_fusion", "gavs"))
    table = params.experiments["table_benchmarks"].model_copy(update={"settings": ("v1s", "v1m")})
    params = params.model_copy(update={"experiments": {"table_benchmarks": table}})
    layout = artifacts.make(params, levels={"gavs": 0.9, "sam_fusion": 0.4, "gavs@mismatched": 0.1})
    found = {verdict.name: verdict for verdict in claims.run(params, layout)}
    assert "v2" in params.settings
    for name in ("seen_over_fusion", "sound_decides"):
        assert found[name].comparisons and not any("lack scores" in note for note in found[name].notes)
    assert found["unseen_over_fusion"].outcome == found["seen_over_rivals"].outcome == UNTESTED


def test_seeds_are_those_that_experiments_ask_for(study):
    params, layout = study
    more = params.experiments["table_v3"].model_copy(update={"seeds": (0, 1, 2, 3)})
    params = params.model_copy(update={"experiments": {**params.experiments, "more": more}})
    scores = Scores(params, layout)
    assert scores.seeds("v3_0shot", "gavs") == (0, 1, 2, 3)
    assert scores.seeds("v3_0shot", "gavs-no_cue") == params.seeds


def test_every_claim_can_be_found_in_the_page_and_every_section_exists():
    params = artifacts.study()
    names = [name for name, _, _ in claims.CLAIMS]
    assert len(set(names)) == len(names)
    known = {*params.experiments, "ablation_cola", "study_negative_audio", "curve_data_efficiency"}
    assert {section for *_, sections in claims.CLAIMS for section in sections} <= known
    assert verdicts.decide("", "", "", []).outcome == UNTESTED


def test_a_presence_score_is_held_against_negatives_off_the_screen_and_gavs_on_true_sound(study):
    """0-shot scores as the files of the study's runs say: alarms from .6 down to .1, mIoU as it was or lower."""
    params, layout = study
    frames = artifacts.frame_table.select(layout, params.settings["v3_0shot"].test)
    levels = {"gavs-negatives": 0.7, "gavs-presence": 0.7}

    def judged(alarms: dict[str, float], presence: float) -> Verdict:
        for model, alarm in alarms.items():
            for seed in params.seeds:
                scores = artifacts._scores(frames, model, seed, presence if model == "gavs-presence" else levels[model])
                off = scores[scores["metric"] == "miou"].assign(method=f"{model}@off_screen", metric="alarm")
                off["value"] = alarm + 0.01 * (off.index % 7)
                path = layout.run("v3_0shot", model, seed) / "scores.parquet"
                path.unlink(missing_ok=True)
                artifacts._parquet(pd.concat([scores, off], ignore_index=True), path)
        methods = ("gavs", "gavs-negatives", "gavs-presence")
        asked = p.Experiment(title="quiet", settings=("v3_0shot",), methods=methods, probes=("off_screen",))
        models = dict.fromkeys(methods, params.models["gavs"])
        changed = params.model_copy(update={"experiments": {"quiet": asked}, "models": {**params.models, **models}})
        return claims.presence_cures(Scores(changed, layout))

    fewer = judged({"gavs-negatives": 0.6, "gavs-presence": 0.1}, presence=0.7)
    alarms, true_sound = fewer.comparisons
    assert alarms.sign == 1 and true_sound.bar == -claims.NO_WORSE
    assert judged({"gavs-negatives": 0.1, "gavs-presence": 0.6}, presence=0.7).outcome == FAILS
    assert judged({"gavs-negatives": 0.6, "gavs-presence": 0.1}, presence=0.1).outcome == FAILS, "it draws too little"
