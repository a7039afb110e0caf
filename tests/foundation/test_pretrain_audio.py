"""The sound encoder's pre-training: deterministic, resumable to the bit, standardised."""

import pytest
import torch

from soundprompt import params, provenance
from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.foundation import audio, pretrain_audio, probes, process, quality, resume
from soundprompt.layout import Layout

LAYOUT = Layout("t")
VIEW = params.PretrainView(study="t", model=params.Audio(sounds=48, epochs=3), scene=params.Scene())


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def quick_quality(monkeypatch):
    """Measures on fewer sounds: these tests are not about quality."""
    monkeypatch.setattr(quality, "PROBE_SOUNDS", 120)
    monkeypatch.setattr(pretrain_audio, "HELD_OUT_SOUNDS", 20)


def test_killed_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, quick_quality):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    pretrain_audio.run(VIEW, LAYOUT)
    whole = LAYOUT.foundation("audio").read_bytes()

    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    target, key = LAYOUT.foundation("audio"), provenance.key("foundation/audio", VIEW, 0, {})
    trainer = pretrain_audio.Trainer(VIEW)

    def keep_and_die():
        resume.save(target, key, trainer.state())
        if trainer.epoch == 2:
            raise Killed

    with pytest.raises(Killed), process.single_thread():  # as `run` does
        trainer.train(keep_and_die)
    pretrain_audio.run(VIEW, LAYOUT)
    assert target.read_bytes() == whole
    assert read_json(LAYOUT.foundation_quality("audio"))["provenance"]["resumed_at"] == 2
    assert sorted(path.name for path in target.parent.iterdir()) == ["audio.json", "audio.safetensors"]

    frozen = audio.load(target)
    found = frozen.embed(pretrain_audio.pool(0, pretrain_audio.TRAINING, 48, VIEW.scene)[0])
    assert found.mean(dim=0).abs().max() < 1e-3
    assert (found.std(dim=0, correction=0) - 1).abs().max() < 1e-2


def test_one_cycle():
    rates = [pretrain_audio.learning_rate(step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(pretrain_audio.FIRST_RATE)
    assert max(rates) == rates[30] == pytest.approx(pretrain_audio.PEAK_RATE)
    assert rates[-1] < 1e-6


def test_probes_tell_information_from_noise():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (900, 2), generator=generator)
    features = torch.randn(900, 6, generator=generator)
    features[:, 0] += 4 * labels[:, 0]
    kinds = ["seen" if row % 2 else "new combination" for row in range(900)]
    found = probes.accuracies(features, labels, kinds, torch.arange(900) < 500, ("told", "hidden"))
    assert found["told"]["seen"] > 0.9 and found["told"]["new combination"] > 0.9
    assert found["hidden"]["seen"] < 0.5
    assert found["told"]["new level"] is None
    assert found["told"]["chance"] == pytest.approx(1 / 3)


def test_a_loss_that_is_not_finite_ends_pre_training():
    trainer = pretrain_audio.Trainer(VIEW)
    torch.nn.init.constant_(trainer.trained[0], float("nan"))
    with pytest.raises(InputError, match=r"sound encoder: the loss in epoch 1 is not finite \(NaN\)"):
        trainer.train(lambda: None)
