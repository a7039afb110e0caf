"""Archives from strangers: unpacked whole, or refused and nothing left behind."""

import io
import tarfile
import zipfile

import pytest

from soundprompt.data.archives import unpack
from soundprompt.errors import InputError

WANTED = ["metadata.csv", "v1s", "v2"]
MEMBERS = {"AVS/metadata.csv": b"vid\n", "AVS/v1s/a/audio.wav": b"RIFF", "AVS/v2/b/audio.wav": b"RIFF"}


def make_zip(path, members=MEMBERS):
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return path


def make_tar(path, members=MEMBERS):
    with tarfile.open(path, "w:gz") as bundle:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            bundle.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_the_folder_that_holds_the_data_becomes_the_target(tmp_path, make):
    unpack(make(tmp_path / "a.zip"), tmp_path / "data" / "avsbench", WANTED)
    assert sorted(p.name for p in (tmp_path / "data" / "avsbench").iterdir()) == sorted(WANTED)
    assert (tmp_path / "data" / "avsbench" / "v1s" / "a" / "audio.wav").read_bytes() == b"RIFF"


def link_tar(path):
    with tarfile.open(path, "w") as bundle:
        info = tarfile.TarInfo("v1s")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        bundle.addfile(info)
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def page(path):
    path.write_bytes(b"<!DOCTYPE html><html>sign in</html>")
    return path


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: make_zip(p, {"../outside.txt": b"x"}), "leaves the archive's folder"),
        (lambda p: make_zip(p, {"/etc/outside.txt": b"x"}), "leaves the archive's folder"),
        (lambda p: make_tar(p, {"a/../../outside.txt": b"x"}), "leaves the archive's folder"),
        (link_tar, "link or device"),
        (lambda p: make_zip(p, {"AVS/metadata.csv": b"x"}), "does not contain metadata.csv, v1s, v2"),
        (lambda p: cut(make_tar(p)), "broken archive|neither a zip nor a tar"),
        (page, "HTML page"),
    ],
)
def test_bad_archives_are_refused_and_leave_nothing(tmp_path, make, words):
    archive = make(tmp_path / "a.zip")
    with pytest.raises(InputError, match=words):
        unpack(archive, tmp_path / "data" / "avsbench", WANTED)
    assert not (tmp_path / "outside.txt").exists()
    assert not any((tmp_path / "data").iterdir())
