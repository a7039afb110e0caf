"""Sources of every kind: what they look like, how long they are, and their sound without a break."""

from fractions import Fraction

import numpy as np
import pytest
import soundfile
from films import RATE, SIZE, picture, pitch, wave, write_film, write_pictures, write_wav
from PIL import Image

from soundprompt.errors import InputError
from soundprompt.prediction.video_in import Sound, Track, open_source


def test_a_film(tmp_path):
    path = write_film(tmp_path / "v.mp4", 2, pixel_shape=Fraction(4, 3), colours=1)
    source = open_source(path, None)
    assert source.look.size == SIZE and source.look.rate == Fraction(25, 2)
    assert source.look.pixel_shape == Fraction(4, 3) and source.look.colours == (1, 1, 1)
    assert abs(source.length - 2) < 0.1 and source.sound.path == path
    shown = list(source.pictures())
    assert len(shown) == 25 and shown[7].time == pytest.approx(7 / 12.5)
    assert np.abs(shown[20].pixels().astype(int) - picture(1.6)).mean() < 3


def test_a_film_on_its_side(tmp_path):
    path = write_film(tmp_path / "v.mp4", 1, rotation=90, pixel_shape=Fraction(4, 3))
    source = open_source(path, None)
    assert source.look.size == SIZE[::-1] and source.look.pixel_shape == Fraction(3, 4)
    assert next(source.pictures()).pixels().shape[:2] == SIZE[::-1]


def test_a_container_without_a_duration(tmp_path):
    pipe = tmp_path / "v.mkv"
    write_film(pipe, 2)
    content = pipe.read_bytes()
    duration = content.index(b"\x44\x89\x88")  # Matroska's element Duration, as browsers leave it out
    pipe.write_bytes(content[:duration] + b"\xec\x89" + content[duration + 2 :])  # Void of the same length
    assert abs(open_source(pipe, None).length - 2) < 0.1


def test_pictures_in_the_order_of_their_numbers(tmp_path):
    folder = write_pictures(tmp_path / "p", 11)
    (folder / "notes.txt").touch()
    (folder / ".hidden.png").touch()
    source = open_source(folder, write_wav(tmp_path / "s.wav", 12.5))
    assert source.length == 12.5 and source.look.size == SIZE
    shown = list(source.pictures(9.0))
    assert shown[0].time == 9.0 and shown[-1].time + shown[-1].lasts == pytest.approx(12.5)
    assert (shown[0].pixels() == picture(9)).all() and (shown[10].pixels() == picture(10)).all()
    assert (shown[-1].pixels() == picture(10)).all()  # the last stays until the sound ends


@pytest.mark.parametrize(
    "name", ["1\N{SUPERSCRIPT TWO}2.png", "\N{ARABIC-INDIC DIGIT THREE}.png", "a.png", "1.2.3.png"]
)
def test_names_with_digits_of_other_kinds(tmp_path, name):
    folder = write_pictures(tmp_path / "p", 2)
    (folder / "1.png").rename(folder / name)
    assert len(open_source(folder, write_wav(tmp_path / "s.wav", 2)).files) == 2


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "ogg"])
def test_a_still_picture_stays_to_the_very_end_of_a_long_sound(tmp_path, suffix):
    """What a header says of the length of MP3 is an estimate."""
    quiet, loud = 0.001 * wave(60), wave(60)
    soundfile.write(tmp_path / f"s.{suffix}", np.concatenate([quiet, loud]), RATE)
    folder = write_pictures(tmp_path / "p", 1)
    source = open_source(folder / "0.png", tmp_path / f"s.{suffix}")
    last = list(source.pictures(110))[-1]
    assert last.time + last.lasts == pytest.approx(120, abs=0.1)


def test_windows_of_a_sound_in_any_order(tmp_path):
    write_wav(tmp_path / "s.wav", 5)
    whole = soundfile.read(tmp_path / "s.wav", dtype="float32")[0]
    sound = Sound(tmp_path / "s.wav")
    for begin in (0, 0.5, 3.25, 3.25, 1.0, 4.9, 7.0, 2.0):
        at = round(begin * RATE)
        wanted = np.pad(whole[at : at + 15600], (0, max(0, at + 15600 - max(len(whole), at))))[:15600]
        np.testing.assert_allclose(sound.window(begin), wanted, atol=1e-4)


def test_one_picture(tmp_path):
    folder = write_pictures(tmp_path / "p", 1)
    source = open_source(folder / "0.png", write_wav(tmp_path / "s.wav", 2.5))
    assert len(list(source.pictures())) == 25


def test_what_is_no_source(tmp_path):
    film = write_film(tmp_path / "silent.mp4", 1, sound=None)
    wav = write_wav(tmp_path / "s.wav", 1)
    folder = write_pictures(tmp_path / "p", 2)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(folder / "1.png")
    empty = tmp_path / "none"
    empty.mkdir()
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "page.mp4").write_text("<html></html>")
    for path, audio, words in [
        (film, None, "has no sound(.|\n)*--audio file.wav"),
        (film, film, "--audio: has no sound"),
        (folder, None, "pictures have no sound(.|\n)*--audio file.wav"),
        (folder, wav, r"1.png: is 8x8 pixels, the first picture 64x48"),
        (empty, wav, "holds no picture"),
        (wav, None, "has no pictures"),
        (tmp_path / "zero.mp4", None, "0 bytes"),
        (tmp_path / "page.mp4", None, "not a readable video"),
        (film, tmp_path / "page.mp4", "not a readable video"),
    ]:
        with pytest.raises(InputError, match=words) as caught:
            open_source(path, audio)
        assert caught.value.remedy


# ----------------------------------------------------------------------------------- sound
def joined(track: Track, *span) -> np.ndarray:
    return np.concatenate(list(track.blocks(*span)), axis=1)


def test_sound_from_start_to_end(tmp_path):
    track = Track.of(write_wav(tmp_path / "s.wav", 5))
    assert (track.rate, track.layout) == (RATE, "mono")
    assert joined(track).shape == (1, 5 * RATE)
    part = joined(track, 1.25, 3.5)
    assert part.shape == (1, round(2.25 * RATE))
    whole = soundfile.read(tmp_path / "s.wav", dtype="float32")[0]
    np.testing.assert_allclose(part[0], whole[20000:56000], atol=1e-4)


def test_sound_that_begins_late_is_preceded_by_silence(tmp_path):
    track = Track.of(write_film(tmp_path / "v.mkv", 5, sound=2, sound_from=2.5))
    whole = joined(track)[0]
    assert np.abs(whole[: round(2.45 * RATE)]).max() < 1e-3
    assert pitch(whole[round(2.6 * RATE) : round(3.4 * RATE)], RATE) == pytest.approx(300, abs=5)
    assert max(block.shape[1] for block in track.blocks()) <= RATE  # long silences do not pass at once
    assert joined(track, 0, 1.0).shape == (1, RATE)


def test_other_rates_and_channels(tmp_path):
    soundfile.write(tmp_path / "s.wav", np.random.default_rng(0).normal(0, 0.1, (20000, 4)), 10000)
    track = Track.of(tmp_path / "s.wav")
    assert (track.rate, track.layout) == (48000, "stereo")
    channels, samples = joined(track).shape
    assert channels == 2 and abs(samples - 96000) < 100
