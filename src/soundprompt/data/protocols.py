"""Published protocols as contracts: which samples a test has, by lists that are pinned, and how many they must be.

No list comes with the project. They are fetched from the commits that `data/catalog.yaml` pins, or taken from a
folder of the user's, and refused when their bytes or counts are not the published ones.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from soundprompt.data import catalog
from soundprompt.errors import InputError

BASE_CLASSES = (
    *(2, 4, 6, 7, 8, 9, 10, 11, 12, 16, 17, 18, 19, 20, 21, 26, 27, 28, 29, 31, 35, 36, 37, 38, 40, 41, 43, 44, 46, 47),
    *(48, 52, 55, 58, 59, 60, 62, 63, 67, 70),
)
"""The 40 base classes of open-vocabulary AVSBench-semantic (OV-AVSS baa883c)."""
NOVEL_CLASSES = tuple(sorted(set(range(1, 71)) - set(BASE_CLASSES)))
"""The other 30 of its 70 classes of objects."""
NOVEL_NAMES = (
    *("accordion", "axe", "bassoon", "cello", "clarinet", "clipper", "emergency-car", "erhu", "flute", "frying-food"),
    *("guzheng", "handpan", "harmonica", "harp", "leopard", "marimba", "mower", "pipa", "saw", "saxophone", "sitar"),
    *("sorna", "tabla", "tank", "trombone", "tuba", "ukulele", "utv", "violin", "wolf"),
)
"""The same by the names that metadata.csv has."""


@dataclass(frozen=True)
class Protocol:
    """name: as --protocol has it; datasets: that it is for; file: entry of the catalogue that lists its samples, or
    None; count: of these; about: in a sentence."""

    name: str
    datasets: tuple[str, ...]
    file: str | None
    count: int
    about: str


AVSBENCH = ("v1s", "v1m", "v2", "avss")
PROTOCOLS = {
    one.name: one
    for one in (
        Protocol("heard", ("vggss",), "vggss_heard", 2564, "VGG-SS clips of the 110 classes that training has heard"),
        Protocol("unheard", ("vggss",), "vggss_unheard", 2575, "VGG-SS clips of the other 110 classes"),
        Protocol("extended", ("vggss",), "vggss_silent", 5158, "VGG-SS and as many pairs that do not sound"),
        Protocol("open-vocabulary", AVSBENCH, None, 70, "40 base and 30 novel classes of AVSBench-semantic"),
        Protocol("vpo-single", ("vpo",), "vpo_single", 890, "VPO, one source: objects of COCO with sounds of VGGSound"),
        Protocol("vpo-multi", ("vpo",), "vpo_multi", 2157, "VPO, several sources"),
        Protocol(
            "robust",
            AVSBENCH,
            None,
            3,
            "AVSBench-Robust: silence, noise, misaligned sound; the visible object is the truth",
        ),
    )
}


def find(name: str, dataset: str) -> Protocol:
    """Raises InputError when there is none of that name, or it is for another dataset."""
    protocol = PROTOCOLS.get(name)
    if protocol is None:
        raise InputError(f"--protocol: '{name}' is not one of {', '.join(PROTOCOLS)}")
    if dataset not in protocol.datasets:
        where = ", ".join(protocol.datasets)
        raise InputError(f"--protocol: '{name}' is for {where}, not for {dataset}", remedy=f"give --dataset {where}")
    return protocol


def listed(split: str, downloads: Path) -> list[str]:
    """The clips of a split that a list of the catalogue names, such as heard, from the folder of downloads."""
    protocol = PROTOCOLS[split]
    assert protocol.file is not None, f"{split} has no list"
    path = downloads / catalog.load().files[protocol.file].path
    if not path.is_file():
        raise InputError("missing", path=path, remedy=f"run `soundprompt fetch --only {protocol.file}`")
    return read_ids(path, protocol)


def list_names(selections: Iterable[str]) -> list[str]:
    """The catalogue's names of the lists that selections such as vggss/heard are read from."""
    splits = (selection.partition("/")[2] for selection in selections)
    return [file for split in splits if split in PROTOCOLS and (file := PROTOCOLS[split].file)]


