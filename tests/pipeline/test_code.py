"""What a rule executes is what makes its results stale."""

import shutil

import pytest

from project_copy import Copy, planned_jobs
from soundprompt import closure, provenance, registry

pytestmark = pytest.mark.pipeline

# As sitecustomize.py it runs at the start of every Python.
SPY = """
import atexit, os, sys
def tell():
    ours = [name for name in sys.modules if name.partition(".")[0] == "soundprompt"]
    with open(os.environ["SPY"], "w") as stream:
        stream.write("\\n".join(ours))
atexit.register(tell)
"""
# Imports that a verb has for what the smoke study does not ask of it: importing released weights.
ELSEWHERE = {"soundprompt.foundation.torchvision_ops"}
# verb -> its options, stage, what it works with of what is registered, and what it makes
VERBS = {
    "world": (["--part", "vggss"], "world", None, "data/smoke/world-vggss.csv"),
    "tables": (["--dataset", "vggss"], "tables", "vggss", "data/smoke/tables/vggss.parquet"),
    "leaks": ([], "leaks", None, "data/smoke/tables/leaks.csv"),
    "train": (["--setting", "v1m", "--model", "gavs"], "train", "gavs", "runs/smoke/v1m/gavs"),
    "floors": (["--setting", "vggss"], "floors", None, "runs/smoke/vggss/floors"),
    "table": (["--experiment", "table_vggss"], "table", None, "results/smoke/tables/table_vggss.csv"),
}


@pytest.fixture(scope="module")
def copy(smoke, tmp_path_factory):
    """A copy of the smoke study: what its verbs make by hand, Snakemake did not see."""
    copy = Copy(tmp_path_factory.mktemp("copy") / "a copy")
    shutil.copytree(smoke.root, copy.root, symlinks=True, copy_function=shutil.copyfile)
    return copy


def test_a_copied_folder_has_nothing_to_do(copy):
    """Times of files are new in a copy, and so is the path."""
    assert "Nothing to be done" in copy.snakemake("smoke", "--dry-run", "--", "all")


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_the_closure_is_what_python_really_imports(copy, verb, tmp_path):
    options, stage, registered, made = VERBS[verb]
    remove(copy.root / made)  # finished work would be kept, and nothing imported to do it
    (tmp_path / "sitecustomize.py").write_text(SPY)
    told = tmp_path / "modules.txt"
    path = f"{tmp_path}:{copy.root}/src"
    copy.good("python", "-m", "soundprompt", verb, *options, "--study", "smoke", PYTHONPATH=path, SPY=str(told))
    entries = {**registry.architectures(), **registry.datasets()}
    chosen = [entries[registered]] if registered else []
    executed = set(told.read_text().split()) - {"soundprompt.cli", "soundprompt.__main__"}
    computed = {module(file) for file in provenance.code_files(stage, chosen)}
    assert executed <= computed
    assert computed - executed <= ELSEWHERE


def remove(path):
    assert path.exists()
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def module(file):
    """The dotted name of a source file."""
    parts = file.relative_to(closure.ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_a_change_in_what_reads_masks_makes_all_that_read_them_stale(smoke):
    """`read_mask` is two imports away from training, scoring and floors, and none of pre-training's."""
    path = smoke.root / "src/soundprompt/data/media.py"
    good = path.read_text()
    path.write_text(good + "\nBROKEN = True\n")
    try:
        stale = set(planned_jobs(smoke.snakemake("smoke", "--dry-run", "--", "all")))
    finally:
        path.write_text(good)
    assert {"frame_table", "train", "score", "floors"} <= stale
    assert not {"world_part", "pretrain"} & stale


def test_a_model_that_is_changed_concerns_no_other(smoke):
    path = smoke.root / "src/soundprompt/models/sap.py"
    good = path.read_text()
    path.write_text(good + "\nBROKEN = True\n")
    try:
        text = smoke.snakemake("smoke", "--dry-run", "--", "all")
    finally:
        path.write_text(good)
    assert "train gavs on v1s" in text and "train sam_fusion" not in text and "pretrain" not in planned_jobs(text)


def test_without_a_fact_all_models_are_meant():
    everything = {file.name for file in provenance.code_files("cost")}
    assert {"gavs.py", "sam_fusion.py", "avsbench_tpavi.py", "avsegformer.py", "cost.py"} <= everything
    assert "gallery.py" not in everything
