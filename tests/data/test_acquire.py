"""From a fake catalogue on a loopback server and a handed-out archive to frame tables and ledger."""

import functools
import hashlib
import http.server
import json
import shutil
import threading
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from soundprompt import cli
from soundprompt import params as p
from soundprompt.data import acquire, catalog, frame_table, ledger, tables, vggss, youtube
from soundprompt.errors import InputError
from soundprompt.files import read_json
from soundprompt.params import Data, FetchView, TablesView
from soundprompt.report import data as data_report

from .conftest import BOXES, HEADER, ROWS, V3, write_clip, write_lines
from .test_video import steady, write_video

PROJECT = Path(__file__).parents[2]
WEIGHTS = b"weights " * 4000
CHECKPOINTS = ("data/downloads/sam_vit_b_01ec64.pth", "my/own.pth")
DATASETS = ("v1s", "v1m", "v2", "v3", "vggss")
ZERO, SHORT = "zeroByteOne_000001", "shorterOne1_000002"
LOST, SILENT = "_3pLesuLT4w_80000_90000", "qbpzeMEPjlo_145000_155000"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path):
    """A folder served on loopback, with the files of the fake catalogue."""
    folder = tmp_path / "site"
    (folder / "avs_v3").mkdir(parents=True)
    (folder / "sam_vit_b_01ec64.pth").write_bytes(WEIGHTS)
    for name, rows in V3.items():
        write_lines(folder / "avs_v3" / name, [HEADER, *rows])
    (folder / "vggss").mkdir()
    more = [{"file": file, "class": "c", "bbox": [[0, 0, 1, 1]]} for file in (ZERO, SHORT)]
    entries = [*BOXES, *more]
    (folder / "vggss" / "vggss.json").write_text(json.dumps(entries))
    write_lines(folder / "vggss" / "vggss_test.csv", [entry["file"] for entry in entries])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.folder = folder
    yield server
    server.shutdown()


@pytest.fixture
def known(site):
    """The fake catalogue; the forms are the real ones."""
    files = {}
    for path in sorted(path for path in site.folder.rglob("*") if path.is_file()):
        name = path.relative_to(site.folder).as_posix()
        content = path.read_bytes()
        files["sam_vit_b" if name.endswith(".pth") else name.replace("/", "_")] = catalog.File(
            path=name,
            url=f"http://127.0.0.1:{site.server_port}/{name}",
            size=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
            licence="MIT",
        )
    return catalog.Catalog(files=files, forms=catalog.load().forms)


@pytest.fixture
def archive(layout, tmp_path):
    """AVSBench-semantic as it is handed out: one clip is not in it, another has a file of no bytes."""
    root = tmp_path / "handed" / "AVSBench_semantic"
    write_lines(root / "metadata.csv", [HEADER, *ROWS])
    (root / "label2idx.json").write_text("{}")
    for number, line in enumerate(ROWS):
        _, uid, *_, split, label = line.split(",")
        frames = 10 if label == "v2" else 5
        if uid != LOST:
            write_clip(root / label / uid, frames, 1 if (label, split) == ("v1s", "train") else frames, seed=number)
    (root / "v2" / SILENT / "audio.wav").write_bytes(b"")
    target = layout.downloads / "avsbench_semantic.zip"
    target.parent.mkdir(parents=True)
    with zipfile.ZipFile(target, "w") as bundle:
        for path in sorted(root.rglob("*")):
            bundle.write(path, path.relative_to(root.parent))
    return target


@pytest.fixture
def clips(tmp_path):
    """Clips of VGG-SS that the user has: one good, one of no bytes, one of a single picture; one is not there."""
    folder = tmp_path / "clips"
    folder.mkdir()
    write_video(folder / f"{BOXES[0]['file']}.mp4", steady(10, 10), sound=(0, 10))
    (folder / f"{ZERO}.mp4").touch()
    write_video(folder / f"{SHORT}.mkv", [0.0], sound=(0, 0.03))
    return folder


def view_of(**data) -> FetchView:
    given = Data(source="avsbench", shots=(1,), **data)
    return FetchView(study="tiny", data=given, checkpoints=CHECKPOINTS, datasets=DATASETS)


def make(layout, dataset):
    view = TablesView(study="tiny", dataset=dataset, data=p.Reading(source="avsbench", shots=(1,)))
    tables.make_table(view, layout)
    return frame_table.read(layout.table(dataset))


