"""A trained model on another machine: all that goes with it, and what is said when something does not fit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import hub_server
import numpy as np
import pandas as pd
import pytest
import torch
from encoders import save_encoders
from films import RATE, picture, wave, write_film

import soundprompt
from soundprompt import models, params
from soundprompt.errors import InputError
from soundprompt.evaluation.scores import COLUMNS
from soundprompt.files import digest_file, read_json, write_json
from soundprompt.layout import Layout
from soundprompt.prediction import export, onnx_graphs, runs

PLAIN = {
    *("README.md", "LICENSE", "config.json", "preprocessor_config.json"),
    *("model.safetensors", "metrics.json", "provenance.json"),
}


@pytest.fixture
def said(run_folder) -> np.ndarray:
    """What the run answers where it was trained."""
    return soundprompt.load(run_folder).segment([picture(0), picture(1)], wave(2), RATE)


@pytest.fixture
def elsewhere(tmp_path_factory, monkeypatch):
    """Goes to a machine without the study: elsewhere(folder) copies one there and returns where it is."""

    def go(folder: Path) -> Path:
        there = tmp_path_factory.mktemp("elsewhere")
        monkeypatch.chdir(there)
        return Path(shutil.copytree(folder, there / "given"))

    return go


@pytest.fixture
def exported(run_folder, tmp_path) -> Path:
    return Path(export.run(run_folder, str(tmp_path / "out" / "gavs")))


@pytest.fixture
def whole(run_folder, tmp_path) -> Path:
    return Path(export.run(run_folder, str(tmp_path / "out" / "whole"), whole=True))


def answer(place) -> np.ndarray:
    return soundprompt.load(place).segment([picture(0), picture(1)], wave(2), RATE)


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_whole_it_needs_nothing_else(whole, said, elsewhere):
    assert names(whole) == PLAIN | {"foundation/sam.safetensors", "foundation/audio.safetensors"}
    np.testing.assert_array_equal(answer(elsewhere(whole)), said)


def test_its_foundation_is_found_by_digest_in_any_study(exported, said, project, elsewhere):
    assert names(exported) == PLAIN
    weights = {name: project.foundation(name).read_bytes() for name in ("sam", "audio")}
    folder = elsewhere(exported)
    with pytest.raises(InputError, match=r"the frozen sam \(mini\) that the model stands on, sha256") as caught:
        soundprompt.load(folder)
    assert "--whole" in caught.value.remedy and "weights/" in caught.value.remedy
    save_encoders(Layout("another"), seed=7)
    with pytest.raises(InputError, match="frozen sam"):
        soundprompt.load(folder)
    for name, content in weights.items():
        path = Layout("theirs").foundation(name)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    np.testing.assert_array_equal(answer(folder), said)


def test_predict_takes_it(whole, elsewhere):
    film, folder = write_film(Path("in.mp4").absolute(), 1), elsewhere(whole)
    command = [sys.executable, "-m", "soundprompt", "predict", film, "--model", "given", "--out", "o.mp4"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"model: given (validation mIoU {100 * read_json(folder / 'config.json')['validation']:.1f})" in done.stderr
    assert Path("o.mp4").exists() and Path("o.masks/00000.png").exists()


def test_an_export_can_be_exported(exported, whole, said, elsewhere, tmp_path):
    again = export.run(exported, str(tmp_path / "again"), whole=True)
    assert {path: (whole / path).read_bytes() for path in names(whole)} == {
        path: (Path(again) / path).read_bytes() for path in names(Path(again))
    }
    lean = export.run(whole, str(tmp_path / "lean"))
    assert {path: (exported / path).read_bytes() for path in names(exported)} == {
        path: (Path(lean) / path).read_bytes() for path in names(Path(lean))
    }
    export.run(whole, str(exported))  # an earlier export is replaced


def spoil(folder: Path, name: str, **changes) -> None:
    write_json(folder / name, read_json(folder / name) | changes)


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: the trained weights are missing"),
        (lambda f: alter(f / "model.safetensors"), r"model.safetensors: is not what was exported: its sha256"),
        (lambda f: alter(f / "foundation/sam.safetensors"), r"sam.safetensors: is not what was exported: its sha256"),
        (lambda f: alter(f / "foundation/audio.safetensors"), r"audio.safetensors: is not what was exported"),
        (lambda f: spoil(f, "config.json", format=2), r"written in format 2, by soundprompt 0.1.0; this version reads"),
        (lambda f: spoil(f, "config.json", library_name="diffusers"), "not a model of soundprompt"),
        (lambda f: spoil(f, "config.json", sha256="abc"), "config.json: sha256: "),
        (lambda f: spoil(f, "config.json", foundation={}), "config.json: does not name the frozen"),
        (lambda f: spoil(f, "config.json", settings={"seed": 0}), "config.json: not the settings of a run"),
        (lambda f: spoil(f, "preprocessor_config.json", transforms={"visual": "2"}), "were prepared otherwise"),
        (lambda f: (f / "config.json").write_text("{"), "config.json: not valid JSON"),
    ],
)
def test_what_does_not_fit_is_named(whole, elsewhere, mistake, words):
    folder = elsewhere(whole)
    mistake(folder)
    with pytest.raises(InputError, match=words) as caught:
        soundprompt.load(folder)
    assert caught.value.remedy


def alter(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_nothing_of_the_users_is_replaced(run_folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="folder with other things in it"):
        export.run(run_folder, str(tmp_path / "mine"))
    with pytest.raises(InputError, match="is a file"):
        export.run(run_folder, str(tmp_path / "mine" / "notes.txt"))
    alter(tmp_path / run_folder / "checkpoint.safetensors")
    with pytest.raises(InputError, match="not the checkpoint that training wrote"):
        export.run(run_folder, str(tmp_path / "new"))
    assert not (tmp_path / "new").exists() and names(tmp_path / "mine") == {"notes.txt"}


def test_config_and_provenance_say_what_it_is(exported, run_folder, project):
    config = read_json(exported / "config.json")
    assert config["architectures"] == ["gavs"] and config["soundprompt_version"] == soundprompt.__version__
    assert config["settings"] == read_json(run_folder / "params.json")
    assert config["sha256"] == digest_file(run_folder / "checkpoint.safetensors")
    for name in ("sam", "audio"):
        assert config["foundation"][name]["sha256"] == digest_file(project.foundation(name))
    origin = read_json(exported / "provenance.json")
    assert origin["training"] == read_json(run_folder / "provenance.json") and set(origin["foundation"]) >= {"sam"}
    assert (exported / "LICENSE").read_text().startswith("MIT License")


def test_the_card_is_written_from_the_results(run_folder, tmp_path):
    from huggingface_hub import ModelCard

    rows = [
        {"method": method, "clip": clip, "metric": metric, "value": value}
        for method, clip, metric, value in (
            ("gavs", "a", "miou", 0.5),
            ("gavs", "b", "miou", 0.75),
            ("gavs@off_screen", "a", "alarm", 1.0),
            ("gavs@off_screen", "b", "alarm", 0.0),
        )
    ]
    same = {"selection": "v1s/test", "seed": 0, "class_name": "c", "kind": "", "n_sources": 1, "frame": 0}
    scores = pd.DataFrame([{**same, "video": row["clip"], **row} for row in rows])[COLUMNS]
    scores.to_parquet(run_folder / "scores.parquet")
    folder = Path(export.run(run_folder, str(tmp_path / "out")))
    card = ModelCard.load(folder / "README.md")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("miou", 0.625)
    assert result.dataset_name == "V1S, test (generated world)" and card.data.license == "mit"
    assert "| V1S, test | its own sound | 62.5 |" in card.text
    assert "in 50 % of the frames" in card.text and "only met a generated world" in card.text
    assert {"selection": "v1s/test", "method": "gavs", "metric": "miou", "value": 0.625, "n_clips": 2} in read_json(
        folder / "metrics.json"
    )["scores"]


def test_a_card_without_scores_says_so(exported):
    assert "It was not scored on a test." in (exported / "README.md").read_text()


# ------------------------------------------------------------------------------------ the Hub
@pytest.fixture
def hub(tmp_path):
    """A Hub on loopback, and Python in a process that knows it: hub.call(*arguments, token=...)."""
    with hub_server.serving() as server:

        def call(*arguments, token=hub_server.TOKEN, home="home", **options):
            settings = {"HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path / home), "HF_TOKEN": token}
            settings |= {"HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "127.0.0.1"}
            command = [sys.executable, *map(str, arguments)]
            return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **settings}, **options)

        server.call = call
        yield server


ASK = """
import json, sys, soundprompt
for place in sys.argv[1:]:
    try:
        print(json.dumps(str(soundprompt.load(place).run.folder)))
    except soundprompt.errors.InputError as error:
        print(json.dumps(str(error)))
