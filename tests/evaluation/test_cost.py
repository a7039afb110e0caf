"""What a frame costs: measured for real with small untrained models, and counted by hand where that is possible."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.evaluation import cost, flops
from soundprompt.files import read_json
from soundprompt.foundation import audio as audio_models
from soundprompt.foundation import pyramid
from soundprompt.foundation import sam as sam_models
from soundprompt.foundation.sam import count_parameters
from soundprompt.layout import Layout

ROOT = Path(__file__).parents[2]
SIDE = 64
GAVS = {"visual": {"tune_from": 2, "dim": 8}, "cola": {"dim": 8}, "sap": {"hidden": 32}}
MODELS = {
    "audio_sam": p.merge(
        GAVS,
        {
            "sap": {"visual_cue": False, "noise": "off"},
            "cola": {"enabled": False},
            "visual": {"tune_from": None},
            "triplet": {"weight": 0},
        },
    ),
    "gavs": GAVS,
}
FOUNDATION = ((pyramid, "pyramid"), (audio_models, "audio"))
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder with untrained foundation models."""
    root = tmp_path_factory.mktemp("costs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        layout = Layout("tiny")
        torch.manual_seed(0)
        sam_models.save(sam_models.build("mini", SIDE), p.Sam(image_size=SIDE), layout.foundation("sam"))
        audio_models.save(audio_models.MiniVggish(), p.Audio(), layout.foundation("audio"))
    return root


@pytest.fixture
def view() -> p.CostView:
    return p.CostView(study="tiny", models=MODELS, picture=(48, 80), cost={"rounds": 2, "seconds": 1})


@pytest.fixture(scope="module")
def viewers(project):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        layout = Layout("tiny")
        sam, audio = sam_models.load(layout.foundation("sam")), audio_models.load(layout.foundation("audio"))
        return {name: cost.Viewer(p.Model(**model), sam, audio, (48, 80)) for name, model in MODELS.items()}


def test_every_model_has_every_figure(project, view, monkeypatch, float32_is_kept):
    monkeypatch.chdir(project)
    cost.run(view, view.layout)
    assert float32_is_kept()
    content = read_json(view.layout.cost)
    assert set(content["models"]) == set(MODELS)
    for found in content["models"].values():
        value = {name: found[name]["value"] for name in cost.MEASURED}
        assert 0 < value["trained_parameters"] < value["total_parameters"]
        assert 0 < value["gflops_cached"] < value["gflops"]
        assert 0 < value["latency_cached_ms"] < value["latency_ms"]
        assert value["rtf_1"] == pytest.approx(value["latency_ms"] / 1000)
        assert value["rtf_1"] < value["rtf_25"]
        assert value["peak_mib"] > 4 * value["total_parameters"] / 2**20
        assert found["rtf_25"]["low"] <= value["rtf_25"] <= found["rtf_25"]["high"]
    assert content["device"] == "CPU, one thread"
    assert content["provenance"]["inputs"].keys() == {"sam", "audio"}


@pytest.mark.parametrize("name", ["avsbench_tpavi", "avsegformer"])
def test_models_of_pixels_have_every_figure_too(project, monkeypatch, name):
    monkeypatch.chdir(project)
    pyramid.save(pyramid.build("mini_pyramid"), p.Pyramid(image_size=SIDE), Layout("tiny").foundation("pyramid"))
    seer, audio = (module.load(Layout("tiny").foundation(model)) for module, model in FOUNDATION)
    viewer = cost.Viewer(
        p.load(ROOT / "studies" / "full.yaml", ROOT / "params.yaml").models[name], seer, audio, (48, 80)
    )
    found = cost.sizes(viewer) | cost.work(viewer)
    assert 0 < found["trained_parameters"]["value"] < found["total_parameters"]["value"]
    assert 0 < found["gflops_cached"]["value"] < found["gflops"]["value"] and found["peak_mib"]["value"] > 0


def test_a_frame_is_the_same_with_and_without_the_cache(viewers):
    for viewer in viewers.values():
        assert viewer.frame().shape == (48, 80)
        assert torch.equal(viewer.frame(), viewer.cached())


def test_every_weight_of_a_frame_counts_once(viewers):
    """Where the encoder is cut makes no difference but for the adapters behind the cut."""
    frozen, tuned = viewers["audio_sam"], viewers["gavs"]
    total = {name: cost.sizes(viewer)["total_parameters"]["value"] for name, viewer in viewers.items()}
    encoders = count_parameters(frozen.encoder.sam.image_encoder) + count_parameters(frozen.audio.module)
    assert total["audio_sam"] == encoders + count_parameters(frozen.model)
    adapters = sum(count_parameters(block.adapter) for block in tuned.model.encoder.blocks.values())
    head = count_parameters(tuned.model.sap) + count_parameters(tuned.model.decoder)
    assert total["gavs"] == encoders + adapters + head


def test_cached_work_leaves_out_the_encoders(viewers):
    for viewer in viewers.values():
        encoders = flops.count(viewer.see) + flops.count(viewer.hear)
        found = cost.work(viewer)
        assert round(1e9 * (found["gflops"]["value"] - found["gflops_cached"]["value"])) == encoders


def test_memory_is_the_most_that_was_alive_at_once():
    def call():
        first, second = torch.empty(2**18), torch.empty(2**18)
        del first, second
        return torch.empty(2**18)

    assert cost.largest(call, CPU) == 2 * 2**20
    assert cost.highest([5, -5, 3, 4, -7, 6]) == 7


def test_models_take_turns_and_the_first_round_does_not_count():
    asked = []

    def viewer(name):
        kinds = {
            kind: lambda kind=kind: asked.append((name, kind)) or busy(0.02 if len(asked) < 5 else 0.002)
            for kind in ("frame", "cached", "second")
        }
        return SimpleNamespace(device=CPU, **kinds)

    found = cost.timings({name: viewer(name) for name in "ab"}, p.Cost(rounds=3, seconds=1))
    once = [(name, kind) for name in "ab" for kind in ("frame", "cached", "second")]
    short = [entry for entry in once if entry[1] != "second"]
    assert asked == short + once + 2 * short
    assert found["a"]["latency_ms"]["high"] < 15
    assert found["a"]["rtf_25"]["low"] == found["a"]["rtf_25"]["high"]


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_processor_time_does_not_count_waiting():
    assert cost.timed(lambda: time.sleep(0.05), CPU) < 0.02


def test_middle_and_quartiles():
    assert cost.summary([4, 1, 2, 3, 5], 10) == {"low": 20, "value": 30, "high": 40}
    assert cost.summary([2]) == {"low": 2, "value": 2, "high": 2}


def test_a_study_that_asks_for_no_costs_says_how(view):
    with pytest.raises(InputError, match="latency_ms"):
        cost.run(view.model_copy(update={"models": {}}), view.layout)