def test_from_the_sources_to_tables_and_ledger(layout, known, archive, clips):
    acquire.run(None, view_of(vggss_clips=str(clips)), layout, known)
    assert (layout.downloads / "sam_vit_b_01ec64.pth").read_bytes() == WEIGHTS
    for name in ("avsbench", "avs_v3", "vggss"):
        assert (layout.data / name).is_symlink() and not (layout.data / name).readlink().is_absolute()
    frames = {dataset: make(layout, dataset) for dataset in DATASETS}
    assert frames["vggss"]["clip"].tolist() == [BOXES[0]["file"]]
    assert set(frames["v3"]["split"]) == {"seen_train", "seen_val", "unseen", "1_shot_train", "1_shot_test"}
    book = ledger.read(ledger.path(layout, dataset) for dataset in DATASETS)
    lost = book[book["status"] != "found"].set_index(["dataset", "split", "clip"])
    assert lost.loc[("v2", "test", LOST), "status"] == "missing"
    assert lost.loc[("v2", "val", SILENT), "status"] == "unusable"
    assert lost.loc[("v3", "unseen", LOST), "status"] == "missing"
    assert lost.loc[("vggss", "test", ZERO), "reason"].endswith("is empty (0 bytes)")
    assert "too short for one example" in lost.loc[("vggss", "test", SHORT), "reason"]
    assert "has no Db6Hjt0x28k_000056" in lost.loc[("vggss", "test", "Db6Hjt0x28k_000056"), "reason"]


def test_the_ledger_of_the_whole_study(layout, known, archive, clips):
    acquire.run(None, view_of(vggss_clips=str(clips)), layout, known)
    for dataset in DATASETS[1:]:
        make(layout, dataset)
    data_report.write(p.load(PROJECT / "studies" / "paper.yaml", PROJECT / "params.yaml"), layout)
    rows = pd.read_csv(layout.data_ledger).set_index(["dataset", "split"])
    assert rows.loc[("v2", "test"), ["expected", "found", "missing"]].tolist() == [2, 1, 1]
    assert rows.loc[("vggss", "test"), ["expected", "found", "missing", "unusable"]].tolist() == [4, 1, 1, 2]
    absent = rows.loc["v1s"].iloc[0]
    assert pd.isna(absent["expected"]) and "is missing" in absent["reasons"]


def test_again_brings_nothing_new_and_says_the_same(layout, known, archive, clips, site):
    view = view_of(vggss_clips=str(clips))
    acquire.run(None, view, layout, known)
    names = acquire.needs(view, layout, known)
    assert names == ["sam_vit_b", "avsbench", "avs_v3", "vggss", "vggss_clips"]
    before = {name: layout.fetched(name).read_bytes() for name in names}
    site.shutdown()
    archive.unlink()
    acquire.run(None, view, layout, known)
    assert {name: layout.fetched(name).read_bytes() for name in names} == before
    assert read_json(layout.fetched("avsbench"))["metadata"]["clips"] == {"v1m": 3, "v1s": 3, "v2": 5}


def test_without_the_archive_the_rest_still_comes_and_the_form_is_named(layout, known, clips):
    with pytest.raises(InputError) as caught:
        acquire.run(None, view_of(vggss_clips=str(clips)), layout, known)
    for word in ("forms.gle", "avsbench_semantic.zip", "v1s, v1m, v2"):
        assert word in str(caught.value)
    assert layout.fetched("vggss_clips").exists() and not layout.fetched("avsbench").exists()


def test_several_troubles_are_told_at_once(layout, known, site):
    shutil.rmtree(site.folder / "avs_v3")
    with pytest.raises(InputError, match="2 of 5 could not be had") as caught:
        acquire.run(None, view_of(vggss_clips="none"), layout, known)
    assert "forms.gle" in str(caught.value) and "404" in str(caught.value)
    assert read_json(layout.fetched("vggss_clips"))["clips"] == {"found": 0, "missing": 4}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: path.write_text("<!DOCTYPE html><html>please log in</html>"), "an HTML page"),
        (lambda path: path.write_bytes(path.read_bytes()[:5000]), "neither a zip|broken archive"),
        (lambda path: zipfile.ZipFile(path, "w").close(), "does not contain metadata.csv, v1s, v1m, v2"),
        (lambda path: zipfile.ZipFile(path, "a").writestr("../outside.txt", "x"), "leaves the archive's folder"),
    ],
)
def test_bad_archives(layout, known, archive, damage, words):
    damage(archive)
    with pytest.raises(InputError, match=words):
        acquire.run("avsbench", view_of(), layout, known)
    assert not (layout.downloads / "avsbench_semantic").exists() and not (layout.data / "avsbench").exists()


@pytest.mark.parametrize("place", ["AVSBench", "AVSBench/semantic", "__MACOSX/../AVSBench"])
def test_a_folder_that_lies_too_deep_is_found(layout, known, archive, place):
    folder = layout.downloads / "avsbench_semantic"
    with zipfile.ZipFile(archive) as bundle:
        bundle.extractall(layout.downloads / "unpacked")
    archive.unlink()
    (folder / "__MACOSX" / "AVSBench" / "v1s").mkdir(parents=True)
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(layout.downloads / "unpacked" / "AVSBench_semantic", folder / place)
    acquire.run("avsbench", view_of(), layout, known)
    assert layout.avsbench.resolve() == (folder / place).resolve()
    assert read_json(layout.fetched("avsbench"))["metadata"]["clips"] == {"v1m": 3, "v1s": 3, "v2": 5}


