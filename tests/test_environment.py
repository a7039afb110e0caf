"""A job that cannot run says why at once."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from soundprompt import environment


def check(folder, source="src", **variables):
    """`soundprompt check`, with the environment of a job."""
    variables = {"PYTHONPATH": str(Path(source).resolve()), "SOUNDPROMPT_CHECK": "1", **variables}
    given = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"} | variables
    command = [sys.executable, "-m", "soundprompt", "check"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=given)


def test_a_good_place_passes_without_loading_what_takes_seconds():
    answer = check(".", PYTHONPROFILEIMPORTTIME="1")
    assert answer.returncode == 0 and "can run" in answer.stdout
    loaded = {line.rpartition("|")[2].strip() for line in answer.stderr.splitlines()}
    assert "soundprompt.environment" in loaded and not {"torch", "pandas", "snakemake"} & loaded


def test_a_folder_that_is_not_the_project_is_named(tmp_path):
    answer = check(tmp_path)
    assert answer.returncode == 1 and f"{tmp_path} holds no params.yaml" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_packages_that_are_missing_or_of_another_version_are_named(tmp_path):
    shutil.copytree("src/soundprompt", tmp_path / "src/soundprompt", ignore=shutil.ignore_patterns("__pycache__"))
    text = Path("pyproject.toml").read_text()
    text = text.replace('"torchvggish==0.2"', '"torchvggish==9.9",\n  "no-such-package>=1"')
    (tmp_path / "pyproject.toml").write_text(text)
    answer = check(".", tmp_path / "src")
    assert answer.returncode == 1
    assert "torchvggish is 0.2, not 9.9" in answer.stderr and "no-such-package is missing" in answer.stderr
    assert "package torch " not in answer.stderr  # 2.13.0+cpu is a build of 2.13.0


def test_a_gpu_without_its_driver_is_noticed_only_when_slurm_gave_one():
    assert "no-such-driver.so" in next(environment.wrong_gpu("no-such-driver.so"))
    if list(environment.wrong_gpu()):  # this machine has none
        assert "Slurm gave a GPU" in check(".", CUDA_VISIBLE_DEVICES="0").stderr
        assert check(".", CUDA_VISIBLE_DEVICES="0", SOUNDPROMPT_PRETEND_GPU="1").returncode == 0
    assert check(".", CUDA_VISIBLE_DEVICES="").returncode == 0
