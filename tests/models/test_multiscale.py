"""The two fusion baselines: shapes, what trains, groups, and the parts against their long forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.features.frames import Batch
from soundprompt.foundation import pyramid
from soundprompt.models import build
from soundprompt.models.avsbench_tpavi import Residual, TopDown, Tpavi, masked_divergence
from soundprompt.models.avsegformer import (
    DecoderLayer,
    DeformableAttention,
    Generator,
    Mixer,
    grid_centres,
    positions,
)
from soundprompt.training import checkpoint

SIZE = 64
MODELS = {
    "avsbench_tpavi": {"tpavi": {"width": 12, "dilations": (1, 3), "reduce_first": True, "head": (4, 4),
                                 "norm": "frame"}},
    "avsbench_tpavi_as_published": {"architecture": "avsbench_tpavi", "tpavi": {"width": 8, "head": (4, 4)}},
    "own_second": {"architecture": "avsbench_tpavi",
                   "tpavi": {"width": 8, "dilations": (1,), "temporal": False, "head": (4, 4)}},
    "avsegformer": {"avsegformer": {"width": 16, "queries": 5, "generator_layers": 1, "encoder_layers": 1,
                                    "decoder_layers": 2, "heads": 4, "points": 2, "hidden": 16, "generator_hidden": 8,
                                    "head": (8, 4)}},
}  # fmt: skip


@pytest.fixture(scope="module")
def frozen():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return pyramid.FrozenPyramid(pyramid.build("mini_pyramid"), "mini_pyramid", SIZE, "random")


def settings(name: str, **changes) -> p.Model:
    base = {"architecture": name, "cola": {"enabled": False}, "triplet": {"weight": 0}, "pyramid": {"mask_stride": 4}}
    return p.Model.model_validate(p.merge(p.merge(base, MODELS[name]), changes))


def woken(model):
    """The model with TPAVI's norms away from the zeros that they begin with."""
    for part in model.modules():
        if isinstance(part, Tpavi):
            torch.nn.init.normal_(part.scale.weight, generator=torch.Generator().manual_seed(5))
    return model.eval()


def batch_of(n: int = 4, group: list[int] | None = None) -> Batch:
    stream = torch.Generator().manual_seed(0)
    return Batch(
        visual=torch.randn(n, 3, SIZE, SIZE, generator=stream),
        audio=torch.randn(n, 128, generator=stream),
        valid=torch.ones(n, 4, 4, dtype=torch.bool),
        sizes=[(SIZE, SIZE)] * n,
        masks=None,
        targets=(torch.rand(n, 1, 16, 16, generator=stream) > 0.7).float(),
        target_valid=torch.ones(n, 1, 16, 16, dtype=torch.bool),
        clips=["a"] * n,
        videos=["a"] * n,
        classes=["a"] * n,
        group=None if group is None else torch.tensor(group),
    )


def picked(batch: Batch, which: list[int], group: list[int]) -> Batch:
    rows = {name: getattr(batch, name)[which] for name in ("visual", "audio", "valid", "targets", "target_valid")}
    return Batch(**rows, sizes=[(SIZE, SIZE)] * len(which), masks=None, clips=[], videos=[], classes=[],
                 group=torch.tensor(group))  # fmt: skip


