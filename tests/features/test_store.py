"""The file format: what is written is read back, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from soundprompt.errors import InputError
from soundprompt.features import store
from soundprompt.features.store import Store

RECIPE = {"encoder": "e" * 64, "transform": "t", "bgr": False, "dtype": "float16"}
ROWS = ["a", "b", "c"]


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, dict[str, torch.Tensor]]:
    path = tmp_path / "shard.safetensors"
    tensors = {"block2": torch.randn(3, 4, 4, 5).half(), "output": torch.randn(3, 7, 4, 4)}
    store.write(path, RECIPE, ROWS, tensors)
    return path, tensors


def test_rows_come_back_by_id_in_the_order_asked(written):
    path, tensors = written
    opened = Store(path, RECIPE)
    assert opened.names == ("block2", "output")
    assert opened.shape("output") == (7, 4, 4)
    assert torch.equal(opened.read("block2", ["c", "a", "c"]), tensors["block2"][[2, 0, 2]])
    assert torch.equal(opened.read("output", ROWS), tensors["output"])
    assert opened.read("block2", ["a"]).dtype == torch.float16


def test_equal_content_has_equal_bytes(written, tmp_path: Path):
    path, tensors = written
    again = tmp_path / "again.safetensors"
    store.write(again, dict(reversed(RECIPE.items())), ROWS, dict(reversed(tensors.items())))
    assert again.read_bytes() == path.read_bytes()


def test_any_altered_byte_is_noticed(written):
    path, tensors = written
    content = path.read_bytes()
    header = int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(0)
    spots = [0, 7, 8, *rng.integers(8, 8 + header, 60), *rng.integers(8 + header, len(content), 60), len(content) - 1]
    for spot in spots:
        altered = bytearray(content)
        altered[spot] ^= 1 << rng.integers(8)
        path.write_bytes(altered)
        try:
            opened = Store(path, RECIPE)
            opened.verify()
        except InputError as error:
            assert "shard.safetensors" in str(error) and "delete it and run" in str(error), spot
        else:  # a space of the header's padding may differ; nothing that is read does
            assert spot < 8 + header
            assert all(torch.equal(opened.read(name, ROWS), values) for name, values in tensors.items()), spot


def test_an_altered_row_spoils_itself_alone(written):
    path, tensors = written
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # safetensors puts the narrower type last: row c of block2
    path.write_bytes(content)
    opened = Store(path, RECIPE)  # opening reads no payload
    assert torch.equal(opened.read("block2", ["a", "b"]), tensors["block2"][:2])
    with pytest.raises(InputError, match="damaged: block2 of c is altered"):
        opened.read("block2", ["c"])


@pytest.mark.parametrize("keep", [0, 5, 100, -1, -200])
def test_a_file_cut_short_is_noticed_when_opened(written, keep: int):
    path, _ = written
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged") as caught:
        Store(path)
    assert caught.value.path == path and "delete it" in caught.value.remedy


def test_a_missing_file_and_another_file_are_named(tmp_path: Path):
    with pytest.raises(InputError, match="missing"):
        Store(tmp_path / "none.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(2)}, other)
    with pytest.raises(InputError, match="not a store of features"):
        Store(other)


@pytest.mark.parametrize("change", [{"encoder": "f" * 64}, {"transform": "u"}, {"bgr": True}, {"dtype": "float32"}])
def test_another_recipe_is_refused(written, change: dict):
    path, _ = written
    wanted = RECIPE | change
    assert store.key(wanted) != store.key(RECIPE)
    with pytest.raises(InputError, match="made by another encoder or by other settings: " + next(iter(change))):
        Store(path, wanted)
    assert not store.holds(path, wanted, ROWS, ["block2", "output"])


def test_holds_wants_the_same_rows_and_tensors(written):
    path, _ = written
    assert store.holds(path, RECIPE, ROWS, ["output", "block2"])
    assert not store.holds(path, RECIPE, ROWS[:2], ["output", "block2"])
    assert not store.holds(path, RECIPE, ROWS, ["output"])


def test_absent_rows_and_tensors_are_named(written):
    opened = Store(written[0])
    with pytest.raises(InputError, match="holds no row z"):
        opened.read("block2", ["z"])
    with pytest.raises(InputError, match="holds no 'block9', only block2, output"):
        opened.read("block9", ["a"])


def test_a_store_may_be_empty(tmp_path: Path):
    path = tmp_path / "empty.safetensors"
    store.write(path, RECIPE, [], {"output": torch.empty(0, 7, 4, 4)})
    opened = Store(path, RECIPE)
    assert opened.rows == [] and opened.shape("output") == (7, 4, 4)
    opened.verify()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_is_named_when_it_is_read(tmp_path: Path, bad):
    """Its checksum is right: it was made so."""
    path = tmp_path / "features.safetensors"
    tensors = {"block2": torch.randn(3, 2, 2).half(), "output": torch.randn(3, 4)}
    tensors["block2"][1, 0, 1], tensors["output"][2, 3] = bad, bad
    store.write(path, RECIPE, ROWS, tensors)
    opened = Store(path, RECIPE)
    assert torch.equal(opened.read("block2", ["a", "c"]), tensors["block2"][[0, 2]])
    for name, row in (("block2", "b"), ("output", "c")):
        with pytest.raises(InputError, match=f"{name} of {row} is not finite") as caught:
            opened.read(name, [row])
        assert caught.value.path == path


def test_rows_may_come_in_any_order_and_are_not_held_in_memory(tmp_path: Path):
    """256 MB of rows, in a process that may grow by 100."""
    script = """
import resource, sys, torch
from soundprompt.features import store
rows = [str(i) for i in range(64)]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with store.writing(sys.argv[1], {}, rows, {"x": torch.empty(64, 2**20, device="meta")}) as writer:
    for row in reversed(range(64)):
        writer.put(row, {"x": torch.full((1, 2**20), float(row))})
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    path = tmp_path / "large.safetensors"
    grown = int(subprocess.run([sys.executable, "-c", script, str(path)], check=True, capture_output=True).stdout)
    assert grown < 100
    opened = Store(path)
    opened.verify()
    assert opened.read("x", ["3", "60"])[:, -1].tolist() == [3.0, 60.0]


def test_notes_are_read_back_and_sealed(tmp_path: Path):
    path = tmp_path / "noted.safetensors"
    values = {"x": torch.randn(3, 5)}
    with store.writing(path, RECIPE, ROWS, values, longest={"again": ROWS}) as writer:
        writer.put(0, values)
        writer.notes = {"again": ["b"]}
    assert Store(path, RECIPE).notes == {"again": ["b"]}
    assert torch.equal(Store(path).read("x", ROWS), values["x"])
    path.write_bytes(path.read_bytes().replace(b'again\\":[\\"b', b'again\\":[\\"c'))
    with pytest.raises(InputError, match="its header is altered"):
        Store(path)


def test_what_fails_half_way_leaves_the_old_store(written):
    path, tensors = written
    before = path.read_bytes()
    with pytest.raises(RuntimeError), store.writing(path, RECIPE, ROWS, tensors) as writer:
        writer.put(0, {"output": torch.zeros(1, 7, 4, 4)})
        raise RuntimeError
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
