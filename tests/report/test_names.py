import pytest

import artifacts
from soundprompt.report import names


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gavs@off_screen", "GAVS, a sound from off the screen"),
        ("gavs-negatives@silence", "GAVS trained with negatives, a silent recording"),
        ("gavs-cola_dim64", "ColA 64 wide"),
        ("gavs-cola_relu", "ColA with ReLU"),
        ("gavs-margin_0p3", "triplet margin 0.3"),
        ("gavs-noise_gaussian_replace", "noise: gaussian replace"),
        ("avsbench_tpavi-own_second", "AVSBench (TPAVI), own second only"),
        ("sam_fusion-rate_low", "SAM-Fusion, lower learning rate"),
        ("gavs-rate_high", "GAVS, higher learning rate"),
        ("gavs-weight_002", "triplet weight 0.02"),
        ("tomorrows_model-wide@loud", "tomorrows model, wide, loud sound"),
    ],
)
def test_methods_that_nobody_listed_are_readable(name, words):
    assert names.method(name) == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("world2/v3_1shot", "V3, 1 shot · world 2"),
        ("size_64/v1s", "V1S, one source · input size 64"),
        ("points/v1s", "V1S, one source · SAM of points and boxes"),
        ("v2_30", "V2, 30 % of its clips"),
        ("my_videos", "my videos"),
    ],
)
def test_settings_and_their_substudies(name, words):
    assert names.setting(name) == words


def test_every_experiment_has_a_group_and_every_method_a_colour():
    params = artifacts.study()
    assert names.group("table_v3") == "Main tables" and names.group("ablation_cola") == "Ablations"
    for name, experiment in params.experiments.items():
        assert names.group(name)
        assert all(names.colour(method).startswith("#") for method in experiment.methods)
    parts = ["gavs", "gavs-no_cue", "gavs-no_noise", "gavs-no_triplet", "gavs-audio_only", "sam_fusion"]
    assert len(set(names.distinct(parts).values())) == len(parts)
    assert names.distinct(parts)["gavs"] == names.colour("gavs")
    assert names.colour("gavs-negatives@silence") == names.colour("gavs-negatives")
