"""`make demo`: what a newcomer sees before anything is trained."""

import json

import av
import pytest
from PIL import Image

from project_copy import copy_project

pytestmark = pytest.mark.pipeline


def test_a_released_model_paints_a_clip_that_it_has_not_seen(tmp_path):
    copy = copy_project(tmp_path)
    answer = copy.make("demo")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "results/demo/heard.mp4: 5 predictions" in answer.stdout
    with av.open(copy.root / "results/demo/heard.mp4") as film:
        assert film.streams.video and film.streams.audio
    page = (copy.root / "results/demo/heard.html").read_text()
    assert "<video" in page and "https:" not in page
    masks = [Image.open(path) for path in sorted((copy.root / "results/demo/heard.masks").glob("*.png"))]
    assert any(mask.getbbox() for mask in masks)
    again = copy.make("demo")
    assert again.returncode == 0, again.stdout + again.stderr


def test_the_released_model_is_one_of_the_default_study(request):
    config = json.loads((request.config.rootpath / "demo/gavs-v1m/provenance.json").read_text())
    text = json.dumps(config)
    assert '"study": "mini"' in text and '"v1m"' in text
