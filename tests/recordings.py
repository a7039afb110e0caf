"""Recordings as people have them, made with PyAV: grey and pitch tell the second, in every container and codec."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

SIZE = (48, 64)  # height, width
CODECS = {
    "ts": ("libx264", "aac"),
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "pcm_s16le"),
    "mkv": ("libx264", "flac"),
    "flv": ("libx264", "aac"),
    "mpg": ("mpeg2video", "mp2"),
    "avi": ("mpeg4", "libmp3lame"),
    "webm": ("libvpx", "libopus"),
    "m2ts": ("libx264", "ac3"),
}


def grey(second: int) -> int:
    return 40 + 20 * second


def hertz(second: int) -> int:
    return 300 + 200 * second


def tones(seconds: float, rate: int, first: int = 0) -> np.ndarray:
    """(n,) float32: in second s a tone of hertz(first + s)."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * (hertz(first) + 200 * np.floor(time)) * time)).astype(np.float32)


def record(
    path: Path,
    seconds: float = 6,
    *,
    first: int = 0,
    codecs: tuple[str, str] | None = None,
    sound_seconds: float | None = None,
    rate: int = 48000,
    layout: str = "stereo",
    key_frames: int = 250,
    stamped_from: float = 0.0,
    matrix: tuple[int, ...] | None = None,
    corner: bool = False,
) -> Path:
    """A film at 25 pictures a second whose second s has grey(first + s) and hertz(first + s).

    sound_seconds: 0 for no sound track, None for as long as the film. stamped_from: first time stamp, seconds.
    matrix: display matrix. corner: a white one, top left.
    """
    picture_codec, sound_codec = codecs or CODECS[path.suffix[1:]]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(picture_codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = key_frames
        if picture_codec == "libx264":
            stream.options = {"preset": "ultrafast", "crf": "10", "bf": "2", "g": str(key_frames)}
        if matrix:
            stream.set_display_matrix(matrix)
        length = seconds if sound_seconds is None else sound_seconds
        track = container.add_stream(sound_codec, rate=rate, layout=layout) if length else None
        wave = tones(length, rate, first)
        for number in range(round(seconds * 25)):
            pixels = np.full((*SIZE, 3), grey(first + number // 25), np.uint8)
            pixels[:12, :12] = 255 if corner else pixels[0, 0]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number + round(stamped_from * 25), Fraction(1, 25)
            container.mux(stream.encode(frame))
            if track:
                last = number == round(seconds * 25) - 1
                span = slice(round(number / 25 * rate), len(wave) if last else round((number + 1) / 25 * rate))
                mux_sound(container, track, wave[span], span.start + round(stamped_from * rate))
        container.mux(stream.encode())
        if track:
            container.mux(track.encode())
    return path


def mux_sound(container, track: av.AudioStream, wave: np.ndarray, at: int) -> None:
    """The same (n,) float32 on all channels of a track, from its sample `at` on."""
    if not len(wave):
        return
    channels = track.layout.nb_channels
    packed = np.ascontiguousarray(np.repeat(wave[:, None], channels, axis=1).reshape(1, -1))
    frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=track.layout.name)
    frame.rate, frame.pts, frame.time_base = track.rate, at, Fraction(1, track.rate)
    container.mux(track.encode(frame))


def join(path: Path, *parts: Path) -> Path:
    """As `cat` joins files."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def restamp(source: Path, path: Path, change: Callable[[float], float]) -> Path:
    """A transport stream with other time stamps; change: seconds to seconds, by the time of decoding."""
    content = bytearray(source.read_bytes())
    for start in range(0, len(content), 188):
        at = start + 4 + (1 + content[start + 4] if content[start + 3] & 0x20 else 0)
        begins = content[start + 1] & 0x40 and content[at : at + 3] == b"\0\0\1"
        kinds = content[at + 7] >> 6 if begins else 0  # 2: time of showing, 3: that of decoding too
        places = {0: (), 2: (at + 9,), 3: (at + 9, at + 14)}[kinds]
        for place in places:
            decoded = _stamp(content[places[-1] : places[-1] + 5])
            if place == places[0]:
                shift = round((change(decoded / 90000) - decoded / 90000) * 90000)
            _set_stamp(content, place, (_stamp(content[place : place + 5]) + shift) % (1 << 33))
    path.write_bytes(content)
    return path


def _stamp(field: bytes) -> int:
    return (field[0] >> 1 & 7) << 30 | field[1] << 22 | (field[2] >> 1) << 15 | field[3] << 7 | field[4] >> 1


def _set_stamp(content: bytearray, at: int, value: int) -> None:
    content[at] = content[at] & 0xF1 | (value >> 30 & 7) << 1
    content[at + 1], content[at + 2] = value >> 22 & 0xFF, (value >> 15 & 0x7F) << 1 | 1
    content[at + 3], content[at + 4] = value >> 7 & 0xFF, (value & 0x7F) << 1 | 1


# ----------------------------------------------------------------------- what is seen and heard
def seen(pixels: np.ndarray) -> int:
    """Second of a picture, by its grey."""
    return round((float(np.median(pixels)) - 40) / 20)


def heard(wave: np.ndarray, rate: int = 16000) -> list[int | None]:
    """Second by the pitch in the middle of each second of (n,) samples; None where it is silent."""
    found = []
    for begin in range(0, len(wave) - round(0.7 * rate), rate):
        part = wave[begin + rate // 10 : begin + 9 * rate // 10]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
        pitch = np.fft.rfftfreq(len(part), 1 / rate)[spectrum.argmax()]
        found.append(round((pitch - 300) / 200) if np.abs(part).max() > 1e-2 else None)
    return found