"""


@pytest.mark.slow
def test_to_the_hub_and_back(hub, whole, said, elsewhere):
    sent = hub.call("-m", "soundprompt", "export", whole, "hf://someone/gavs-v1s", "--whole")
    assert sent.returncode == 0, sent.stderr
    assert f"{hub.address}/someone/gavs-v1s" in sent.stdout
    (sha,) = hub.commits["someone/gavs-v1s"]
    assert hub.commits["someone/gavs-v1s"][sha] == {path: (whole / path).read_bytes() for path in names(whole)}
    hub.commit("someone/broken", {**hub.commits["someone/gavs-v1s"][sha], "model.safetensors": b"other"})
    hub.commit("someone/other", {"config.json": b"{}", "README.md": b""})
    hub.commit("someone/empty", {"README.md": b""})
    elsewhere(whole)
    places = [f"hf://someone/{name}" for name in ("gavs-v1s", f"gavs-v1s@{sha}", "broken", "other", "empty", "none")]
    fetched = hub.call("-c", ASK, *places, "hf://someone/gavs-v1s@later", "hf://someone", "hf://")
    assert fetched.returncode == 0, fetched.stderr
    first, pinned, broken, other, empty, none, later, *malformed = map(json.loads, fetched.stdout.splitlines())
    assert first == pinned and first.endswith(sha)
    np.testing.assert_array_equal(answer(first), said)
    assert "is not what was exported" in broken and "not a model of soundprompt" in other
    assert "lacks params.json" in empty
    assert "hf://someone/none: " in none and "remedy:" in none
    assert "hf://someone/gavs-v1s@later: " in later
    assert all("is no place on the Hub" in words for words in malformed)


def test_a_hub_that_refuses_or_is_not_there(hub, exported):
    refused = hub.call("-m", "soundprompt", "export", exported, "hf://someone/gavs", token="hf_wrong")
    assert refused.returncode == 1 and "Traceback" not in refused.stderr
    assert "hf://someone/gavs: " in refused.stderr and "hf auth login" in refused.stderr
    assert hub.commits == {}
    hub.server_close()
    gone = hub.call("-c", ASK, "hf://someone/gavs", home="another", timeout=120)
    assert "hf://someone/gavs: " in gone.stdout and "remedy: check the name and the network" in gone.stdout


def test_a_run_is_known_from_an_export(exported, run_folder):
    assert type(runs.opened(exported)) is not type(runs.opened(run_folder))


# -------------------------------------------------------------------------------------- ONNX
@pytest.mark.slow
def test_onnx_graphs_say_the_same(run_folder, tmp_path):
    """On pictures and sound of a film, prepared as for torch, and for other numbers of frames than were traced."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")
    folder = Path(export.run(run_folder, str(tmp_path / "out"), onnx=True))
    assert names(folder) == PLAIN | {"onnx/whole.onnx", "onnx/from_features.onnx"}
    model = soundprompt.load(run_folder, device="cpu")
    pictures = [picture(second) for second in range(3)]
    heard = torch.cat([model.audio.examples(wave(second + 1)[-RATE:]) for second in range(3)])
    wanted = torch.sigmoid(model.logits(pictures, model.audio.embed(heard))).numpy()
    assert np.ptp(wanted) > 1e-3
    pixels, valid = model.encoder.preprocess(pictures), model.encoder.valid_cells([one.shape[:2] for one in pictures])
    tap = model.model.tap
    inputs = {
        "whole": {"pixels": pixels, "log_mel": heard},
        "from_features": {"visual": model.encoder.prefix(pixels, [tap])[tap], "audio": model.audio.embed(heard)},
    }
    for name, given in inputs.items():
        session = onnxruntime.InferenceSession(folder / "onnx" / f"{name}.onnx", providers=["CPUExecutionProvider"])
        arrays = {key: value.numpy() for key, value in {**given, "valid": valid}.items()}
        (logits,) = session.run(None, arrays)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), wanted, atol=1e-4, err_msg=name)


