"""Mistakes that people make in settings: each is refused before anything runs, told once, with the way out."""

import random
import re
import shutil
from pathlib import Path

import pytest

import project_copy
from soundprompt import params
from soundprompt.errors import InputError
from soundprompt.foundation import mini_sam, sam
from soundprompt.params.base import RESERVED
from soundprompt.params.foundation import BLOCKS, PATCH
from soundprompt.params.loading import read_base
from soundprompt.report import published

FULL = Path("studies/full.yaml")  # over which each mistake is laid
GAVS, SAP, FEW = "models: {gavs: {%s}}", "experiments: {ablation_sap: {%s}}", "settings: {v1s: {%s}}"
NEW = "experiments: {mine: {title: Mine, settings: [v1s], methods: [gavs], %s}}"

# An overlay without its study's name, and the words that the refusal must hold.
MISTAKES = {
    # names that stand for nothing
    "a key": ("sedes: [0]", "sedes", "unknown key", "did you mean 'seeds'"),
    "a key inside": (GAVS % "schedule: {stesp: 3}", "models.gavs.schedule.stesp", "did you mean 'steps'"),
    "a key of the world": ("world: {v1s: {trian: 3}}", "world.v1s.trian", "did you mean 'train'"),
    "a choice": (GAVS % "sap: {noise: tokn}", "models.gavs.sap.noise", "'tokn'", "did you mean 'token'"),
    "a model": ("models: {gavz: {schedule: {steps: 3}}}", "models.gavz", "`base:`", "did you mean 'gavs'"),
    "a base": ("models: {mine: {base: gavz}}", "models.mine", "'gavz'", "did you mean 'gavs'"),
    "no base": ("models: {gavs-no_noise: {base: null}}", "models.gavs-no_noise", "`base:`"),
    "an architecture": ("models: {mine: {architecture: gavss}}", "models.mine.architecture", "'gavss'", "sam_fusion"),
    "a method": (SAP % "methods: [gavs, gavz]", "ablation_sap.methods", "'gavz'", "did you mean 'gavs'"),
    "a probe": (SAP % "methods: [gavs, gavs@mutted]", "ablation_sap.methods", "mutted", "did you mean 'muted'"),
    "a probe of a product": (NEW % "probes: [mutted]", "experiments.mine.probes", "did you mean 'muted'"),
    "a probe twice": (NEW % "probes: [muted, muted]", "experiments.mine.probes", "'muted'", "twice"),
    "a method that a product has": (
        "experiments: {mine: {title: M, settings: [v1s], methods: [gavs, gavs@muted], probes: [muted]}}",
        "experiments.mine.methods",
        "'gavs@muted'",
        "twice",
    ),
    "a key of an experiment": (NEW % "modles: {}", "experiments.mine.modles", "did you mean 'models'"),
    "a model of an experiment": (NEW % "models: {mine: {base: gavz}}", "models.mine", "did you mean 'gavs'"),
    "models that are none": (NEW % "models: [gavs]", "experiments.mine.models", "gavs"),
    "a model twice": (
        "models: {mine: {base: gavs}}\n" + NEW % "models: {mine: {base: gavs}}",
        "experiments.mine.models.mine",
        "already",
    ),
    "a list of experiments": ("experiments: [table_v3]", "experiments", "table_v3"),
    "a key of the schedule": ("schedule: {stesp: 3}", "  schedule.stesp", "did you mean 'steps'"),
    "a number of the schedule": ("schedule: {frames_per_clip: 0}", "  schedule.frames_per_clip", "greater than 0"),
    "no probe": (SAP % "methods: [gavs, 'gavs@']", "ablation_sap.methods", "gavs@", "silence"),
    "a setting": (SAP % "settings: [v1z]", "ablation_sap.settings", "'v1z'", "did you mean 'v1s'"),
    "a substudy": (SAP % "settings: [point/v1s]", "ablation_sap.settings", "'point'", "did you mean 'points'"),
    "a metric": (NEW % "metrics: [miuo]", "experiments.mine.metrics", "'miuo'", "did you mean 'miou'"),
    "a plot": (SAP % "plots: [bar]", "ablation_sap.plots", "'bar'", "did you mean 'bars'"),
    "a published table": (SAP % "published: benchmrks", "ablation_sap.published", "did you mean 'benchmarks'"),
    "a reference": (NEW % "reference: audio_sam", "experiments.mine.reference", "'audio_sam'", "methods"),
    "a split": (FEW % "test: [v1s/tset]", "settings.v1s.test", "'v1s/tset'", "did you mean 'v1s/test'"),
    "a dataset": (FEW % "test: [v1x/test]", "settings.v1s.test", "'v1x/test'", "did you mean 'v1"),
    "no split": (FEW % "test: [v1s]", "settings.v1s.test", "'v1s'", "v1s/test"),
    "a training split": (FEW % "train: [v1s/trian]", "settings.v1s.train", "did you mean 'v1s/train'"),
    "a shot that is not made": (FEW % "test: [v3/7_shot_test]", "settings.v1s.test", "v3/5_shot_test"),
    "a scene": (FEW % "test: [scenes/sources_9]", "settings.v1s.test", "scenes/sources_1"),
    "scenes of real videos": ("data: {source: avsbench}", "sources_count.test", "scenes/sources_1", "generated world"),
    "a start": ("settings: {v3_1shot: {start_from: v3_shot}}", "v3_1shot.start_from", "'v3_shot'", "did you mean"),
    "a model elsewhere": ("settings: {vggss: {model_of: v22}}", "settings.vggss.model_of", "did you mean 'v2'"),
    "a curve's place": (
        NEW % "curves: [{over: methods, label: x, along: [gavz]}]",
        "experiments.mine.curves.curve.along",
        "did you mean 'gavs'",
    ),
    "a panel's metric": (NEW % "dots: [{panels: [{metric: miuo}]}]", "mine.dots.dots.metric", "did you mean 'miou'"),
    "a panel's probe": (NEW % "dots: [{panels: [{metric: miou, probe: mute}]}]", "mine.dots.dots.probe", "'muted'"),
    "a folder": ("data: {vggss_clips: yotube}", "data.vggss_clips", "'yotube'", "did you mean 'youtube'"),
    "cookies": ("data: {youtube: {cookies: nowhere.txt}}", "data.youtube.cookies", "nowhere.txt"),
    "a null in vain": ("models: {gavz: null}", "models.gavz", "null", "did you mean 'gavs'"),
    "a setting's null in vain": ("settings: {v1ss: null}", "settings.v1ss", "null", "did you mean 'v1s'"),
    "a base that is left out": ("models: {gavs: null}", "gavs-no_cue", "base 'gavs'"),
    # numbers and truth values that YAML takes for something else
    "quoted": (GAVS % "schedule: {steps: '300'}", "models.gavs.schedule.steps", "'300'", "quotes"),
    "octal": (GAVS % "schedule: {steps: 010}", "line 2", "models.gavs.schedule.steps", "010", "8"),
    "sexagesimal": (GAVS % "schedule: {steps: 1:30}", "models.gavs.schedule.steps", "1:30", "90"),
    "hexadecimal": (GAVS % "schedule: {steps: 0x10}", "models.gavs.schedule.steps", "0x10", "16"),
    "binary": (GAVS % "schedule: {steps: 0b11}", "models.gavs.schedule.steps", "0b11", "3"),
    "underscores": (GAVS % "schedule: {steps: 1_000}", "models.gavs.schedule.steps", "1_000", "1000"),
    "a sexagesimal time": ("cost: {rounds: 20:30.5}", "cost.rounds", "20:30.5", "1230.5"),
    "true for a number": (GAVS % "schedule: {steps: true}", "models.gavs.schedule.steps", "True"),
    "yes for a number": ("seeds: [yes]", "seeds.0", "True"),
    "a point in a count": (GAVS % "schedule: {steps: 3.5}", "models.gavs.schedule.steps", "3.5"),
    "text for a number": ("world: {size: big}", "world.size", "'big'"),
    "a comma": (GAVS % "schedule: {learning_rate: '0,001'}", "models.gavs.schedule.learning_rate", "'0,001'"),
    "a quoted no": (GAVS % "mute: 'no'", "models.gavs.mute", "'no'", "quotes"),
    "a number for a truth value": (GAVS % "mute: 1", "models.gavs.mute", "1"),
    "a number for a title": (SAP % "title: 5", "ablation_sap.title", "5"),
    "true for a stride": (GAVS % "pyramid: {mask_stride: true}", "models.gavs.pyramid.mask_stride", "True"),
    "text for a model": ("models: {gavs: big}", "models.gavs", "'big'"),
    "a number for a model": ("models: {gavs: 3}", "models.gavs", "3"),
    "a list for a start": (FEW % "start_from: [v1m]", "settings.v1s.start_from", "v1m"),
    "a mapping for a borrowed model": ("settings: {vggss: {model_of: {v2: 1}}}", "settings.vggss.model_of", "v2"),
    "text for scenes": ("world: {scenes: few}", "world.scenes", "'few'"),
    "a number for curves": ("models: {gavs-no_noise: null}\n" + SAP % "curves: [3]", "ablation_sap.curves.0", "3"),
    "text for curves": ("models: {gavs-no_noise: null}\n" + SAP % "curves: bars", "ablation_sap.curves", "bars"),
    "a list for an axis": (
        "settings: {domains: null}\n" + SAP % "curves: [{over: [methods], label: x}]",
        "ablation_sap.curves.0.over",
    ),
    "text for panels": ("settings: {domains: null}\n" + SAP % "dots: [{panels: few}]", "ablation_sap.dots.0.panels"),
    "what only the code sets": ("_shared: [data]", "_shared", "unknown key"),
    "what holds itself": ("seeds: &all [*all]", "holds itself"),
    "blanks for a title": (SAP % "title: '  '", "ablation_sap.title", "one line"),
    "two lines for a title": (SAP % 'title: "a\\nb"', "ablation_sap.title", "one line"),
    "no substudy": (SAP % "settings: [/v1s]", "ablation_sap.settings", "''", "points"),
    "a substudy alone": (SAP % "settings: [points/]", "ablation_sap.settings", "''", "v1s"),
    "zero on a logarithmic axis": (
        NEW % "curves: [{over: methods, label: x, along: [gavs], x: [0], spacing: log}]",
        "experiments.mine.curves.0",
        "above 0",
    ),
    "a large frame": ("world: {size: 100000}", "world.size", "8192", "100000"),
    "a large input": ("foundation: {sam: {image_size: 160000}}", "foundation.sam.image_size", "8192"),
    "training for validation": (FEW % "validate_on: [v1s/train]", "settings.v1s", "'v1s/train'", "trains on"),
    "two origins": ("settings: {vggss: {start_from: v1s}}", "settings.vggss", "model_of", "start_from"),
    "nothing for a number": (GAVS % "schedule: {steps: null}", "models.gavs.schedule.steps", "None"),
    "one for a list": (SAP % "methods: gavs", "ablation_sap.methods", "'gavs'"),
    "a list for a mapping": ("models: [gavs]", "models", "gavs"),
    "a key that is a number": ("models: {1: {base: gavs}}", "line 2", "models.1", "quotes"),
    "a key that is no": ("models: {no: {base: gavs}}", "line 2", "models.no", "False"),
    # numbers out of range
    "infinite": (GAVS % "schedule: {weight_decay: .inf}", "models.gavs.schedule.weight_decay", "finite", "inf"),
    "less than infinite": (GAVS % "sap: {noise_scale: -.inf}", "models.gavs.sap.noise_scale", "-inf"),
    "no number": ("evaluation: {threshold: .nan}", "evaluation.threshold", "nan"),
    "negative": (GAVS % "schedule: {steps: -3}", "models.gavs.schedule.steps", "greater than 0", "-3"),
    "zero": ("features: {shards: 0}", "features.shards", "greater than 0"),
    "shards": ("features: {shards: 100000}", "features.shards", "10000", "100000"),
    "huge steps": (GAVS % "schedule: {steps: 1000000000000}", "models.gavs.schedule.steps", "1000000000000"),
    "a huge seed": ("seeds: [99999999999999999999]", "seeds.0", "99999999999999999999"),
    "a decay": (GAVS % "schedule: {weight_decay: 2.5}", "models.gavs.schedule.weight_decay", "2.5"),
    "a weight": (GAVS % "triplet: {weight: 1.0e+9}", "models.gavs.triplet.weight", "1000"),
    "a pause": ("data: {youtube: {pause_s: 1.0e+9}}", "data.youtube.pause_s", "86400"),
    "no folder": ("data: {vggss_clips: ''}", "data.vggss_clips"),
    "a share": (FEW % "share: 1.5", "settings.v1s.share", "1.5"),
    "a percentage": (GAVS % "schedule: {negatives: 20}", "models.gavs.schedule.negatives", "20"),
    "a small frame": ("world: {size: 7}", "world.size", "7", "32"),
    "classes": ("world: {v1s_classes: 500}", "world.v1s_classes", "500", "24"),
    "shots": ("data: {shots: [1, 3, 5, 99]}", "data.shots", "99"),
    # what does not go together
    "a block": (GAVS % "visual: {tune_from: 99}", "models.gavs.visual.tune_from", "99", "0 to 3"),
    "the block behind the last": (GAVS % "visual: {tune_from: 4}", "models.gavs.visual.tune_from", "4", "0 to 3"),
    "warm-up": (GAVS % "schedule: {steps: 100, warmup: 5000}", "models.gavs.schedule.warmup", "5000", "100"),
    "wrong above right": ("evaluation: {hit_iou: 0.1, wrong_iou: 0.5}", "evaluation", "wrong_iou 0.5", "hit_iou 0.1"),
    "patches": ("foundation: {sam: {image_size: 100}}", "foundation.sam", "image_size 100", "16"),
    "strides": ("foundation: {pyramid: {image_size: 100}}", "foundation.pyramid", "image_size 100", "32"),
    "a floor that hears": (SAP % "methods: [gavs, all_objects@muted]", "ablation_sap.methods", "all_objects@muted"),
    "a search with a floor": (
        "experiments: {mine: {title: M, settings: [v1s], methods: [gavs, centre_disc], metrics: [validation]}}",
        "experiments.mine.methods",
        "'centre_disc' is not trained",
    ),
    "a search of what trains nothing": (
        "experiments: {mine: {title: M, settings: [bgr/vggss], methods: [gavs], metrics: [validation]}}",
        "experiments.mine.settings",
        "'vggss' trains nothing",
    ),
    "one that starts from itself": (FEW % "start_from: v1s", "settings.v1s.start_from", "'v1s'", "itself"),
    "a circle": (
        "settings: {v1s: {start_from: v1m}, v1m: {start_from: v1s}, v2: {share: 1}}",
        "settings.v1s.start_from",
        "itself",
    ),
    "the training for a test": (FEW % "test: [v1s/train]", "settings.v1s.test", "'v1s/train'", "trained"),
    "the validation for a test": (FEW % "test: [v1s/val]", "settings.v1s.test", "'v1s/val'", "selected"),
    "a borrowed model's training for a test": (
        "settings: {v3_seen: {test: [v3/seen_train]}}",
        "settings.v3_seen.test",
        "'v3/seen_train'",
    ),
    "boxes to train on": (FEW % "train: [vggss/test]", "settings.v1s.train", "'vggss/test'", "masks"),
    "scenes to train on": (FEW % "train: [scenes/sources_1]", "settings.v1s.train", "tests"),
    "off-screen sounds of real videos": (
        "data: {source: avsbench}\nsettings: {sources_count: null, sources_overlap: null, sources_likeness: null, "
        "domains: null}\nexperiments: {study_sources: null, study_domains: null}",
        "study_negative_audio.methods",
        "off_screen",
    ),
    "a source without weights": (
        "foundation: {sam: {source: released, architecture: vit_b}}",
        *("foundation.sam", "checkpoint", "vit_b"),
    ),
    "a source that is none": ("foundation: {sam: {source: checkpoint}}", "foundation.sam.source", "released"),
    # twice, or nothing
    "a method twice": (SAP % "methods: [gavs, gavs]", "ablation_sap.methods", "'gavs'", "twice"),
    "a seed twice": (SAP % "seeds: [0, 0]", "ablation_sap.seeds", "0", "twice"),
    "a selection twice": (FEW % "train: [v1s/train, v1s/train]", "settings.v1s.train", "'v1s/train'", "twice"),
    "a metric twice": (NEW % "metrics: [miou, miou]", "experiments.mine.metrics", "'miou'", "twice"),
    "a key twice": ("seeds: [0]\nseeds: [1]", "line 3", "seeds", "line 2"),
    "a block twice": ("models: {}\nseeds: [0]\nmodels: {gavs: {mute: true}}", "line 4", "models", "line 2"),
    "a key inside twice": (GAVS % "mute: true, mute: false", "line 2", "models.gavs.mute"),
    "names alike": ("models: {my-a: {base: gavs}, my_a: {base: gavs}}", "models.my_a", "'my-a'"),
    "no seeds": ("seeds: []", "seeds", "at least 1"),
    "no methods": (SAP % "methods: []", "ablation_sap.methods", "at least 1"),
    "no title": (SAP % "title: ''", "ablation_sap.title", "at least 1"),
    "no mirror": ("data: {mirrors: ['']}", "data.mirrors.0", "at least 1"),
    "an empty substudy": ("substudies: {same: {}}", "substudies.same", "changes nothing"),
    "an unused substudy's typo": (
        "substudies: {mine: {foundation: {sam: {promts: points}}}}",
        "substudies.mine",
        "promts",
    ),
}
WORDS = (
    "a/b",
    "../../x",
    "..",
    ".hidden",
    "m; touch x",
    "$(id)",
    "{seed}",
    "a b",
    "a\\nb",
    "CON",
    "ä",
    "a|b",
    "x.*",
    "",
)
TAKEN = ("floors", "cost", "all", "report", "train", "foundation")
BLOCKS_OF_NAMES = {
    "models": 'models: {"%s": {base: gavs}}',
    "settings": 'settings: {"%s": {train: [v1s/train], validate_on: [v1s/val], test: [v1s/test]}}',
    "experiments": 'experiments: {"%s": {title: t, settings: [v1s], methods: [gavs]}}',
    "substudies": 'substudies: {"%s": {world: {seed: 9}}}',
}
NAMES = {
    f"{block} {name!r}": (text % name, block, "name")
    for block, text in BLOCKS_OF_NAMES.items()
    for name in (*WORDS, *TAKEN)
}


