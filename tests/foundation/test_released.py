"""Released weights: imported where the settings fit, refused where not, and worth what their cards say."""

import json
import shutil

import pytest

from soundprompt import cli, params
from soundprompt.errors import InputError
from soundprompt.files import digest_file, read_json
from soundprompt.foundation import pretrain_sam, quality, released
from soundprompt.foundation import sam as foundation_sam
from soundprompt.layout import Layout

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
    with pytest.raises(InputError, match=r"sam\.safetensors: not the weights of its card"):
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


def test_the_verb_imports(given):
    cli.app(["pretrain", "--model", "sam", "--settings", view().model_dump_json()], standalone_mode=False)
    assert LAYOUT.foundation("sam").read_bytes() == (given / "sam.safetensors").read_bytes()
