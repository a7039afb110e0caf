"""A model's settings that differ by setting: resolved where it trains, checked where they are written."""

from __future__ import annotations

import pytest

from soundprompt import params as p
from soundprompt.errors import InputError


def study(**per_setting) -> p.Params:
    raw = p.read_base(overlays=["studies/full.yaml"])
    raw["models"]["avsegformer"]["per_setting"] = per_setting
    return p.validate(raw)


def test_each_stage_sees_what_holds_where_the_model_trains():
    chosen = study(v1s={"schedule": {"steps": 7}, "pyramid": {"image_size": 96}}, v2={"schedule": {"mask_loss": "bce"}})
    there, other = (p.train_view(chosen, setting, "avsegformer").model for setting in ("v1s", "v1m"))
    assert (there.schedule.steps, there.pyramid.image_size) == (7, 96)
    assert (other.schedule.steps, other.pyramid.image_size) == (700, None)
    assert there.schedule.learning_rate == other.schedule.learning_rate and there.pyramid.mask_stride == 4
    assert p.score_view(chosen, "v1s", "avsegformer").model == there
    borrowed = p.score_view(chosen, "vggss", "avsegformer").model
    assert borrowed.schedule.mask_loss == "bce", "tested elsewhere, trained on v2"
    assert p.cost_view(chosen).models["avsegformer"].pyramid.image_size == 96, "asked of v1s first"


def test_a_run_depends_on_its_own_setting_alone():
    plain, chosen = study(), study(v1s={"schedule": {"steps": 7}})
    assert p.train_view(plain, "v1m", "avsegformer") == p.train_view(chosen, "v1m", "avsegformer")
    assert p.train_view(plain, "v1s", "avsegformer") != p.train_view(chosen, "v1s", "avsegformer")


def test_models_made_from_it_inherit_and_substudies_keep_it():
    chosen = study(v1s={"schedule": {"steps": 7}})
    assert chosen.on("v1s", "avsegformer-rate_low").schedule.steps == 7
    assert chosen.substudy("size_64").on("v1s", "avsegformer").schedule.steps == 7


def test_null_leaves_out_what_is_said_and_a_setting_takes_it_along(tmp_path):
    said, gone = tmp_path / "said.yaml", tmp_path / "gone.yaml"
    said.write_text("study: said\nmodels: {gavs: {schedule: {steps: 9}, per_setting: {v1m: null}}}\n")
    gone.write_text("study: gone\nsettings: {v1m: null}\n")
    plain = p.read()
    assert plain.on("v1m", "gavs").schedule.steps > plain.on("v1s", "gavs").schedule.steps, "so that there is something"
    for model in ("gavs", "audio_sam"):
        assert p.read([said]).on("v1m", model).schedule.steps == 9
        assert p.read([gone]).models[model].per_setting == {}


@pytest.mark.parametrize(
    ("per_setting", "what"),
    [
        ({"v9": {}}, "'v9' is not one of v1s, v1m"),
        ({"vggss": {}}, "'vggss' is not one of v1s, v1m"),  # trains nothing
        ({"v1s": {"schedule": {"epochs": 0}}}, r"per_setting.v1s.schedule.epochs: greater than 0, got 0"),
        ({"v1s": {"schedules": {}}}, r"per_setting.v1s.schedules: unknown key"),
        ({"v1s": {"mute": True}}, "another model there, by mute"),
        ({"v1s": {"architecture": "sam_fusion"}}, "another model there, by architecture"),
    ],
)
def test_what_cannot_be_is_named(per_setting, what):
    with pytest.raises(InputError, match=what):
        study(**per_setting)
