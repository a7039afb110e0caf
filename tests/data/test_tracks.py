"""People's recordings: the right picture and sound for each second, or a line that says what is lacking."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from av.stream import Disposition
from PIL import Image

from recordings import CODECS, SIZE, heard, join, mux_sound, record, restamp, seen, tones
from soundprompt.data import tracks, video
from soundprompt.errors import InputError


@pytest.fixture(autouse=True)
def _nothing_said(monkeypatch):
    monkeypatch.setattr(tracks, "_said", set())


def seconds(path, start=0.0, end=None) -> tuple[list[int], list[int | None]]:
    """Which seconds are seen and heard."""
    return [seen(pixels) for pixels in video.frames(path, start, end)], heard(video.heard(path, start, end))


# ------------------------------------------------------------------------------------ start
@pytest.mark.parametrize("suffix", sorted(CODECS))
def test_a_start_between_key_frames(tmp_path, suffix):
    """One key frame in a film: a seek would land on it, behind it, or nowhere."""
    film = record(tmp_path / f"v.{suffix}")
    assert seconds(film, 3, 6) == ([3, 4, 5], [3, 4, 5])
    assert seconds(film, 5.0)[0] == [5]


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_a_clip_cut_from_a_broadcast(tmp_path, suffix):
    film = record(tmp_path / f"v.{suffix}", 9, key_frames=200)  # key frames at 0 and 8 s
    assert video.to_clip(film, tmp_path / "clip", 3, 8) == 5
    frames = [np.asarray(Image.open(tmp_path / "clip" / "frames" / f"{i}.jpg")) for i in range(5)]
    wave, _ = soundfile.read(tmp_path / "clip" / "audio.wav")
    assert [seen(pixels) for pixels in frames] == heard(wave) == [3, 4, 5, 6, 7]


# ------------------------------------------------------------------------------ time stamps
@pytest.mark.parametrize(("suffix", "count"), [("ts", 3), ("mpg", 3), ("avi", 3), ("mkv", 2), ("webm", 2)])
def test_recordings_joined_end_to_end(tmp_path, suffix, count):
    parts = [record(tmp_path / f"{part}.{suffix}", 3, first=3 * part) for part in range(count)]
    film, every = join(tmp_path / f"joined.{suffix}", *parts), list(range(3 * count))
    assert seconds(film) == (every, every)
    assert seconds(film, 4) == (every[4:], every[4:])


@pytest.mark.parametrize(("suffix", "count"), [("flv", 2), ("mkv", 3)])
def test_a_join_that_ffmpeg_does_not_read_across_is_named(tmp_path, suffix, count, caplog):
    parts = [record(tmp_path / f"{part}.{suffix}", 3, first=3 * part) for part in range(count)]
    assert len(seconds(join(tmp_path / f"v.{suffix}", *parts))[0]) == 3 * (count - 1)
    assert f"v.{suffix}: ends at {3 * (count - 1)}." in caplog.text and "is it several joined?" in caplog.text
    caplog.clear()
    seconds(parts[0])
    assert not caplog.text


def test_parts_whose_clock_stands_elsewhere(tmp_path):
    early = record(tmp_path / "early.ts", 3)
    late = record(tmp_path / "late.ts", 3, first=3, stamped_from=100)
    assert seconds(join(tmp_path / "ahead.ts", early, late)) == (list(range(6)), list(range(6)))
    assert seconds(join(tmp_path / "back.ts", late, early)) == ([3, 4, 5, 0, 1, 2], [3, 4, 5, 0, 1, 2])


def test_a_part_without_sound_and_parts_whose_sound_is_shorter_or_longer(tmp_path):
    whole = record(tmp_path / "a.ts", 3)
    mute = record(tmp_path / "b.ts", 3, first=3, sound_seconds=0)
    short = record(tmp_path / "c.ts", 3, first=3, sound_seconds=2)
    long = record(tmp_path / "d.ts", 3, first=3, sound_seconds=3.3)
    pictures, sounds = seconds(join(tmp_path / "mute.ts", whole, mute, whole))
    assert pictures == [0, 1, 2, 3, 4, 5, 0, 1, 2] and sounds == [0, 1, 2, None, None, None, 0, 1, 2]
    assert seconds(join(tmp_path / "short.ts", short, whole))[1] == [3, 4, None, 0, 1, 2]
    pictures, sounds = seconds(join(tmp_path / "long.ts", long, whole))
    assert pictures == [3, 4, 5, 0, 1, 2] and sounds[:6] == [3, 4, 5, 0, 1, 2]


def test_joins_do_not_drift(tmp_path):
    part = record(tmp_path / "a.ts", 1)
    film = join(tmp_path / "v.ts", *[part] * 20)
    dark = [time for time, _, _ in video.pictures(film)][::25]
    loud = np.abs(video.heard(film))
    assert len(dark) == 20 and abs(len(loud) / 16000 - dark[-1] - 1) < 0.2


@pytest.mark.parametrize(
    "change",
    [
        lambda time: time - 1 if time > 4.4 else time,  # steps back
        lambda time: time - 2 if 4.4 < time < 4.44 else time,  # a stray packet
        lambda time: time + 60 if time > 4.4 else time,  # leaps ahead
        lambda time: time + (1 << 33) / 90000 - 4.4,  # the counter overflows
    ],
)
def test_time_stamps_that_are_not_steady(tmp_path, change):
    film = restamp(record(tmp_path / "a.ts"), tmp_path / "v.ts", change)
    assert seconds(film) == (list(range(6)), list(range(6)))


@pytest.mark.parametrize("change", [lambda time: 20 - time, lambda time: 1.4])
def test_time_stamps_that_never_go_forward(tmp_path, change):
    film = restamp(record(tmp_path / "a.ts"), tmp_path / "v.ts", change)
    with pytest.raises(InputError, match=r"v.ts: \d+ of its 150 pictures have time stamps that do not go forward"):
        list(video.pictures(film))


# ----------------------------------------------------------------------------------- damage
@pytest.mark.parametrize("suffix", ["ts", "mp4", "mkv", "mov", "flv"])
def test_damaged_packets_are_skipped_and_named(tmp_path, suffix, caplog):
    film = record(tmp_path / f"v.{suffix}", key_frames=12, codecs=("libx264", "aac"))
    content = bytearray(film.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1500] = bytes(np.random.default_rng(0).integers(0, 256, 1500, np.uint8))
    film.write_bytes(content)
    pictures, sounds = seconds(film)
    assert pictures == [0, 1, 2, 3, 4, 5]
    assert len(sounds) == 6 and sum(a == b for a, b in zip(sounds, range(6), strict=True)) >= 5
    if suffix != "ts":  # in packets of 188 bytes the demuxer itself passes over them
        assert "damaged packet" in caplog.text and "the first at" in caplog.text and f"v.{suffix}" in caplog.text


@pytest.mark.parametrize("suffix", ["ts", "mpg", "mkv", "flv"])
def test_a_recording_that_stops_within_a_packet(tmp_path, suffix):
    film = record(tmp_path / f"v.{suffix}", key_frames=12)
    film.write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    pictures, sounds = seconds(film)
    assert pictures[:3] == sounds[:3] == [0, 1, 2] and len(pictures) < 6


def test_nothing_that_can_be_decoded(tmp_path):
    film = record(tmp_path / "v.mp4", 2, codecs=("libx264", "aac"))
    content = bytearray(film.read_bytes())
    begin, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    content[begin:end] = bytes(end - begin)
    film.write_bytes(content)
    with pytest.raises(InputError, match=r"v.mp4: none of its pictures can be decoded: every packet is damaged"):
        list(video.pictures(film))
    with pytest.raises(InputError, match=r"v.mp4: none of its sound can be decoded"):
        video.sound(film)


def test_a_packet_of_no_bytes_repeats_the_picture(tmp_path):
    """As encoders of Theora and AVI drop a picture that is as the one before."""
    film = record(tmp_path / "v.nut", 3, codecs=("mpeg4", "mp2"), sound_seconds=0, key_frames=1)
    with av.open(str(film)) as source, av.open(str(tmp_path / "w.nut"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.pts is None:
                continue
            sent = packet if number < 20 or number == 40 else av.Packet(b"")
            sent.pts, sent.dts, sent.time_base, sent.stream = packet.pts, packet.dts, packet.time_base, stream
            target.mux(sent)
    times = [round(time, 2) for time, _, _ in video.pictures(tmp_path / "w.nut")]
    assert times == [round(number / 25, 2) for number in range(75)]
    assert seconds_seen(tmp_path / "w.nut") == [0, 1, 1]


def seconds_seen(path) -> list[int]:
    return [seen(pixels) for pixels in video.frames(path)]


# ------------------------------------------------------------------------------------ tracks
def write_tracks(path, pictures, sounds, cover=False):
    """A film of 2 s. pictures: {number of seconds: (second that is shown, size)}; sounds: second, or None for silence.

    A track is a (second, what is special): a disposition, or None.
    """
    with av.open(str(path), "w") as target:
        art = target.add_stream("png", rate=1, width=400, height=400, pix_fmt="rgb24") if cover else None
        films = [
            (target.add_stream("libx264", rate=25, width=w, height=h), second, how) for second, (w, h), how in pictures
        ]
        tracks_ = [(target.add_stream("aac", rate=16000, layout="mono"), second, how) for second, how in sounds]
        for stream, _, how in films + tracks_:
            stream.disposition = how
        if art:
            art.disposition = Disposition.attached_pic
            picture = av.VideoFrame.from_ndarray(np.full((400, 400, 3), 255, np.uint8), format="rgb24")
            target.mux([*art.encode(picture), *art.encode()])
        for number in range(50):
            for stream, second, _ in films:
                pixels = np.full((stream.height, stream.width, 3), 40 + 20 * second, np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                target.mux(stream.encode(frame))
        for stream, second, _ in tracks_:
            wave = np.zeros(32000, np.float32) if second is None else np.tile(tones(1, 16000, second), 2)
            mux_sound(target, stream, wave, 0)
        for stream, _, _ in films + tracks_:
            target.mux(stream.encode())
    return path


SMALL, LARGE = (32, 32), (64, 48)
NONE, DEFAULT, SPOKEN = Disposition(0), Disposition.default, Disposition.default | Disposition.visual_impaired


@pytest.mark.parametrize(
    ("pictures", "sounds", "wanted"),
    [
        ([(1, SMALL, NONE), (2, SMALL, DEFAULT)], [(3, NONE)], (2, 3)),
        ([(1, LARGE, NONE), (2, SMALL, DEFAULT)], [(3, NONE)], (2, 3)),
        ([(1, SMALL, NONE), (2, LARGE, NONE)], [(3, NONE)], (2, 3)),
        ([(1, SMALL, NONE)], [(None, NONE), (4, DEFAULT)], (1, 4)),
        ([(1, SMALL, NONE)], [(4, SPOKEN), (3, DEFAULT)], (1, 3)),
        ([(1, SMALL, NONE)], [(3, NONE), (4, NONE)], (1, 3)),
    ],
)
def test_the_default_track_else_the_largest_else_the_first(tmp_path, pictures, sounds, wanted, caplog):
    film = write_tracks(tmp_path / "v.mkv", pictures, sounds)
    shown, sounding = seconds(film)
    assert (set(shown), set(sounding)) == ({wanted[0]}, {wanted[1]})
    assert ("tracks of pictures; taken is track 1" in caplog.text) == (len(pictures) > 1)
    assert ("tracks of sound; taken is track" in caplog.text) == (len(sounds) > 1)


def test_a_cover_is_no_film(tmp_path):
    film = write_tracks(tmp_path / "v.mp4", [(1, SMALL, NONE)], [(3, NONE)], cover=True)
    film.write_bytes(tags_first(film.read_bytes()))
    with av.open(str(film)) as container:
        assert container.streams[0].disposition & Disposition.attached_pic
    assert seconds(film) == ([1, 1], [3, 3])
    song = write_tracks(tmp_path / "song.mp4", [], [(3, NONE)], cover=True)
    with pytest.raises(InputError, match=r"has no pictures besides a cover"):
        video.probe(song)
    assert heard(video.heard(song)) == [3, 3]


def tags_first(content: bytes) -> bytes:
    """An MP4 with its tags, a cover among them, in front of its tracks, as taggers leave it."""
    moov, tags = content.index(b"moov") + 4, content.index(b"udta") - 4
    end = tags + int.from_bytes(content[tags : tags + 4], "big")
    return content[:moov] + content[tags:end] + content[moov:tags] + content[end:]


def test_tracks_without_a_decoder(tmp_path):
    """Another four letters where a codec's stand are a codec that nobody knows."""
    film = write_tracks(tmp_path / "v.mp4", [(1, SMALL, NONE)], [(4, NONE), (3, NONE)])
    whole = film.read_bytes()
    film.write_bytes(whole.replace(b"mp4a", b"apac", 1).replace(b"esds", b"free", 1))
    assert seconds(film) == ([1, 1], [3, 3])
    film.write_bytes(whole.replace(b"mp4a", b"apac").replace(b"esds", b"free"))
    with pytest.raises(InputError, match=r"its sound cannot be decoded(.|\n)*'apac', 'apac'(.|\n)*convert") as caught:
        video.sound(film)
    assert caught.value.path == film
    film.write_bytes(whole.replace(b"avc1", b"zzz1"))
    with pytest.raises(InputError, match=r"its pictures cannot be decoded(.|\n)*'zzz1'"):
        video.to_clip(film, tmp_path / "clip")


