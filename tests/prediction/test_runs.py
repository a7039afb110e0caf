"""The run that answers: the one that is named, or the best of the study, never one that has changed."""

import os
import shutil

import pytest

from soundprompt.errors import InputError
from soundprompt.files import read_json, write_json
from soundprompt.layout import Layout
from soundprompt.prediction import runs


def test_a_named_run(run_folder, project):
    found = runs.find(run_folder, "mini")
    validation = read_json(project.trained("v1s", "gavs", "0"))["runs"]["0"]["validation"]
    assert (found.view.model_name, found.seed, found.validation) == ("gavs", 0, validation)
    assert found.layout == Layout("tiny")  # the run's own study, whatever --study says
    assert str(found) == f"runs/tiny/v1s/gavs/seed0 (validation mIoU {100 * validation:.1f})"


def test_without_a_study_the_one_trained_last(project, run_folder):
    """Runs of a substudy count as their study's."""
    assert runs.find(None, None).folder == run_folder
    for study in ("other", "other.points"):
        shutil.copytree(project.runs, Layout(study).runs)
    for moment, study, wanted in (
        (1, "tiny", "tiny"),
        (2, "other", "other"),
        (3, "tiny", "tiny"),
        (4, "other.points", "other"),
    ):
        os.utime(Layout(study).trained("v1s", "gavs", "0"), (2e9 + moment, 2e9 + moment))
        assert runs.find(None, None).folder == Layout(wanted).run("v1s", "gavs", 0)


def test_gavs_before_others_then_the_best(project, other_run):
    best = other_run("v2", "gavs", 1, 0.7)
    other_run("v1s", "gavs-no_cue", 0, 0.9)
    other_run("v3", "gavs", 2, 0.65)
    assert runs.find(None, "tiny").folder == best
    (best / "checkpoint.safetensors").unlink()  # a list that outlived its run
    assert runs.find(None, "tiny").folder.parts[-3] == "v3"


def test_any_model_where_there_is_no_gavs(project, other_run):
    other_run("v1s", "audio_sam", 0, 0.3)
    best = other_run("v2", "audio_sam", 0, 0.4)
    shutil.rmtree(project.runs / "v1s" / "gavs")
    assert runs.find(None, "tiny").folder == best


def test_no_run_at_all(project):
    with pytest.raises(InputError, match=r"study mini has no trained model(.|\n)*make report STUDY=smoke"):
        runs.find(None, "mini")


def test_a_folder_that_is_no_run(project, tmp_path):
    with pytest.raises(InputError, match=r"lacks params.json and checkpoint.safetensors(.|\n)*seed0"):
        runs.find(tmp_path, "tiny")
    with pytest.raises(InputError, match="lacks params"):
        runs.find(tmp_path / "nowhere", "tiny")


def test_a_changed_checkpoint(project, other_run):
    folder = other_run("v2", "gavs", 0, 0.5)
    (folder / "checkpoint.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match="not the checkpoint that training wrote"):
        runs.find(folder, "tiny")


def test_a_run_that_was_copied_away_from_its_list(project, other_run, tmp_path):
    folder = other_run("v2", "gavs", 0, 0.5)
    alone = folder.rename(tmp_path / "given")
    found = runs.find(alone, "tiny")
    assert (found.expected, found.validation, str(found)) == (None, None, str(alone))


@pytest.mark.parametrize("spoil", [{"model": {"architecture": "clip"}}, {"seed": None}, {"extra": 1}])
def test_settings_of_another_version(project, other_run, spoil):
    folder = other_run("v2", "gavs", 0, 0.5)
    settings = read_json(folder / "params.json") | spoil
    write_json(folder / "params.json", {key: value for key, value in settings.items() if value is not None})
    with pytest.raises(InputError, match="not the settings of a run"):
        runs.find(folder, "tiny")


def test_a_damaged_list(project, other_run):
    other_run("v2", "gavs", 0, 0.5)
    write_json(project.trained("v2", "gavs", "0"), [1])
    with pytest.raises(InputError, match="not a list of trained runs"):
        runs.find(None, "tiny")
