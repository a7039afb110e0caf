"""Released weights: imported where the settings fit, refused where not, and worth what their cards say."""

import json
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from project_copy import PROJECT
from soundprompt import cli, params
from soundprompt.errors import InputError
from soundprompt.files import digest_file, read_json
from soundprompt.foundation import audio, pictures, pretrain_sam, pyramid, pyramid_quality, quality, released
from soundprompt.foundation import sam as foundation_sam
from soundprompt.layout import Layout
from soundprompt.prediction import foundation as frozen_of_exports

SCENE = params.Scene(size=64)
LAYOUT = Layout("t")
MADE = {"image_size": 64, "pictures": 12, "steps": 2, "pictures_per_step": 2, "masks_per_picture": 2}


def view(scene=SCENE, **changes):
    settings = {"source": "released", "checkpoint": "given/sam.safetensors", "image_size": 64, **changes}
    return params.PretrainView(study="t", model=params.Sam(**settings), scene=scene)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """A SAM of two steps and its card, as the rule writes them, in the folder `given`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quality, "PICTURES", 8)
    monkeypatch.setattr(quality, "PROBE_PICTURES", 60)
    pretrain_sam.run(params.PretrainView(study="made", model=params.Sam(**MADE), scene=SCENE), Layout("made"))
    shutil.copytree("weights/made", "given")
    return tmp_path / "given"


def test_import_is_byte_for_byte_with_the_quality_of_the_card(given):
    released.run("sam", view(), LAYOUT)
    assert LAYOUT.foundation("sam").read_bytes() == (given / "sam.safetensors").read_bytes()
    card, written = read_json(given / "sam.json"), read_json(LAYOUT.foundation_quality("sam"))
    assert written["quality"] == card["quality"]
    assert written["provenance"]["made"] == card["provenance"]
    assert written["provenance"]["weights"] == digest_file(given / "sam.safetensors")
    assert foundation_sam.load(LAYOUT.foundation("sam")).image_size == 64


def test_how_it_was_trained_is_not_asked_about(given):
    released.run("sam", view(pictures=7, steps=9, learning_rate=0.5), LAYOUT)
    assert LAYOUT.foundation("sam").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": 96}, "foundation.sam.image_size is 96 here and 64 there"),
        ({"prompts": "points"}, "foundation.sam.prompts is points here and concept there"),
        ({"seed": 3}, "foundation.sam.seed is 3 here and 0 there"),
        ({"scene": params.Scene(size=128)}, "world.size is 128 here and 64 there"),
        ({"scene": params.Scene(size=64, levels={"pitch": 4, "modulation": 1, "timbre": 3})}, "world.levels is"),
    ],
)
def test_other_settings_are_refused(given, changes, words):
    with pytest.raises(InputError, match=words) as error:
        released.run("sam", view(**changes), LAYOUT)
    assert "foundation.sam.source: train" in str(error.value)
    assert not LAYOUT.foundation("sam").exists()


def test_altered_missing_and_foreign_files_are_refused(given):
    weights, card = given / "sam.safetensors", given / "sam.json"
    content, told = weights.read_bytes(), card.read_text()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=r"given/sam\.safetensors: .*sha256"):
        released.run("sam", view(), LAYOUT)
    weights.write_bytes(content)
    for broken in ("{", "[]", '{"quality": {}}', json.dumps({"quality": {}, "provenance": {"weights": "0"}})):
        card.write_text(broken)
        with pytest.raises(InputError, match=r"sam\.json"):
            released.run("sam", view(), LAYOUT)
    card.write_text(told)
    weights.unlink()
    with pytest.raises(InputError, match=r"(?s)sam\.safetensors: no such released weights.*source: train"):
        released.run("sam", view(), LAYOUT)
    assert not LAYOUT.foundation("sam").exists()


def test_packed_weights_come_back_rounded_to_half_precision(given, tmp_path, monkeypatch):
    monkeypatch.setattr(released, "FOLDER", tmp_path / "packed")
    packed = released.pack(
        "sam", params.PretrainView(study="made", model=params.Sam(**MADE), scene=SCENE), Layout("made")
    )
    assert packed.name == "sam-concept.safetensors"
    assert packed.stat().st_size < 0.51 * (given / "sam.safetensors").stat().st_size
    released.run("sam", view(checkpoint=None), LAYOUT)
    before, after = (
        foundation_sam.load(path).sam.state_dict() for path in (given / "sam.safetensors", LAYOUT.foundation("sam"))
    )
    for name, value in after.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name].half().float()), name
    assert read_json(packed.with_suffix(".json"))["files"] == {packed.name: digest_file(packed)}


def test_the_verb_imports(tmp_path, monkeypatch):
    for name in ("params.yaml", "experiments", "studies"):
        (tmp_path / name).symlink_to(PROJECT / name)
    monkeypatch.chdir(tmp_path)
    cli.app(["pretrain", "--model", "pyramid", "--study", "full"], standalone_mode=False)
    given, made = released.FOLDER / "pyramid.safetensors", pyramid.load(Layout("full").foundation("pyramid"))
    expected = pyramid.load(given).encoder.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in made.encoder.state_dict().items())
    written = read_json(Layout("full").foundation_quality("pyramid"))["provenance"]
    assert written["inputs"]["released"] == digest_file(given)


# ------------------------------------------------------------- the files that lie in the repository
CARDS = sorted(released.FOLDER.glob("*.json"))


@pytest.mark.parametrize(("study", "names"), [("mini", ["sam", "audio"]), ("full", ["sam", "audio", "pyramid"])])
def test_files_that_a_study_asks_for_are_there_and_fit_it(study, names):
    settings = params.load(study)
    assert [name for name in settings.foundations() if getattr(settings.foundation, name).source == "released"] == names
    for name in names:
        weights, card = released.files(name, params.pretrain_view(settings, name))
        assert read_json(card)["files"] == {weights.name: digest_file(weights)}


def test_every_file_has_its_card_and_all_are_small():
    assert {card.stem for card in CARDS} == {file.stem for file in released.FOLDER.glob("*.safetensors")}
    assert sum(file.stat().st_size for file in released.FOLDER.iterdir()) < 12e6


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_they_are_made_by_the_settings_of_the_release(card):
    """Card and settings cannot drift apart: whoever follows the documented command makes these files."""
    name, _, arm = card.stem.partition("-")
    study = params.load("release")
    view = params.pretrain_view(study.substudy("points") if arm == "points" else study, name)
    told = read_json(card)["provenance"]
    assert told["settings"]["model"] == view.model.model_dump(mode="json")
    assert told["settings"]["scene"] == view.scene.model_dump(mode="json")
    assert not told["commit"].endswith("+changes")
    sam = read_json(released.FOLDER / "sam-concept.json")["provenance"]["settings"]["model"]
    if name == "pyramid":
        assert (told["settings"]["pictures"], told["settings"]["pool_seed"]) == (sam["pictures"], sam["seed"])


@pytest.mark.slow
@pytest.mark.parametrize("stem", [card.stem for card in CARDS if card.stem.startswith("sam")])
def test_the_sam_is_worth_what_its_card_says(stem, monkeypatch):
    """On the first of the held-out pictures. The network that makes concepts is not kept, so theirs cannot be asked."""
    card = read_json(released.FOLDER / f"{stem}.json")
    view = params.PretrainView.model_validate(card["provenance"]["settings"])
    monkeypatch.setattr(quality, "PICTURES", 100)
    monkeypatch.setattr(quality, "PROBE_PICTURES", 300)
    frozen = foundation_sam.load(released.FOLDER / f"{stem}.safetensors")
    found = quality.measure_sam(frozen, None, view.scene, view.model.seed)
    assert found["parameters"] == card["quality"]["parameters"]
    for prompt in ("point", "box"):
        assert found["iou"][prompt]["mean"] == pytest.approx(card["quality"]["iou"][prompt]["mean"], abs=0.03)
    same_probes(found, card, 0.08)


@pytest.mark.slow
def test_the_sound_encoder_is_worth_what_its_card_says(monkeypatch):
    card = read_json(released.FOLDER / "audio.json")
    view = params.PretrainView.model_validate(card["provenance"]["settings"])
    monkeypatch.setattr(quality, "PROBE_SOUNDS", 450)
    found = quality.measure_audio(audio.load(released.FOLDER / "audio.safetensors"), view.scene, view.model.seed)
    same_probes(found, card, 0.08)


@pytest.mark.slow
def test_the_pyramid_is_worth_what_its_card_says(monkeypatch):
    """Its heads are not kept: a linear one, fitted on other pictures, has to find the foreground nearly as well."""
    card = read_json(released.FOLDER / "pyramid.json")
    view = params.PyramidView.model_validate(card["provenance"]["settings"])
    frozen = pyramid.load(released.FOLDER / "pyramid.safetensors")
    monkeypatch.setattr(pyramid_quality, "PROBE_PICTURES", 300)
    same_probes({"probes": pyramid_quality.probe(frozen, view.scene, view.model.seed)}, card, 0.08)
    fitted, asked = (
        [pictures.draw(view.model.seed, stream, index, view.scene) for index in range(40)]
        for stream in (pictures.PROBES, pictures.HELD_OUT)
    )
    maps, truth = _joined(frozen, fitted)
    shares = F.avg_pool2d(truth, 4).flatten()[:, None]
    weight = torch.linalg.lstsq(maps.permute(0, 2, 3, 1).flatten(0, 2).double(), shares.double() - 0.5).solution.float()
    maps, truth = _joined(frozen, asked)
    logits = (maps.permute(0, 2, 3, 1) @ weight).permute(0, 3, 1, 2)
    found, true = F.interpolate(logits, truth.shape[2:], mode="bilinear") > 0, truth > 0
    overlap = (found & true).sum(dim=(1, 2, 3)) / (found | true).sum(dim=(1, 2, 3))
    assert card["quality"]["iou"]["foreground"]["mean"] - overlap.mean().item() < 0.1


def _joined(frozen, drawn):
    """All maps at stride 4 with a constant, (n, C, S/4, S/4), and the foreground (n, 1, S, S)."""
    shown = [picture for picture in drawn if picture is not None]
    maps = frozen.features(frozen.preprocess([picture.image for picture in shown]))
    fine = maps[0].shape[2:]
    maps = [F.interpolate(scale, fine, mode="bilinear") for scale in maps]
    truth = np.stack([picture.masks.any(axis=0) for picture in shown])
    return torch.cat([*maps, torch.ones_like(maps[0][:, :1])], dim=1), torch.from_numpy(truth)[:, None].float()


def same_probes(found, card, within):
    """Fitted on fewer examples they may be a little lower, never much."""
    for name, told in card["quality"]["probes"].items():
        assert found["probes"][name]["seen"] > told["seen"] - within, name


def test_an_exported_model_finds_them_without_a_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported = tmp_path / "sam.safetensors"
    released.unpack(released.FOLDER / "sam-concept.safetensors", imported)
    wanted = frozen_of_exports.describe(imported)
    imported.unlink()
    assert wanted.licence == "MIT"
    assert digest_file(frozen_of_exports.find("sam", wanted, tmp_path)) == wanted.sha256
    with pytest.raises(InputError, match="is not here"):
        frozen_of_exports.find("sam", wanted.model_copy(update={"sha256": "0" * 64}), tmp_path)


def test_a_study_that_released_weights_do_not_fit_is_told_at_once(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("study: own\nworld: {v1s_classes: 6, levels: {pitch: 4, modulation: 1, timbre: 3}}\n")
    with pytest.raises(InputError, match=r"(?s)world\.levels is .* here and .* there.*foundation\.sam\.source: train"):
        released.check(params.load(own))
    train = "foundation: {sam: {source: train}, audio: {source: train}}\n"
    own.write_text(own.read_text() + train)
    released.check(params.load(own))
    for study in ("mini", "full", "smoke", "paper", "clip", "release"):
        released.check(params.load(study))