def open_vocabulary(split: str, sounding: Sequence[str]) -> tuple[str, ...]:
    """The splits by base and novel classes that a clip of AVSBench-semantic belongs to; one that mixes them, to none.

    split: its own. sounding: its visible sounding classes. Novel classes are in the test alone.
    """
    novel = {name in NOVEL_NAMES for name in sounding}
    if len(novel) != 1 or (novel == {True} and split != "test"):
        return ()
    return ("novel",) if novel == {True} else ("base",) if split == "test" else (f"base_{split}",)


def read_ids(path: Path, protocol: Protocol) -> list[str]:
    """A file with one id a line, in its order. Raises InputError when the count is not the protocol's."""
    ids = [line.split(",")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    return _counted([name for name in ids if name], protocol, path)


@dataclass(frozen=True)
class Pair:
    """A picture and a sound, by the ids of their clips."""

    picture: str
    sound: str

    @property
    def name(self) -> str:
        """How its map is called: the clip is the picture, the frame the sound."""
        return f"{self.picture}/{self.sound}"


def read_silent_pairs(path: Path) -> list[Pair]:
    """The pairs of Extended VGG-SS that do not sound; in some picture and sound name one clip outside VGG-SS."""
    rows = _rows(path, ("video", "audio", "label"))
    bad = next((row for row in rows if row["label"] != "non-sounding"), None)
    if bad:
        raise InputError(f"a pair is labelled '{bad['label']}', not non-sounding", path=path, remedy="restore the list")
    return _counted([Pair(row["video"], row["audio"]) for row in rows], PROTOCOLS["extended"], path)


@dataclass(frozen=True)
class VpoSample:
    """A sample of VPO: an image of COCO, and the annotation in it whose object sounds."""

    name: str

    @property
    def image(self) -> str:
        return self.name.partition("_")[0]

    @property
    def annotation(self) -> int:
        return int(self.name.partition("_")[2])


def read_vpo(path: Path, protocol: Protocol) -> list[VpoSample]:
    """The samples of VPO, from its published list of {image, audio, gt_box} or a csv with image, audio, mask.

    All three name one and the same sample; which clip of VGGSound is heard they do not say.
    """
    if path.suffix == ".json":
        names = [Path(entry["gt_box"]).stem for entry in _entries(path)]
    else:
        names = [row["mask"] for row in _rows(path, ("image", "audio", "mask"))]
    strange = next((name for name in names if not all(part.isdigit() for part in name.split("_", 1))), None)
    if strange:
        raise InputError(f"'{strange}' is no image and annotation of COCO", path=path, remedy="restore the list")
    return _counted([VpoSample(name) for name in names], protocol, path)


def read_box_list(path: Path) -> dict[str, list[list[int]]]:
    """{sample: its boxes, in pixels of 224 x 224} of IS3: a list of {image, audio, gt_box}.

    Paths of the machine that wrote the list are dropped: a sample is called as its picture.
    """
    try:
        return {Path(entry["image"]).stem: [[int(edge) for edge in entry["gt_box"]]] for entry in _entries(path)}
    except (ValueError, TypeError) as error:
        raise InputError(f"has a box of another form ({error})", path=path, remedy="fetch it anew") from error


def _entries(path: Path) -> list[dict]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"missing or not JSON ({error})", path=path, remedy="fetch it anew") from error
    if not isinstance(entries, list) or not all({"image", "audio", "gt_box"} <= set(entry) for entry in entries):
        raise InputError("is not a list of image, audio, gt_box", path=path, remedy="fetch it anew")
    return entries


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        if tuple(reader.fieldnames or ()) != columns:
            raise InputError(f"has the columns {reader.fieldnames}", path=path, remedy=f"expected: {','.join(columns)}")
        return list(reader)


def _counted(items: list, protocol: Protocol, path: Path) -> list:
    if len(items) != protocol.count or len(set(items)) != len(items):
        what = f"lists {len(set(items))} different samples, {protocol.name} has {protocol.count}"
        raise InputError(what, path=path, remedy="restore the published list")
    return items
