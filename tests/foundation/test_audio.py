"""Sound encoders: torchvggish's examples, the switches of VGGish, standardisation, weight files."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchvggish.vggish_input import waveform_to_examples

from soundprompt import params, tensorfile
from soundprompt.data import media
from soundprompt.errors import InputError
from soundprompt.foundation import audio
from soundprompt.layout import Layout


def noise(seconds, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, round(seconds * 16000)).astype(np.float32)


@pytest.mark.parametrize(
    ("seconds", "count"), [(5.0, 5), (10.0, 10), (4.9, 5), (9.9, 10), (1.0, 1), (0.96, 1), (0.1, 1), (2.0, 2)]
)
def test_number_of_examples(seconds, count):
    found = audio.examples(noise(seconds))
    assert found.shape == (count, 1, 96, 64)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("seconds", [1.0, 5.0, 7.3])
def test_examples_are_torchvggishs(seconds):
    wave = noise(seconds)
    expected = waveform_to_examples(wave.astype(np.float64), 16000).detach()
    assert torch.equal(audio.examples(wave), expected)


def test_examples_are_avsbenchs(tmp_path):
    """From a sound file to log-mels: figures that AVSBench's own front end gave for two seconds of tones and noise.

    The file holds the sound (16 kHz) and every 7th number of its two examples, computed once with the published code.
    """
    with np.load(Path(__file__).with_name("avsbench_log_mels.npz")) as figures:
        sound, expected = figures["pcm"], figures["examples"]
    soundfile.write(tmp_path / "sound.wav", sound, audio.RATE)
    found = audio.examples(media.read_audio(tmp_path / "sound.wav"))
    assert found.shape == (2, 1, 96, 64)
    np.testing.assert_allclose(found.flatten()[::7], expected, rtol=0, atol=1e-6)


def test_channels_are_averaged():
    left, right = noise(1.0, 1), noise(1.0, 2)
    both = audio.examples(np.stack([left, right], axis=1))
    assert torch.allclose(both, audio.examples((left.astype(float) + right) / 2))


def test_short_sound_is_filled_with_silence():
    found = audio.examples(noise(0.3))[0, 0]
    silence = np.log(np.float32(0.01))
    assert np.allclose(found[40:], silence) and not np.allclose(found[:20], silence)


def test_silence_and_clipping_are_fine():
    frozen = audio.FrozenAudio(audio.MiniVggish(), "mini_vggish", "")
    for wave in (np.zeros(16000, np.float32), np.sign(noise(1.0))):
        assert frozen.embed(frozen.examples(wave)).isfinite().all()


@pytest.mark.parametrize(
    ("wave", "rate", "words"),
    [
        (np.zeros(0, np.float32), 16000, "without samples"),
        (np.zeros(8000, np.float32), 8000, "8000 Hz"),
        (np.full(16000, np.nan, np.float32), 16000, "not numbers"),
    ],
)
def test_bad_sounds(wave, rate, words):
    with pytest.raises(InputError, match=words):
        audio.examples(wave, rate)


def test_mini_encoder_saves_and_loads(tmp_path):
    module = audio.MiniVggish()
    assert sum(p.numel() for p in module.parameters()) == 822_368
    module(torch.randn(8, 1, 96, 64))  # moves the running statistics, which must be saved too
    audio.save(module, params.Audio(), tmp_path / "a.safetensors")
    loaded = audio.load(tmp_path / "a.safetensors")
    batch = torch.randn(3, 1, 96, 64)
    with torch.no_grad():
        assert torch.equal(loaded.embed(batch), module.eval()(batch))
    assert loaded.embed(batch).shape == (3, 128)
    assert not any(p.requires_grad for p in loaded.module.parameters())


def test_standardise_is_exact():
    module = audio.MiniVggish().eval()
    batch = torch.randn(40, 1, 96, 64)
    with torch.no_grad():
        raw = module(batch)
        mean, spread = torch.randn(128), torch.rand(128) + 0.5
        module.standardise(mean, spread)
        assert torch.allclose(module(batch), (raw - mean) / spread, atol=1e-4)


def test_load_refuses_another_file(tmp_path):

    tensorfile.write(tmp_path / "x.safetensors", {"a": torch.ones(1)}, {"architecture": "mini"})
    with pytest.raises(InputError, match="names no sound encoder"):
        audio.load(tmp_path / "x.safetensors")


# -------------------------------------------------------------------------------- VGGish
@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """Random weights of VGGish's shape and PCA parameters, saved as the release saves them."""
    from torchvggish.torchvggish import VGG, make_layers

    folder = tmp_path_factory.mktemp("vggish")
    generator = torch.Generator().manual_seed(0)
    vgg = VGG(make_layers(), postprocess=False)
    with torch.no_grad():
        for parameter in vgg.parameters():
            fan = parameter[0].numel() if parameter.ndim > 1 else 100
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * (2 / fan) ** 0.5)
    torch.save(vgg.state_dict(), folder / "vggish.pth")
    generator = np.random.default_rng(0)
    pca = {"pca_eigen_vectors": generator.normal(0, 0.1, (128, 128)), "pca_means": generator.normal(0, 1, 128)}
    torch.save(pca, folder / "pca.pth")
    return folder, vgg.eval(), pca


def settings(folder, **changes):
    checkpoint = str(folder / "vggish.pth")
    return params.Audio(source="released", architecture="vggish", checkpoint=checkpoint, **changes)


@pytest.mark.slow
def test_vggish_and_its_switches(released, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, vgg, pca = released
    layout = Layout("t")
    found = {}
    pca_path = str(folder / "pca.pth")
    for name, changes in {
        "plain": {},
        "pca": {"pca": True, "pca_checkpoint": pca_path},
    }.items():
        audio.import_checkpoint(settings(folder, **changes), layout)
        frozen = audio.load(layout.foundation("audio"))
        found[name] = frozen.embed(frozen.examples(noise(5.0)))
    assert found["plain"].shape == (5, 128)
    with torch.no_grad():
        expected = vgg(audio.examples(noise(5.0)))
    assert torch.equal(found["plain"].relu(), expected), "the package ends in a ReLU, which here is each model's choice"
    assert (found["plain"] < 0).any()
    turned = (pca["pca_eigen_vectors"] @ (expected.double().numpy().T - pca["pca_means"][:, None])).T
    quantised = np.round((turned.clip(-2, 2) + 2) * 63.75)
    assert np.abs(found["pca"].numpy() - quantised).max() <= 1
    assert (found["pca"] == found["pca"].round()).all()
    assert len(audio.load(layout.foundation("audio")).embed(audio.examples(noise(10.0)))) == 10


@pytest.mark.slow
def test_bad_vggish_checkpoints(released, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, _, _ = released
    content = (folder / "vggish.pth").read_bytes()
    (tmp_path / "vggish.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="not a whole checkpoint"):
        audio.import_checkpoint(settings(tmp_path), Layout("t"))
    torch.save({"pca_means": torch.ones(128)}, tmp_path / "pca.pth")
    with pytest.raises(InputError, match="pca_eigen_vectors"):
        wrong = settings(folder, pca=True, pca_checkpoint=str(tmp_path / "pca.pth"))
        audio.import_checkpoint(wrong, Layout("t"))
    torch.save(audio.MiniVggish().state_dict(), tmp_path / "vggish.pth")
    with pytest.raises(InputError, match="not the weights of VGGish"):
        audio.import_checkpoint(settings(tmp_path), Layout("t"))
    assert not (tmp_path / "weights").exists(), "nothing half-made may stay"
