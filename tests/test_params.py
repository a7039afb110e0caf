"""Settings: what is refused, and what the experiments ask to be run."""

import shutil
from pathlib import Path

import pytest

from soundprompt import params
from soundprompt.errors import InputError

FULL = Path("studies/full.yaml")


@pytest.fixture
def raw():
    """The full matrix."""
    return params.read_base(overlays=[FULL])


def test_studies_are_valid():
    assert params.load().study == "mini"
    assert params.load("smoke").study == "smoke"
    assert params.load("full.points").foundation.sam.prompts == "points"


def test_the_default_study_is_small_and_can_be_read():
    lines = Path("params.yaml").read_text().splitlines()
    assert len(lines) <= 170 and max(map(len, lines)) <= 100
    study = params.load()
    assert len(study.seeds) == 3 and not study.substudies and "pyramid" not in study.foundations()
    assert {model.base or name for name, model in study.models.items() if name in {m for _, m, _ in study.runs()}} == {
        "gavs",
        "sam_fusion",
    }
    trained = {setting for setting, _, _ in study.runs()}
    assert {name for name, setting in study.settings.items() if setting.train} == trained


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("seedz",), 1, ["seedz", "unknown key"]),
        (("world", "v1s", "trains"), 1, ["world.v1s.trains", "unknown key"]),
        (("world", "size"), "big", ["world.size", "integer", "'big'"]),
        (("world", "levels", "pitch"), 9, ["world.levels.pitch", "5", "9"]),
        (("models", "gavs", "sap"), {"noise": "loud"}, ["models.gavs.sap.noise", "token", "loud"]),
        (("models", "gavs", "sap"), {"visual_cue": False}, ["triplet", "visual_cue"]),
        (("models", "gavs-no_audio", "schedule"), {"negatives": 0.1}, ["gavs-no_audio", "schedule.negatives"]),
        (("models", "sam_fusion", "cola"), {"enabled": True}, ["sam_fusion", "cola.enabled"]),
        (("foundation", "sam", "architecture"), "vit_b", ["foundation.sam", "released"]),
        (("settings", "v3_1shot", "start_from"), "v9", ["v3_1shot", "v9"]),
        (("settings", "v1s", "model_of"), "v2", ["settings.v1s", "model_of"]),
        (("experiments", "ablation_sap", "methods"), ["gavs", "gavz"], ["ablation_sap", "gavz", "sam_fusion"]),
        (("experiments", "ablation_sap", "reference"), "audio_sam", ["reference", "audio_sam"]),
        (("experiments", "ablation_sap", "metrics"), ["iou"], ["iou", "miou"]),
        (("cost",), {"rounds": 2, "seconds": 5}, ["cost", "5", "2 rounds"]),
        (("seeds",), [0, 0], ["seeds", "differ"]),
        (("experiments", "ablation_sap", "settings"), ["moon/v3_0shot"], ["ablation_sap", "moon", "points"]),
        (("substudies", "points"), {"foundation": {"sam": {"promts": "points"}}}, ["substudies.points", "promts"]),
        (("substudies", "points"), {"models": {}}, ["substudies.points.models", "unknown key"]),
        (("substudies", "points"), {"data": {"shots": [1]}}, ["substudies.points.data", "bgr"]),
    ],
)
def test_mistakes_are_named(raw, keys, value, words):
    block = raw
    for key in keys[:-1]:
        block = block.setdefault(key, {})
    block[keys[-1]] = value
    with pytest.raises(InputError) as caught:
        params.validate(raw)
    for word in words:
        assert word in str(caught.value)


def test_off_without_quotes_is_off(raw):
    """YAML reads a bare `off` as false."""
    raw["models"]["gavs"]["sap"] = {"noise": False}
    assert params.validate(raw).models["gavs"].sap.noise == "off"


def test_every_problem_is_listed(raw):
    raw["seedz"], raw["world"]["size"] = 1, -3
    with pytest.raises(InputError) as caught:
        params.validate(raw)
    assert "seedz" in str(caught.value) and "world.size" in str(caught.value)