def refused(folder, text):
    """What a study is told whose overlay holds the text."""
    overlay = folder / "mine.yaml"
    overlay.write_text(f"study: mine\n{text}\n", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        params.read([FULL, overlay])
    return str(caught.value)


@pytest.mark.parametrize("kind", [*MISTAKES, *NAMES])
def test_a_mistake_is_refused_and_told_once(tmp_path, kind):
    text, *words = (MISTAKES | NAMES)[kind]
    told = refused(tmp_path, text)
    for word in words:
        assert word in told
    problems = [line for line in told.splitlines()[1:] if not line.startswith("  remedy")]
    assert len({re.sub(r"^ *substudies\.\w+: ", "", line) for line in problems}) == len(problems)
    assert "remedy" in told and "Traceback" not in told


ODD = (None, [], {}, "x", "", 5, -1, 1.5, True, [[]], [None], {"a": 1}, ["x", "x"], "a/b", float("nan"))


def places(node, path=()):
    """Where something stands in settings, as keys."""
    inside = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(found for key, value in inside for found in places(value, (*path, key)))]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_stands_anywhere_is_read_or_refused(seed):
    """No mistake ends in an error that speaks of the code, also where something is left out."""
    draw, raw = random.Random(seed), read_base(overlays=[FULL])
    *path, last = draw.choice(places(raw)[1:])
    node = raw
    for key in path:
        node = node[key]
    node[last] = draw.choice(ODD)
    if seed % 2 and all(isinstance(raw[block], dict) for block in ("settings", "models")):
        raw["settings"]["v1s"] = raw["models"]["gavs-no_cue"] = None
    try:
        assert params.validate(raw).experiments
    except InputError as error:
        assert str(path[0] if path else last) in str(error)


