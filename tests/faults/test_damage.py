"""A flipped byte or a cut in every kind of file: found before a parser sees it, and that very file is named."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import tiny_study
import torch

from soundprompt import files, records, verify
from soundprompt import params as p
from soundprompt.data import frame_table, leaks, ledger, media
from soundprompt.data.masks import Masks
from soundprompt.errors import InputError
from soundprompt.evaluation import floors, predict, run, summary
from soundprompt.features import plan
from soundprompt.features.store import Store
from soundprompt.foundation import sam, weights
from soundprompt.layout import Layout
from soundprompt.report import convergence, evidence
from soundprompt.report import tables as result_tables
from soundprompt.training import checkpoint

LAYOUT = Layout(tiny_study.STUDY)
RUN = LAYOUT.run("v1s", "gavs", 0)
VIEW = {"study": LAYOUT.study, "setting_name": "v1s", "setting": tiny_study.SETTINGS["v1s"]}


@pytest.fixture(scope="module")
def made(world, tmp_path_factory) -> Path:
    """Every kind of artifact, made by its own writer."""
    root = tmp_path_factory.mktemp("made") / "project"
    shutil.copytree(world, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        view = p.ScoreView(
            **VIEW, model_name="gavs", model=p.merge(tiny_study.GAVS, {}), data={}, evaluation={}, probes=("own",)
        )
        tiny_study.put_checkpoint(view, 0, LAYOUT, "v1s")
        run.score_pack(view, (0,), LAYOUT)
        floors.score(p.FloorsView(**VIEW, data={}, evaluation={}), LAYOUT)
        weights.conclude(LAYOUT.foundation("sam"), {}, {})
        book = ledger.Ledger("v1s")
        book.add("test", "v1s_0", "found")
        book.write(ledger.path(LAYOUT, "v1s"))
        for path, columns in ((leaks.path(LAYOUT), leaks.COLUMNS), (leaks.clips_path(LAYOUT), leaks.CLIP_COLUMNS)):
            with files.publish(path, recorded=True) as aside:
                pd.DataFrame([["v1s"] * len(columns)], columns=list(columns)).to_csv(aside, index=False)
        with files.publish(LAYOUT.result_table("mine"), recorded=True) as aside:
            row = dict.fromkeys(result_tables.COLUMNS, 1.5)
            pd.DataFrame([row]).to_csv(aside, index=False)
        _training(RUN)
    return root


def _training(folder: Path) -> None:
    """What training leaves besides the checkpoint."""
    (folder / "metrics.csv").write_text("step,validation\n1,0.1\n2,0.4\n")
    result = {"validation": 0.4, "validation_floor": 0.1, "best_step": 2, "steps": 2}
    known = records.of_files(folder, ["checkpoint.safetensors", "metrics.csv"])
    files.write_sealed(folder / "provenance.json", {"key": "k", "result": result, **known})
    checkpoint.save_resume(folder / "resume.pt", "k", {"step": 1, "weights": torch.arange(400.0)})


def _mask() -> tuple[str, str]:
    row = frame_table.read(LAYOUT.table("v1s")).iloc[0]
    return row["mask"], row["mask_digest"]


# kind of file -> (where one is, who reads it); both are asked in the study's folder
KINDS: dict[str, tuple[Callable[[], Path | str], Callable[[Path], object]]] = {
    "frame table": (lambda: LAYOUT.table("v1s"), frame_table.read),
    "ledger": (lambda: ledger.path(LAYOUT, "v1s"), lambda path: ledger.read([path])),
    "leaks": (lambda: leaks.path(LAYOUT), lambda _: leaks.read(LAYOUT)),
    "shared clips": (lambda: leaks.clips_path(LAYOUT), lambda _: leaks.read_clips(LAYOUT, "v1s")),
    "mask": (lambda: _mask()[0], lambda path: media.read_mask(path, digest=_mask()[1])),
    "packed masks": (lambda: LAYOUT.masks("v1s"), Masks),
    "weights": (lambda: LAYOUT.foundation("sam"), sam.load),
    "what weights are worth": (lambda: LAYOUT.foundation_quality("sam"), files.read_json),
    "plan of pictures": (lambda: LAYOUT.visual_plan, lambda _: plan.read(LAYOUT)),
    "shard of features": (lambda: LAYOUT.visual_shard(0), lambda path: Store(path).verify()),
    "features of sounds": (lambda: LAYOUT.audio_features, lambda path: Store(path).verify()),
    "checkpoint": (
        lambda: RUN / checkpoint.NAME,
        lambda _: checkpoint.trained_digest(LAYOUT, "v1s", "gavs", 0),
    ),
    "list of trained runs": (lambda: LAYOUT.trained("v1s", "gavs", "0"), files.read_json),
    "provenance": (lambda: RUN / "provenance.json", lambda path: convergence.read(path.parent)),
    "metrics": (lambda: RUN / "metrics.csv", lambda path: convergence.read(path.parent)),
    "scores": (lambda: RUN / run.SCORES, evidence.read),
    "scores, on the terminal": (
        lambda: RUN / run.SCORES,
        lambda path: summary.overview([path], LAYOUT.floors("v1s")),
    ),
    "predictions": (lambda: RUN / run.PREDICTIONS, lambda path: predict.read_predictions(path, "v1s/test")),
    "scores of floors": (lambda: LAYOUT.floors("v1s"), evidence.read),
    "result table": (lambda: LAYOUT.result_table("mine"), result_tables.read),
}
SEALED_BY_HAND = {"list of trained runs"}  # tiny_study writes it without a check sum


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SEALED_BY_HAND])
def test_damage_is_found_and_its_file_named(made, monkeypatch, n, kind):
    monkeypatch.chdir(made)
    place, read = KINDS[kind]
    path = Path(place())
    good, rng = path.read_bytes(), random.Random(kind)
    read(path)
    try:
        for trial in range(4 * n):
            path.write_bytes(_cut(good, rng) if trial % 4 == 3 else _flipped(good, rng))
            _tell_time(path, trial)
            with pytest.raises(InputError) as caught:
                read(path)
            assert Path(caught.value.path) == path
            assert caught.value.remedy and str(path) in str(caught.value)
    finally:
        path.write_bytes(good)
        _tell_time(path, -1)
    read(path)


def test_a_damaged_state_of_an_unfinished_run_is_not_gone_on_from(made, monkeypatch, n):
    monkeypatch.chdir(made)
    path, rng = RUN / "resume.pt", random.Random(0)
    good = path.read_bytes()
    for trial in range(4 * n):
        path.write_bytes(_cut(good, rng) if trial % 4 == 3 else _flipped(good, rng))
        state, why = checkpoint.load_resume(path, "k")
        assert state is None and str(path) in why
    path.write_bytes(good)
    assert checkpoint.load_resume(path, "k")[0]["step"] == 1


def test_verify_finds_each_and_nothing_else(made, monkeypatch):
    monkeypatch.chdir(made)
    paths = {Path(place()) for kind, (place, _) in KINDS.items() if kind not in SEALED_BY_HAND}
    before = _verified()
    assert not [found for found in before if found.kind != "unrecorded"]
    for number, path in enumerate(sorted(paths)):
        good = path.read_bytes()
        path.write_bytes(_flipped(good, random.Random(number)))
        try:
            assert path in {found.path for found in _verified() if found.kind == "differs"}
        finally:
            path.write_bytes(good)
            _tell_time(path, 0)
    lost = RUN / run.PREDICTIONS
    content = lost.read_bytes()
    lost.unlink()
    try:
        assert [found.path for found in _verified() if found.kind == "missing"] == [lost]
    finally:
        lost.write_bytes(content)
    assert _verified() == before


def test_verify_on_the_command_line(made, monkeypatch):
    monkeypatch.chdir(made)
    project = Path(__file__).parents[2]
    shutil.copy(project / "params.yaml", ".")
    shutil.copytree(project / "experiments", "experiments", dirs_exist_ok=True)
    Path("studies").mkdir(exist_ok=True)
    Path("studies/tiny.yaml").write_text("study: tiny\n")
    call = [sys.executable, "-m", "soundprompt", "verify", "--study", "tiny"]
    good = subprocess.run(call, capture_output=True, text=True, check=False)
    assert good.returncode == 0 and "artifacts are as recorded" in good.stdout, good.stdout + good.stderr
    path = RUN / run.SCORES
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    try:
        bad = subprocess.run(call, capture_output=True, text=True, check=False)
    finally:
        path.write_bytes(content)
        _tell_time(path, 0)
    assert bad.returncode == 1 and f"differs: {path}" in bad.stdout and "remedy: delete" in bad.stderr


def _verified() -> list[verify.Trouble]:
    return verify.run(LAYOUT.study, [LAYOUT])[1]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(content)
    damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _tell_time(path: Path, trial: int) -> None:
    """A file written twice in one tick of the clock must not pass for the same."""
    now = path.stat().st_mtime_ns
    os.utime(path, ns=(now, now + 1000 * (trial + 2)))