def test_names_that_look_like_an_address_and_tags_that_are_not_utf8(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    film = record(tmp_path / "v.mkv", 1)
    name = Path("12:30.mkv")
    name.write_bytes(film.read_bytes().replace(b"Lavf", b"La\xe9f"))
    assert seconds(name) == ([0], [0])


# ------------------------------------------------------------------------------- orientation
ONE = 1 << 16


@pytest.mark.parametrize(
    ("matrix", "corner", "turned"),
    [
        ((ONE, 0, 0, ONE), "top left", False),
        ((-ONE, 0, 0, ONE), "top right", False),  # mirrored left to right
        ((ONE, 0, 0, -ONE), "bottom left", False),  # upside down
        ((-ONE, 0, 0, -ONE), "bottom right", False),  # by 180 degrees
        ((0, ONE, ONE, 0), "top left", True),  # transposed
        ((0, ONE, -ONE, 0), "top right", True),  # clockwise
        ((0, -ONE, ONE, 0), "bottom left", True),  # counter-clockwise
        ((0, -ONE, -ONE, 0), "bottom right", True),  # transposed along the other diagonal
    ],
)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_all_eight_orientations(tmp_path, matrix, corner, turned, suffix):
    """A display matrix takes (x, y) of the stored picture to (a x + c y, b x + d y) of the shown one."""
    a, b, c, d = matrix
    film = record(tmp_path / f"v.{suffix}", 1, matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30), corner=True)
    (picture,) = video.frames(film)
    assert picture.shape[:2] == (SIZE[::-1] if turned else SIZE)
    corners = {
        f"{y} {x}": picture[{"top": 4, "bottom": -4}[y], {"left": 4, "right": -4}[x]].mean()
        for y in ("top", "bottom")
        for x in ("left", "right")
    }
    assert max(corners, key=corners.get) == corner and sum(value > 200 for value in corners.values()) == 1


