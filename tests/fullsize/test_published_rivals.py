"""The paper study's AVSBench and AVSegFormer beside the published programs: parameters part by part, sizes, schedules.

The counts were taken by building the published PyTorch models: AVSBench (OpenNLPLab/AVSBench f7414af, PVT-v2, MS3,
TPAVI at all four stages) and AVSegFormer (vvvb-github/AVSegFormer 7083cb6, PVT-v2, MS3).
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from soundprompt import models
from soundprompt import params as p
from soundprompt.foundation import pyramid
from soundprompt.models.multiscale import leave_out

pytestmark = pytest.mark.slow

PVT = 81_443_008  # PVT-v2-b5 without its classifier, in both


def count(part: nn.Module | nn.Parameter) -> int:
    weights = [part] if isinstance(part, nn.Parameter) else part.parameters()
    return sum(weight.numel() for weight in weights)


def on_paper(name: str, setting: str = "v1m") -> models.Segmenter:
    """A model of the paper study, of shapes without numbers."""
    settings = p.load("paper").on(setting, name)
    with torch.device("meta"):
        encoder = pyramid.FrozenPyramid(pyramid.build("pvt_v2_b5"), "pvt_v2_b5", 224, "none")
        return models.build(settings, encoder.used_as(settings.pyramid), 0)


def test_avsbench_part_by_part():
    model = on_paper("avsbench_tpavi")
    assert count(model) == 101_320_577
    assert count(model.encoder) == PVT
    assert [count(part) for part in model.scales] == [590_848, 1_180_672, 2_950_144, 4_719_616]
    assert [count(part) for part in model.fusions] == 4 * [165_760]
    assert [count(part) for part in model.decoder.paths] == 4 * [2_360_320]
    assert count(model.decoder.draw) == 331_969
    statistics = model.running_statistics()
    assert len(statistics) == 4 * 2 and all(each.shape == (256,) for each in statistics.values())


def test_avsegformer_part_by_part():
    model = on_paper("avsegformer")
    assert count(model.encoder) == PVT
    assert count(model) - PVT - count(model.sound) == 32_436_288, (
        "the published head, which the sound's layer is not in"
    )
    assert [count(layer) for layer in model.reading] == 6 * [1_257_504]
    assert [count(layer) for layer in model.asking] == 6 * [1_578_752]
    parts = {
        "transformer": [model.reading, model.asking],
        "query generator": [model.generator],
        "mlp": [model.to_map],
        "fpn": [model.unused.fpn],
        "lateral": [model.lateral],
        "out": [model.smooth],
        "mixer": [model.mixer],
        "in_proj": [model.project],
        "attn_fc": [model.unused.attention_masks],
        "fc": [model.draw],
        "queries": [model.query_codes],
        "level embedding": [model.scale_codes],
    }
    assert {name: sum(map(count, part)) for name, part in parts.items()} == {
        "transformer": 17_017_536,
        "query generator": 6_385_152,
        "mlp": 5_337_344,
        "fpn": 1_770_240,
        "lateral": 66_304,
        "out": 590_592,
        "mixer": 262_400,
        "in_proj": 265_216,
        "attn_fc": 331_968,
        "fc": 331_968,
        "queries": 76_800,
        "level embedding": 768,
    }


@pytest.mark.parametrize(("name", "dead"), [("avsbench_tpavi", 1_180_160), ("avsegformer", 2_102_208)])
def test_what_the_programs_do_not_use_does_not_train(name, dead):
    model = on_paper(name)
    assert count(model) - sum(weight.numel() for weight in model.trained_parameters().values()) == dead


@pytest.mark.parametrize(
    ("name", "setting", "side"),
    [
        ("avsbench_tpavi", "v1s", 224),
        ("avsegformer", "v1s", 512),
        ("avsegformer", "v1m", 512),
        ("avsegformer", "v2", 224),
    ],
)
def test_masks_have_the_size_of_the_input(name, setting, side):
    model = on_paper(name, setting).eval()
    features = [
        torch.empty(2, c, side // s, side // s, device="meta")
        for c, s in zip((64, 128, 320, 512), (4, 8, 16, 32), strict=True)
    ]
    if name == "avsbench_tpavi":  # how many clips there are is read off their numbers, which meta tensors lack
        maps = [scale(x) for scale, x in zip(model.scales, features, strict=True)]
        assert model.decoder(maps).shape == (2, 1, side, side)
    else:
        assert model.segment(features, torch.empty(2, 128, device="meta"), None).logits.shape == (2, 1, side, side)
    encoder = pyramid.FrozenPyramid(nn.Identity(), "pvt_v2_b5", 224, "none")
    used = encoder.used_as(p.load("paper").on(setting, name).pyramid)
    assert used.image_size == used.cells == side and used.resized((720, 1280)) == (side, side)


def test_schedules_are_the_programs():
    study = p.load("paper")
    wanted = {
        ("avsbench_tpavi", "v1s"): (15, 4, 0, 1e-4, 0, "bce"),
        ("avsbench_tpavi", "v1m"): (30, 4, 0, 1e-4, 0, "bce"),
        ("avsbench_tpavi", "v2"): (60, 4, 0, 1e-4, 0, "bce"),
        ("avsegformer", "v1s"): (30, 2, 5, 2e-5, 0.01, "dice"),
        ("avsegformer", "v1m"): (60, 2, 10, 2e-5, 0.01, "dice"),
        ("avsegformer", "v2"): (30, 4, 0, 2e-5, 0.01, "bce"),
        ("avsegformer", "vggss"): (30, 4, 0, 2e-5, 0.01, "bce"),  # the model that V2 trained
    }
    for (name, setting), expected in wanted.items():
        model = study.on(setting, name)
        plan = model.schedule
        found = (plan.epochs, plan.clips_per_step, plan.frozen_epochs, plan.learning_rate, plan.weight_decay)
        assert (*found, plan.mask_loss) == expected
        assert (plan.clip_norm, plan.annealing, plan.warmup, plan.precision) == (None, "none", 0, "float32")
        assert model.audio_relu and model.pyramid.drop_path == 0.1 and model.pyramid.tune == "all"
    assert [study.on(setting, "avsbench_tpavi").tpavi.kl for setting in ("v1s", "v1m", "v2")] == [0, 20 * 0.5, 0.5]


def test_stochastic_depth_of_pvt():
    """From 0 to the rate over 52 blocks; in training alone."""
    torch.manual_seed(0)
    frozen = pyramid.FrozenPyramid(pyramid.build("pvt_v2_b5"), "pvt_v2_b5", 64, "none")
    tuned, x = frozen.copy(), torch.randn(1, 3, 64, 64)
    leave_out(tuned, 0.1)
    rates = [block.drop_path1.share for block in tuned.blocks]
    assert len(rates) == 52 and rates[0] == 0 and rates[-1] == pytest.approx(0.1) and rates == sorted(rates)
    with torch.no_grad():
        assert torch.equal(tuned.eval()(x)[3], frozen.features(x)[3])
        assert not torch.equal(tuned.train()(x)[3], tuned(x)[3])
        assert torch.equal(frozen.copy().train()(x)[3], frozen.features(x)[3])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["avsbench_tpavi", "avsegformer"])
def test_a_step_at_full_size_reaches_all_that_trains(name):
    """Two frames of a clip at 224 pixels, random weights: the mask's own loss, KL or auxiliary loss, all gradients."""
    settings = p.load("paper").on("v2", name)
    torch.manual_seed(0)
    encoder = pyramid.FrozenPyramid(pyramid.build("pvt_v2_b5"), "pvt_v2_b5", 224, "none").used_as(settings.pyramid)
    model = models.build(settings, encoder, 0).train()
    for fusion in getattr(model, "fusions", []):  # behind a norm whose weight is zero nothing learns in the first step
        nn.init.ones_(fusion.scale.weight)
    pictures, audio = torch.randn(2, 3, 224, 224), torch.randn(2, 128).relu()
    found = model.segment(model.encode(pictures), audio, None, torch.zeros(2, dtype=torch.int64))
    assert found.logits.shape == (2, 1, 224, 224)
    extra = found.penalty.mean() if name == "avsbench_tpavi" else found.auxiliary.square().mean()
    (found.logits.square().mean() + extra).backward()
    untouched = {key for key, weight in model.trained_parameters().items() if weight.grad is None}
    assert not untouched
