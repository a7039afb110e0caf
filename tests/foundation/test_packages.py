"""Single modules of packages, without what their `__init__` would import."""

import subprocess
import sys

import pytest

from soundprompt.foundation.packages import submodule

LIGHT = """
import sys
import soundprompt.training.run
heavy = {"torchvision", "torch._dynamo", "resampy", "numba"} & set(sys.modules)
assert not heavy, heavy
from soundprompt.foundation import audio
import torchvggish
assert torchvggish.VGG is audio.vggish.VGG, "two copies of one class"
assert torchvggish.waveform_to_examples, "the package itself is not whole"
"""


def test_a_training_job_imports_no_compiler_and_later_imports_find_whole_packages():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_a_missing_package_is_named():
    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        submodule("no_such_package", "module")
