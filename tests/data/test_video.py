"""Videos of every awkward kind, written with PyAV: the right picture and the right sound at the right time."""

from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from soundprompt.data import video
from soundprompt.errors import InputError

WIDTH, HEIGHT = 64, 48


def grey(time: float) -> int:
    """Picture at `time`: one grey a sixteenth of a second."""
    return 20 + int(time * 16 + 1e-6) % 80 * 2


def write_video(path, times, codec="libx264", rotation=0, sound=(0, 5), tail=None, rate=44100):
    """A picture at each of `times` (seconds) of the grey of its time; sound: (begin, end), a click each second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(90000, 1000))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 9000)
        if codec == "libx264":
            stream.options = {"crf": "1", "preset": "ultrafast"}
        if rotation:
            stream.set_display_rotation(rotation)
        track = sound and container.add_stream("aac" if path.suffix != ".avi" else "pcm_s16le", rate=rate)
        for time in times:
            pixels = np.full((HEIGHT, WIDTH, 3), grey(time), np.uint8)
            pixels[:8, :8] = 255  # top left
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = round(time * 9000), Fraction(1, 9000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track:
            write_clicks(container, track, sound, rate)
    return path


def write_clicks(container, track, span, rate):
    """Silence with 50 ms of tone at the begin of each second of the clip."""
    begin, end = span
    time = np.arange(round(begin * rate), round(end * rate)) / rate
    wave = np.where(time % 1 < 0.05, 0.5 * np.sin(2 * np.pi * 1000 * time), 0).astype(np.float32)
    for at in range(0, len(wave), 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, at : at + 1024], format="flt", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), round(begin * rate) + at
        for ready in av.AudioResampler(format=track.codec_context.format, layout="stereo", rate=rate).resample(frame):
            ready.pts = frame.pts
            container.mux(track.encode(ready))
    container.mux(track.encode())


def steady(rate: float, seconds: float) -> np.ndarray:
    return np.arange(round(rate * seconds)) / rate


def shown_at(times, second: float, start: float = 0.0) -> int:
    """Independent statement: grey of the last picture not after the wanted time."""
    wanted = start + second + 15 / 16
    return grey(max([t for t in times if t <= wanted + 1e-3], default=min(times)))


def greys(path, **span) -> list[int]:
    return [int(np.median(picture[16:, 16:])) for picture in video.frames(path, **span)]


def close(found, wanted) -> bool:
    return len(found) == len(wanted) and max(abs(a - b) for a, b in zip(found, wanted, strict=True)) <= 1


@pytest.mark.parametrize("rate", [16, 25, 30000 / 1001, 12.5, 60, 1.5])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_picture_on_screen_at_fifteen_sixteenths(tmp_path, rate, suffix):
    times = steady(rate, 5)
    path = write_video(tmp_path / f"v.{suffix}", times)
    seconds = range(5) if rate > 2 else range(len(greys(path)))
    assert close(greys(path), [shown_at(times, s) for s in seconds]) and len(seconds) >= 4


def test_variable_frame_rate(tmp_path):
    rng = np.random.default_rng(0)
    times = np.sort(np.concatenate([[0.0], rng.uniform(0, 2, 9), [3.1, 3.95, 4.8, 4.9, 4.99]]))
    times = np.round(np.unique(np.round(times, 2)), 2)
    path = write_video(tmp_path / "v.mkv", times)
    assert close(greys(path), [shown_at(times, s) for s in range(5)])


def test_start_and_end(tmp_path):
    times = steady(25, 8)
    path = write_video(tmp_path / "v.mp4", times, sound=(0, 8))
    assert close(greys(path, start=2.5, end=5.5), [shown_at(times, s, 2.5) for s in range(3)])
    assert close(greys(path, start=6.0), [shown_at(times, s, 6) for s in range(2)])
    assert greys(path, start=20.0) == []
    with pytest.raises(InputError, match=r"no time between 3 and 3 s"):
        greys(path, start=3, end=3)


@pytest.mark.parametrize(("seconds", "count"), [(4.92, 5), (4.8, 4), (5.0, 5), (5.5, 5), (0.5, 0)])
def test_which_seconds_count(tmp_path, seconds, count):
    path = write_video(tmp_path / "v.mp4", steady(25, seconds), sound=None)
    assert len(greys(path)) == count


@pytest.mark.parametrize(("degrees", "corner"), [(90, (-4, 4)), (-90, (4, -4)), (180, (-4, -4)), (0, (4, 4))])
def test_rotation(tmp_path, degrees, corner):
    path = write_video(tmp_path / "v.mp4", steady(16, 1), rotation=degrees)
    (picture,) = video.frames(path)
    assert picture.shape == ((HEIGHT, WIDTH, 3) if degrees in (0, 180) else (WIDTH, HEIGHT, 3))
    assert picture[corner].min() > 230 and picture.shape[2] == 3
    assert sum(int(picture[y, x].min() > 230) for y in (4, -4) for x in (4, -4)) == 1


def clicks(wave: np.ndarray) -> np.ndarray:
    """Seconds at which the tone begins."""
    loud = np.convolve(np.abs(np.pad(wave, (1, 0))), np.ones(160) / 160, "same") > 0.1
    loud[0] = False
    return np.flatnonzero(loud[1:] & ~loud[:-1]) / 16000


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "ts"])
def test_sound_is_in_time(tmp_path, suffix):
    path = write_video(tmp_path / f"v.{suffix}", steady(25, 5), "mpeg4" if suffix == "avi" else "libx264")
    wave = video.sound(path)
    assert wave.dtype == np.float32 and abs(len(wave) / 16000 - 5) < 0.1
    assert np.abs(clicks(wave)[:5] - np.arange(5)).max() < 0.08
    part = video.sound(path, start=1.5, end=3.5)
    assert len(part) == 32000
    np.testing.assert_allclose(clicks(part), [0.5, 1.5], atol=0.08)


def test_sound_that_begins_later(tmp_path):
    path = write_video(tmp_path / "v.mkv", steady(25, 5), sound=(2, 5))
    np.testing.assert_allclose(clicks(video.sound(path)), [2, 3, 4], atol=0.05)
    assert np.abs(video.sound(path)[:30000]).max() < 1e-3


def test_clip(tmp_path):
    times = steady(30, 5)
    path = write_video(tmp_path / "v.mp4", times, sound=(0, 3))
    folder = tmp_path / "clip"
    assert video.to_clip(path, folder) == 5
    assert sorted(p.name for p in (folder / "frames").iterdir()) == [f"{i}.jpg" for i in range(5)]
    wave, rate = soundfile.read(folder / "audio.wav")
    assert rate == 16000 and wave.shape == (80000,)
    assert np.abs(wave[52000:]).max() < 1e-3  # sound that ends early is followed by silence
    stored = [int(np.median(np.asarray(Image.open(folder / "frames" / f"{i}.jpg"))[16:, 16:])) for i in range(5)]
    assert close(stored, [shown_at(times, s) for s in range(5)])
    assert video.to_clip(path, folder, start=1, end=3) == 2
    assert len(list((folder / "frames").iterdir())) == 2


def test_vggss(tmp_path):
    times = steady(25, 10)
    path = write_video(tmp_path / "v.webm", steady(5, 1), "libvpx", sound=None)
    with pytest.raises(InputError, match="no audio track"):
        video.to_vggss(path, tmp_path, "x_000001")
    path = write_video(tmp_path / "v.mp4", times, sound=(0, 10))
    video.to_vggss(path, tmp_path, "x_000001")
    middle = int(np.median(np.asarray(Image.open(tmp_path / "frames" / "x_000001.jpg"))[16:, 16:]))
    assert abs(middle - grey(5.0)) <= 3
    assert abs(soundfile.info(tmp_path / "audio" / "x_000001.wav").duration - 10) < 0.1


def test_probe(tmp_path):
    film = video.probe(write_video(tmp_path / "v.mp4", steady(25, 2), sound=None))
    assert (film.has_sound, film.width, film.height) == (False, WIDTH, HEIGHT)
    assert abs(film.duration - 2) < 0.1


def test_bad_videos(tmp_path):
    path = write_video(tmp_path / "v.mp4", steady(25, 2))
    whole = path.read_bytes()
    soundfile.write(tmp_path / "s.wav", np.zeros(16000), 16000)
    for content, what in [
        (b"", "0 bytes"),
        (b"<html></html>", "not a readable video"),
        (whole[: len(whole) // 2], "not a readable video"),
        ((tmp_path / "s.wav").read_bytes(), "has no pictures"),
    ]:
        path.write_bytes(content)
        with pytest.raises(InputError, match=what) as caught:
            video.to_clip(path, tmp_path / "clip")
        assert caught.value.path == path and caught.value.remedy
        assert not (tmp_path / "clip").exists()
    with pytest.raises(InputError, match="missing"):
        video.probe(tmp_path / "none.mp4")
    short = write_video(tmp_path / "short.mp4", steady(25, 0.4))
    with pytest.raises(InputError, match="ends after 0 whole seconds"):
        video.to_clip(short, tmp_path / "clip")
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"ends after 2 whole seconds(.|\n)*lacks 3 of 5"):
        video.to_clip(path, tmp_path / "clip", end=5)
    assert not (tmp_path / "clip").exists()