# ------------------------------------------------------------------------------------ stills
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_one_picture_stays_as_long_as_its_sound(tmp_path, suffix):
    film = record(tmp_path / f"v.{suffix}", 0.04, sound_seconds=4)
    assert seconds(film) == ([0, 0, 0, 0], [0, 1, 2, 3])
    assert video.to_clip(film, tmp_path / "clip") == 4


def test_pictures_that_end_long_before_the_sound_are_no_clip(tmp_path):
    film = record(tmp_path / "v.mp4", 2, sound_seconds=5)
    with pytest.raises(InputError, match=r"ends after 2 whole seconds"):
        video.to_clip(film, tmp_path / "clip", 0, 5)


def test_first_packets_that_do_not_say_when_they_are_decoded(tmp_path):
    """As ffmpeg writes Matroska with pictures that refer forward: the order of showing is no step back."""
    path = tmp_path / "forward.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=5, options={"bf": "3", "b_strategy": "0"})
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            grey = np.full((48, 64, 3), 8 * number, np.uint8)
            container.mux(track.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(track.encode())
    with av.open(str(path)) as container:
        times = [(packet.dts, packet.pts) for packet in container.demux(video=0) if packet.size]
    assert any(dts is None for dts, _ in times) and [pts for _, pts in times] != sorted(pts for _, pts in times)
    shown = [time for time, _, _ in video.pictures(path)]
    assert np.diff(shown) == pytest.approx(np.full(29, 0.2), abs=0.002)
