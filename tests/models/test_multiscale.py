"""The two fusion baselines: shapes, what trains, groups, and the parts against their long forms."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.features.frames import Batch
from soundprompt.foundation import pyramid
from soundprompt.models import build
from soundprompt.models.avsbench_tpavi import Tpavi
from soundprompt.models.avsegformer import DeformableAttention, Mixer, grid_centres, positions
from soundprompt.training import checkpoint

SIZE = 64
MODELS = {
    "avsbench_tpavi": {"tpavi": {"width": 12, "dilations": (1, 3), "reduce_first": True}},
    "avsbench_tpavi_as_published": {"architecture": "avsbench_tpavi", "tpavi": {"width": 8}},
    "own_second": {"architecture": "avsbench_tpavi", "tpavi": {"width": 8, "dilations": (1,), "temporal": False}},
    "avsegformer": {"avsegformer": {"width": 16, "queries": 5, "encoder_layers": 1, "decoder_layers": 2, "heads": 4,
                                    "points": 2, "hidden": 16}},
}  # fmt: skip


@pytest.fixture(scope="module")
def frozen():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return pyramid.FrozenPyramid(pyramid.build("mini_pyramid"), "mini_pyramid", SIZE, "random")


def settings(name: str, **changes) -> p.Model:
    base = {"architecture": name, "cola": {"enabled": False}, "triplet": {"weight": 0}}
    return p.Model.model_validate(p.merge(p.merge(base, MODELS[name]), changes))


def woken(model):
    """The model with TPAVI's channel weights away from the zeros that they begin with."""
    for part in model.modules():
        if isinstance(part, Tpavi):
            torch.nn.init.normal_(part.scale, generator=torch.Generator().manual_seed(5))
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
    assert moved == set(model.trained_parameters()) == set(before) and reached == moved
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
    assert not list(one.buffers())
    run_steps(one, batch_of(group=[0, 0, 1, 1]))
    checkpoint.save(one.trained_parameters(), tmp_path / "c.safetensors", {})
    checkpoint.load_into(other, tmp_path / "c.safetensors")
    batch = batch_of(group=[0, 0, 1, 1])
    assert torch.equal(one.eval()(batch).logits, other.eval()(batch).logits)


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


def test_tpavi_begins_as_its_norm_alone():
    torch.manual_seed(0)
    part, x = Tpavi(8), torch.randn(3, 8, 5, 5)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (8,)).permute(0, 3, 1, 2)
    assert torch.allclose(part(x, torch.randn(3, 128), torch.zeros(3, dtype=torch.int64)), expected, atol=1e-5)


def test_tpavi_is_dot_product_attention_over_all_positions_of_a_clip():
    """Against the long form: a matrix of all T h w queries and keys, divided by their number."""
    torch.manual_seed(0)
    part, x, audio = Tpavi(6), torch.randn(5, 6, 3, 4), torch.randn(5, 128)
    torch.nn.init.normal_(part.scale)
    clip = torch.tensor([0, 0, 0, 1, 1])
    found = part(x, audio, clip)
    for rows in (slice(0, 3), slice(3, 5)):
        here, sound = x[rows], part.sound(audio[rows])
        sound = sound[:, :, None, None].expand(-1, -1, 3, 4)
        flat = lambda maps: maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])  # noqa: E731
        query, value, key = flat(part.query(here)), flat(part.value(here)), part.key(flat(sound))
        answer = (query @ key.T / len(key)) @ value
        answer = answer.view(len(here), 3, 4, -1).permute(0, 3, 1, 2)
        answer = part.out(answer)
        answer = answer - answer.mean(dim=(2, 3), keepdim=True)
        size = torch.stack([frame.square().mean().sqrt() for frame in answer])[:, None, None, None]
        long = part.norm((here + part.scale * answer / size).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        assert torch.allclose(found[rows], long, atol=1e-5)


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


def test_mixer_scales_channels():
    torch.manual_seed(0)
    mixer, fine = Mixer(8, heads=2), torch.randn(2, 8, 4, 4)
    ratio = mixer(fine, torch.randn(2, 1, 8)) / fine
    assert torch.allclose(ratio, ratio[:, :, :1, :1].expand_as(ratio), atol=1e-4)
    assert ratio[:, :, 0, 0].std() > 0


def test_positions_tell_cells_apart():
    codes = positions(4, 6, 10)
    assert codes.shape == (24, 10)
    assert (torch.cdist(codes, codes) + torch.eye(24) > 1e-3).all()


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="ColA"):
        settings("avsegformer", cola={"enabled": True})
    with pytest.raises(ValueError, match=r"tune_from"):
        settings("avsegformer", visual={"tune_from": 2})
    with pytest.raises(ValueError, match="multiple of"):
        settings("avsegformer", avsegformer={"heads": 3})


def test_only_who_reads_the_pyramid_asks_for_it():
    raw = p.read_yaml("params.yaml")
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