def run_steps(model, batch, steps=3):
    optimiser = torch.optim.AdamW(model.parameter_groups(p.Schedule(learning_rate=1e-3)))
    model.train()
    for _ in range(steps):
        found = model(batch)
        loss = F.binary_cross_entropy_with_logits(found.logits, batch.targets)
        if found.auxiliary is not None:
            loss = loss + model.auxiliary_weight * F.binary_cross_entropy_with_logits(found.auxiliary, batch.targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {name for name, weight in model.named_parameters() if weight.grad is not None and weight.grad.abs().sum()}


@pytest.mark.parametrize("name", MODELS)
def test_all_of_it_trains_the_encoder_too(frozen, name):
    model, batch = build(settings(name), frozen, 0), batch_of(group=[0, 0, 1, 1])
    before = {key: value.detach().clone() for key, value in model.named_parameters()}
    foundation = [weight.clone() for weight in frozen.encoder.parameters()]
    reached = run_steps(model, batch)
    assert model(batch).logits.shape == (4, 1, 16, 16)
    moved = {key for key, value in model.named_parameters() if not torch.equal(before[key], value)}
    still = ("decoder.paths.3.entry.", "unused.")  # what the published programs declare and do not use
    expected = {key for key in before if not key.startswith(still)}
    assert moved == set(model.trained_parameters()) == expected and reached == moved
    assert any(key.startswith("encoder.") for key in moved)
    assert all(map(torch.equal, foundation, frozen.encoder.parameters()))
    groups = {group["name"]: len(group["params"]) for group in model.parameter_groups(p.Schedule())}
    assert groups["adapters"] == len(foundation), "the encoder's rate is adapter_learning_rate"


@pytest.mark.parametrize("name", ["avsbench_tpavi", "avsegformer"])
def test_a_frozen_encoder_never_moves(frozen, name):
    model = build(settings(name, pyramid={"tune": "none"}), frozen, 0)
    run_steps(model, batch_of(group=[0, 0, 1, 1]))
    assert all(map(torch.equal, frozen.encoder.parameters(), model.encoder.parameters()))
    assert not any(key.startswith("encoder.") for key in model.trained_parameters())


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_alone_decides_and_a_checkpoint_holds_it_all(frozen, name, tmp_path):
    torch.manual_seed(0)
    one = build(settings(name), frozen, 0)
    torch.manual_seed(9)
    same, other = build(settings(name), frozen, 0), build(settings(name), frozen, 1)
    assert all(map(torch.equal, one.parameters(), same.parameters()))
    assert not all(map(torch.equal, one.parameters(), other.parameters()))
    run_steps(one, batch_of(group=[0, 0, 1, 1]), steps=8)
    checkpoint.save(one.trained_state(), tmp_path / "c.safetensors", {})
    checkpoint.load_into(other, tmp_path / "c.safetensors")
    batch = batch_of(group=[0, 0, 1, 1])
    logits = one.eval()(batch).logits
    assert torch.equal(logits, other.eval()(batch).logits)
    for norm in other.modules():  # what the batches of training had in common is part of the trained model
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.reset_running_stats()
    batch_norms = name in ("avsbench_tpavi_as_published", "own_second")
    assert torch.equal(logits, other(batch).logits) != batch_norms


@pytest.mark.parametrize("name", MODELS)
def test_answers_depend_on_the_group_alone_not_on_the_batch(frozen, name):
    model = woken(build(settings(name), frozen, 0))
    batch = batch_of(5, group=[0, 0, 0, 1, 1])
    with torch.no_grad():
        whole = model(batch).logits
        turned = model(picked(batch, [4, 2, 0, 3, 1], [7, 3, 3, 7, 3])).logits
        alone = model(picked(batch, [3, 4], [0, 0])).logits
        divided = model(picked(batch, [0, 1, 2], [0, 0, 1])).logits
        ungrouped = model(batch_of(5)).logits
    assert torch.allclose(turned, whole[[4, 2, 0, 3, 1]], atol=1e-5)
    assert torch.allclose(alone, whole[3:], atol=1e-5)
    across = name.startswith("avsbench")
    assert model.temporal == across
    assert torch.allclose(divided[:2], whole[:2], atol=1e-5) != across, "a clip that is cut loses a second"
    assert torch.allclose(ungrouped, whole, atol=1e-5) != across


@pytest.mark.parametrize("name", MODELS)
def test_sound_matters(frozen, name):
    model, batch = woken(build(settings(name), frozen, 0)), batch_of(group=[0, 0, 1, 1])
    with torch.no_grad():
        logits = model(batch).logits
        batch.audio = -batch.audio
        assert not torch.allclose(model(batch).logits, logits, atol=1e-4)
    mute = build(settings(name, mute=True), frozen, 0).eval()
    with torch.no_grad():
        logits = mute(batch).logits
        batch.audio = -batch.audio
        assert torch.equal(mute(batch).logits, logits)


@pytest.mark.parametrize("name", ["avsbench_tpavi", "avsegformer"])
def test_half_precision_is_near(frozen, name):
    """As `schedule.precision: bfloat16` runs it."""
    model, batch = woken(build(settings(name), frozen, 0)), batch_of(group=[0, 0, 1, 1])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        rough = model(batch).logits.float()
    with torch.no_grad():
        exact = model(batch).logits
    assert torch.nn.functional.cosine_similarity(rough.flatten(), exact.flatten(), dim=0) > 0.98


def test_tpavi_begins_as_its_layernorm_alone():
    torch.manual_seed(0)
    x = torch.randn(3, 8, 5, 5)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
    for norm in ("batch", "frame"):
        part = Tpavi(p.Tpavi(width=8, norm=norm))
        found = part(x, torch.randn(3, 128), torch.zeros(3, dtype=torch.int64))
        assert torch.allclose(found, expected, atol=1e-5)


def test_tpavi_is_dot_product_attention_over_all_positions_of_a_clip():
    """Against the long form: a matrix of all T h w queries and keys, divided by their number."""
    torch.manual_seed(0)
    part, x, audio = Tpavi(p.Tpavi(width=6)), torch.randn(5, 6, 3, 4), torch.randn(5, 128)
    torch.nn.init.normal_(part.scale.weight)
    torch.nn.init.normal_(part.scale.bias)
    clip = torch.tensor([0, 0, 0, 1, 1])
    answers = []
    for rows in (slice(0, 3), slice(3, 5)):
        here, sound = x[rows], part.sound(audio[rows])
        sound = sound[:, :, None, None].expand(-1, -1, 3, 4)
        flat = lambda maps: maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])  # noqa: E731
        query, value, key = flat(part.query(here)), flat(part.value(here)), part.key(flat(sound))
        assert len(key) == len(here) * 3 * 4
        answers.append(((query @ key.T / len(key)) @ value).view(len(here), 3, 4, -1).permute(0, 3, 1, 2))
    out = part.out(torch.cat(answers))
    mean, variance = out.mean(dim=(0, 2, 3)), out.var(dim=(0, 2, 3), unbiased=False)
    normed = (out - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    added = x + part.scale.weight[:, None, None] * normed + part.scale.bias[:, None, None]
    long = part.norm(added.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert torch.allclose(part(x, audio, clip), long, atol=1e-4)


def test_the_norm_by_frame_adds_what_differs_from_place_to_place():
    """The long form without the mean over the frame, of mean square 1 before the channels' weights."""
    torch.manual_seed(0)
    part, x, audio = Tpavi(p.Tpavi(width=6, norm="frame")), torch.randn(2, 6, 3, 4) + 5, torch.randn(2, 128)
    torch.nn.init.normal_(part.scale.weight)
    value = part.value(x).flatten(2)
    for frame, found in zip(x, part(x, audio, torch.zeros(2, dtype=torch.int64)), strict=True):
        sums = torch.stack([torch.outer(part.key(part.sound(audio[i])), value[i].mean(1)) for i in (0, 1)]).mean(0)
        answer = torch.einsum("ihw,io->ohw", part.query(frame[None])[0], sums)
        answer = part.out((answer - answer.mean(dim=(1, 2), keepdim=True))[None])[0]
        added = frame + part.scale.weight[:, None, None] * answer / answer.square().mean().sqrt()
        assert torch.allclose(found, part.norm(added.permute(1, 2, 0)).permute(2, 0, 1), atol=1e-4)


def test_a_residual_unit_adds_to_what_its_first_relu_left():
    """Two convolutions; what is negative in the input is gone from the sum as well."""
    torch.manual_seed(0)
    unit, x = Residual(3), torch.randn(1, 3, 4, 4)
    inner = F.conv2d(x.clamp(min=0), unit.first.weight, unit.first.bias, padding=1).clamp(min=0)
    long = x.clamp(min=0) + F.conv2d(inner, unit.second.weight, unit.second.bias, padding=1)
    assert torch.allclose(unit(x), long, atol=1e-6)


@pytest.mark.parametrize("stride", [1, 4])
def test_the_decoder_goes_from_coarse_to_fine(stride):
    """Against the long form; its result is as large as the input, or as the finest map."""
    torch.manual_seed(0)
    decoder = TopDown(p.Tpavi(width=4, head=(3, 2)), 3, stride)
    fine, middle, coarse = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 4, 4), torch.randn(2, 4, 2, 2)
    twice = lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)  # noqa: E731
    first, second, third = decoder.paths
    x = twice(third.exit(coarse))
    x = twice(second.exit(x + second.entry(middle)))
    x = first.exit(x + first.entry(fine))
    x = decoder.draw.wide(twice(x) if stride == 1 else x)
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False) if stride == 1 else x
    long = decoder.draw.last(decoder.draw.narrow(x).clamp(min=0))
    assert torch.allclose(decoder([fine, middle, coarse]), long, atol=1e-5)
    assert long.shape == (2, 1, 32 // stride, 32 // stride)


def test_the_divergence_of_sound_and_masked_picture():
    torch.manual_seed(0)
    logits, x, sound = torch.randn(2, 1, 8, 8), torch.randn(2, 5, 4, 4), torch.randn(2, 5)
    mask = torch.sigmoid(logits.unfold(2, 2, 2).unfold(3, 2, 2).mean(dim=(4, 5)))
    looks = (x.clamp(min=0) * mask).mean(dim=(2, 3)).softmax(1)
    heard = sound.softmax(1)
    expected = (heard * (heard / looks).log()).sum(1)
    assert torch.allclose(masked_divergence(logits, x, sound), expected, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_masks_are_drawn_at_the_inputs_size_unless_it_is_to_cost_less(frozen, name):
    batch = batch_of(group=[0, 0, 1, 1])
    for stride in (1, 4):
        model = build(settings(name, pyramid={"mask_stride": stride}), frozen, 0)
        found = model(batch)
        assert found.logits.shape == (4, 1, SIZE // stride, SIZE // stride)
        if name == "avsegformer":
            assert found.auxiliary.shape == found.logits.shape and (found.auxiliary >= 0).all()
            assert model.auxiliary_weight == 0.1 and model.auxiliary_loss == "dice"
        assert model.eval()(batch).auxiliary is None


def test_deformable_attention_reads_where_it_points():
    """One head and point without offset: every cell reads the mean over scales of what lies at its own place."""
    part = DeformableAttention(4, heads=1, scales=2, points=1)
    shapes = [(4, 4), (2, 2)]
    with torch.no_grad():
        part.offsets.bias.zero_()
        for layer in (part.value, part.out):
            layer.weight.copy_(torch.eye(4))
            layer.bias.zero_()
    fine, coarse = torch.randn(1, 4, 4, 4), torch.randn(1, 4, 2, 2)
    tokens = torch.cat([fine.flatten(2), coarse.flatten(2)], dim=2).transpose(1, 2)
    centres = torch.cat([grid_centres(*shape) for shape in shapes])
    found = part(torch.randn(1, 20, 4), tokens, centres, shapes)
    on_fine = found[:, :16].transpose(1, 2).view(1, 4, 4, 4)
    grown = F.interpolate(coarse, (4, 4), mode="bilinear", align_corners=False)
    assert torch.allclose(on_fine[..., 1:3, 1:3], ((fine + grown) / 2)[..., 1:3, 1:3], atol=1e-5)
    moved = part.offsets.bias.data
    moved.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))  # x of the fine scale, one cell to the right
    found = part(torch.randn(1, 20, 4), tokens, centres, shapes)
    on_fine = found[:, :16].transpose(1, 2).view(1, 4, 4, 4)
    shifted = (fine[..., 1:3, 2:4] + grown[..., 1:3, 1:3]) / 2
    assert torch.allclose(on_fine[..., 1:3, 1:3], shifted, atol=1e-5)


def test_mixer_gates_channels():
    """A factor between 0 and 1 for each channel, of what the sound's attention reads: against the long form."""
    torch.manual_seed(0)
    mixer, fine, sound = Mixer(8, heads=2), torch.randn(2, 8, 4, 4), torch.randn(2, 1, 8)
    ratio = mixer(fine, sound) / fine
    gate = ratio[:, :, 0, 0]
    assert torch.allclose(ratio, gate[:, :, None, None].expand_as(ratio), atol=1e-4)
    assert (gate > 0).all() and (gate < 1).all() and gate.std() > 0
    query, (key, value) = mixer.query(sound), mixer.key_value(fine.flatten(2).mT).split(8, dim=2)
    read = []
    for head in (slice(0, 4), slice(4, 8)):
        share = (query[..., head] @ key[..., head].mT / 2).softmax(-1)
        read.append(share @ value[..., head])
    assert torch.allclose(gate, torch.sigmoid(mixer.out(torch.cat(read, dim=2)))[:, 0], atol=1e-5)
    mixer.out.weight.data.zero_()
    mixer.out.bias.data.zero_()
    assert torch.allclose(mixer(fine, sound), fine / 2)


def test_queries_are_made_of_the_sound():
    torch.manual_seed(0)
    generator = Generator(p.Avsegformer(width=8, heads=2, queries=3, generator_layers=2, generator_hidden=4))
    torch.nn.init.normal_(generator.queries)
    one, other = generator(torch.randn(1, 1, 8)), generator(torch.randn(1, 1, 8))
    assert one.shape == (1, 3, 8) and not torch.allclose(one, other, atol=1e-3)


def test_the_decoder_reads_all_tokens_whatever_their_order():
    torch.manual_seed(0)
    layer = DecoderLayer(p.Avsegformer(width=8, heads=2, hidden=4)).eval()
    queries, memory = torch.randn(1, 3, 8), torch.randn(1, 7, 8, requires_grad=True)
    found = layer(queries, memory)
    assert torch.allclose(found, layer(queries, memory.flip(1)), atol=1e-5), "no positions"
    found.square().sum().backward()
    assert (memory.grad.abs().sum(2) > 0).all()


def test_dropout_in_training_alone_and_by_the_step_s_seed(frozen):
    model, batch = build(settings("avsegformer"), frozen, 0), batch_of()
    kept = build(settings("avsegformer", avsegformer={"dropout": 0}), frozen, 0)

    def logits(of, seed):
        torch.manual_seed(seed)
        with torch.no_grad():
            return of(batch).logits

    assert torch.equal(logits(model, 1), logits(model, 1))
    assert not torch.allclose(logits(model, 1), logits(model, 2), atol=1e-4)
    assert torch.equal(logits(kept, 1), logits(kept, 2))
    assert torch.equal(logits(model.eval(), 1), logits(model, 2))
    assert torch.allclose(logits(model, 1), logits(kept, 1), atol=1e-6)


def test_positions_are_detr_s():
    """Rows and columns count from 1; sine and cosine take turns; the first half is of the rows."""
    codes = positions(4, 6, 8).view(4, 6, 8)
    for row, column in ((0, 0), (2, 5)):
        expected = [
            wave(place / 10000 ** (2 * pair / 4))
            for place in (row + 1, column + 1)
            for pair in (0, 1)
            for wave in (math.sin, math.cos)
        ]
        assert codes[row, column].tolist() == pytest.approx(expected, abs=1e-5)


def test_what_does_not_go_together_is_refused(frozen):
    with pytest.raises(ValueError, match="ColA"):
        settings("avsegformer", cola={"enabled": True})
    with pytest.raises(ValueError, match=r"tune_from"):
        settings("avsegformer", visual={"tune_from": 2})
    with pytest.raises(ValueError, match="multiple of"):
        settings("avsegformer", avsegformer={"heads": 3})
    with pytest.raises(InputError, match=r"drop_path: 0\.1 is for PVT-v2"):
        build(settings("avsegformer", pyramid={"drop_path": 0.1}), frozen, 0)


def test_only_who_reads_the_pyramid_asks_for_it():
    raw = p.read_base(overlays=["studies/full.yaml"])
    for experiment in raw["experiments"].values():
        for named in (experiment, *(dots for dots in experiment.get("dots", []) if "methods" in dots)):
            named["methods"] = [m for m in named["methods"] if not m.startswith(("avsbench", "avsegformer"))]
    assert p.validate(raw).foundations() == ["sam", "audio"]
    raw["experiments"]["table_v3"]["methods"].append("avsegformer")
    study = p.validate(raw)
    assert study.foundations() == ["sam", "audio", "pyramid"] and study.taps() == [2, None]


def test_missing_weights_are_named(tmp_path):
    from soundprompt.foundation import encoders
    from soundprompt.layout import Layout

    with pytest.raises(InputError, match="missing"):
        encoders.load(settings("avsegformer"), Layout("nothing_here"))
