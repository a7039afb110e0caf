"""Brings what a study needs and cannot make: released weights, AVSBench, AVS-V3's splits, VGG-SS.

Everything lands in data/downloads, once for all studies. `data/<study>/avsbench`, `avs_v3` and `vggss` of a
study on real data are symbolic links to folders there, so that its paths are those of a generated one. What
was brought is written down in small json files (`layout.fetched`). The workflow knows these and not the
downloads themselves: it deletes the outputs of a job before it runs it again, and nobody wants to
wait for gigabytes twice.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from soundprompt import registry
from soundprompt.data import catalog, protocols
from soundprompt.data.catalog import Catalog, Form
from soundprompt.errors import InputError
from soundprompt.files import digest_file, write_json
from soundprompt.layout import Layout
from soundprompt.params import FetchView

NAMES = ("avsbench", "avs_v3", "vggss", "vggss_clips")
"""What frame tables are read from (`registry.Dataset.downloads`)."""

FORMS = {"avsbench_semantic": {"v1s", "v1m", "v2", "v3"}, "avsbench_object": {"v1s", "v1m"}}
"""Datasets given out on application that can serve as AVSBench, and which frame tables they are enough for."""


def needs(view: FetchView, layout: Layout, known: Catalog | None = None) -> list[str]:
    """Names of all that a study must have fetched: its released weights, and what its frame tables are read from."""
    weights = [name for path in view.checkpoints if (name := released(path, layout, known))]
    read = [name for dataset in view.datasets for name in registry.datasets()[dataset].downloads]
    return list(dict.fromkeys([*weights, *read, *protocols.list_names(view.protocols)]))


def released(checkpoint: str, layout: Layout, known: Catalog | None = None) -> str | None:
    """Catalogue name of the file that a checkpoint's path stands for; None for a file of the user's own."""
    for name, file in (known or catalog.load()).files.items():
        if Path(checkpoint) == layout.downloads / file.path:
            return name
    return None


def run(only: str | None, view: FetchView, layout: Layout, known: Catalog | None = None) -> None:
    """Brings all that the study needs, or what `only` names: weights, one of NAMES, or a name of the catalogue.

    What cannot be had does not keep the rest from coming; raises one InputError with all of it at the end.
    """
    known = known or catalog.load()
    names = _chosen(only, view, layout, known)
    if not names:
        print(f"study {view.study} makes all its data and weights; there is nothing to fetch", file=sys.stderr)
    troubles = []
    for name in names:
        try:
            bring(name, view, layout, known)
        except InputError as error:
            troubles.append(error)
    if len(troubles) == 1:
        raise troubles[0]
    if troubles:
        raise InputError(f"{len(troubles)} of {len(names)} could not be had:\n" + "\n".join(map(str, troubles)))


def bring(name: str, view: FetchView, layout: Layout, known: Catalog | None = None) -> None:
    """Brings one thing, checks it, and writes `layout.fetched(name)`. Raises InputError."""
    known = known or catalog.load()
    if name in _MAKERS:
        facts = _MAKERS[name](view, layout, known)
    elif name in known.forms:
        facts = {"folder": str(_given_out(name, known.forms[name], view, layout, must=True))}
    elif name in known.files:
        facts = {"files": _files([name], view, layout, known)}
    else:
        choices = ", ".join(["weights", *NAMES, *known.files, *known.forms])
        raise InputError(f"'{name}' is nothing that can be fetched", remedy=f"use one of {choices}")
    write_json(layout.fetched(name), {"name": name, **facts})
    print(f"{name}: there", file=sys.stderr)


def _chosen(only: str | None, view: FetchView, layout: Layout, known: Catalog) -> list[str]:
    if only is None:
        return needs(view, layout, known)
    if only == "weights":
        return [name for path in view.checkpoints if (name := released(path, layout, known))]
    return ["vggss", "vggss_clips"] if only == "vggss" else [only]


# ------------------------------------------------------------------------ single sources
def _avsbench(view: FetchView, layout: Layout, known: Catalog) -> dict[str, Any]:
    """The annotated clips, from whichever of the two releases is there and enough for the study."""
    if _own(layout.avsbench):
        return {"folder": str(layout.avsbench), "metadata": _metadata(layout.avsbench)}
    wanted = {dataset for dataset in view.datasets if "avsbench" in registry.datasets()[dataset].downloads} or FORMS[
        "avsbench_semantic"
    ]
    forms = {name: known.forms[name] for name, enough in FORMS.items() if wanted <= enough}
    folders = (_given_out(name, form, view, layout) for name, form in forms.items())
    folder = next(filter(None, folders), None) or _given_out(*next(iter(forms.items())), view, layout, must=True)
    _link(layout.avsbench, folder, view)
    return {"folder": str(folder), "metadata": _metadata(folder)}


def _avs_v3(view: FetchView, layout: Layout, known: Catalog) -> dict[str, Any]:
    """The split files."""
    if _own(layout.avs_v3):
        return {"files": _digests(sorted(layout.avs_v3.rglob("*.csv")))}
    files = _files(known.group("avs_v3"), view, layout, known)
    _link(layout.avs_v3, layout.downloads / "avs_v3", view)
    return {"files": files}


def _vggss(view: FetchView, layout: Layout, known: Catalog) -> dict[str, Any]:
    """The annotations."""
    if _own(layout.vggss):
        return {"files": _digests([layout.vggss / "vggss.json", layout.vggss / "vggss_test.csv"])}
    files = _files(known.group("vggss"), view, layout, known)
    _link(layout.vggss, layout.downloads / "vggss", view)
    return {"files": files}


def _vggss_clips(view: FetchView, layout: Layout, known: Catalog) -> dict[str, Any]:
    """Picture and sound of every annotated clip that can be had; the others are named in clips.csv."""
    from soundprompt.data import vggss, youtube

    root = layout.vggss if _own(layout.vggss) else layout.downloads / "vggss"
    if not (root / "vggss.json").exists():
        bring("vggss", view, layout, known)
    files = [annotation.file for annotation in vggss.read_annotations(root)]
    lacking = [file for file in files if not youtube.is_there(root, file)]
    origin, settings = view.data.vggss_clips, view.data.youtube
    if origin == "none" or not lacking:
        return {"clips": {"found": len(files) - len(lacking), "missing": len(lacking)}}
    by_id = origin == "youtube"
    if by_id:
        source = youtube.from_youtube(settings, root)
        counts = youtube.bring(files, root, source, settings.pause_s, youtube.GIVE_UP)
    else:
        counts = youtube.bring(files, root, youtube.from_folder(Path(origin), root))
    return {"clips": dict(sorted(counts.items())), "outcomes": digest_file(root / vggss.OUTCOMES)}


_MAKERS = {"avsbench": _avsbench, "avs_v3": _avs_v3, "vggss": _vggss, "vggss_clips": _vggss_clips}


# ------------------------------------------------------------------------------- records
def _files(names: Iterable[str], view: FetchView, layout: Layout, known: Catalog) -> dict[str, str]:
    from soundprompt.data.fetch import fetch

    return _digests([fetch(known.files[name], layout.downloads, view.data.mirrors) for name in names])


def _digests(paths: Iterable[Path]) -> dict[str, str]:
    return {path.as_posix(): digest_file(path) for path in paths}


def _given_out(name: str, form: Form, view: FetchView, layout: Layout, *, must: bool = False) -> Path | None:
    """Folder of a dataset given out on application: as it lies in the downloads or a local mirror, else unpacked.

    None when it is nowhere; with `must`, InputError that says how to apply.
    """
    from soundprompt.data import archives, fetch

    places = [layout.downloads, *filter(None, map(_local, view.data.mirrors))]
    for place in places:
        for folder in (place / name, place / form.archive):
            holder = archives.find_holder(folder, form.contains, any_of_them=True)
            if holder is not None:
                return holder
    there = next((place / form.archive for place in places if (place / form.archive).exists()), None)
    if there is None and not must:
        return None
    archive = there or fetch.require_archive(form, name, layout.downloads)
    if archive.is_dir():
        what = f"holds none of {', '.join(form.contains)}"
        raise InputError(what, path=archive, remedy="put the unpacked data, or the archive itself, at this path")
    print(f"unpacking {archive}", file=sys.stderr)
    archives.unpack(archive, layout.downloads / name, form.contains)
    return layout.downloads / name


def _metadata(folder: Path) -> dict[str, Any]:
    """What AVSBench's metadata name, and how many clip folders of each subset are there."""
    from soundprompt.data import avsbench, avsbench_object

    if (folder / "metadata.csv").exists():
        rows = avsbench.read_metadata(folder)
        there = {label: _count(folder / label) for label in sorted(rows["label"].unique())}
        return {"sha256": digest_file(folder / "metadata.csv"), "clips": there}
    tables = {name: folder / path for name, path in avsbench_object.TABLES.items() if (folder / path).exists()}
    if not tables:
        remedy = "put metadata.csv of AVSBench-semantic there, or Single-source and Multi-sources of AVSBench-object"
        raise InputError("holds no AVSBench", path=folder, remedy=remedy)
    for name in tables:
        avsbench_object.read_metadata(folder, name)
    return {name: digest_file(path) for name, path in tables.items()}


def _count(folder: Path) -> int:
    return sum(path.is_dir() for path in folder.iterdir()) if folder.is_dir() else 0


def _local(mirror: str) -> Path | None:
    """The folder that a mirror is, if it is one of this machine."""
    parts = urlsplit(mirror)
    if parts.scheme in ("http", "https"):
        return None
    return Path(unquote(parts.path) if parts.scheme == "file" else mirror)


def _own(place: Path) -> bool:
    """Whether the user has put a folder of their own where otherwise a link to the downloads stands."""
    return place.is_dir() and not place.is_symlink() and any(place.iterdir())


def _link(link: Path, target: Path, view: FetchView) -> None:
    """Points a study's folder at the downloads; a generated study keeps its own."""
    if view.data.source == "generated":
        return
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink():
        link.rmdir()  # empty, or `_own` would have kept it
    aside = link.with_name(f".{link.name}.link")
    aside.unlink(missing_ok=True)
    aside.symlink_to(os.path.relpath(target.resolve(), link.parent.resolve()))
    os.replace(aside, link)
