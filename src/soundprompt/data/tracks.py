"""An open video or sound file: which of its tracks are taken, and what they decode to, at times that only grow.

A file is read from its beginning and never sought in. Where a seek lands is not always what was asked for: transport
and programme streams have no index, and where time stamps begin anew the same time stands in several places. Reading
is cheap, since packets before the last key frame in front of the wanted time are passed over, not decoded.

Packets that cannot be decoded are skipped, as players do, and one line of the log says so.
"""

from __future__ import annotations

import logging
import math
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import av
import numpy as np
from av.frame import Frame
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition, Stream

from soundprompt.errors import InputError

CONVERT = "convert the file to H.264 and AAC with a program that knows it"
_COVER = Disposition.attached_pic | Disposition.timed_thumbnails
_ASIDE = Disposition.hearing_impaired | Disposition.visual_impaired | Disposition.comment
_STAMPS_MAY_LEAP = 0x0200  # AVFMT_TS_DISCONT: transport and programme streams, Ogg
_BACK, _LEAP = 0.1, 10.0  # a step back, or ahead, by more is a new part of the file; ffmpeg's own limits, seconds
_SKEW = 1.0  # tracks of a file lie next to each other to within this, seconds
_INDEX = 0.1  # share of a file that an index behind its last packet may take
_HELD = 1000  # packets that may wait for a key frame; beyond, they are decoded: a film may have one key frame
_log = logging.getLogger(__name__)
_said: set[tuple[Path, str]] = set()
_describing = threading.Lock()


def remark(path: Path | str, subject: str, text: str) -> None:
    """Says something of a file in the log, once for each subject: a file is read several times."""
    if (Path(path), subject) not in _said:
        _said.add((Path(path), subject))
        _log.warning("%s: %s", path, text)


@contextmanager
def opened(path: Path | str) -> Iterator[Media]:
    """An open file; what ffmpeg says inside the block becomes an InputError."""
    file = Path(path)
    try:
        if file.exists() and not file.is_file():
            raise InputError("is no file", path=path, remedy="give a file; what comes through a pipe must be saved")
        if file.stat().st_size == 0:
            raise InputError("is empty (0 bytes)", path=path, remedy="restore the video from its source")
        # absolute: ffmpeg takes what stands before a colon for a protocol; tags need not be UTF-8
        with av.open(str(file.absolute()), metadata_errors="replace") as container:
            yield Media(file, container)
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="check the path of the video") from error
    except (av.FFmpegError, OSError) as error:
        what = f"not a readable video, or damaged ({error.strerror})"
        raise InputError(what, path=path, remedy="play it in a media player; restore it from its source") from error


def length_of(path: Path | str) -> float:
    """Seconds, to the end of the last packet: headers lack it in recordings of browsers and estimate it in MP3."""
    with opened(path) as media:
        for _ in media.packets():
            pass
        return media.end