GRAPHS = {
    "gavs with a presence score": {"presence": {"enabled": True}, "schedule": {"negatives": 0.3}},
    "sam_fusion": {
        "architecture": "sam_fusion",
        "decoder": "full",
        "cola": {"enabled": False},
        "triplet": {"weight": 0},
    },
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_onnx_graphs_of_other_models_say_what_torch_says(run_folder, tmp_path, monkeypatch, kind):
    """Untrained ones. They agree within 1e-4, or none are written."""
    pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
    pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")
    listener = soundprompt.load(run_folder, device="cpu")
    settings = params.merge(listener.run.view.model.model_dump(), GRAPHS[kind])
    listener.model = models.build(params.Model.model_validate(settings), listener.encoder, 0).eval()
    onnx_graphs.write(listener, tmp_path / "onnx")
    assert {file.name for file in (tmp_path / "onnx").iterdir()} == {"whole.onnx", "from_features.onnx"}
    monkeypatch.setattr(onnx_graphs, "AGREEMENT", 0.0)
    with pytest.raises(InputError, match="onnxruntime's probabilities are up to"):
        onnx_graphs.write(listener, tmp_path / "strict")


def test_onnx_without_its_packages(run_folder, tmp_path, monkeypatch):
    for package in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=r"--onnx: needs onnx(.|\n)*soundprompt\[onnx\]"):
        export.run(run_folder, str(tmp_path / "out"), onnx=True)
    assert not (tmp_path / "out").exists()
