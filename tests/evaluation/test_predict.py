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
