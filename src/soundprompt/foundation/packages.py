"""Takes single modules out of packages whose own `__init__` imports far more than anything here uses.

`import segment_anything` imports torchvision, and that torch's compiler; `import torchvggish` imports resampy and
numba: together two thirds of the start of a training job. The modules used here import nothing but torch and numpy.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType


def submodule(package: str, name: str) -> ModuleType:
    """The module `package.name`, imported without running `package/__init__.py`.

    A later `import package` runs that as usual and `from package.name import ...` finds the same module; only as an
    attribute of the package it is missing then. Raises ModuleNotFoundError.
    """
    if package in sys.modules:
        return importlib.import_module(f"{package}.{name}")
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named '{package}'", name=package)
    sys.modules[package] = importlib.util.module_from_spec(spec)  # made, not executed: its folder is known
    try:
        return importlib.import_module(f"{package}.{name}")
    finally:
        del sys.modules[package]
