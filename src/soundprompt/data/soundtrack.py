"""Sound of any file, channel count and format, as float32 without a break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from soundprompt.data.tracks import opened
from soundprompt.errors import InputError

AAC_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
GAP = 0.05  # time stamps of sound that differ by less are rounding, seconds
RUN_UP = 1.0  # decoding begins so much before what is wanted: the first packets depend on earlier ones, seconds
MEAN = "mean"


@dataclass(frozen=True)
class Track:
    """The sound of a file. rate: samples a second. layout: mono or stereo as ffmpeg mixes, or MEAN of the channels."""

    path: Path
    rate: int
    layout: str

    @classmethod
    def of(cls, path: Path | str) -> Track:
        """To be written as AAC: more than two channels become stereo, rates unknown to AAC 48 kHz."""
        native = cls.native(path)
        with opened(path) as media:
            layout = "mono" if media.sound.channels == 1 else "stereo"
        return cls(native.path, native.rate if native.rate in AAC_RATES else 48000, layout)

    @classmethod
    def native(cls, path: Path | str) -> Track:
        """At the file's own rate, channels averaged. Raises InputError when the file has no sound track."""
        with opened(path) as media:
            if media.sound is None:
                raise InputError("has no audio track", path=path, remedy="choose a file with sound")
            return cls(Path(path), media.sound.rate or 48000, MEAN)

    def blocks(self, start: float = 0.0, end: float | None = None) -> Iterator[np.ndarray]:
        """(channels, n) float32 without a break from `start` on, up to the track's end or `end` (seconds).

        Silence where the track begins late or has gaps; where it overlaps itself the later part is cut. Raises
        InputError for samples that are not finite.
        """
        written, limit = 0, None if end is None else round((end - start) * self.rate)
        for time, block in self._decoded(start):
            gap = 0 if time is None else round((time - start) * self.rate) - written
            if gap > GAP * self.rate or (gap > 0 and not written):
                for length in self._pieces(gap if limit is None else min(gap, limit - written)):
                    yield np.zeros((len(block), length), np.float32)
                    written += length
            elif gap < -GAP * self.rate or (gap < 0 and not written):  # begins before `start`, or overlaps
                block = block[:, -gap:]
            block = block if limit is None else block[:, : limit - written]
            if block.shape[1]:
                yield block
                written += block.shape[1]
            if limit is not None and written >= limit:
                return

    def _pieces(self, length: int) -> Iterator[int]:
        """A second each: a gap may be longer than memory."""
        for begin in range(0, length, self.rate):
            yield min(self.rate, length - begin)

    def _decoded(self, start: float) -> Iterator[tuple[float | None, np.ndarray]]:
        """(time, (channels, n)); time: None where a block follows the one before."""
        mixer = _Mixer(self)
        with opened(self.path) as media:
            for time, frame in media.decoded(media.sound, start - RUN_UP):
                for block in mixer.mix(frame) if frame is not None else ():
                    yield time, block
                    time = None
            for block in mixer.drain():
                yield None, block


class _Mixer:
    """Frames of any format to blocks of one rate and layout.

    Samples pass in packed form, all channels in one plane: PyAV 18.1 reads beyond the eighth plane of planar sound.
    A recording may change its format midway, so a resampler lasts as long as a format.
    """

    def __init__(self, track: Track):
        self.track = track
        self._format: tuple | None = None
        self._resampler: av.AudioResampler | None = None

    def mix(self, frame: av.AudioFrame) -> Iterator[np.ndarray]:
        """Blocks (channels, n) float32 that a frame completes."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._format:
            yield from self.drain()
            self._format, self._resampler = form, self._fitting(frame)
        yield from map(self._block, self._resampler.resample(frame))

    def drain(self) -> Iterator[np.ndarray]:
        """What the resampler still holds."""
        if self._resampler is not None:
            yield from (self._block(rest) for rest in self._resampler.resample(None) if rest is not None)

    def _fitting(self, frame: av.AudioFrame) -> av.AudioResampler:
        """A resampler that takes frames like this one: to the wanted layout, or where ffmpeg has no mix to the same."""
        wanted = [] if self.track.layout == MEAN else [self.track.layout]
        for layout in (*wanted, frame.layout):
            try:
                av.AudioResampler(format="flt", layout=layout, rate=self.track.rate).resample(frame)
            except av.FFmpegError:
                continue
            return av.AudioResampler(format="flt", layout=layout, rate=self.track.rate)
        what = f"its sound has {frame.layout.nb_channels} channels, more than can be mixed"
        raise InputError(what, path=self.track.path, remedy="mix it down to 64 channels or less")

    def _block(self, frame: av.AudioFrame) -> np.ndarray:
        samples = frame.to_ndarray().reshape(-1, frame.layout.nb_channels).T
        if not np.isfinite(samples).all():
            what = "has samples that are not finite numbers (NaN or infinite)"
            raise InputError(what, path=self.track.path, remedy="export the sound again, as 16-bit WAV")
        wanted = 2 if self.track.layout == "stereo" else 1
        if len(samples) != wanted:
            samples = np.repeat(samples.mean(axis=0, keepdims=True), wanted, axis=0)
        return np.ascontiguousarray(samples)
