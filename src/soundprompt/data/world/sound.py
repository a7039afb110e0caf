"""Sounds of the generated world: tones with pitch, amplitude modulation and timbre, mono, 16 kHz."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from soundprompt.data.world.classes import Class

RATE = 16000
EXAMPLE_SECONDS = 0.96  # what one VGGish example spans


@dataclass(frozen=True)
class Channel:
    """What lies between a source and the recording.

    pitch_factor: multiplies every pitch. reverb: seconds. tilt: one-pole low-pass coefficient in
    [0, 1). noise_db: range of the signal-to-noise ratio.
    """

    pitch_factor: float = 1.0
    reverb: float = 0.0
    tilt: float = 0.0
    noise_db: tuple[float, float] = (15.0, 30.0)


BASE = Channel()
SHIFTED = Channel(pitch_factor=1.06, reverb=0.15, tilt=0.5, noise_db=(5.0, 15.0))


def synthesise(rng: np.random.Generator, hertz: float, modulation: float, timbre: float, samples: int) -> np.ndarray:
    """A tone with RMS 1, (samples,) float32.

    hertz: fundamental, with a slow vibrato. modulation: Hz of the amplitude, below 0.3 none.
    timbre: 0 pure, 1 bright (up to 12 harmonics), 2 tone and noise; blends in between.
    """
    time = np.arange(samples) / RATE
    vibrato = 0.6 * np.sin(2 * np.pi * rng.uniform(0.5, 2) * time)
    first = np.exp(1j * (2 * np.pi * hertz * time + rng.uniform(0, 2 * np.pi) + vibrato)).astype(np.complex64)
    pure, bright, noisy = max(0.0, 1 - timbre), max(0.0, 1 - abs(timbre - 1)), max(0.0, timbre - 1)
    wave = np.float32(pure + 0.5 * noisy) * (first.imag + np.float32(0.15) * (first * first).imag)
    if bright:
        wave += np.float32(0.6 * bright) * _harmonics(first, min(12, int(6500 / hertz)))
    if noisy:
        wave += np.float32(0.9 * noisy) * rng.standard_normal(samples, dtype=np.float32)
    if modulation > 0.3:
        swing = 0.5 + 0.5 * np.sin(2 * np.pi * modulation * time + rng.uniform(0, 2 * np.pi))
        wave *= (1 - 0.9 * swing).astype(np.float32)
    return (wave / (_rms(wave) + 1e-6)).astype(np.float32)


def class_sound(rng: np.random.Generator, cls: Class, samples: int, channel: Channel) -> np.ndarray:
    """A member of a class with the variation that the class allows, RMS 1, (samples,) float32."""
    return synthesise(
        rng,
        hertz=cls.pitch.hertz * channel.pitch_factor * np.exp(rng.uniform(-0.08, 0.08)),
        modulation=cls.modulation.hertz * rng.uniform(0.88, 1.12),
        timbre=float(np.clip(cls.timbre + rng.uniform(-0.15, 0.15), 0, 2)),
        samples=samples,
    )


def gate(on: np.ndarray, samples: int) -> np.ndarray:
    """A source's switch, (samples,) float32 of 0 and 1, from `on` (seconds,) bool.

    A second is a VGGish example, 0.96 s: frame t and example t always tell the same story.
    The last one lasts to the end.
    """
    index = np.arange(samples) // int(EXAMPLE_SECONDS * RATE)
    return on[np.minimum(index, len(on) - 1)].astype(np.float32)


def master(rng: np.random.Generator, wave: np.ndarray, channel: Channel) -> np.ndarray:
    """Reverb, spectral tilt, noise and a random level; (samples,) float32 in [-1, 1]."""
    wave = _filter(rng, wave, channel)
    level = _rms(wave) + 1e-6
    noise = rng.standard_normal(len(wave), dtype=np.float32)
    wave = wave / level + noise * np.float32(10 ** (-rng.uniform(*channel.noise_db) / 20))
    return np.clip(wave * np.float32(10 ** rng.uniform(-1.5, -0.6)), -1, 1).astype(np.float32)


def to_pcm(wave: np.ndarray) -> np.ndarray:
    """[-1, 1] float to int16, as the wav files hold it."""
    return np.rint(wave * 32767).astype(np.int16)


def _harmonics(first: np.ndarray, count: int) -> np.ndarray:
    """Sum of the first `count` harmonics of `first` = exp(i phase), falling as 1 / k^0.6."""
    total, power = np.zeros(len(first), np.float32), np.ones(len(first), np.complex64)
    for k in range(1, count + 1):
        power *= first
        total += power.imag * np.float32(k**-0.6)
    return total


def _filter(rng: np.random.Generator, wave: np.ndarray, channel: Channel) -> np.ndarray:
    if not (channel.reverb or channel.tilt):
        return wave
    tail = int(channel.reverb * RATE)
    length = 1 << int(np.ceil(np.log2(len(wave) + max(tail, 64))))
    spectrum = np.fft.rfft(wave, length)
    if tail:
        echo = rng.normal(0, 1, tail) * np.exp(-np.arange(tail) / (tail / 5))
        echo[0] = 4  # the direct sound
        spectrum *= np.fft.rfft(echo, length)
    if channel.tilt:
        turn = np.exp(-1j * np.pi * np.arange(len(spectrum)) / (len(spectrum) - 1))
        spectrum *= (1 - channel.tilt) / (1 - channel.tilt * turn)
    return np.fft.irfft(spectrum, length)[: len(wave)].astype(np.float32)


def _rms(wave: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