@dataclass
class Media:
    """Times are seconds from the container's own start, so that pictures and sound stay together."""

    path: Path
    container: av.container.InputContainer
    end: float = 0.0
    """When the last packet of any track ends, as far as the file has been read."""
    passed: bool = False
    """Whether packets of the decoded track were passed over on the way to its start."""

    @cached_property
    def picture(self) -> av.VideoStream:
        """The picture track. Raises InputError when there is none, or none that can be decoded."""
        films = [stream for stream in self.container.streams.video if not stream.disposition & _COVER]
        if not films:
            what = "has no pictures" + (" besides a cover" if self.container.streams.video else "")
            raise InputError(what, path=self.path, remedy="choose a file with a video track")
        able = [stream for stream in films if stream.codec_context is not None]
        return self._best(films, able, "pictures", lambda stream: (stream.frames != 1, stream.width * stream.height))

    @cached_property
    def sound(self) -> av.AudioStream | None:
        """The sound track, open; None when there is none. Raises InputError when none of them can be decoded."""
        tracks = self.container.streams.audio
        if not tracks:
            return None
        able = [stream for stream in tracks if stream.codec_context is not None and self._opens(stream)]
        return self._best(tracks, able, "sound", lambda stream: (stream.channels,))

    @property
    def has_sound(self) -> bool:
        """Whether there is a sound track, whatever its codec."""
        return bool(self.container.streams.audio)

    @property
    def duration(self) -> float | None:
        """Seconds by the header; None where it does not say, or the format has none and ffmpeg only estimates."""
        known = self.container.duration is not None and not self._stamps_may_leap
        return self.container.duration / av.time_base if known else None

    @property
    def _stamps_may_leap(self) -> bool:
        return bool(self.container.format.flags & _STAMPS_MAY_LEAP)

    @property
    def origin(self) -> float:
        """Time stamp at which the container starts, seconds; transport streams rarely start at 0."""
        return (self.container.start_time or 0) / av.time_base

    def decoded(self, track: Stream, start: float = 0.0) -> Iterator[tuple[float | None, Frame | None]]:
        """(time, frame) of a track, from the last key frame not after `start` on; some lie before `start`.

        time: None where the container has no time stamps. frame: None where a packet of 0 bytes says that the picture
        before stays. Raises InputError when not one of the file's packets can be decoded.
        """
        skipped: list[float] = []
        came = False
        for packet in self._from_key_frame(track, start):
            time = _seconds(packet, packet.pts) - self.origin
            if packet.size == 0 and packet.pts is not None:
                yield time, None
                continue
            try:
                frames = track.codec_context.decode(packet)
            except av.FFmpegError:
                skipped.append(time)
                continue
            for frame in frames:
                came = True
                yield None if frame.time is None else frame.time - self.origin, frame
        if skipped:
            self._tell_skipped(track, skipped, came or start > 0)

    def packets(self) -> Iterator[av.Packet]:
        """Packets of all pictures and sounds, their time stamps made to go on where the file's begin anew.

        A file that cannot be read further ends there, and the log says so.
        """
        films = [stream for stream in self.container.streams.video if not stream.disposition & _COVER]
        coming = self.container.demux([*films, *self.container.streams.audio])
        clock, read = _Clock(self._stamps_may_leap), 0
        while True:
            try:
                packet = next(coming, None)
            except av.FFmpegError as error:
                remark(self.path, "end", f"cannot be read beyond {self.end:.2f} s ({error.strerror})")
                return
            if packet is None:
                self._tell_unread(read)
                return
            if packet.dts is None and packet.pts is None and packet.size == 0:
                continue  # PyAV's own, at the end of each track
            read = max(read, (packet.pos or 0) + packet.size)
            clock.set_on(packet)
            self.end = max(self.end, clock.end - self.origin)
            yield packet

    def _from_key_frame(self, track: Stream, start: float) -> Iterator[av.Packet]:
        """Packets of a track from the last key frame not after `start` on, and an empty one to empty the decoder."""
        held: list[av.Packet] = []
        waiting = True
        for packet in self.packets():
            if packet.stream.index != track.index:
                continue
            if not waiting:
                yield packet
                continue
            time = _seconds(packet, packet.pts if packet.pts is not None else packet.dts) - self.origin
            if packet.is_keyframe and time <= start:
                self.passed |= bool(held)
                held.clear()
            held.append(packet)
            if not time < start or len(held) > _HELD:
                waiting = time < start
                yield from held
                held.clear()
        yield from held
        last = av.Packet()
        last.time_base = track.time_base
        yield last

    def _tell_skipped(self, track: Stream, skipped: list[float], some: bool) -> None:
        kind = "pictures" if track.type == "video" else "sound"
        if not some:
            what = f"none of its {kind} can be decoded: every packet is damaged"
            raise InputError(what, path=self.path, remedy="play it in a media player; restore it from its source")
        times = [time for time in skipped if not math.isnan(time)]
        first = f", the first at {min(times):.2f} s" if times else ""
        packets = f"{len(skipped)} damaged packet{'s' * (len(skipped) > 1)}"
        remark(self.path, f"skipped {kind}", f"{packets} of {kind} skipped{first}")

    def _tell_unread(self, read: int) -> None:
        """In these formats little lies behind the last packet, unless recordings were joined as ffmpeg cannot read."""
        lacking = 1 - read / self.container.size
        if self.container.format.name in ("flv", "matroska,webm") and lacking > _INDEX:
            share = f"{100 * (1 - lacking):.0f} % of the file are read"
            what = f"ends at {self.end:.2f} s, where {share}; is it several joined?"
            remark(self.path, "end", what)

    def _best(
        self, tracks: Sequence[Stream], able: Sequence[Stream], kind: str, size: Callable[[Stream], tuple]
    ) -> Stream:
        """As ffmpeg and players choose: the default track, then the largest, then the first."""
        if not able:
            codecs = ", ".join(self._codec(track) for track in tracks)
            what = f"its {kind} cannot be decoded: this build of ffmpeg does not know the codec {codecs}"
            raise InputError(what, path=self.path, remedy=CONVERT + (", or give --audio" if kind == "sound" else ""))

        def worth(track: Stream) -> tuple:
            given = track.disposition
            return bool(given & Disposition.default), not given & _ASIDE, *size(track)

        best = max(able, key=worth)  # of equals the first
        if len(tracks) > 1:
            why = "the default" if best.disposition & Disposition.default else "the largest or first"
            text = f"{len(tracks)} tracks of {kind}; taken is track {best.index} ({best.codec_context.name}), {why}"
            remark(self.path, f"tracks of {kind}", text)
        return best

    def _codec(self, track: Stream) -> str:
        """Name of a codec without a decoder: only the line that ffmpeg writes about a track has it."""
        found = re.search(rf"Stream #0:{track.index}\D.*?: (?:Audio|Video): (?:none \()?(\w+)", self._description)
        return f"'{found[1]}'" if found else "of unknown name"

    def _opens(self, track: av.AudioStream) -> bool:
        """Opens the decoder of a sound track; channels in an order of the file's own become numbered ones.

        PyAV 18.1 frees the map of such channels twice, and ends the process, as soon as their layout is looked at.
        """
        found = re.search(rf"Stream #0:{track.index}\D.*?: Audio: .*?(\d+) channels \(", self._description)
        if found:
            track.codec_context.options = {"ch_layout": f"{found[1]} channels"}
        try:
            track.codec_context.open(strict=False)
        except av.FFmpegError:
            return False
        return True

    @cached_property
    def _description(self) -> str:
        """What ffmpeg says of the file; it says it to its log only."""
        with _describing:
            av.logging.set_level(av.logging.INFO)
            try:
                return self.container.dumps_format()
            finally:
                av.logging.set_level(None)


