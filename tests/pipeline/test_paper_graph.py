"""The paper's study on a machine without any data: its whole graph of jobs, and what they ask for."""

import re
import shutil

import pytest

from project_copy import PROJECT, copy_project, planned_jobs
from soundprompt import params

pytestmark = pytest.mark.pipeline
RULE = re.compile(r"^rule (\w+):\n((?: .*\n|\n)*)", re.M)  # its name and what is in it
PAPER = params.load(PROJECT / "studies" / "paper.yaml", PROJECT / "params.yaml")
FETCHED = (
    "sam_vit_b",
    "vggish",
    "pvt_v2_b5",
    "avsbench",
    "avs_v3",
    "vggss",
    "vggss_clips",
    "vggss_heard",
    "vggss_unheard",
)


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A fresh clone: no data, no weights."""
    return copy_project(tmp_path_factory.mktemp("bare"))


def dry(study, *arguments, overlay="studies/paper.yaml"):
    answer = study.run("snakemake", "--cores", "2", "--configfile", *overlay.split(), "-n", *arguments)
    text = answer.stdout + answer.stderr
    assert answer.returncode == 0, text
    return text


@pytest.fixture(scope="module")
def graph(bare):
    """What a dry run of all tables prints."""
    return dry(bare, "all_tables")


@pytest.mark.slow
def test_the_graph_is_whole(graph):
    studies = PAPER.studies().values()  # with data as the released code reads them, and at two smaller sizes
    scored = {s for e in PAPER.experiments.values() if not e.of_validation for s in e.settings}
    assert len(studies) == 4
    assert planned_jobs(graph) == {
        "fetch": 9,  # three weights, AVSBench, AVS-V3, annotations, clips and two lists of VGG-SS
        "frame_table": 5,
        "leaks": 1,
        "pretrain": 5,  # SAM at three sizes, VGGish, the pyramid
        "feature_plan": 4,
        "visual_features": 4 * PAPER.features.shards,
        "feature_index": 4,
        "audio_features": 1,  # the substudies change pictures only
        "train": sum(len(study.runs()) for study in studies),
        "score": sum(len(study.evaluations()) for study in studies),
        "examine": sum(len(study.examinations()) for study in studies),
        "floors": len(scored),
        "cost": 3,
        "table": len(PAPER.experiments),
        "all_tables": 1,
    }
    for name in FETCHED:
        assert f"fetch {name}\n" in graph


@pytest.mark.slow
@pytest.mark.parametrize("study", ["paper", "smoke"])
def test_the_cluster_profile_plans_it_and_says_what_each_rule_asks_for(bare, study):
    answer = bare.run("snakemake", "--profile", "slurm", "-n", "all_tables", STUDY=study)
    text = answer.stdout + answer.stderr
    assert answer.returncode == 0, text
    smk = "".join(path.read_text() for path in (bare.root / "workflow").rglob("*.smk"))
    rules = {rule for rule, text in RULE.findall(smk) if "shell:" in text and "localrule" not in text}
    profile = bare.root / "workflow/profiles/slurm/config.v9+.yaml"
    blocks = profile.read_text().split("?else:")
    asking = [set(re.findall(r"^    (\w+): \?asks", block, re.M)) for block in blocks]
    assert asking == [rules, rules] and {"train", "score"} <= set(planned_jobs(text))


@pytest.mark.slow
def test_a_machine_with_one_gpu_plans_the_paper(bare):
    answer = bare.run("snakemake", "--profile", "workflow/profiles/gpu", "-n", "all_tables")
    text = answer.stdout + answer.stderr
    assert answer.returncode == 0 and planned_jobs(text)["visual_features"] == 4 * PAPER.features.shards, text


@pytest.mark.slow
def test_a_checkpoint_of_the_users_own_is_an_input_not_a_download(bare):
    (bare.root / "own.yaml").write_text("foundation: {sam: {checkpoint: my_sam.pth}}\n")
    overlay = "studies/paper.yaml own.yaml"
    answer = bare.run("snakemake", "--cores", "2", "--configfile", *overlay.split(), "-n", "all_tables")
    assert answer.returncode != 0 and "my_sam.pth" in answer.stdout + answer.stderr
    (bare.root / "my_sam.pth").touch()
    assert planned_jobs(dry(bare, "all_tables", overlay=overlay))["fetch"] == 8


@pytest.mark.slow
def test_released_weights_also_go_with_the_generated_world(bare):
    (bare.root / "mixed.yaml").write_text(
        "study: mixed\ndata: {source: generated}\n"
        "settings: {v3_0shot: {validate_on: [v3/seen_val, v3/unseen_val]}, vggss_heard: null, vggss_unheard: null, "
        "open_novel: null, open_base: null}\n"
        "experiments: {table_vggss: {settings: [vggss]}, table_open_vocabulary: null}\n"
    )
    counts = planned_jobs(dry(bare, "all_tables", overlay="studies/paper.yaml mixed.yaml"))
    assert counts["fetch"] == 3 and counts["world_part"] == 4


def test_the_mini_study_fetches_nothing(bare):
    answer = bare.run("snakemake", "--cores", "2", "-n", "all")
    assert answer.returncode == 0 and "fetch" not in planned_jobs(answer.stdout + answer.stderr)


@pytest.mark.slow
def test_what_is_fetched_is_not_asked_for_again(bare):
    """Downloads are no outputs: Snakemake deletes those of a job that it runs again."""
    folder = bare.root / "data" / "paper" / "fetched"
    folder.mkdir(parents=True)
    for name in FETCHED:
        (folder / f"{name}.json").write_text("{}\n")
    (bare.root / "mirror.yaml").write_text("data: {mirrors: ['file:///elsewhere']}\n")
    counts = planned_jobs(dry(bare, "all", overlay="studies/paper.yaml mirror.yaml"))
    assert not {"fetch", "world_part"} & set(counts) and counts["report"] == 1
    shutil.rmtree(folder)


@pytest.mark.parametrize("study", ["paper", "clip"])
def test_nothing_of_the_mini_study_is_left_in_the_models(study):
    """Overlays inherit; what params.yaml tunes for its small world must not reach the real one."""
    chosen = params.load(PROJECT / "studies" / f"{study}.yaml", PROJECT / "params.yaml").models["gavs"]
    schedule = {"clips_per_step": 1, "weight_decay": 0.01, "loss_size": "original", "validation_frames": None}
    its_own = ("steps", "validate_every", "epochs", "patience", "frames_per_clip", "precision")
    free = {name: getattr(chosen.schedule, name) for name in its_own}
    assert chosen == params.Model(visual={"tune_from": 9}, schedule=schedule | free)


def test_real_studies_ask_for_nothing_that_only_the_generated_world_knows():
    selections = [name for setting in PAPER.settings.values() for name in (*setting.train, *setting.validate_on)]
    assert "v3/unseen_val" not in selections
    for experiment in PAPER.experiments.values():
        assert "all_objects" not in experiment.methods and not experiment.by_kind


def test_only_two_places_ask_where_things_come_from():
    rules = {path.name: path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk")}
    asking = {name: len(re.findall(r"data\.source", text)) for name, text in rules.items()}
    assert {name: count for name, count in asking.items() if count} == {"data.smk": 1}
    assert not any(word in text for text in rules.values() for word in ('"mini"', '"paper"', "== 'mini'", "== 'paper'"))
