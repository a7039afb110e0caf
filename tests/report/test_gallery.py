import re

import numpy as np
import pandas as pd
import pytest

from soundprompt.report import gallery


def area(path: str) -> float:
    """Area inside the outlines of a path, holes subtracted by their direction."""
    total = 0.0
    for part in filter(None, path.split("M")):
        x, y = np.array([pair.split() for pair in part.rstrip("Z").split("L")], float).T
        total += abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    return total


def test_outline_lies_where_the_mask_is():
    logits = np.full((32, 32), -5.0, np.float16)
    logits[8:16, 4:20] = 5
    outline = gallery._outline(logits, 128, 128)
    assert area(outline) == pytest.approx(32 * 64, rel=0.05)
    xs, ys = np.array(re.findall(r"([-\d.]+) ([-\d.]+)", outline), float).T
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx((16, 80, 32, 64), abs=0.6)


def test_masks_that_touch_the_border_are_closed_and_empty_ones_have_no_outline():
    full = gallery._outline(np.full((8, 8), 4.0, np.float16), 64, 64)
    assert area(full) >= 64 * 64
    assert gallery._outline(np.full((8, 8), -4.0, np.float16), 64, 64) == ""
    assert gallery._outline(None, 64, 64) == ""


def test_frames_that_are_not_square_use_the_padded_square():
    logits = np.full((32, 32), -5.0, np.float16)
    logits[:16] = 5  # the upper half of the square is the whole of a frame twice as wide as high
    xs, ys = np.array(re.findall(r"([-\d.]+) ([-\d.]+)", gallery._outline(logits, 128, 64)), float).T
    assert ys.max() == pytest.approx(64, abs=2.5) and xs.max() >= 128


def test_cases_are_chosen_by_score_and_without_looking():
    judged = pd.Series({f"clip{i:02d}": i / 20 for i in range(20)})
    chosen = gallery._choose(judged)
    by = {why: {clip for clip, reason in chosen.items() if reason == why} for why in gallery.CHOSEN}
    assert by["best"] == {"clip19", "clip18"} and by["worst"] == {"clip00", "clip01"}
    assert len(by["unselected"]) == 2
    assert gallery._choose(judged.sample(frac=1, random_state=1)) == chosen
    assert len(gallery._choose(judged.head(3))) == 3


def test_rooms_hold_what_a_reader_needs(study):
    rooms = {room.setting: room for room in gallery.run(*study)}
    case = rooms["v3_0shot"].cases[0]
    assert case.strip.startswith("data:image/jpeg;base64,") and case.sound.startswith("data:audio/")
    assert [overlay.label for overlay in case.overlays][:2] == ["truth", "GAVS"]
    assert all(len(overlay.paths) == case.n_frames == 5 for overlay in case.overlays)
    assert "v3_1shot" not in rooms  # few-shot settings share the clips of 0 shots


def test_unreadable_pictures_and_sounds_do_not_stop_the_report(study):
    params, layout = study
    for path in layout.data.rglob("v3_unseen_*/audio.wav"):
        path.unlink()
        path.write_bytes(b"")
    assert gallery.run(params, layout)[0].cases[0].sound is None
    for path in layout.data.rglob("v3_unseen_*/0.jpg"):
        path.unlink()
    room = gallery.run(params, layout)[0]
    assert not room.cases and "0.jpg" in room.notes[0]