@pytest.mark.parametrize(
    "text",
    [
        GAVS % "schedule: {steps: -3}",  # thirty models are made from this one
        GAVS % "visual: {tune_from: 99}",
        GAVS % "schedule: {steps: 100, warmup: 5000}",
        "seeds: [true]",
        "schedule: {frames_per_clip: 0}",  # every model starts from it
        "models: {gavs: null}",
        SAP % "methods: [gavz]",
    ],
)
def test_one_mistake_is_one_line(tmp_path, text):
    lines = refused(tmp_path, text).splitlines()
    assert len(lines) == 3 and lines[2].startswith("  remedy")


@pytest.mark.parametrize("name", [*WORDS, *TAKEN, "full.bgr"])
def test_a_studys_name_is_a_name_and_no_substudys(tmp_path, name):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(f'study: "{name}"\n', encoding="utf-8")
    with pytest.raises(InputError, match="study"):
        params.read([FULL, overlay])


def test_an_overlay_names_its_study(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("seeds: [0]\n")
    with pytest.raises(InputError, match="study"):
        params.load(overlay)
    beside = tmp_path / "more.yaml"
    beside.write_text("study: mine\n")
    assert params.read([beside, overlay]).study == "mine"


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (GAVS % "schedule: {learning_rate: 1e-3}", "models.gavs.schedule.learning_rate", 0.001),
        (GAVS % "schedule: {learning_rate: 1.5E-3}", "models.gavs.schedule.learning_rate", 0.0015),
        (GAVS % "schedule: {weight_decay: 0}", "models.gavs.schedule.weight_decay", 0.0),
        (GAVS % "mute: no", "models.gavs.mute", False),
        (GAVS % "sap: {noise: off}", "models.gavs.sap.noise", "off"),
        ("world: {seed: 3}", "world.seed", 3),
        ("seeds: [7]\nexperiments: {ablation_sap: {seeds: [9]}}", "seeds", (7,)),
        ("seeds_per_job: 2", "seeds_per_job", 2),
    ],
)
def test_what_is_plain_is_read_as_what_it_is(tmp_path, text, key, value):
    overlay = tmp_path / "mine.yaml"
    overlay.write_bytes(b"\xef\xbb\xbf" + f"study: mine\n{text}\n".encode())  # as some editors begin a file
    found = params.load(overlay)
    for part in key.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == value and type(found) is type(value)


