"""VGGish as torchvggish has it: resampling, examples of a sound, hard sounds, and its switches."""

from __future__ import annotations

import numpy as np
import pytest
import resampy
import soundfile
import torch
from handful import random_vggish
from torchvggish.torchvggish import Postprocessor

from soundprompt.data import media
from soundprompt.foundation import audio

BANDS_TO_6400_HZ = 60  # of VGGish's 64 mel bands, which end at 7,500 Hz
SOUNDS = {
    "silence": np.zeros(32000),
    "clipped": np.sign(np.sin(np.arange(32000) * 0.3)),
    "beyond full scale": 40 * np.random.default_rng(0).standard_normal(32000),
    "one click": np.eye(1, 32000, 9000)[0],
    "direct current": np.ones(32000),
    "very soft": 1e-12 * np.random.default_rng(0).standard_normal(32000),
}


@pytest.fixture(scope="module")
def vgg():
    return random_vggish().eval()


def encoder(vgg, pca=None) -> audio.FrozenAudio:
    """VGGish with these weights; pca: (eigenvectors (128, 128), means (128, 1))."""
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        module = audio.Vggish(pca is not None)
    tensors = {f"vgg.{name}": value for name, value in vgg.state_dict().items()}
    if pca is not None:
        tensors |= {"pca_eigen_vectors": pca[0], "pca_means": pca[1]}
    module.load_state_dict(tensors, assign=True)
    return audio.FrozenAudio(module, "vggish", "random")


def pink_noise(rate: int, seconds: float, highest: float) -> np.ndarray:
    """Noise with the falling spectrum of everyday sound up to `highest` Hz, peak 0.5."""
    count = round(seconds * rate)
    frequencies = np.fft.rfftfreq(count, 1 / rate)
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal(count)) / np.sqrt(np.maximum(frequencies, 20))
    wave = np.fft.irfft(spectrum * (frequencies <= highest), count)
    return 0.5 * wave / np.abs(wave).max()


# -------------------------------------------------------------------------- resampling
@pytest.mark.slow
@pytest.mark.parametrize("rate", [22050, 32000, 44100, 48000])
def test_soxr_against_resampy(rate, vgg):
    """torchvggish resamples with resampy, we with soxr, which is some fifty times faster.

    Sound up to 6.8 kHz: 60 dB and more below the signal, and the same examples and embeddings. Above, where
    both filters fall towards the 8 kHz that 16 kHz samples can hold, they fall differently: the four highest bands
    of full-band noise differ by up to 0.7 in log-mel, and embeddings by up to 3 %.
    """
    frozen = encoder(vgg)
    for highest, wave_off, top_off, embedding_off in ((6800, 1e-3, 0.05, 1e-3), (rate / 2, 0.1, 0.7, 0.03)):
        wave = pink_noise(rate, 5, highest)
        ours, theirs = media.to_mono_16k(wave.astype(np.float32), rate), resampy.resample(wave, rate, audio.RATE)
        assert len(ours) == len(theirs) == 5 * audio.RATE
        assert np.linalg.norm(ours - theirs) < wave_off * np.linalg.norm(theirs)
        examples, expected = audio.examples(ours), audio.examples(theirs)
        off = (examples - expected).abs()
        assert off[..., :BANDS_TO_6400_HZ].max() < 5e-3 and off[..., BANDS_TO_6400_HZ:].max() < top_off
        one, other = frozen.embed(examples), frozen.embed(expected)
        assert (one - other).norm() < embedding_off * other.norm()


# ------------------------------------------------------------------- seconds and examples
@pytest.mark.parametrize("rate", [16000, 22050, 44100, 48000])
@pytest.mark.parametrize(("seconds", "count"), [(5.0, 5), (10.0, 10), (4.9, 5), (0.5, 1), (1.0, 1)])
def test_examples_of_a_file(tmp_path, rate, seconds, count):
    """5.00 s are five examples and 10.00 s ten, at any rate; what is shorter than one is filled with silence."""
    soundfile.write(tmp_path / "a.wav", pink_noise(rate, seconds, 6000), rate)
    found = audio.examples(media.read_audio(tmp_path / "a.wav"))
    assert found.shape == (count, 1, 96, 64) and found.isfinite().all()
    if seconds == 0.5:
        silence = np.log(0.01)
        assert found[0, 0, 60:] == pytest.approx(silence, abs=1e-4) and (found[0, 0, :40] > silence + 0.1).any()


@pytest.mark.parametrize("name", SOUNDS)
def test_hard_sounds_are_finite(vgg, name):
    found = encoder(vgg).embed(audio.examples(SOUNDS[name]))
    assert found.shape == (2, 128) and found.isfinite().all()


# ---------------------------------------------------------------------------- switches
def test_switches(vgg):
    """torchvggish's 128 numbers but for its last ReLU, which is left to the models; its PCA is behind that ReLU."""
    batch = audio.examples(pink_noise(16000, 5, 8000))
    signed = encoder(vgg).embed(batch)
    with torch.no_grad():
        plain = vgg(batch)
    assert (signed < 0).any() and torch.equal(signed.relu(), plain)

    stream = torch.Generator().manual_seed(0)
    vectors, means = 0.1 * torch.randn(128, 128, generator=stream), plain.mean(0)[:, None]
    quantised = encoder(vgg, (vectors, means)).embed(batch)
    theirs = Postprocessor.__new__(Postprocessor)  # without its download
    theirs._pca_matrix, theirs._pca_means = vectors, means
    assert torch.equal(quantised, theirs.postprocess(plain))
    assert quantised.min() >= 0 and quantised.max() <= 255 and len(quantised.unique()) > 20