def test_model_base_chains_and_circles(raw):
    raw["models"]["child"] = {"base": "gavs-no_cue", "cola": {"dim": 8}}
    child = params.validate(raw).models["child"]
    assert (child.sap.visual_cue, child.cola.dim, child.schedule.steps) == (
        False,
        8,
        raw["models"]["gavs"]["schedule"]["steps"],
    )
    raw["models"]["child"]["base"] = "child"
    with pytest.raises(InputError, match="circle"):
        params.validate(raw)


def test_unknown_study_names_the_known_ones():
    with pytest.raises(InputError, match="smoke"):
        params.load("tiny")


def test_runs_are_shared_and_complete(raw):
    study = params.validate(raw)
    runs = study.runs()
    assert len(runs) == len(set(runs))
    # ablation_sap and table_v3 share gavs on v3_0shot; few-shot runs bring the model they start from
    assert ("v3_0shot", "gavs", 0) in runs
    for setting, model, seed in runs:
        start = study.settings[setting].start_from
        assert start is None or (start, model, seed) in runs
    # a cross-dataset setting is scored but trains nothing; its model is trained where it comes from
    assert all(setting != "vggss" for setting, _, _ in runs)
    assert ("vggss", "audio_sam", 2) in study.evaluations() and ("v2", "audio_sam", 2) in runs


def test_probes_follow_the_experiments(raw):
    study = params.validate(raw)
    assert study.probes("v1m", "gavs") == ("own", "mismatched")
    assert study.probes("v1m", "audio_sam") == ("own",)
    raw["experiments"]["study_negative_audio"] = {
        "title": "Negative sounds",
        "settings": ["v1s"],
        "methods": ["audio_sam@off_screen", "audio_sam@silence", "audio_sam@ambient"],
        "metrics": ["miou", "area", "alarm"],
    }
    assert params.validate(raw).probes("v1s", "audio_sam") == ("own", "silence", "ambient", "off_screen")


def test_probes_are_a_product_in_order_of_methods_that_hear(tmp_path):
    study = params.load("smoke").experiments["study_negative_audio"]
    assert study.methods == ("all_objects", "gavs", "gavs@off_screen", "gavs@silence", "gavs@ambient")
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "study: mine\nexperiments: {study_negative_audio: {methods: [gavs@muted, centre_disc, sam_fusion, gavs], "
        "probes: [silence, mismatched], dots: []}}\n"
    )
    assert params.load(overlay).experiments["study_negative_audio"].methods == (
        *("gavs@muted", "centre_disc", "sam_fusion", "sam_fusion@silence", "sam_fusion@mismatched"),
        *("gavs", "gavs@silence", "gavs@mismatched"),
    )


def test_all_models_without_a_base_start_from_the_shared_schedule(raw):
    raw["schedule"] |= {"validate_every": 123, "steps": 77}
    models = params.validate(raw).models
    assert {model.schedule.validate_every for model in models.values()} == {123}
    assert (models["gavs"].schedule.steps, models["sam_fusion"].schedule.steps) == (300, 350)


