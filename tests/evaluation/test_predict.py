"""Probes, overlapping selections, and predictions on disk."""

import numpy as np
import pandas as pd
import pytest
import torch

from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.evaluation import predict
from soundprompt.features import background
from soundprompt.files import digest_file


def clips(*classes, videos=None):
    """One selection of clips with two frames each."""
    return pd.DataFrame(
        [
            {
                "dataset": "v1s",
                "selection": "v1s/test",
                "clip": f"clip{i}",
                "video": videos[i] if videos else f"video{i}",
                "class_name": name,
                "frame": frame,
                "mask": "m.png",
            }
            for i, name in enumerate(classes)
            for frame in range(2)
        ]
    )


def test_partners_share_no_class_and_no_video():
    rows = clips("dog", "cat", "dog_cat", "hen", "dog", "hen_cat", videos=["x", "y", "z", "x", "u", "v"])
    about = rows.drop_duplicates("clip").set_index("clip")
    found = predict.partners(rows)
    assert set(found) == set(about.index)
    for clip, other in found.items():
        assert not set(about.class_name[clip].split("_")) & set(about.class_name[other].split("_"))
        assert about.video[clip] != about.video[other]


def test_partners_do_not_depend_on_the_order_of_rows():
    rows = clips(*("dog", "cat", "hen") * 5)
    assert predict.partners(rows) == predict.partners(rows.sample(frac=1, random_state=1))


def test_partners_spread_over_the_clips():
    found = predict.partners(clips(*("dog", "cat", "hen", "cow") * 10))
    assert len(set(found.values())) > 20


def test_partners_where_all_share_a_class_differ_in_the_class_string():
    assert predict.partners(clips("dog", "dog_cat")) == {"clip0": "clip1", "clip1": "clip0"}


def test_one_class_cannot_be_mismatched():
    with pytest.raises(InputError, match="class 'dog'"):
        predict.partners(clips("dog", "dog"))


def test_mismatched_sound_is_the_same_second_of_the_partner():
    rows = clips("dog", "cat").sample(frac=1, random_state=3).reset_index(drop=True)
    sounds = predict.heard(rows, np.arange(len(rows)), "mismatched")
    assert (rows["clip"].to_numpy() != rows["clip"].to_numpy()[sounds]).all()
    assert (rows["frame"].to_numpy() == rows["frame"].to_numpy()[sounds]).all()


def test_off_screen_sound_is_of_nothing_in_the_frame_silent_objects_included():
    rows = clips(*("dog", "cat", "hen", "cow") * 3)
    silent = ["cat_hen", "hen", "", "cat"] * 3  # a cow may be heard beside a dog, and so on
    rows["silent"] = np.repeat(silent, 2)
    about = rows.drop_duplicates("clip").set_index("clip")
    found = predict.partners(rows, off_screen=True)
    for clip, other in found.items():
        there = {about.class_name[clip], *about.silent[clip].split("_")}
        assert about.class_name[other] not in there
    mismatched = predict.partners(rows)
    assert any(about.class_name[other] in about.silent[clip].split("_") for clip, other in mismatched.items())


def test_a_sound_that_is_everywhere_in_sight_cannot_be_off_screen():
    rows = clips("dog", "cat").assign(silent=["cat", "cat", "dog", "dog"])
    with pytest.raises(InputError, match="no sound from off the screen") as caught:
        predict.partners(rows, off_screen=True)
    assert "@off_screen" in caught.value.remedy
    assert predict.partners(rows) == {"clip0": "clip1", "clip1": "clip0"}


def test_where_silent_objects_are_unknown_off_screen_is_as_mismatched_and_says_so(tiny, capsys):
    rows = frame_table.select(tiny, ["v1s/test"])
    found = predict.questions(rows, ["own", "mismatched", "off_screen"])
    assert (found.asked["v1s/test", "off_screen"] == found.asked["v1s/test", "mismatched"]).all()
    assert len(found.pairs) == 2 * len(rows), "the same frame and sound are asked once"
    assert "v1s/test: its silent objects are not known" in capsys.readouterr().err


def test_silence_is_one_sound_and_rooms_are_many(tiny):
    rows = frame_table.select(tiny, ["v3/unseen", "v3/1_shot_test"])
    found = predict.questions(rows, ["own", "silence", "ambient"])
    assert set(found.asked) == {
        ("v3/unseen", "own"),
        ("v3/unseen", "silence"),
        ("v3/unseen", "ambient"),
        ("v3/1_shot_test", "own"),
    }, "other sounds are asked about in the first selection alone"
    assert len(found.pairs) == 54
    sounds = found.pairs[found.asked["v3/unseen", "silence"], 1]
    assert (sounds == background.SILENCE).all()
    rooms = found.pairs[found.asked["v3/unseen", "ambient"], 1].reshape(6, 3)
    known = {background.ambient(r, s) for r in background.TEST_ROOMS for s in range(background.SECONDS)}
    assert set(rooms.flatten().tolist()) <= known and len(set(rooms[:, 0].tolist())) > 2
    assert all(len(set(clip)) == 3 for clip in rooms.tolist()), "a recording goes on from second to second"


def test_overlapping_selections_are_asked_once(tiny):
    rows = frame_table.select(tiny, ["v3/unseen", "v3/1_shot_test"])
    found = predict.questions(rows, ["own", "muted"])
    assert len(found.frames) == 18
    assert len(found.pairs) == 36
    for (selection, probe), numbers in found.asked.items():
        members = found.selections[selection]
        frames = found.frames.iloc[found.pairs[numbers, 0]]
        assert frames[["clip", "frame"]].to_numpy().tolist() == members[["clip", "frame"]].to_numpy().tolist()
        expected = found.pairs[numbers, 0] if probe == "own" else background.NOTHING
        assert (found.pairs[numbers, 1] == expected).all()


def test_recorded_predictions_come_back(tiny, tmp_path):
    rows = frame_table.select(tiny, ["v3/unseen", "v3/1_shot_test"])
    found = predict.questions(rows, ["own", "muted"])
    recorder = predict.Recorder(found)
    for start in range(0, len(found.pairs), 5):
        numbers = list(range(start, min(start + 5, len(found.pairs))))
        recorder.add(numbers, torch.tensor(numbers).float()[:, None, None, None].expand(-1, 1, 4, 4))
    recorder.write(tmp_path / "p.safetensors")
    read = predict.read_predictions(tmp_path / "p.safetensors", "v3/unseen", "muted")
    assert len(read) == 18
    for (clip, frame), logits in read.items():
        place = found.frames[(found.frames["clip"] == clip) & (found.frames["frame"] == frame)].index[0]
        assert found.pairs[int(logits[0, 0])].tolist() == [place, background.NOTHING]
    assert predict.read_predictions(tmp_path / "p.safetensors", "v3/1_shot_test") == {}
    first = digest_file(tmp_path / "p.safetensors")
    recorder.write(tmp_path / "p.safetensors")
    assert digest_file(tmp_path / "p.safetensors") == first


@pytest.mark.parametrize("content", [None, b"", b"\x10\0\0\0"])
def test_damaged_predictions_are_named(tmp_path, content):
    path = tmp_path / "predictions.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"predictions\.safetensors"):
        predict.read_predictions(path, "v1s/test")
