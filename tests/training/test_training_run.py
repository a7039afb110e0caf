"""Whole runs of a tiny study: what they write, keep, resume and refuse."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from project_copy import PROJECT
from soundprompt import models, provenance
from soundprompt import params as p
from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.features import extract, frames, store
from soundprompt.files import digest_file, read_json
from soundprompt.foundation import sam as sam_models
from soundprompt.training import checkpoint, run


def entry(layout, setting="v1s", model="gavs", seed=0, pack="0"):
    return read_json(layout.trained(setting, model, pack))["runs"][str(seed)]


def share_that_sounds(path):
    return (np.asarray(Image.open(path)) > 0).mean()


def test_pack_writes_checkpoints_metrics_and_provenance(tiny, view, float32_is_kept):
    run.train_pack(view(), (0, 1), tiny)
    assert float32_is_kept()
    first, second = (entry(tiny, seed=seed, pack="0-1") for seed in (0, 1))
    folder = tiny.run("v1s", "gavs", 0)
    assert digest_file(folder / "checkpoint.safetensors") == first["checkpoint"] != second["checkpoint"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.safetensors",
        "metrics.csv",
        "params.json",
        "provenance.json",
    ]
    metrics = pd.read_csv(folder / "metrics.csv")
    assert metrics["step"].tolist() == list(range(1, 9))
    assert metrics["validation"].notna().to_numpy().nonzero()[0].tolist() == [2, 5, 7]
    scores = metrics[["v1s/val", "v2/val"]].mean(axis=1)
    assert scores.max() == pytest.approx(first["validation"], abs=1e-5)
    assert metrics["step"][scores.idxmax()] == first["best_step"]
    shares = [frame_table.select(tiny, [name])["mask"].map(share_that_sounds).mean() for name in ("v1s/val", "v2/val")]
    assert first["validation_floor"] == pytest.approx(sum(shares) / 2) and 0.02 < first["validation_floor"] < 0.1
    model = models.build(view().model, sam_models.load(tiny.foundation("sam")), 0)
    facts = checkpoint.load_into(model, folder / "checkpoint.safetensors", first["checkpoint"])
    assert facts["seed"] == 0 and facts["step"] == first["best_step"]
    assert set(load_file(folder / "checkpoint.safetensors")) == set(model.trained_parameters())
    assert first["trained_parameters"] == sum(p.numel() for p in model.trained_parameters().values())


def test_how_long_it_waited_is_on_record(tiny, view, monkeypatch):
    """For each batch of training and validation, and nothing else."""
    monkeypatch.setattr(time, "perf_counter", iter(range(10**6)).__next__)  # a second passes whenever somebody looks
    run.train_pack(view(), (0,), tiny)
    record = read_json(tiny.run("v1s", "gavs", 0) / "provenance.json")
    schedule = view().model.schedule
    batches = -(-9 // (2 * schedule.clips_per_step * schedule.frames_per_clip))  # of the 9 frames of a selection
    assert record["waiting_s"] == 8 + 3 * 2 * (batches + 1) < record["training_s"]  # a look at the end of each, too


def test_training_learns_which_square_sounds(tiny, view):
    schedule = {"steps": 70, "validate_every": 70, "clips_per_step": 9, "learning_rate": 1e-2, "warmup": 5}
    fusion = {"architecture": "sam_fusion", "fusion": {"decoder": "scratch", "width": 32}, "cola": {"enabled": False}}
    visual = {"tune_from": 2, "dim": 32, "tune_neck": True}
    run.train_pack(view(**fusion, visual=visual, triplet={"weight": 0}, schedule=schedule), (0,), tiny)
    metrics = pd.read_csv(tiny.run("v1s", "gavs", 0) / "metrics.csv")
    assert metrics["mask"].tail(5).mean() < 0.2  # the share of sounding pixels alone gives 0.32
    assert metrics["triplet"].isna().all()


def test_finished_runs_are_kept_and_stale_or_damaged_ones_redone(tiny, view):
    run.train_pack(view(), (0,), tiny)
    path = tiny.run("v1s", "gavs", 0) / "checkpoint.safetensors"
    before, result = path.stat().st_mtime_ns, entry(tiny)
    run.train_pack(view(), (0,), tiny)
    assert path.stat().st_mtime_ns == before
    path.write_bytes(path.read_bytes()[:-1])
    run.train_pack(view(), (0,), tiny)
    assert entry(tiny) == result and digest_file(path) == result["checkpoint"]
    run.train_pack(view(triplet={"weight": 0}), (0,), tiny)
    assert entry(tiny)["checkpoint"] != result["checkpoint"]


def test_few_shot_starts_from_the_trained_model_of_the_same_seed(tiny, view):
    run.train_pack(view(), (0, 1), tiny)
    run.train_pack(view("shots"), (1,), tiny)
    metrics = pd.read_csv(tiny.run("shots", "gavs", 1) / "metrics.csv")
    assert metrics["step"].tolist() == list(range(7))  # the start, then 3 epochs of 2 steps
    start = pd.read_csv(tiny.run("v1s", "gavs", 1) / "metrics.csv").set_index("step")
    best = entry(tiny, seed=1, pack="0-1")["best_step"]
    assert metrics["validation"][0] == pytest.approx(start["v2/val"][best], abs=1e-5)
    origin = read_json(tiny.run("shots", "gavs", 1) / "provenance.json")
    assert origin["inputs"]["start"] == entry(tiny, seed=1, pack="0-1")["checkpoint"]


def test_few_shot_keeps_its_starting_point_when_nothing_is_better(tiny, view):
    run.train_pack(view(), (0,), tiny)
    run.train_pack(view("shots", schedule={"shot_learning_rate": 1e-12}), (0,), tiny)
    result = entry(tiny, "shots")
    assert result["start_kept"] and result["best_step"] == 0
    ours, theirs = (load_file(tiny.run(s, "gavs", 0) / "checkpoint.safetensors") for s in ("shots", "v1s"))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_few_shot_refuses_a_start_that_training_did_not_write(tiny, view):
    with pytest.raises(InputError, match="no trained model"):
        run.train_pack(view("shots"), (0,), tiny)
    run.train_pack(view(), (0,), tiny)
    path = tiny.run("v1s", "gavs", 0) / "checkpoint.safetensors"
    tensors = {name: tensor + 1 for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    with pytest.raises(InputError, match="not the checkpoint that training wrote"):
        run.train_pack(view("shots"), (0,), tiny)


def test_loss_that_is_not_finite_stops_with_step_and_clips(tiny, view):
    data = run.PackData(view(), tiny)
    data.train.audio[:] = float("nan")
    trainer = run.Run(view(), 0, tiny, data).trainer()
    with pytest.raises(
        InputError,
        match=r"v1s/gavs seed 0: the loss at step 1 is not finite \(NaN\); clips: v1s_train_\d, v1s_train_\d",
    ):
        trainer.advance()


def loud(layout, clip, value):
    """Puts another number into the cached sound of a clip's second 0, in a file of this test's own."""
    cache = store.Store(layout.audio_features)
    rows, recipe = cache.rows, cache.recipe
    values = cache.read(extract.SOUND, rows)
    tables = pd.concat([pd.read_parquet(layout.table(name)) for name in ("v1s", "v2")])
    digest = tables[tables["clip"] == clip]["audio_digest"].iloc[0]
    values[rows.index(extract.sound_row(digest, 0)), 5] = value
    features, real = Path("features"), Path("features").resolve()
    features.unlink()
    shutil.copytree(real, features)
    store.write(layout.audio_features, recipe, rows, {extract.SOUND: values})


@pytest.mark.parametrize("processes", [1, 2])
def test_an_answer_in_validation_that_is_not_finite_stops_the_run(tiny, view, capfd, processes):
    """The sound is a finite number, what the model makes of it is not; training never sees that clip."""
    loud(tiny, "v2_val_1", 3e38)
    with pytest.raises(
        InputError,
        match=r"v1s/gavs seed 0: validation on v2/val after step 3: logits are not finite \((NaN|infinite)\)",
    ) as caught:
        run.train_pack(view(), (0,), tiny, processes)
    assert "v2_val_1" in str(caught.value) + capfd.readouterr().err
    folder = tiny.run("v1s", "gavs", 0)
    assert not (folder / "checkpoint.safetensors").exists() and not tiny.trained("v1s", "gavs", "0").exists()


def test_a_start_that_answers_nan_stops_the_few_shot_run(tiny, view):
    run.train_pack(view(), (0,), tiny)
    loud(tiny, "v2_val_2", 3e38)
    for path in tiny.runs.glob("v1s/gavs/seed0/provenance.json"):
        path.unlink()  # nobody asks again how it was trained
    with pytest.raises(InputError, match=r"shots/gavs seed 0: validation on v2/val after step 0: .*clips: v2_val_2"):
        run.train_pack(view("shots"), (0,), tiny)
    assert not tiny.trained("shots", "gavs", "0").exists()


@pytest.mark.parametrize(("clip", "value"), [("v1s_train_2", float("nan")), ("v1s_val_0", float("inf"))])
def test_cached_sounds_that_are_not_finite_are_named(tiny, view, clip, value):
    loud(tiny, clip, value)
    with pytest.raises(InputError, match=r"embedding of \w+/0 is not finite") as caught:
        run.train_pack(view(), (0,), tiny)
    assert caught.value.path == tiny.audio_features


def test_the_command_line_says_it_in_one_line(tiny, view):
    loud(tiny, "v2_val_1", 3e38)
    done = subprocess.run(command(view(), "0"), capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "after step 3: logits are not finite" in done.stderr and "remedy:" in done.stderr


def command(view, seeds):
    """`soundprompt train` as the workflow calls it, on a study that holds this setting and this model alone."""
    settings, models = {view.setting_name: view.setting}, {view.model_name: view.model}
    changed = {"study": view.study, "data": p.Data(), "settings": settings, "models": models, "experiments": {}}
    whole = p.load(base=PROJECT / "params.yaml").model_copy(update=changed)
    assert p.train_view(whole, view.setting_name, view.model_name) == view
    verb = ["train", "--settings", str(p.write(whole).resolve()), "--study", view.study]
    names = ["--setting", view.setting_name, "--model", view.model_name, "--seeds", seeds]
    return [sys.executable, "-m", "soundprompt", *verb, *names]


# ------------------------------------------------------------------------------- killed
def start(settings, cwd: Path, workers: int = 0) -> subprocess.Popen:
    """`soundprompt train` in a process of its own, as the workflow starts it.

    workers: that read ahead, from disk: the tiny study's features would fit in memory.
    """
    python, _, _, *verb = command(settings, "0-1")
    limit = f"frames.IN_MEMORY = {0 if workers else frames.IN_MEMORY}"
    program = f"from soundprompt import cli; from soundprompt.features import frames; {limit}; cli.main()"
    call = [python, "-c", program, *verb, "--workers", str(workers)]
    return subprocess.Popen(call, cwd=cwd, stderr=subprocess.PIPE, text=True)


def wait_for_step(folder: Path, step: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and process.poll() is None:
        path = folder / "metrics.csv"
        if path.exists() and path.read_bytes().count(b"\n") > step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} was not reached: {process.communicate()[1]}")


@pytest.mark.parametrize("workers", [(0, 0), pytest.param((4, 1), marks=pytest.mark.slow)])
@pytest.mark.parametrize(("how", "step"), [(signal.SIGKILL, 14), (signal.SIGTERM, 8)])
def test_killed_runs_resume_to_the_same_bits(tiny, view, tiny_files, tmp_path, how, step, workers):
    """However many threads read ahead, before and after."""
    settings = view(schedule={"steps": 30, "validate_every": 5, "patience": 100}, sap={"noise": "gaussian_additive"})
    run.train_pack(settings, (0, 1), tiny)
    (tmp_path / "killed").mkdir()
    for name in ("data", "weights", "features"):
        (tmp_path / "killed" / name).symlink_to(tiny_files / name)
    folder = tmp_path / "killed" / tiny.run("v1s", "gavs", 1)
    process = start(settings, tmp_path / "killed", workers[0])
    wait_for_step(folder, step, process)
    os.kill(process.pid, how)
    error = process.communicate()[1]
    assert process.returncode == (75 if how == signal.SIGTERM else -9), error
    assert not (folder / "checkpoint.safetensors").exists()
    assert (folder / "resume.pt").exists()
    process = start(settings, tmp_path / "killed", workers[1])
    error = process.communicate()[1]
    assert process.returncode == 0, error
    assert "seed 1: going on after step" in error
    for seed in (0, 1):
        ours, theirs = tmp_path / "killed" / tiny.run("v1s", "gavs", seed), tiny.run("v1s", "gavs", seed)
        for name in ("checkpoint.safetensors", "metrics.csv"):
            assert (ours / name).read_bytes() == (theirs / name).read_bytes(), name
    assert not list((tmp_path / "killed" / "runs").rglob("resume.pt"))


def test_damaged_or_foreign_resume_state_is_not_used(tiny, view, capsys):
    run.train_pack(view(), (0,), tiny)
    folder, result = tiny.run("v1s", "gavs", 0), entry(tiny)
    metrics = (folder / "metrics.csv").read_bytes()
    for content in (b"not a file of torch", b""):
        (folder / "provenance.json").unlink()
        (folder / "resume.pt").write_bytes(content)
        run.train_pack(view(), (0,), tiny)
        assert entry(tiny) == result and (folder / "metrics.csv").read_bytes() == metrics
        assert "starting from the beginning" in capsys.readouterr().err


def test_key_names_what_a_run_depends_on(tiny, view):
    data = run.PackData(view(), tiny)
    assert set(data.digests) == {"table v1s", "table v2", "sam", "visual features", "audio features"}
    key = run.Run(view(), 0, tiny, data).key
    assert key == provenance.key("train", run.read_by_training(view()), 0, data.digests)
    retested = view().setting.model_copy(update={"test": ("v2/val",)})
    assert key == run.Run(view().model_copy(update={"setting": retested}), 0, tiny, data).key
    claimed = view().setting.model_copy(update={"unseen": True})
    assert key == run.Run(view().model_copy(update={"setting": claimed}), 0, tiny, data).key
    assert key != run.Run(view(mute=True, triplet={"weight": 0}), 0, tiny, data).key
    assert key != run.Run(view(), 1, tiny, data).key


def test_a_share_of_the_clips_is_the_same_for_every_seed_and_on_record(tiny, view):
    whole = view()
    half = whole.model_copy(update={"setting": whole.setting.model_copy(update={"share": 0.34})})
    run.train_pack(half, (0, 1), tiny)
    for seed in (0, 1):
        result = entry(tiny, seed=seed, pack="0-1")
        # of 9 clips 3, one of each colour; v1s training clips have one mask each
        assert (result["train_clips"], result["train_frames"], result["validation_frames"]) == (3, 3, 18)
    rows = run.PackData(half, tiny).train.rows
    assert rows.groupby("class_name")["clip"].nunique().to_dict() == {"red": 1, "green": 1, "blue": 1}
    assert set(rows["clip"]) < set(run.PackData(whole, tiny).train.rows["clip"])
    data = run.PackData(half, tiny)
    assert run.Run(half, 0, tiny, data).key != run.Run(whole, 0, tiny, data).key


def test_validation_frames_are_spread_evenly():
    rows = pd.DataFrame({"frame": range(100)})
    assert run.spread(rows, None) is rows and run.spread(rows, 100) is rows
    chosen = run.spread(rows, 4)["frame"].tolist()
    assert chosen == [0, 33, 66, 99]
