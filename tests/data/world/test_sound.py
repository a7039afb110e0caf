"""Sounds: each level is measurable in the wave, in both domains."""

import numpy as np
import pytest

from soundprompt.data.world import sound
from soundprompt.data.world.classes import all_classes
from soundprompt.params import Levels

CLASSES = {cls.name: cls for cls in all_classes(Levels())}
SECONDS = 3


def recorded(name, channel=sound.BASE, key=0):
    rng = np.random.default_rng([5, key])
    wave = sound.class_sound(rng, CLASSES[name], SECONDS * sound.RATE, channel)
    return sound.master(rng, wave, channel)


def peak_hertz(wave):
    power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
    return np.fft.rfftfreq(len(wave), 1 / sound.RATE)[power.argmax()]


def envelope(wave):
    return np.sqrt(np.mean(wave.reshape(-1, 160) ** 2, axis=1))  # 100 Hz


@pytest.mark.parametrize("colour", ["red", "yellow", "green", "purple", "blue"])
@pytest.mark.parametrize("channel", [sound.BASE, sound.SHIFTED], ids=["base", "shifted"])
def test_the_strongest_frequency_is_the_pitch(colour, channel):
    name = f"{colour}-plain-blob"
    expected = CLASSES[name].pitch.hertz * channel.pitch_factor
    assert abs(np.log(peak_hertz(recorded(name, channel)) / expected)) < 0.1


@pytest.mark.parametrize(("texture", "hertz"), [("wide", 4), ("narrow", 12)])
def test_the_amplitude_swings_at_the_rate_of_the_stripes(texture, hertz):
    swing = envelope(recorded(f"red-{texture}-blob"))
    spectrum = np.abs(np.fft.rfft(swing - swing.mean()))
    rate = np.fft.rfftfreq(len(swing), 0.01)
    slow = (rate > 1) & (rate < 20)
    assert abs(rate[slow][spectrum[slow].argmax()] / hertz - 1) < 0.15
    assert swing.std() / swing.mean() > 0.4


def test_plain_objects_sound_steady():
    swing = envelope(recorded("red-plain-blob"))
    assert swing.std() / swing.mean() < 0.15


def test_timbres_differ_in_harmonics_and_noise():
    share, flatness = {}, {}
    for shape in ("blob", "square", "star"):
        wave = recorded(f"yellow-plain-{shape}")
        power = np.abs(np.fft.rfft(wave * np.hanning(len(wave)))) ** 2
        hertz = np.fft.rfftfreq(len(wave), 1 / sound.RATE)
        share[shape] = power[hertz > 600].sum() / power.sum()
        flatness[shape] = np.exp(np.log(power).mean()) / power.mean()
    assert share["blob"] < 0.15 < 0.3 < share["square"]
    assert flatness["star"] > 20 * max(flatness["blob"], flatness["square"])


def test_gate_follows_vggish_examples_and_the_last_lasts():
    gate = sound.gate(np.array([True, False, True, False, True]), 5 * sound.RATE)
    example = int(0.96 * sound.RATE)
    for t, expected in enumerate((1, 0, 1, 0, 1)):
        assert (gate[t * example : (t + 1) * example] == expected).all()
    assert (gate[4 * example :] == 1).all() and len(gate) == 80000


def test_recordings_are_in_range_and_silence_is_only_noise():
    rng = np.random.default_rng(1)
    silence = sound.master(rng, np.zeros(sound.RATE, np.float32), sound.BASE)
    assert np.isfinite(silence).all() and 0 < np.abs(silence).max() < 0.5
    wave = recorded("blue-narrow-star", sound.SHIFTED)
    assert wave.dtype == np.float32 and np.abs(wave).max() <= 1
    assert sound.to_pcm(np.array([-1.0, 0.0, 1.0])).tolist() == [-32767, 0, 32767]


def test_the_shifted_domain_is_duller():
    def centroid(channel):
        wave = recorded("yellow-plain-star", channel)
        power = np.abs(np.fft.rfft(wave)) ** 2
        return (power * np.fft.rfftfreq(len(wave), 1 / sound.RATE)).sum() / power.sum()

    assert centroid(sound.SHIFTED) < centroid(sound.BASE)
