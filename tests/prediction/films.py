"""Small films written with PyAV: a still ground, a square that moves, tones that change each second."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image

RATE = 16000
SIZE = (48, 64)  # height, width


def picture(time: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W, 3) uint8: a smooth ground, top left brightest, and a square whose place tells the second."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]] / max(size)
    pixels = np.stack([120 - 60 * y, 130 - 70 * x, 90 + 40 * x], axis=2)
    at = 4 + 5 * int(time)
    pixels[at : at + 12, at : at + 12] = (40, 60, 200)
    return pixels.clip(0, 255).astype(np.uint8)


def wave(seconds: float, rate: int = RATE) -> np.ndarray:
    """(n,) float32: in second s a tone of 300 * (s + 1) Hz."""
    time = np.arange(round(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * 300 * (np.floor(time) + 1) * time)).astype(np.float32)


def write_wav(path: Path, seconds: float, rate: int = RATE) -> Path:
    soundfile.write(path, wave(seconds, rate), rate)
    return path


def write_film(
    path: Path,
    seconds: float = 3.0,
    rate: float | Sequence[float] = 12.5,
    size: tuple[int, int] = SIZE,
    sound: float | None = -1.0,
    sound_from: float = 0.0,
    rotation: int = 0,
    pixel_shape: Fraction = Fraction(1),
    colours: int = 2,
    codec: str = "libx264",
) -> Path:
    """rate: pictures a second, or the times of all. sound: seconds of it (-1: as the film), None for no track."""
    times = np.arange(round(seconds * rate)) / rate if isinstance(rate, int | float) else rate
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator() if np.isscalar(rate) else 30)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        context = stream.codec_context
        context.time_base, context.sample_aspect_ratio = Fraction(1, 9000), pixel_shape
        context.colorspace = context.color_trc = context.color_primaries = colours
        if codec == "libx264":
            stream.options = {"crf": "4", "preset": "ultrafast", "g": "12"}
        if rotation:
            stream.set_display_rotation(rotation)
        track = None
        if sound is not None:
            name = "libopus" if codec == "libvpx" else "aac"
            track = container.add_stream(name, rate=48000 if codec == "libvpx" else RATE, layout="mono")
        for time in times:
            frame = av.VideoFrame.from_ndarray(picture(time, size), format="rgb24").reformat(
                format="yuv420p", dst_colorspace="itu709" if colours == 1 else "itu601", dst_color_range=1
            )
            frame.pts, frame.time_base = round(time * 9000), Fraction(1, 9000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if track is not None:
            tones = wave(seconds if sound < 0 else sound, track.rate)
            frame = av.AudioFrame.from_ndarray(tones[None], format="fltp", layout="mono")
            frame.rate, frame.pts, frame.time_base = track.rate, round(sound_from * track.rate), Fraction(1, track.rate)
            container.mux(track.encode(frame))
            container.mux(track.encode())
    return path


def write_pictures(folder: Path, count: int, size: tuple[int, int] = SIZE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for second in range(count):
        Image.fromarray(picture(second, size)).save(folder / f"{second}.png")
    return folder


def frames_of(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Times and pictures (H, W, 3) of a film, decoded as they are stored."""
    with av.open(str(path)) as container:
        found = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    return [time for time, _ in found], [pixels for _, pixels in found]


def sound_of(path: Path) -> tuple[np.ndarray, int, float]:
    """Sound (n,) of a film's first channel, its rate, and when it begins."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    return np.concatenate([f.to_ndarray()[0] for f in frames]), frames[0].sample_rate, float(frames[0].time)


def pitch(samples: np.ndarray, rate: int) -> float:
    """Loudest frequency, Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate)[spectrum.argmax()])