def test_a_folder_in_the_archives_place_is_searched_too(layout, known, archive):
    archive.unlink()
    archive.mkdir()
    with pytest.raises(InputError, match=r"avsbench_semantic\.zip: holds none of metadata\.csv, v1s, v1m, v2"):
        acquire.run("avsbench", view_of(), layout, known)
    write_lines(archive / "AVSBench" / "metadata.csv", [HEADER, *ROWS])
    acquire.run("avsbench", view_of(), layout, known)
    assert layout.avsbench.resolve() == (archive / "AVSBench").resolve()


def test_metadata_that_lacks_columns(layout, known):
    write_lines(layout.downloads / "avsbench_semantic" / "metadata.csv", ["vid,uid", "a,b"])
    with pytest.raises(InputError, match="lacks the columns"):
        acquire.run("avsbench", view_of(), layout, known)


def test_a_local_folder_is_enough_without_internet(layout, known, site, archive, tmp_path):
    """A cluster's shared folder: the same tree, read where it lies."""
    site.shutdown()
    mirror = tmp_path / "shared mirror"
    shutil.copytree(site.folder, mirror)
    acquire.run("avsbench", view_of(), layout, known)
    shutil.move(layout.downloads / "avsbench_semantic", mirror / "avsbench_semantic")
    archive.unlink()
    acquire.run(None, view_of(mirrors=(mirror.as_uri(),), vggss_clips="none"), layout, known)
    assert layout.avsbench.resolve() == mirror / "avsbench_semantic"
    assert (layout.avs_v3 / "meta_v3_unseen.csv").exists()


def test_a_folder_of_the_users_own_is_kept(layout, known, avsbench_root):
    acquire.run("avsbench", view_of(), layout, known)
    assert not layout.avsbench.is_symlink() and read_json(layout.fetched("avsbench"))["metadata"]["clips"]["v2"] == 6


def test_avsbench_object_serves_single_and_multi_sources_only(layout, known):
    write_lines(layout.downloads / "avsbench_object/Single-source/s4_meta_data.csv", ["name,start,category,split"])
    view = view_of()
    only = view.model_copy(update={"datasets": ("v1s",)})
    acquire.run("avsbench", only, layout, known)
    assert layout.avsbench.resolve().name == "avsbench_object"
    with pytest.raises(InputError, match="avsbench_semantic"):
        acquire.run("avsbench", view, layout, known)


def test_a_generated_study_keeps_its_world(layout, known, avsbench_root):
    view = FetchView(study="tiny", data=Data(), checkpoints=(), datasets=())
    acquire.run(None, view, layout, known)
    acquire.run("sam_vit_b", view, layout, known)
    acquire.run("vggss", FetchView(**dict(view) | {"data": Data(vggss_clips="none")}), layout, known)
    assert not layout.avsbench.is_symlink() and not layout.vggss.exists()
    assert (layout.downloads / "vggss" / "vggss.json").exists() and layout.fetched("sam_vit_b").exists()


def test_names(layout, known):
    with pytest.raises(InputError, match="nothing that can be fetched") as caught:
        acquire.run("sam_vit_x", view_of(), layout, known)
    assert "avsbench" in caught.value.remedy and "sam_vit_b" in caught.value.remedy
    assert acquire.released("my/own.pth", layout, known) is None
    acquire.run("weights", view_of(), layout, known)
    assert [path.name for path in layout.fetched("x").parent.iterdir()] == ["sam_vit_b.json"]


def test_annotations_of_a_clip_without_an_answer(layout, known):
    """Clips that fetching has not reached are missing, not an error; nothing is asked for with 'none'."""
    acquire.run("vggss", view_of(vggss_clips="none"), layout, known)
    assert not (layout.downloads / "vggss" / vggss.OUTCOMES).exists()
    assert not youtube.is_there(layout.vggss, BOXES[0]["file"])
    with pytest.raises(InputError, match="none of 4 vggss clips is usable"):
        make(layout, "vggss")


def test_the_real_catalogue_fits_the_reference_data(layout, reference_data):
    """The files that it names are these, byte for byte."""
    view = view_of(mirrors=(str(reference_data),), vggss_clips="none")
    acquire.run("avs_v3", view, layout)
    acquire.run("vggss", view, layout)
    assert len(read_json(layout.fetched("avs_v3"))["files"]) == 11
    assert read_json(layout.fetched("vggss_clips"))["clips"] == {"found": 0, "missing": 5158}


def test_the_verb(layout, reference_data):
    paper = p.load(PROJECT / "studies/paper.yaml", PROJECT / "params.yaml")
    whole = paper.model_copy(update={"study": "tiny", "data": view_of().data})
    words = ["fetch", "--only", "avs_v3", "--mirror", str(reference_data)]
    words += ["--settings", str(p.write(whole)), "--study", "tiny"]
    answer = CliRunner().invoke(cli.app, words, catch_exceptions=False)
    assert answer.exit_code == 0 and layout.fetched("avs_v3").exists()