@dataclass
class _Clock:
    """Lets time go on where time stamps begin anew: recordings joined end to end, counters that overflow.

    The file consists of parts, each with an offset to its time stamps. A track enters a part when its stamps step
    back, or lie closer to the file's time in that part; so the packets of both sides may come mixed.

    leaps: whether a step ahead is a new part too, as in broadcast recordings.
    """

    leaps: bool
    end: float = -math.inf
    _offsets: list[float] = field(default_factory=lambda: [0.0])
    _part: dict[int, int] = field(default_factory=dict)  # of each track
    _last: dict[tuple[int, int], float] = field(default_factory=dict)  # latest time of a track in a part
    _dated: set[int] = field(default_factory=set)  # tracks of which some packet said when it is decoded

    def set_on(self, packet: av.Packet) -> None:
        """Shifts a packet's time stamps to the file's time."""
        stamps = [stamp for stamp in (packet.dts, packet.pts) if stamp is not None]
        if not stamps:
            return
        track, decoded, shown = packet.stream.index, _seconds(packet, stamps[0]), _seconds(packet, stamps[-1])
        if packet.dts is not None and track not in self._dated:
            # The first packets of some files say only when they are shown, which is not in the order of decoding.
            self._dated.add(track)
            self._last = {key: time for key, time in self._last.items() if key[0] != track}
        part = self._part[track] = self._part_of(track, decoded, shown)
        offset = self._offsets[part]
        if offset:
            ticks = round(offset / packet.time_base)
            packet.pts = None if packet.pts is None else packet.pts + ticks
            packet.dts = None if packet.dts is None else packet.dts + ticks
        if packet.dts is not None or track not in self._dated:
            self._last[track, part] = max(self._last.get((track, part), -math.inf), decoded + offset)
        self.end = max(self.end, shown + offset + float((packet.duration or 0) * packet.time_base))

    def _part_of(self, track: int, decoded: float, shown: float) -> int:
        newest = len(self._offsets) - 1
        now = self._part.get(track, newest)
        if math.isinf(self.end):
            return now

        def fits(part: int) -> bool:
            time = decoded + self._offsets[part]
            ahead = self.leaps and time > self.end + _LEAP
            return not ahead and time >= self._last.get((track, part), -math.inf) - _BACK

        def distance(part: int) -> float:
            return abs(shown + self._offsets[part] - self.end) - (_SKEW if part == now else 0)

        recent = {now, *range(max(0, newest - 2), newest + 1)}
        best = min(filter(fits, recent), key=distance, default=None)
        if best is not None:
            return best
        self._offsets.append(self.end - shown)
        return newest + 1


def _seconds(packet: av.Packet, stamp: int | None) -> float:
    return math.nan if stamp is None else float(stamp * packet.time_base)


# ----------------------------------------------------------------------------- orientation
def upright(picture: av.VideoFrame) -> np.ndarray:
    """(H, W, 3) uint8 RGB, turned as the display matrix asks: phones film sideways, front cameras mirror."""
    pixels = picture.to_ndarray(format="rgb24")
    across, mirrored, upended = _orientation(picture)
    pixels = pixels.swapaxes(0, 1) if across else pixels
    return np.ascontiguousarray(pixels[:: -1 if upended else 1, :: -1 if mirrored else 1])


def on_its_side(picture: av.VideoFrame) -> bool:
    """Whether the stored picture's rows are columns of the upright one."""
    return _orientation(picture)[0]


def _orientation(picture: av.VideoFrame) -> tuple[bool, bool, bool]:
    """Whether rows become columns, and whether the result is then mirrored left to right and top to bottom.

    The display matrix takes a stored point (x, y) to (a x + c y, b x + d y); the nearest of the eight orientations.
    """
    try:
        a, b, _, c, d = (int(value) for value in np.frombuffer(picture.side_data[SideData.DISPLAYMATRIX], np.int32)[:5])
    except KeyError:
        return False, False, False
    except ValueError:  # PyAV does not know another kind of side data that the picture has
        turn = math.radians(picture.rotation)
        a, b, c, d = math.cos(turn), -math.sin(turn), math.sin(turn), math.cos(turn)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0
