"""Writes a video picture by picture, its sound beside it: H.264 and AAC, which every player knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from soundprompt.errors import InputError
from soundprompt.prediction.video_in import Look, Track

TICKS = 90000  # time stamps a second: fine enough for any frame rate
QUALITY = "18"  # x264's constant rate factor; 18 looks like the source
SOUND_BITS = 192_000  # a second
ENCODERS = ("libx264", "libopenh264", "mpeg4")  # the last is in every build of ffmpeg
_MATRICES = {1: Colorspace.ITU709, 4: Colorspace.FCC, 7: Colorspace.SMPTE240M, 9: Colorspace.BT2020}


class Writer:
    """An open output. Pictures and sound are written in step, so that memory stays small.

    track: the sound, from `start` (seconds of the source) on; `end` bounds it.
    """

    def __init__(self, container: av.container.OutputContainer, look: Look, track: Track, start: float, end):
        self.container, self.look, self.track = container, look, track
        self.pictures = _picture_stream(container, look)
        self.sound = container.add_stream("aac", rate=track.rate, layout=track.layout)
        self.sound.bit_rate = SOUND_BITS
        self._blocks, self._heard, self._last = track.blocks(start, end), 0, -1
        self._matrix = _MATRICES.get(look.colours[0], Colorspace.ITU601)

    def write(self, time: float, pixels: np.ndarray) -> None:
        """time: seconds of the output; pixels: (H, W, 3) uint8 RGB."""
        frame = av.VideoFrame.from_ndarray(_even(pixels), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=self._matrix, dst_color_range=ColorRange.MPEG)
        self._last = max(round(time * TICKS), self._last + 1)
        frame.pts, frame.time_base = self._last, Fraction(1, TICKS)
        self.container.mux(self.pictures.encode(frame))
        self._hear(time)

    def finish(self, until: float | None) -> None:
        """Writes the rest of the sound, up to `until` (seconds of the output; None: all), and what encoders hold."""
        self._hear(until)
        self.container.mux(self.pictures.encode())
        self.container.mux(self.sound.encode())

    def _hear(self, until: float | None) -> None:
        while until is None or self._heard < until * self.track.rate:
            block = next(self._blocks, None)
            if block is None:
                return
            frame = av.AudioFrame.from_ndarray(np.clip(block, -1, 1), format="fltp", layout=self.track.layout)
            frame.rate, frame.pts, frame.time_base = self.track.rate, self._heard, Fraction(1, self.track.rate)
            self._heard += block.shape[1]
            self.container.mux(self.sound.encode(frame))


@contextmanager
def writing(path: Path, look: Look, track: Track, start: float, end: float | None) -> Iterator[Writer]:
    """Opens a video to write. A full disk is an OSError, as for any other file."""
    try:
        # the index in front lets a browser play while it loads
        options = {"movflags": "+faststart"} if path.suffix.lower() in (".mp4", ".mov") else {}
        with av.open(str(path.absolute()), "w", options=options) as container:  # "12:30.mp4" is no address
            yield Writer(container, look, track, start, end)
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error


def _picture_stream(container: av.container.OutputContainer, look: Look) -> av.VideoStream:
    encoder = next((name for name in ENCODERS if name in av.codecs_available), None)
    if encoder is None:
        raise InputError(f"this build of PyAV has none of {', '.join(ENCODERS)}", remedy="pip install av")
    stream = cast(av.VideoStream, container.add_stream(encoder, rate=look.rate))
    height, width = look.size
    stream.height, stream.width, stream.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
    context = stream.codec_context
    context.time_base = Fraction(1, TICKS)
    context.sample_aspect_ratio = look.pixel_shape
    context.colorspace, context.color_trc, context.color_primaries = look.colours
    context.color_range = ColorRange.MPEG
    if encoder == "libx264":
        stream.options = {"crf": QUALITY, "preset": "veryfast"}
    else:
        stream.bit_rate = round(width * height * float(look.rate) * 0.15)
    return stream


def _even(pixels: np.ndarray) -> np.ndarray:
    """Odd sides get one more row or column, a copy of the last: colour is stored for 2 x 2 pixels."""
    height, width = pixels.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return np.ascontiguousarray(pixels)
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
