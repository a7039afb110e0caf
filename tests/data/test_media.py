"""Pictures, masks and sounds: values as specified, and an error that names the file for everything broken."""

import logging

import numpy as np
import pytest
import soundfile
from PIL import Image

from soundprompt.data import media
from soundprompt.errors import InputError

from .conftest import write_colour_mask, write_picture, write_sound


def test_image_is_rgb(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (3, 2), (255, 10, 0)).save(path)
    image = media.read_image(path)
    assert image.shape == (2, 3, 3) and image.dtype == np.uint8
    assert image[0, 0].tolist() == [255, 10, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_image_stands_upright(tmp_path, suffix):
    path = tmp_path / f"phone.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(path, exif=exif)
    assert media.read_image(path).shape == (8, 4, 3)
    assert (media.inspect_picture(path).width, media.inspect_picture(path).height) == (4, 8)


@pytest.mark.parametrize("colour", [(64, 0, 0), (0, 64, 0), (0, 0, 64), (1, 0, 0)])
def test_mask_is_what_is_not_black(tmp_path, colour):
    path = tmp_path / "mask.png"
    picture = Image.new("RGB", (4, 2))
    picture.putpixel((3, 1), colour)
    for mode in ("RGB", "P"):
        picture.quantize(colors=2).save(path) if mode == "P" else picture.save(path)
        mask = media.read_mask(path, size=(2, 4))
        assert mask.dtype == bool and mask.sum() == 1 and mask[1, 3]


@pytest.mark.parametrize("mode", ["1", "L", "I;16"])
def test_mask_of_one_channel(tmp_path, mode):
    path = tmp_path / "mask.png"
    pixels = np.zeros((2, 4), np.uint16)
    pixels[0, 1] = 1
    Image.fromarray(pixels.astype(np.uint16 if mode == "I;16" else np.uint8) * (255 if mode == "1" else 1)).convert(
        mode
    ).save(path)
    assert np.argwhere(media.read_mask(path)).tolist() == [[0, 1]]


def test_mask_of_another_size(tmp_path):
    path = tmp_path / "mask.png"
    write_colour_mask(path)
    with pytest.raises(InputError, match=r"mask\.png: is 20x16 pixels, its image 20x17"):
        media.read_mask(path, size=(17, 20))


def test_objects_keep_their_numbers(tmp_path):
    path = tmp_path / "objects.png"
    Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).save(path)
    assert media.read_objects(path).tolist() == [[0, 1], [2, 3]]
    write_colour_mask(path)
    with pytest.raises(InputError, match="has mode RGB"):
        media.read_objects(path)


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
@pytest.mark.parametrize("read", [media.read_image, media.read_mask, media.inspect_picture])
def test_broken_pictures(tmp_path, suffix, read):
    path = tmp_path / f"picture{suffix}"
    write_picture(path)
    whole = path.read_bytes()
    for content, what in [
        (b"", "0 bytes"),
        (b"<html>not found</html>", "not a readable picture"),
        (whole[:100], "cut short|not a readable picture"),
        (whole[:-200], "cut short"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=what) as caught:
            read(path)
        assert caught.value.path == path and caught.value.remedy
    with pytest.raises(InputError, match="missing"):
        read(tmp_path / f"none{suffix}")


def test_bytes_after_a_picture_are_no_fault(tmp_path):
    path = tmp_path / "picture.jpg"
    write_picture(path)
    path.write_bytes(path.read_bytes() + b"\0\0\0\0")
    assert media.inspect_picture(path).width == 20


def test_sound_at_16k_mono_is_untouched(tmp_path):
    path = tmp_path / "a.wav"
    write_sound(path, 1)
    wave = media.read_audio(path)
    assert wave.dtype == np.float32 and wave.shape == (16000,)
    np.testing.assert_array_equal(wave, soundfile.read(path, dtype="float32")[0])


def test_sound_is_mixed_and_resampled_and_says_so(tmp_path, caplog):
    path = tmp_path / "a.wav"
    write_sound(path, 2, rate=44100, channels=2)
    media._warned.clear()
    with caplog.at_level(logging.WARNING):
        wave = media.read_audio(path)
        media.read_audio(path)
    assert len(caplog.records) == 1 and "44100 Hz, 2 channels" in caplog.text and "a.wav" in caplog.text
    assert wave.shape == (32000,) and media.inspect_sound(path).samples == 32000
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000)
    assert np.abs(wave - expected)[1000:-1000].max() < 1e-3


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([[0.5, 0.0], [0.25, -0.25]]), 16000)
    np.testing.assert_allclose(media.read_audio(path), [0.25, 0.0], atol=1e-4)


@pytest.mark.parametrize("read", [media.read_audio, media.inspect_sound])
def test_broken_sounds(tmp_path, read):
    path = tmp_path / "a.wav"
    write_sound(path, 1)
    whole = path.read_bytes()
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    empty = (tmp_path / "none.wav").read_bytes()
    for content, what in [
        (b"", "0 bytes"),
        (b"<html></html>", "not a readable sound"),
        (whole[:-1000], "cut short: 1000 bytes"),
        (whole[:20], "not a readable sound"),
        (empty, "no samples"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=what) as caught:
            read(path)
        assert caught.value.path == path and caught.value.remedy
    with pytest.raises(InputError, match="missing"):
        read(tmp_path / "nowhere.wav")


def test_sound_with_nan(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.array([0.0, np.nan], np.float32), 16000, subtype="FLOAT")
    with pytest.raises(InputError, match="not finite"):
        media.read_audio(path)


@pytest.mark.parametrize(
    ("seconds", "examples"), [(5, 5), (10, 10), (4.9, 5), (9.9, 10), (4.8, 4), (0.975, 1), (0.97, 0)]
)
def test_vggish_examples(seconds, examples):
    assert media.vggish_examples(round(seconds * 16000)) == examples


def test_vggish_examples_agree_with_torchvggish():
    mel = pytest.importorskip("torchvggish.vggish_input")
    for samples in (15599, 15600, 30000, 77039, 77040, 80000):
        made = mel.waveform_to_examples(np.zeros(samples), 16000).shape[0] if samples >= 15600 else 0
        assert media.vggish_examples(samples) == made


@pytest.mark.parametrize(
    "content", [b"no media", b"\x89PNG\r\n\x1a\n" + bytes(40), b"RIFF\x20\0\0\0WAVEjunk" + bytes(40)]
)
@pytest.mark.parametrize("read", [media.read_image, media.inspect_picture, media.read_audio, media.inspect_sound])
def test_messages_are_the_same_on_every_run(tmp_path, read, content):
    """No addresses of Python's objects: such messages stand in ledgers and are compared."""
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    assert " at 0x" not in str(caught.value) and "BytesIO" not in str(caught.value)