def test_an_experiment_left_out_leaves_its_models_to_the_others(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("study: mine\nexperiments: {ablation_sap: null}\nmodels: {gavs-no_cue: {cola: {dim: 8}}}\n")
    study = params.read([FULL, overlay])
    assert "ablation_sap" not in study.experiments and "gavs-no_cue" in study.experiments["study_domains"].methods
    assert (study.models["gavs-no_cue"].cola.dim, study.models["gavs-no_cue"].sap.visual_cue) == (8, False)


def test_an_overlay_may_name_a_file_that_the_default_study_does_not_list(tmp_path, monkeypatch):
    shutil.copy("params.yaml", tmp_path)
    shutil.copytree("experiments", tmp_path / "experiments")
    monkeypatch.chdir(tmp_path)
    narrow = "models: {gavs-narrow: {base: gavs, cola: {dim: 8}}}\nmethods: [gavs-narrow, gavs]\n"
    Path("experiments/mine.yaml").write_text(f"title: Mine\nsettings: [v1s]\n{narrow}")
    Path("own.yaml").write_text("study: own\nexperiments: {mine: {title: My own}}\n")
    assert "mine" not in params.load().experiments
    study = params.load("own.yaml")
    assert study.experiments["mine"].title == "My own" and study.models["gavs-narrow"].cola.dim == 8
    assert list(study.experiments)[-1] == "mine"


def test_what_is_examined_follows_the_metrics(raw):
    for experiment in raw["experiments"].values():
        for name in ("metrics", "curves", "dots"):
            experiment.pop(name, None)
    assert params.validate(raw).examinations() == []
    raw["experiments"]["ablation_sap"]["metrics"] = ["miou", "retrieval"]
    raw["experiments"]["ablation_fusion"]["metrics"] = ["knowledge"]
    study = params.validate(raw)
    models = {(setting, model) for setting, model, _ in study.examinations()}
    assert ("v3_0shot", "gavs-no_triplet") in models and ("v1s", "sam_fusion") in models
    # no cue, no sound, and a decoder that was never SAM's
    left_out = {("v3_0shot", "gavs-no_cue"), ("v3_0shot", "gavs-no_audio"), ("v3_0shot", "sam_fusion-scratch")}
    assert not left_out & models and models <= {(setting, model) for setting, model, _ in study.evaluations()}
    assert study.measures("v3_0shot", "gavs") == ("alignment", "knowledge")
    assert study.measures("v1s", "gavs") == ("knowledge",)
    assert study.examined_packs("v1s", "gavs") == [tuple(study.seeds)]
    assert study.examined_packs("v1m", "gavs") == []


def test_the_relu_behind_vggish_is_each_methods_own():
    """As in the code of AVSBench and AVSegFormer; the embedding that GAVS released has none, and both are measured."""
    paper = params.load("paper")
    heard = {name for name, model in paper.models.items() if model.audio_relu}
    assert heard == {name for name, model in paper.models.items() if model.reads == "pyramid"} | {"gavs-relu"}
    for study in (paper, params.load("full")):
        assert {"gavs", "gavs-relu", "gavs-released_code"} <= set(study.experiments["released_code"].methods)


def test_held_out_pictures_are_those_of_the_pretrained_sam(raw):
    study = params.validate(raw)
    view = params.examine_view(study, "v1s", "gavs")
    assert (view.held_out.seed, view.held_out.scene.size) == (study.foundation.sam.seed, study.world.size)
    assert params.examine_view(params.load("paper"), "v1s", "gavs").held_out is None
    assert params.examine_view(study, "v1s", "sam_fusion-scratch").measures == ()


def test_packs_cover_all_seeds(raw):
    raw["seeds"], raw["seeds_per_job"] = [0, 1, 2, 3, 4], 2
    assert params.validate(raw).packs("v1s", "gavs") == [(0, 1), (2, 3), (4,)]


def test_a_stage_sees_only_its_own_settings(raw):
    before = params.validate(raw)
    raw["models"]["gavs"]["schedule"]["steps"] += 1
    after = params.validate(raw)
    assert params.train_view(before, "v1s", "gavs") != params.train_view(after, "v1s", "gavs")
    assert params.train_view(before, "v1s", "sam_fusion") == params.train_view(after, "v1s", "sam_fusion")
    assert params.features_view(before) == params.features_view(after)
    raw["world"]["seed"] = 7
    assert params.pretrain_view(params.validate(raw), "sam") == params.pretrain_view(after, "sam")


def test_what_a_model_is_made_from_and_how_leaks_are_met_make_no_run_stale(raw):
    before = params.validate(raw)
    raw["models"]["gavs-again"] = {"base": "gavs"}
    raw["data"]["leaks"] = "report"
    after = params.validate(raw)
    assert after.models["gavs-again"].base == "gavs" and after.models["gavs"].base is None
    again = params.train_view(after, "v1s", "gavs-again")
    assert again.model == params.train_view(before, "v1s", "gavs").model
    assert params.tables_view(before, "v3") == params.tables_view(after, "v3")
    assert params.floors_view(before, "v1s") == params.floors_view(after, "v1s")
    raw["data"]["leaks"] = "drop"
    assert params.tables_view(params.validate(raw), "v3") != params.tables_view(after, "v3")


@pytest.mark.parametrize("study", [None, "smoke", "paper"])
def test_a_job_reads_from_the_file_what_its_rule_depends_on(study, tmp_path, monkeypatch):
    """For every study and substudy; the rules' params are digests of these views."""
    whole = params.load(study)
    monkeypatch.chdir(tmp_path)
    written = params.write(whole)
    for name, before in whole.studies().items():
        after = params.read_written(written, name)
        (setting, model, _), *_ = before.runs() or before.evaluations()
        about = {
            **dict.fromkeys(("train", "score", "examine"), (setting, model)),
            "floors": (setting,),
            "tables": (before.tables()[0],),
            "pretrain": ("sam",),
            "table": (next(iter(before.experiments)),),
        }
        for stage, view in params.READS.items():
            names = about.get(stage, ())
            assert view(after, *names).model_dump_json() == view(before, *names).model_dump_json(), (name, stage)


def test_settings_that_change_leave_the_file_of_jobs_at_work_alone(raw, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = params.write(params.validate(raw))
    before = first.read_bytes()
    raw["seeds"] = [7]
    second = params.write(params.validate(raw))
    assert second != first and first.read_bytes() == before
    assert params.read_written(second, "full").seeds == (7,)


def test_a_file_that_holds_no_settings_of_the_workflow_is_named(tmp_path):
    (tmp_path / "cut.json").write_text('{"study": "mini"')
    for name in ("cut.json", "none.json"):
        with pytest.raises(InputError, match="--settings") as caught:
            params.read_written(tmp_path / name, "mini")
        assert caught.value.path == tmp_path / name


def test_a_substudy_has_runs_of_its_own_and_shares_the_rest(raw):
    raw["substudies"] = {
        "points": {"foundation": {"sam": {"prompts": "points"}}},
        "far": {"world": {"seed": 7}},
        "unused": {"foundation": {"audio": {"seed": 5}}},
    }
    raw["experiments"] = {
        "both": {
            "title": "Both",
            "settings": ["v1s", "points/v3_1shot", "far/v1s"],
            "methods": ["centre_disc", "gavs"],
        },
        "own": {"title": "Own", "settings": ["v2"], "methods": ["sam_fusion"]},
    }
    study = params.validate(raw)
    assert {setting for setting, _, _ in study.runs()} == {"v1s", "v2"}
    points, far = study.substudy("points"), study.substudy("far")
    assert list(study.studies()) == ["full", "full.points", "full.far"]
    assert {run[:2] for run in points.runs()} == {("v3_0shot", "gavs"), ("v3_1shot", "gavs")}
    assert points.tables() == ["v3"] and points.world == study.world
    assert str(points.layout.data) == "data/full" and str(far.layout.data) == "data/full.far"
    weights = [str(each.layout.foundation(m).parent) for each in (points, far) for m in ("sam", "audio")]
    assert weights == ["weights/full.points", "weights/full", "weights/full", "weights/full"]
    sounds = [str(study.substudy(name).layout.audio_features.parent) for name in ("points", "far", "unused")]
    assert sounds == ["features/full", "features/full.far", "features/full.unused"]  # of one dataset and encoder
    assert str(points.layout.features) == "features/full.points"
    assert far.world.seed == 7 and far.world.v1s == study.world.v1s
    assert params.train_view(points, "v3_1shot", "gavs").layout == points.layout
    assert study.layout.run("points/v3_1shot", "gavs", 0) == points.layout.run("v3_1shot", "gavs", 0)


def test_a_substudy_that_is_not_there_is_named():
    for study, known in (("full.moon", "points, world1"), ("mini.points", "it has none")):
        with pytest.raises(InputError, match=f"'{study.partition('.')[2]}' is no substudy(.|\n)*{known}"):
            params.load(study)


def test_leaving_out_a_setting_leaves_out_those_of_substudies(raw):
    raw["settings"]["v1s"] = None
    study = params.validate(raw)
    assert not any(params.plain(s) == "v1s" for e in study.experiments.values() for s in e.settings)


def test_merge_is_deep_and_replaces_lists():
    assert params.merge({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}}) == {"a": {"b": 1, "c": [3]}}
