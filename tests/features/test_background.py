"""Sounds that belong to no clip: what they are, and that the cache holds what the encoder makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from soundprompt.data import frame_table
from soundprompt.errors import InputError
from soundprompt.features import background, extract, plan, store
from soundprompt.features.frames import Frames
from soundprompt.foundation import audio


def test_silence_is_digital_and_rooms_are_quiet_and_broad():
    silence, *rooms = background.recordings()
    assert not silence.any() and len(rooms) == background.ROOMS
    levels = [20 * np.log10(np.sqrt(np.mean(room.astype(float) ** 2))) for room in rooms]
    assert all(-65.1 < level < -49.9 for level in levels) and np.ptp(levels) > 5
    for room in rooms:
        assert np.array_equal(np.round(room * 32768), room * 32768), "not what 16 bits can hold"
        power = np.abs(np.fft.rfft(room)) ** 2
        bands = [
            power[int(low * background.SECONDS) : int(2 * low * background.SECONDS)].sum() for low in (60, 600, 3000)
        ]
        assert min(bands) > 1e-4 * sum(bands), "a tone, not noise"
    assert np.array_equal(background.room_noise(3), rooms[3]) and not np.array_equal(rooms[2], rooms[3])


def test_rows_are_the_seconds_of_the_recordings():
    seconds = [len(audio.examples(wave)) for wave in background.recordings()]
    assert seconds == [1] + background.ROOMS * [background.SECONDS]
    assert sum(seconds) == len(background.ROWS) == len(set(background.ROWS))
    numbers = {background.ambient(r, s) for r in range(background.ROOMS) for s in range(background.SECONDS)}
    assert {background.SILENCE - n for n in numbers} == set(range(1, len(background.ROWS)))
    assert background.ambient(1, background.SECONDS) == background.ambient(1, 0)
    assert not set(background.TEST_ROOMS) & set(background.TRAINING_ROOMS)


def test_frames_give_sounds_by_number(project):
    plan.run(project.view, project.layout)
    for shard in range(2):
        extract.run_shard(shard, project.view, project.layout)
    extract.run_audio(project.view, project.layout)
    frames = Frames(frame_table.select(project.layout, ["v2/train"]), project.layout, None, project.sam)
    encoder = audio.load(project.layout.foundation("audio"))
    numbers = [4, background.SILENCE, background.NOTHING, background.ambient(2, 3)]
    silence, room = (encoder.embed(encoder.examples(wave)) for wave in (np.zeros(16000), background.room_noise(2)))
    expected = torch.stack([frames.audio[4], silence[0], torch.zeros(128), room[3]])
    torch.testing.assert_close(frames.sounds(numbers), expected, rtol=1e-4, atol=1e-5)
    assert silence.abs().max() > 0, "a silent recording is not the absence of an embedding"


def test_a_cache_without_them_is_named(project):
    plan.run(project.view, project.layout)
    for shard in range(2):
        extract.run_shard(shard, project.view, project.layout)
    extract.run_audio(project.view, project.layout)
    path = project.layout.audio_features
    whole = store.Store(path)
    rows = whole.rows[: -len(background.ROWS)]
    kept = whole.read(extract.SOUND, rows)
    store.write(path, whole.recipe, rows, {extract.SOUND: kept})
    frames = Frames(frame_table.select(project.layout, ["v2/train"]), project.layout, None, project.sam)
    with pytest.raises(InputError, match="holds no row silence/0"):
        frames.sounds([background.SILENCE])
    extract.run_audio(project.view, project.layout)  # by the same recipe, and not the same rows
    assert store.Store(path).rows == whole.rows
