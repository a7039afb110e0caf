"""Outputs appear whole or not at all."""

import errno
import os

import pytest

from soundprompt import files
from soundprompt.errors import InputError


def test_publish_is_all_or_nothing(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    with pytest.raises(RuntimeError), files.publish(target) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert list(target.parent.iterdir()) == []
    files.write_text(target, "one")
    with pytest.raises(RuntimeError), files.publish(target) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "one"
    assert list(target.parent.iterdir()) == [target]


def test_publish_folder_replaces_only_when_whole(tmp_path):
    target = tmp_path / "clips"
    with files.publish_folder(target) as aside:
        (aside / "one").write_text("1")
    with pytest.raises(RuntimeError), files.publish_folder(target) as aside:
        (aside / "two").write_text("2")
        raise RuntimeError
    assert [p.name for p in target.iterdir()] == ["one"]
    with files.publish_folder(target) as aside:
        (aside / "two").write_text("2")
    assert [p.name for p in target.iterdir()] == ["two"]
    assert list(tmp_path.iterdir()) == [target]


def test_full_disk_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="free space"), files.publish(tmp_path / "a"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_really_full_device():
    with pytest.raises(OSError) as caught, open("/dev/full", "w") as stream:
        stream.write("x")
        stream.flush()
    assert caught.value.errno == errno.ENOSPC


def test_file_in_the_place_of_a_folder(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(InputError, match="stands where a folder is needed"):
        files.write_text(tmp_path / "runs" / "a", "x")


def test_json_errors_name_the_file(tmp_path):
    with pytest.raises(InputError, match=r"gone\.json: missing"):
        files.read_json(tmp_path / "gone.json")
    (tmp_path / "cut.json").write_text('{"a": ')
    with pytest.raises(InputError, match=r"cut\.json: not valid JSON"):
        files.read_json(tmp_path / "cut.json")


def test_digests_do_not_depend_on_key_order(tmp_path):
    assert files.digest_value({"a": 1, "b": 2}) == files.digest_value({"b": 2, "a": 1})
    (tmp_path / "f").write_bytes(b"abc")
    assert files.digest_file(tmp_path / "f") == files.digest_bytes(b"abc")
