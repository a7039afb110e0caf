"""What two datasets share: source videos with their times, bytes of pictures, and pictures that look the same.

Metadata is enough; pictures are compared where they are at hand. Each folder may be of AVSBench-semantic,
AVSBench-object, VGG-SS, or of AVS-V3's split files beside AVSBench's metadata.csv.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from soundprompt.data import avsbench, avsbench_object, lookalikes, vggss
from soundprompt.errors import InputError
from soundprompt.files import digest_file, publish

COLUMNS = ("what", "video", "clip", "set", "other_clip", "other_set", "times", "similarity")
OVERLAP, APART, UNKNOWN = "overlap", "apart", "unknown"


@dataclass(frozen=True)
class Cut:
    """A clip: the dataset's part that it is in, such as v2/train; its source video; and from when to when it was cut
    from it, seconds, None where the dataset does not say."""

    clip: str
    part: str
    video: str
    span: tuple[float, float] | None
    folder: Path | None = None


@dataclass(frozen=True)
class Shared:
    """One thing that two clips share: video, picture (same bytes) or look (same view)."""

    what: str
    one: Cut
    two: Cut
    times: str = ""
    similarity: float | None = None


@dataclass
class Found:
    """one, two: names of the datasets; videos: of each; shared: everything, by source video first."""

    one: str
    two: str
    videos: tuple[int, int]
    pictures: tuple[int, int]
    shared: list[Shared] = field(default_factory=list)

    def sentences(self) -> list[str]:
        """What a user should know, in lines."""
        ids = {item.one.video for item in self.shared if item.what == "video"}
        meet = {item.one.video for item in self.shared if item.what == "video" and item.times == OVERLAP}
        lines = [
            f"{len(ids)} of {self.videos[0]} source videos of {self.one} also stand in {self.two} "
            f"({self.videos[1]} videos), {len(meet)} of them with overlapping times"
        ]
        parts: dict[str, set[str]] = defaultdict(set)
        for item in self.shared:
            if item.what == "video":
                parts[item.two.part].add(item.one.video)
        for split in sorted({part.partition("/")[2] for part in parts}):
            parts[f"any {split}"] = set().union(*(ids for part, ids in parts.items() if part.endswith(f"/{split}")))
        lines += [f"  {part}: {len(videos)}" for part, videos in parts.items()]
        if all(self.pictures):
            same = len({item.one.clip for item in self.shared if item.what == "picture"})
            alike = len({item.one.clip for item in self.shared if item.what == "look"})
            lines.append(
                f"{same} clips of {self.one} share the bytes of a picture, {alike} more or less the view of one"
            )
        return lines


# -------------------------------------------------------------------------------- datasets
def read(root: Path) -> tuple[str, list[Cut]]:
    """Name and clips of a dataset, from its metadata. Raises InputError when the folder is of none that is known."""
    if (root / "vggss.json").is_file():
        cuts = [_of_vggss(one, root) for one in vggss.read_annotations(root)]
    elif (root / "metadata.csv").is_file():
        cuts = [_of_avsbench(row, root) for row in avsbench.read_metadata(root).itertuples()]
    elif any(avsbench_object.is_there(root, name) for name in avsbench_object.TABLES):
        cuts = [cut for name in avsbench_object.TABLES for cut in _of_object(name, root)]
    else:
        what = "holds neither metadata.csv (AVSBench), vggss.json (VGG-SS) nor Single-source and Multi-sources"
        raise InputError(what, path=root, remedy="give the folder that holds the dataset's metadata")
    return root.resolve().name, cuts


def _of_vggss(one: vggss.Annotation, root: Path) -> Cut:
    start = one.file.rpartition("_")[2]
    span = (float(start), float(start) + vggss.SECONDS) if start.isdigit() else None
    return Cut(one.file, "vggss/test", one.video, span, root / "frames" / f"{one.file}.jpg")


def _of_avsbench(row, root: Path) -> Cut:
    """Of v1m the times are not known, its start columns are all 0."""
    times = avsbench.span(row.label, row.uid)
    span = (times[0] / 1000, times[1] / 1000) if times else None
    return Cut(row.uid, f"{row.label}/{row.split}", row.video, span, root / row.label / row.uid / "frames")


def _of_object(name: str, root: Path) -> Iterable[Cut]:
    if not avsbench_object.is_there(root, name):
        return
    for row in avsbench_object.read_metadata(root, name).itertuples():
        start = row.uid.removeprefix(f"{row.video}_")
        span = (float(start), float(start) + avsbench_object.FRAMES) if name == "v1s" and start.isdigit() else None
        place = avsbench_object.frames_folder(root, name, row)
        yield Cut(row.uid, f"{name}/{row.split}", row.video, span, place)


# ------------------------------------------------------------------------------ comparisons
def compare(first: Path, second: Path, looks: bool = True) -> Found:
    """Everything that two datasets share. looks: compare pictures too, where both have some."""
    (one, ours), (two, theirs) = read(first), read(second)
    if one == two:
        one, two = str(first), str(second)
    pictures = [_pictures(cuts) for cuts in (ours, theirs)] if looks else [[], []]
    counts = (len({cut.video for cut in ours}), len({cut.video for cut in theirs}))
    found = Found(one, two, counts, (len(pictures[0]), len(pictures[1])))
    found.shared += _shared_videos(ours, theirs)
    if all(pictures):
        found.shared += _shared_bytes(*pictures)
        found.shared += _shared_looks(*pictures)
    return found


def _shared_videos(ours: Sequence[Cut], theirs: Sequence[Cut]) -> list[Shared]:
    of: dict[str, list[Cut]] = defaultdict(list)
    for cut in theirs:
        of[cut.video].append(cut)
    return [Shared("video", cut, other, _times(cut, other)) for cut in ours for other in of.get(cut.video, ())]


def _times(one: Cut, two: Cut) -> str:
    if one.span is None or two.span is None:
        return UNKNOWN
    return OVERLAP if max(one.span[0], two.span[0]) < min(one.span[1], two.span[1]) else APART


def _pictures(cuts: Iterable[Cut]) -> list[tuple[Cut, Path]]:
    """Every picture at hand, with its clip."""
    found = []
    for cut in cuts:
        if cut.folder is None:
            continue
        if cut.folder.is_dir():
            found += [(cut, path) for path in sorted(cut.folder.iterdir()) if path.suffix in (".jpg", ".png")]
        elif cut.folder.is_file():
            found.append((cut, cut.folder))
    return found


def _shared_bytes(ours: list[tuple[Cut, Path]], theirs: list[tuple[Cut, Path]]) -> list[Shared]:
    of: dict[int, list[tuple[Cut, Path]]] = defaultdict(list)
    for cut, path in theirs:
        of[path.stat().st_size].append((cut, path))  # only files of one size can be the same
    pairs = [
        (cut, other)
        for cut, path in ours
        for other, candidate in of.get(path.stat().st_size, ())
        if digest_file(path) == digest_file(candidate)
    ]
    return [Shared("picture", *pair, similarity=1.0) for pair in dict.fromkeys(pairs)]


def _shared_looks(ours: list[tuple[Cut, Path]], theirs: list[tuple[Cut, Path]]) -> list[Shared]:
    """Of each pair of clips the pictures that are most alike."""
    thumbs = [lookalikes.thumbnails([path for _, path in side]) for side in (ours, theirs)]
    best: dict[tuple[Cut, Cut], float] = {}
    for alike in lookalikes.find(*thumbs):
        pair = ours[alike.first][0], theirs[alike.second][0]
        best[pair] = max(best.get(pair, 0.0), alike.similarity)
    return [Shared("look", *pair, similarity=similarity) for pair, similarity in best.items()]


# ------------------------------------------------------------------------------------ files
def write(found: Found, path: Path) -> None:
    """A csv file with COLUMNS, a row for each pair of clips and thing that they share."""
    with publish(path) as aside, open(aside, "w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(COLUMNS)
        for item in found.shared:
            similarity = "" if item.similarity is None else f"{item.similarity:.3f}"
            clips = (item.one.clip, item.one.part, item.two.clip, item.two.part)
            rows.writerow([item.what, item.one.video, *clips, item.times, similarity])


def run(first: Path, second: Path, out: Path) -> None:
    """Compares, writes the list and prints what it says."""
    found = compare(first, second)
    write(found, out)
    print("\n".join(found.sentences()))
    kinds = Counter(item.what for item in found.shared)
    print(f"{out}: {', '.join(f'{count} by {kind}' for kind, count in kinds.items()) or 'nothing shared'}")
