from __future__ import annotations

import pytest

from soundprompt.errors import InputError
from soundprompt.features import background
from soundprompt.training.sampler import Sampler

CLIPS = [list(range(5 * clip, 5 * clip + 5)) for clip in range(9)] + [[45]]
NAMES = [f"video{clip}" for clip in range(10)]
CLASSES = ["dog", "cat"] * 5


def sampler(seed=0, clips_per_step=4, **changes) -> Sampler:
    content = {"clips": CLIPS, "videos": NAMES, "classes": CLASSES, **changes}
    return Sampler(**content, seed=seed, clips_per_step=clips_per_step, frames_per_clip=2)


def test_a_step_is_a_function_of_seed_and_step_alone():
    straight = sampler()
    batches = {step: straight.batch(step) for step in range(1, 20)}
    for step in (13, 2, 19, 1):
        assert sampler().batch(step) == batches[step]
    assert sampler(seed=1).batch(1) != batches[1]
    seeds = [sampler(seed).torch_seed(step) for seed in range(3) for step in range(50)]
    assert len(set(seeds)) == 150 and all(0 <= seed < 2**63 for seed in seeds)


def test_an_epoch_sees_each_clip_once_with_distinct_frames_in_parts_of_nearly_equal_size():
    drawn = sampler()
    assert drawn.steps_per_epoch == 3
    orders = []
    for epoch in range(3):
        steps = [drawn.batch(1 + 3 * epoch + part) for part in range(3)]
        clips = [list(dict.fromkeys(frame // 5 for frame in batch)) for batch in steps]
        assert [len(part) for part in clips] == [4, 3, 3]
        orders.append([clip for part in clips for clip in part])
        assert sorted(orders[-1]) == list(range(10))
        frames = [frame for batch in steps for frame in batch]
        assert len(frames) == len(set(frames)) == 19  # two of each clip, one of the clip that has but one
    assert orders[0] != orders[1] != orders[2]


def test_spare_is_a_frame_of_another_video_only_where_a_step_has_one_video():
    assert all(sampler().spare(step) is None for step in range(1, 10))
    lone = sampler(clips_per_step=1)
    for step in range(1, 11):
        clip, spare = lone.batch(step)[0] // 5, lone.spare(step)
        assert CLASSES[spare // 5] != CLASSES[clip] and spare == sampler(clips_per_step=1).spare(step)
    same_class = sampler(clips_per_step=1, classes=["dog"] * 10)
    assert all(same_class.spare(step) // 5 != same_class.batch(step)[0] // 5 for step in range(1, 11))
    assert sampler(videos=["one"] * 10).spare(1) is None


def test_negatives_are_a_share_of_each_step_and_a_function_of_seed_and_step():
    straight = sampler()
    drawn = {step: straight.negatives(step, 0.3) for step in range(1, 400)}
    for step in (200, 7, 300):
        assert sampler().negatives(step, 0.3) == drawn[step]
        assert sampler().batch(step) == straight.batch(step), "drawing negatives changes no batch"
    sizes = [len(straight.batch(step)) for step in drawn]
    assert all(abs(len(places) - 0.3 * size) < 1 for places, size in zip(drawn.values(), sizes, strict=True))
    assert sum(map(len, drawn.values())) / sum(sizes) == pytest.approx(0.3, abs=0.02)
    sounds = [sound for places in drawn.values() for sound in places.values()]
    silent, rooms = sounds.count(background.SILENCE), sum(sound < background.SILENCE for sound in sounds)
    for part in (silent, rooms):  # the other half is of other clips
        assert part / len(sounds) == pytest.approx(1 / 4, abs=0.05)
    rooms = {background.ambient(r, s) for r in background.TRAINING_ROOMS for s in range(background.SECONDS)}
    assert {sound for sound in sounds if sound < background.SILENCE} == rooms, "and none of the test's rooms"
    assert sampler().negatives(1, 0) == {} and len(sampler().negatives(1, 1)) == sizes[0]


def test_negatives_of_other_clips_are_of_nothing_in_the_picture():
    classes = ["dog", "cat", "dog_cat", "hen", "cow"] * 2
    seen = sampler(classes=classes, silent=[None, "hen"] * 5)
    heard = set()
    for step in range(1, 300):
        batch = seen.batch(step)
        for place, sound in seen.negatives(step, 0.5).items():
            if sound >= 0:
                clip, other = batch[place] // 5, sound // 5
                assert not set(classes[clip].split("_")) & set(classes[other].split("_"))
                assert clip % 2 == 0 or classes[other] != "hen"
                heard.add((clip, other))
    assert len(heard) > 20
    lone = sampler(classes=["dog"] * 10)
    assert all(sound < 0 for step in range(1, 50) for sound in lone.negatives(step, 0.5).values())


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(InputError, match="no supervised frames"):
        sampler(clips=[])
