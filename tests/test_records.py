"""No byte of an artifact changes unnoticed."""

import os
import subprocess

import pytest

from soundprompt import files, records
from soundprompt.errors import InputError


def flip(path, at):
    """Changes one bit, and neither size nor time: what a disk does, not a person."""
    content, now = bytearray(path.read_bytes()), path.stat()
    content[at] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(now.st_atime_ns, now.st_mtime_ns + 1))


def test_every_flipped_byte_of_a_recorded_file_is_found_and_the_file_named(tmp_path):
    path = tmp_path / "table.csv"
    files.write_text(path, "method,mean\ngavs,0.712\n", recorded=True)
    records.check(path)
    for at in range(path.stat().st_size):
        flip(path, at)
        with pytest.raises(InputError, match=r"damaged.*\n.*delete it and type the same command again") as caught:
            records.check(path)
        assert caught.value.path == path
        flip(path, at)
    records.check(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged"):
        records.check(path)


def test_people_check_records_with_their_own_tools(tmp_path):
    files.write_text(tmp_path / "a.csv", "a\n", recorded=True)
    with files.publish_folder(tmp_path / "plots", recorded=True) as aside:
        (aside / "in").mkdir()
        (aside / "in" / "b.svg").write_text("<svg/>")
    for name in (".a.csv.sha256", ".plots.sha256"):
        subprocess.run(["sha256sum", "--check", "--strict", name], cwd=tmp_path, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.csv.sha256", ".plots.sha256", "a.csv", "plots"]


def test_a_file_in_a_recorded_folder_is_named_and_the_folder_is_what_to_delete(tmp_path):
    folder = tmp_path / "plots"
    with files.publish_folder(folder, recorded=True) as aside:
        (aside / "b.svg").write_text("<svg/>")
    (folder / ".snakemake_timestamp").touch()
    records.check(folder)
    flip(folder / "b.svg", 2)
    with pytest.raises(InputError, match=f"delete {folder} and type") as caught:
        records.check(folder)
    assert caught.value.path == folder / "b.svg"


def test_a_kill_between_file_and_record_leaves_neither_wrong(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    files.write_text(path, "old", recorded=True)
    replaced = os.replace

    def killed(source, target):
        if target == path:
            raise KeyboardInterrupt
        replaced(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "replace", killed)
        files.write_text(path, "new", recorded=True)
    assert path.read_text() == "old"
    records.check(path)  # the record knows the coming one too
    files.write_text(path, "new", recorded=True)
    records.check(path)
    assert len(files.record_of(path).read_text().splitlines()) == 1


def test_what_is_written_without_a_record_has_none(tmp_path):
    path = tmp_path / "a.csv"
    files.write_text(path, "ours", recorded=True)
    files.write_text(path, "somebody's")
    records.check(path)
    assert records.recorded(path) is None


def test_json_carries_its_sum(tmp_path):
    path = tmp_path / "a.json"
    files.write_sealed(path, {"runs": {"0": {"validation": 0.5, "seeds": (1, 2)}}})
    assert files.read_json(path) == {"runs": {"0": {"validation": 0.5, "seeds": [1, 2]}}}
    path.write_text(path.read_text().replace("0.5", "0.6"))
    with pytest.raises(InputError, match=r"a\.json: damaged"):
        files.read_json(path)


@pytest.fixture
def pack(tmp_path):
    """runs/<study>/v1s/gavs with a trained and scored seed."""
    folder = tmp_path / "v1s" / "gavs" / "seed0"
    folder.mkdir(parents=True)
    for name in ("checkpoint.safetensors", "metrics.csv", "scores.parquet", "predictions.safetensors"):
        (folder / name).write_text(name)
    for record, names in (
        ("provenance.json", ["checkpoint.safetensors", "metrics.csv"]),
        ("scores.json", ["scores.parquet", "predictions.safetensors"]),
    ):
        files.write_sealed(folder / record, {"key": "k", "result": {}, **records.of_files(folder, names)})
    files.write_sealed(folder / "params.json", {"seed": 0})
    files.write_sealed(folder.parent / "trained-0.json", {"runs": {"0": {"checkpoint": "..."}}})
    scored = {"runs": {"0": {"files": ["scores.parquet", "predictions.safetensors"]}}}
    files.write_sealed(folder.parent / "scored-0.json", scored)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "stage"),
    [("checkpoint.safetensors", "trained"), ("metrics.csv", "trained"), ("params.json", "trained"),
     ("provenance.json", "trained"), ("scores.parquet", "scored"), ("predictions.safetensors", "scored")],
)  # fmt: skip
def test_of_a_run_the_damaged_file_is_named_and_once_deleted_made_anew(pack, name, stage):
    path = pack / "v1s" / "gavs" / "seed0" / name
    assert records.withdraw(pack) == []
    flip(path, 5)
    with pytest.raises(InputError, match="and type the same command again") as caught:
        records.check(path)
    assert caught.value.path == path
    path.unlink()
    assert [gone.name for gone in records.withdraw(pack)] == [f"{stage}-0.json"]
    assert [list_.name for list_ in (pack / "v1s" / "gavs").glob("*.json")] == [
        f"{other}-0.json" for other in ("trained", "scored") if other != stage
    ]


def test_a_damaged_list_of_runs_is_made_anew(pack):
    path = pack / "v1s" / "gavs" / "scored-0.json"
    path.write_text(path.read_text()[:-9])
    assert records.withdraw(pack) == [path] and not path.exists()
