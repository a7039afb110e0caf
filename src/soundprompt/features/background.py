"""Sounds that belong to no clip: a silent recording, and the noise of quiet rooms.

They serve as negatives: nothing in a frame makes them, so the right mask is empty. They are made here, at 16 kHz
and rounded to 16 bit as recordings are, and stand in the audio cache under the names of ROWS, so that scoring and
training need no sound encoder.

- silence: all samples are zero. Its embedding is not.
- ambient: Gaussian noise with a power spectrum of f^-slope above 40 Hz, slope and level drawn for each recording:
  slope from 0 (white) to 2 (brown), level from -65 to -50 dB below full scale (root mean square). With speech at
  60 dB SPL recorded at about -26 dB, that is a room of 21 to 36 dB SPL. Tests and training have rooms of their own.

Where sounds are numbered, numbers from 0 on are frames whose second is heard; those below 0 are NOTHING (zeros in
place of an embedding), SILENCE, and what `ambient` gives.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from soundprompt.data.media import RATE

TEST_ROOMS, TRAINING_ROOMS, SECONDS = range(8), range(8, 16), 5
ROOMS = len(TEST_ROOMS) + len(TRAINING_ROOMS)
LOWEST_HZ, SLOPES, LEVELS_DB = 40.0, (0.0, 2.0), (-65.0, -50.0)
SEED = 8128
KINDS = ("silence", "ambient")
ROWS = ("silence/0", *(f"ambient/{i}" for i in range(ROOMS * SECONDS)))
RECIPE: dict[str, Any] = {
    "rooms": ROOMS,
    "seconds": SECONDS,
    "lowest_hz": LOWEST_HZ,
    "slopes": list(SLOPES),
    "levels_db": list(LEVELS_DB),
    "seed": SEED,
}
NOTHING, SILENCE = -1, -2


def ambient(room: int, second: int) -> int:
    """Number of a second of room noise; after the last second comes the first."""
    return SILENCE - 1 - (room * SECONDS + second % SECONDS)


def recordings() -> Iterator[np.ndarray]:
    """The sounds whose seconds, in order, are ROWS: (samples,) float32, full scale at -1 and 1."""
    yield np.zeros(_samples(1), np.float32)
    for number in range(ROOMS):
        yield room_noise(number)


def room_noise(number: int) -> np.ndarray:
    """One recording of room noise, (samples,) float32."""
    rng = np.random.default_rng([SEED, number])
    slope, level = rng.uniform(*SLOPES), rng.uniform(*LEVELS_DB)
    samples = _samples(SECONDS)
    frequency = np.fft.rfftfreq(samples, 1 / RATE)
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    spectrum *= np.where(frequency < LOWEST_HZ, 0, np.maximum(frequency, LOWEST_HZ) ** (-slope / 2))
    noise = np.fft.irfft(spectrum, samples)
    noise *= 10 ** (level / 20) / np.sqrt(np.mean(noise**2))
    return (np.round(noise * 32767) / 32768).astype(np.float32)


def _samples(seconds: int) -> int:
    """A recording gives one example for each of its seconds, and no rest that would be another."""
    return seconds * RATE
