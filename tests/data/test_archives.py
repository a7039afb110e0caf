"""Archives from strangers: unpacked whole, or refused and nothing left behind."""

import gzip
import io
import os
import struct
import tarfile
import zipfile

import pytest

from soundprompt.data import archives
from soundprompt.data.archives import find_holder, unpack
from soundprompt.errors import InputError

WANTED = ["metadata.csv", "v1s", "v2"]
MEMBERS = {"AVS/metadata.csv": b"vid\n", "AVS/v1s/a/audio.wav": b"RIFF", "AVS/v2/b/audio.wav": b"RIFF"}


def make_zip(path, members=MEMBERS):
    with zipfile.ZipFile(path, "w") as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    return path


def make_tar(path, members=MEMBERS, mode="w:gz"):
    with tarfile.open(path, mode) as bundle:
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


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_kind_of_tar(tmp_path, mode):
    unpack(make_tar(tmp_path / "a.zip", mode=mode), tmp_path / "avsbench", WANTED)
    assert (tmp_path / "avsbench" / "v2" / "b" / "audio.wav").read_bytes() == b"RIFF"


def test_a_zip_that_windows_made(tmp_path):
    members = {name.replace("/", "\\"): content for name, content in MEMBERS.items()}
    unpack(make_zip(tmp_path / "a.zip", members), tmp_path / "avsbench", WANTED)
    assert (tmp_path / "avsbench" / "v1s" / "a" / "audio.wav").read_bytes() == b"RIFF"


def test_folders_that_may_not_be_written_are_no_trouble(tmp_path):
    """Nor is what macOS adds: a shadow of each file in a folder of its own."""
    path = make_tar(tmp_path / "a.zip", {f"__MACOSX/{name}": b"x" for name in MEMBERS} | MEMBERS)
    with tarfile.open(path, "w") as bundle:
        for name, content in MEMBERS.items():
            info = tarfile.TarInfo(os.path.dirname(name))
            info.type, info.mode = tarfile.DIRTYPE, 0o555
            bundle.addfile(info)
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0
            bundle.addfile(info, io.BytesIO(content))
    unpack(path, tmp_path / "avsbench", WANTED)
    assert (tmp_path / "avsbench" / "v1s" / "a" / "audio.wav").read_bytes() == b"RIFF"


def test_the_holder_is_the_shallowest_and_no_shadow(tmp_path):
    for place in ("__MACOSX/AVS", "one/two/three", "x/AVS"):
        for name in ("Single-source", "Multi-sources"):
            (tmp_path / place / name).mkdir(parents=True)
    wanted = ["Single-source", "Multi-sources"]
    assert find_holder(tmp_path, wanted) == tmp_path / "x" / "AVS"
    (tmp_path / "x" / "AVS" / "Single-source").rmdir()
    assert find_holder(tmp_path, wanted) == tmp_path / "one" / "two" / "three"
    (tmp_path / "one" / "two" / "three" / "Single-source").rmdir()
    assert find_holder(tmp_path, wanted) is None
    assert find_holder(tmp_path, wanted, any_of_them=True) == tmp_path / "x" / "AVS"
    assert find_holder(tmp_path / "nothing", wanted, any_of_them=True) is None


def link_tar(path):
    with tarfile.open(path, "w") as bundle:
        info = tarfile.TarInfo("v1s")
        info.type, info.linkname = tarfile.SYMTYPE, "/etc"
        bundle.addfile(info)
    return path


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


def patched(path, local, central, value):
    """A zip whose every member has a header's field, two bytes at these offsets, changed."""
    content = bytearray(path.read_bytes())
    for sign, offset in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = content.find(sign)
        while at >= 0:
            struct.pack_into("<H", content, at + offset, value)
            at = content.find(sign, at + 4)
    path.write_bytes(content)
    return path


def method(path, number):
    return patched(make_zip(path), 8, 10, number)


def flipped(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)
    return path


def ended(path, size, pack=bytes):
    """A tar that ends after so many bytes; what is then packed is whole."""
    path.write_bytes(pack(make_tar(path, mode="w").read_bytes()[:size]))
    return path


