"""Parts of the training clips: nested, balanced, and the same whoever asks."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from soundprompt.errors import InputError
from soundprompt.params import Setting, load, validate
from soundprompt.training import subset

SHARES = (0.1, 0.3, 0.5, 1.0)
COUNTS = {"dog": 40, "cat": 25, "hen": 20, "dog_cat": 10, "pig": 4, "cow": 1}


@pytest.fixture
def rows() -> pd.DataFrame:
    """100 clips of two frames; every fifth dog is from the video of the one before."""
    found = []
    for name, count in COUNTS.items():
        for i in range(count):
            video = f"{name}{i - (name == 'dog' and i % 5 == 4)}"
            found += [
                {"dataset": "v2", "clip": f"{name}_{i}", "video": video, "class_name": name, "frame": f} for f in (0, 1)
            ]
    return pd.DataFrame(found)


def clips(rows: pd.DataFrame) -> set[str]:
    return set(rows["clip"])


@pytest.mark.parametrize("seed", range(5))
def test_smaller_parts_lie_in_larger_ones(rows, seed):
    parts = [clips(subset.part(rows, share, seed)) for share in SHARES]
    assert all(small < large for small, large in pairwise(parts))
    assert [len(one) for one in parts[:-1]] == pytest.approx([10, 30, 50], abs=1)
    assert parts[-1] == clips(rows)


def test_classes_take_turns(rows):
    for share in SHARES[:3]:
        kept = subset.part(rows, share, 0).drop_duplicates("clip")["class_name"].value_counts()
        assert set(kept.index) == set(COUNTS)
        full = max(kept)
        # a class with fewer than the fullest has given all that it has, but for a turn or a pair of one video
        assert all(count >= min(COUNTS[name], full - 2) for name, count in kept.items()), kept
    few = subset.part(rows, 0.03, 0).drop_duplicates("clip")
    assert len(few) in (3, 4) and few["class_name"].nunique() == 3


def test_clips_and_videos_stay_whole(rows):
    kept = subset.part(rows, 0.3, 0)
    assert (kept.groupby("clip").size() == 2).all()
    left = rows[~rows["clip"].isin(clips(kept))]
    assert not set(kept["video"]) & set(left["video"])


def test_only_the_seed_of_the_share_decides(rows):
    kept = subset.part(rows, 0.3, 0)
    assert kept.equals(rows[rows["clip"].isin(clips(kept))])  # the order of rows stays
    shuffled = rows.iloc[np.random.default_rng(0).permutation(len(rows))]
    assert clips(subset.part(shuffled, 0.3, 0)) == clips(kept)
    assert clips(subset.part(rows, 0.3, 1)) != clips(kept)
    assert subset.part(rows, 1, 0) is rows


def test_a_video_of_two_classes_counts_for_both():
    names = [("a", "x"), ("a", "y"), ("b", "x"), ("c", "y"), ("d", "z")]
    rows = pd.DataFrame({"dataset": "v2", "clip": f"{v}{c}", "video": v, "class_name": c, "frame": 0} for v, c in names)
    for seed in range(10):
        order = subset.order(rows, seed)
        assert sorted(order) == ["a", "b", "c", "d"]
        if order[0] == "a":
            assert order[1] == "d"


def test_few_shots_and_borrowed_models_have_no_share():
    for other in ({"start_from": "v2", "train": ("v2/train",), "validate_on": ("v2/val",)}, {"model_of": "v2"}):
        with pytest.raises(ValueError, match="leave it at 1"):
            Setting(test=("v2/test",), share=0.1, **other)
    raw = load().model_dump(mode="json")
    raw["settings"]["v3_1shot"]["share"] = 0.5
    with pytest.raises(InputError, match=r"settings.v3_1shot: share 0.5 .* few shots are few"):
        validate(raw)
