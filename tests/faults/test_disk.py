"""A disk that refuses, in every writer: the message says what to do, nothing half-written stays, the old file does.

The limit on the size of files (RLIMIT_FSIZE) refuses as a full disk does, at any byte, and needs no rights. Where a
small file system can be mounted, the same writers meet a disk that is really full.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# What each writes at `path`; old: what was there before.
WRITERS = {
    "safetensors": "from soundprompt import tensorfile; tensorfile.write(path, {'a': torch.rand(60000)}, {})",
    "features": "from soundprompt.features import store; store.write(path, {}, [*'ab'], {'x': torch.rand(2, 30000)})",
    "state": "from soundprompt import states; states.save(path, 'k', {'a': torch.rand(60000)})",
    "scores": (
        "from soundprompt.evaluation import scores; import numpy as np\n"
        "texts = [f'{number:x}' * 9 for number in np.random.default_rng(0).integers(0, 2**60, 20000)]\n"
        "numbers = {'seed': 0, 'n_sources': 1, 'frame': 0, 'value': np.random.default_rng(0).random(20000)}\n"
        "rows = pd.DataFrame({name: texts for name in scores.COLUMNS}).assign(metric='miou', **numbers)\n"
        "scores.write(rows, path)"
    ),
    "csv": (
        "from soundprompt import files\n"
        "with files.publish(path, recorded=True) as aside:\n"
        "    pd.DataFrame({'x': range(90000)}).to_csv(aside, index=False)"
    ),
    "json": "from soundprompt import files; files.write_sealed(path, {'x': list(range(60000))})",
    "html": "from soundprompt import files; files.write_text(path, 'x' * 300000, recorded=True)",
    "png": (
        "from soundprompt import files; from PIL import Image; import numpy as np\n"
        "noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)\n"
        "with files.publish_folder(path) as aside:\n"
        "    Image.fromarray(noise).save(aside / '0.png')"
    ),
    "npy": (
        "from soundprompt import files; import numpy as np\n"
        "with files.publish_folder(path) as aside:\n"
        "    np.save(aside / '0.npy', np.zeros(60000))"
    ),
    "svg": (
        "from soundprompt.report import drawing; from matplotlib.figure import Figure; import numpy as np\n"
        "figure = Figure(); figure.subplots().scatter(*np.random.default_rng(0).random((2, 3000)))\n"
        "drawing.save(figure, path, 'title', 'text')"
    ),
    "mp4": (
        "from soundprompt import files; import numpy as np, av\n"
        "with files.publish(path) as aside:\n"
        "    rng = np.random.default_rng(0)\n"
        "    with av.open(str(aside), 'w') as container:\n"
        "        stream = container.add_stream('mpeg4', rate=25); stream.width = stream.height = 256\n"
        "        for _ in range(30):\n"
        "            noise = rng.integers(0, 255, (256, 256, 3), np.uint8)\n"
        "            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise)))\n"
        "        container.mux(stream.encode())"
    ),
    "zip": (
        "from soundprompt import files; import zipfile, os\n"
        "with files.publish(path) as aside, zipfile.ZipFile(aside, 'w') as bundle:\n"
        "    bundle.writestr('a', os.urandom(300000))"
    ),
}
SUFFIXES = {"features": "safetensors", "scores": "parquet", "state": "pt", "png": "folder", "npy": "folder"}
LIMIT = 1 << 16  # bytes

CHILD = """
import resource, sys
from pathlib import Path
import pandas as pd, torch
from soundprompt.errors import InputError
path, limit = Path(sys.argv[1]), int(sys.argv[2])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
for writer in sys.argv[3:]:
    name, _, code = writer.partition("|")
    place = path / name
    try:
        exec(code, {"path": place, "pd": pd, "torch": torch})
        print(name, "wrote it", sep="|")
    except InputError as error:
        print(name, str(error).replace("\\n", " "), sep="|")
    except BaseException as error:
        print(name, repr(error)[:300], sep="|")
"""


def answers(folder: Path, limit: int) -> dict[str, str]:
    """What each writer said, in one process with the limit."""
    named = [f"{kind}.{SUFFIXES.get(kind, kind)}|{code}" for kind, code in WRITERS.items()]
    call = [sys.executable, "-c", CHILD, str(folder), str(limit), *named]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return {line.partition(".")[0]: line.partition("|")[2] for line in done.stdout.splitlines() if "|" in line}


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """(folder, what was in it, answers): every writer, where files may not be larger than LIMIT."""
    folder = tmp_path_factory.mktemp("limited")
    before = old(folder)
    return folder, before, answers(folder, LIMIT)


def old(folder: Path) -> dict[str, bytes]:
    """Something older at the place of each writer; returns what is there."""
    for kind in WRITERS:
        path = folder / f"{kind}.{SUFFIXES.get(kind, kind)}"
        if path.suffix == ".folder":
            path.mkdir()
            (path / "old").write_bytes(b"old")
        else:
            path.write_bytes(b"old")
    return content(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_refusal_is_told_in_words_and_the_old_file_survives(limited, kind):
    folder, before, told = limited
    said = told[kind]
    path = folder / f"{kind}.{SUFFIXES.get(kind, kind)}"
    assert said.startswith(f"{path}: cannot be written"), said
    assert "free on its disk" in said and "remedy: " in said and "run again" in said, said
    name = path.name
    assert {k: v for k, v in content(folder).items() if name in k} == {k: v for k, v in before.items() if name in k}


def test_nothing_half_written_stays(limited):
    folder, before, _ = limited
    assert content(folder) == before
    assert not [path for path in folder.iterdir() if path.name.startswith(".soundprompt")]


@pytest.mark.parametrize("kind", ["safetensors", "html", "state"])
def test_how_many_bytes_are_needed_is_said_where_it_is_known(limited, kind):
    assert "bytes are needed" in limited[2][kind]
    needed = int(limited[2][kind].partition(" bytes are needed")[0].rpartition(" ")[2].replace(",", ""))
    assert 240_000 <= needed <= 310_000


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 128 KiB, of which half is taken."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    call = [mount, "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(place)]
    done = subprocess.run(call, capture_output=True, text=True, check=False) if mount and os.name == "posix" else None
    if done is None or done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip() if done else 'no mount'}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.slow  # it mounts, which make test does not do
def test_a_disk_that_is_really_full(small_disk):
    before = old(small_disk)
    for kind, said in answers(small_disk, 0).items():
        assert "cannot be written (No space left on device)" in said or "the write failed" in said, (kind, said)
        assert "free space on the disk" in said, (kind, said)
    assert content(small_disk) == before