def test_what_is_fetched_for_a_study_does_not_wait_for_its_experiments(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("study: mine\ndata: {source: avsbench}\n")  # real data for a study whose tests need more
    view = params.fetch_view(params.load(overlay, fetching=True))
    assert set(view.datasets) == {"v1s", "v1m", "v2", "v3", "vggss"}
    with pytest.raises(InputError, match="off_screen"):
        params.load(overlay)
    overlay.write_text("study: mine\ndata: {source: avsbench, vggss_clips: yotube}\n")
    with pytest.raises(InputError, match="'youtube'"):
        params.load(overlay, fetching=True)


def test_null_leaves_a_model_out_of_experiments_and_plots(tmp_path):
    overlay = tmp_path / "mine.yaml"
    overlay.write_text("study: mine\nmodels: {gavs-no_noise: null, gavs-cola_dim16: null}\n")
    study = params.read([FULL, overlay])
    assert "gavs-no_noise" not in study.models
    assert not any("gavs-no_noise" in e.methods for e in study.experiments.values())
    (width,) = study.experiments["ablation_cola"].curves
    assert width.along == ("gavs-cola_dim32", "gavs", "gavs-cola_dim128", "gavs-cola_dim256")
    assert width.x == (32, 64, 128, 256)
    assert "ablation_sap" in study.experiments and "gavs-no_noise" in params.load().models


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The files of settings in a folder of their own, which is the current one."""
    shutil.copy("params.yaml", tmp_path)
    for folder in ("experiments", "studies"):
        shutil.copytree(folder, tmp_path / folder)
    monkeypatch.chdir(tmp_path)


def change(path, old, new):
    text = Path(path).read_text()
    assert text.count(old) == 1
    Path(path).write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("path", "old", "new", "words", "files"),
    [
        ("params.yaml", "seeds_per_job: 5", "seeds_per_job: 0", ["seeds_per_job"], ["params.yaml"]),
        ("params.yaml", "- ablation_sap", "- ablation_spa", ["'ablation_spa'", "'ablation_sap'?"], ["params.yaml"]),
        ("params.yaml", "- table_v3", "- table_v3\n  - table_v3", ["'table_v3'", "twice"], ["params.yaml"]),
        ("experiments/table_v3.yaml", "published: v3", "publishd: v3", ["experiments.table_v3.publishd"], None),
        ("experiments/ablation_sap.yaml", "weight: 0.02", "weight: -1", ["gavs-weight_002.triplet.weight"], None),
        ("experiments/ablation_sap.yaml", "  - modality_gap", "  - modality_gp", ["ablation_sap.metrics"], None),
        ("experiments/ablation_sap.yaml", "margin: 0.6", "margin: 0x6", ["line 14", "models.gavs-margin_06"], None),
        ("experiments/table_v3.yaml", "settings:", "models: {gavs-no_cue: {}}\nsettings:", ["ablation_sap.yaml"], None),
    ],
)
def test_a_mistake_is_told_with_its_file(project, path, old, new, words, files):
    change(path, old, new)
    with pytest.raises(InputError) as caught:
        params.load()
    told = str(caught.value)
    for word in [*words, *(files or [path])]:
        assert word in told


def test_what_an_overlay_makes_wrong_is_told_with_both_files(project):
    Path("own.yaml").write_text("study: own\ndata: {source: avsbench}\n")
    with pytest.raises(InputError, match=r"correct .*study_negative_audio\.yaml, over which own\.yaml is laid"):
        params.load("own.yaml")


def test_mistakes_in_several_files_are_told_with_each(project):
    change("experiments/table_v3.yaml", "published: v3", "published: v4")
    change("studies/smoke.yaml", "seeds: [0]\nworld", "seeds: []\nworld")
    with pytest.raises(InputError) as caught:
        params.load("smoke")
    assert caught.value.remedy == "correct studies/smoke.yaml and experiments/table_v3.yaml"


@pytest.mark.parametrize("shell", ["soundprompt settings --study {}", "snakemake -n -c1 --configfile {} -- all_tables"])
def test_both_commands_tell_it_before_anything_runs(tmp_path, shell):
    copy = project_copy.copy_project(tmp_path / "project")
    (copy.root / "mine.yaml").write_text("study: mine\nseeds: [0]\nseeds: [1]\n" + GAVS % "schedule: {steps: 010}")
    answer = copy.run(*shell.format("mine.yaml").split())
    said = answer.stdout + answer.stderr
    assert answer.returncode != 0 and "Traceback" not in said
    assert "line 3: seeds" in said and "010 as 8" in said
    assert not (copy.root / "data").exists() and not (copy.root / "runs").exists()


def test_every_rule_of_the_workflow_is_a_reserved_name():
    texts = [Path("Snakefile"), *sorted(Path("workflow/rules").glob("*.smk"))]
    rules = {name for path in texts for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)}
    assert rules and rules <= RESERVED


def test_facts_that_settings_repeat_are_those_of_the_code():
    assert (PATCH, BLOCKS["mini"]) == (sam.PATCH, mini_sam.DEPTH)
    kinds = params.Experiment.model_json_schema()["properties"]["published"]["anyOf"][0]["enum"]
    assert sorted(kinds) == sorted(published.names())
