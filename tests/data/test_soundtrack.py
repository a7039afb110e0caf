"""Sound of any number of channels, in any order, in formats that change midway, as float32 without a break."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from recordings import heard, join, mux_sound, record, tones
from soundprompt.data import video
from soundprompt.data.soundtrack import Track
from soundprompt.errors import InputError


def whole(track: Track, *span) -> np.ndarray:
    return np.concatenate(list(track.blocks(*span)), axis=1)


def check_both_ways(path: Path, wanted: list[int]) -> None:
    """As the model hears it, and as it is written."""
    assert heard(video.heard(path)) == wanted
    track = Track.of(path)
    for channel in whole(track):
        assert heard(channel, track.rate) == wanted


# --------------------------------------------------------------------------------- channels
@pytest.mark.parametrize("channels", [1, 2, 3, 6, 7, 8, 9, 12, 16, 24, 64])
@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("w64", "DOUBLE"), ("aiff", "PCM_24"), ("ogg", "VORBIS")]
)
def test_any_number_of_channels(tmp_path, channels, suffix, subtype):
    path = tmp_path / f"s.{suffix}"
    soundfile.write(path, np.repeat(tones(2, 16000)[:, None], channels, axis=1), 16000, subtype=subtype)
    assert Track.of(path).layout == ("mono" if channels == 1 else "stereo")
    check_both_ways(path, [0, 1])


@pytest.mark.parametrize("layout", ["5.1", "6.1", "7.1"])
@pytest.mark.parametrize(
    ("suffix", "codec"), [("mp4", "aac"), ("mkv", "flac"), ("mkv", "libopus"), ("mkv", "pcm_f32le")]
)
def test_surround_in_a_film(tmp_path, layout, suffix, codec):
    if (layout, codec) == ("6.1", "aac"):
        pytest.skip("the encoder has no 6.1")
    film = record(tmp_path / f"v.{suffix}", 3, codecs=("libx264", codec), layout=layout)
    check_both_ways(film, [0, 1, 2])


def test_more_channels_than_ffmpeg_can_mix(tmp_path):
    soundfile.write(tmp_path / "s.wav", np.zeros((1600, 100)), 16000)
    with pytest.raises(InputError, match=r"s\.wav: its sound has 100 channels(.|\n)*64 channels or less"):
        video.sound(tmp_path / "s.wav")


@pytest.mark.parametrize("labels", [[2, 1, 3, 4, 33, 34, 5, 6], [1] * 8, [1, 2, *range(200, 206)]])
def test_channels_in_an_order_of_the_file_s_own(tmp_path, labels):
    """Layout by description, as editors write it: PyAV frees such a layout twice."""
    with av.open(str(tmp_path / "s.mov"), "w") as container:
        track = container.add_stream("pcm_s16le", rate=16000, layout="7.1")
        mux_sound(container, track, tones(2, 16000), 0)
        container.mux(track.encode())
    film = tmp_path / "s.mov"
    film.write_bytes(with_channel_labels(film.read_bytes(), labels))
    for _ in range(3):
        check_both_ways(film, [0, 1])


def with_channel_labels(content: bytes, labels: list[int]) -> bytes:
    """A MOV file with a `chan` atom that names each channel (Core Audio's AudioChannelDescription)."""
    numbers = [0, 0, 0, len(labels), *(n for label in labels for n in (label, 0, 0, 0, 0))]
    body = b"chan" + b"".join(n.to_bytes(4, "big") for n in numbers)
    new = (len(body) + 4).to_bytes(4, "big") + body
    at = content.index(b"chan") - 4
    size = int.from_bytes(content[at : at + 4], "big")
    grown = bytearray(content[:at] + new + content[at + size :])
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"sowt"):
        box = grown.index(name, content.index(b"moov")) - 4
        grown[box : box + 4] = (int.from_bytes(grown[box : box + 4], "big") + len(new) - size).to_bytes(4, "big")
    return bytes(grown)


# ----------------------------------------------------------------------------------- changes
@pytest.mark.parametrize(
    ("before", "after", "codec"),
    [
        ({"layout": "5.1(side)"}, {"layout": "stereo"}, "ac3"),
        ({"layout": "stereo"}, {"layout": "5.1(side)"}, "ac3"),
        ({"rate": 48000}, {"rate": 44100}, "aac"),
        ({"rate": 22050, "layout": "mono"}, {"rate": 48000, "layout": "stereo"}, "aac"),
        ({"rate": 32000, "layout": "mono"}, {"rate": 48000, "layout": "5.1(side)"}, "ac3"),
        ({"rate": 48000}, {"rate": 32000, "layout": "mono"}, "mp2"),
    ],
)
@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_a_format_that_changes_midway(tmp_path, before, after, codec, suffix):
    if (suffix, codec) == ("mpg", "aac"):
        pytest.skip("programme streams carry no AAC")
    codecs = ("mpeg2video", codec)
    one = record(tmp_path / f"a.{suffix}", 3, codecs=codecs, **before)
    two = record(tmp_path / f"b.{suffix}", 3, first=3, codecs=codecs, **after)
    check_both_ways(join(tmp_path / f"v.{suffix}", one, two), [0, 1, 2, 3, 4, 5])


# ---------------------------------------------------------------------------- ends and faults
@pytest.mark.parametrize("suffix", ["wav", "aiff", "au", "flac", "ogg", "mp3", "caf"])
def test_behind_the_end_there_is_nothing(tmp_path, suffix):
    soundfile.write(tmp_path / f"s.{suffix}", tones(2, 16000), 16000)
    assert heard(video.heard(tmp_path / f"s.{suffix}", 1, 2)) == [1]
    assert len(video.heard(tmp_path / f"s.{suffix}", 4, 5)) == 0


def test_a_sound_without_samples(tmp_path):
    soundfile.write(tmp_path / "s.wav", np.zeros(0), 16000)
    assert len(video.heard(tmp_path / "s.wav")) == 0
    with pytest.raises(InputError, match="has no sound from 0"):
        video.sound(tmp_path / "s.wav")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_numbers_that_are_none(tmp_path, value, subtype):
    wave = tones(2, 16000)
    wave[20000] = value
    soundfile.write(tmp_path / "s.wav", wave, 16000, subtype=subtype)
    for read in (video.heard, lambda path: whole(Track.of(path))):
        with pytest.raises(InputError, match=r"s\.wav: has samples that are not finite numbers") as caught:
            read(tmp_path / "s.wav")
        assert caught.value.remedy


def test_the_run_up_leaves_no_trace(tmp_path):
    """A part is what the whole has there, also in codecs whose packets build on each other."""
    film = record(tmp_path / "v.mp4", 4)
    track = Track.native(film)
    np.testing.assert_allclose(whole(track, 1.5, 3)[0], whole(track)[0][72000:144000], atol=2e-3)