def bomb(path, tar=False):
    """150 MB of zeros in less than a megabyte."""
    size = 150 << 20
    if tar:
        with tarfile.open(path, "w:gz") as bundle:
            info = tarfile.TarInfo("AVS/metadata.csv")
            info.size = size
            bundle.addfile(info, io.BytesIO(bytes(size)))
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as bundle:
        bundle.writestr("AVS/metadata.csv", bytes(size))
    return path


def page(path, start=b""):
    path.write_bytes(start + b"<!DOCTYPE html><html>sign in</html>")
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
        (lambda p: page(p, b"\xef\xbb\xbf<!-- consent -->\n"), "HTML page"),
        (lambda p: patched(make_zip(p), 6, 8, 1), "metadata.csv is protected by a password"),
        (lambda p: method(p, 9), "compressed by deflate64"),
        (lambda p: method(p, 93), "compressed by Zstandard"),
        (lambda p: method(p, 77), "compressed by method 77"),
        (lambda p: make_zip(p, {f"AVS/{'x' * 300}": b"x"}), "a name of 300"),
        (lambda p: make_tar(p, {f"AVS/{'é' * 200}": b"x"}), "a name of 400"),
        (lambda p: make_zip(p, {"a/" * 600 + "x": b"x"}), "a path of 1201 bytes"),
        (lambda p: make_zip(p, {"AVS/v1s": b"x", "AVS/v1s/a": b"x"}), "broken archive"),
        (lambda p: make_tar(p, {"C:\\evil": b"x"}), "leaves the archive's folder"),
        (lambda p: make_tar(p, {"..\\evil": b"x"}), "leaves the archive's folder"),
        (bomb, "limit is 104,857,600, 50 times"),
        (lambda p: bomb(p, tar=True), "limit is 104,857,600, 50 times"),
        (lambda p: cut(make_zip(p)), "a zip that is cut short"),
        (lambda p: flipped(make_zip(p), 47), "broken archive"),
        (lambda p: ended(p, 512 * 4), "cut short or damaged behind AVS/v1s/a/audio.wav"),
        (lambda p: ended(p, 512 * 3 + 100), "cut short|broken archive"),
        (lambda p: ended(p, 512 * 3 + 2), "cut short|broken archive"),
        (lambda p: ended(p, 512 * 4, gzip.compress), "cut short or damaged behind AVS/v1s/a/audio.wav"),
        (lambda p: flipped(make_tar(p, mode="w"), 512 * 2 + 3), "cut short or damaged behind AVS/metadata.csv"),
        (lambda p: flipped(make_tar(p), -6), "broken archive"),
        (lambda p: (p.write_bytes(make_tar(p).read_bytes()[:-8]), p)[1], "broken archive"),
        (lambda p: (p.write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(99)), p)[1], "neither a zip nor a tar archive .7z"),
    ],
)
def test_bad_archives_are_refused_and_leave_nothing(tmp_path, make, words):
    archive = make(tmp_path / "a.zip")
    with pytest.raises(InputError, match=words):
        unpack(archive, tmp_path / "data" / "avsbench", WANTED)
    assert not (tmp_path / "outside.txt").exists()
    assert not any((tmp_path / "data").iterdir())


def test_a_password_is_answered_with_where_to_unpack_it(tmp_path):
    archive = patched(make_zip(tmp_path / "a.zip"), 6, 8, 1)
    with pytest.raises(InputError) as caught:
        unpack(archive, tmp_path / "downloads" / "avsbench", WANTED)
    assert caught.value.path == archive
    assert f"unpack it yourself as {tmp_path}/downloads/avsbench/" in caught.value.remedy


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_too_many_members_are_refused(tmp_path, monkeypatch, make):
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(InputError, match="holds more than 2 members, the limit"):
        unpack(make(tmp_path / "a.zip"), tmp_path / "data" / "avsbench", WANTED)
    assert not any((tmp_path / "data").iterdir())


def test_what_shrinks_well_and_is_small_is_no_bomb(tmp_path):
    members = MEMBERS | {"AVS/v1s/a/silence.wav": bytes(20 << 20)}
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, content in members.items():
            bundle.writestr(name, content)
    unpack(path, tmp_path / "avsbench", WANTED)
    assert (tmp_path / "avsbench" / "v1s" / "a" / "silence.wav").stat().st_size == 20 << 20
