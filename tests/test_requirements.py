"""What the code imports is declared, in the group of those who need it, and pinned with hashes."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from project_copy import PROJECT

DECLARED = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
GROUPS = {"core": DECLARED["dependencies"], **DECLARED["optional-dependencies"]}
REQUIREMENTS = {group: [Requirement(line) for line in lines] for group, lines in GROUPS.items()}
LOCKED = ["core", "workflow", "artifacts", "hub", "report", "dev"]
UNHASHED = {"torch", "torchvision"}
INSTALLED = packages_distributions()  # {what is imported: the packages that bring it}
SOURCE = PROJECT / "src"
PLUGIN = SOURCE / "snakemake_logger_plugin_soundprompt"
REPORT = SOURCE / "soundprompt/report"
ASKED_FOR = ("hub", "onnx")  # groups that are imported when they are needed, with a word of how to install them


def names(*groups):
    return {canonicalize_name(requirement.name) for group in groups for requirement in REQUIREMENTS[group]}


def imported(file):
    """Packages from elsewhere that a source file imports, by the names under which they are installed."""
    tops = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            tops |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            tops.add(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("submodule", "import_module")):
            tops |= {text.value for text in node.args[:1] if isinstance(text, ast.Constant)}
    tops = {top.partition(".")[0] for top in tops} - {"soundprompt"}
    return {canonicalize_name(name) for top in tops for name in INSTALLED.get(top, [])}


def imports_of(files):
    return set().union(*map(imported, files))


def test_every_import_is_declared_in_its_group_and_nothing_else_is():
    ours, drawing, plugin = (set(folder.rglob("*.py")) for folder in (SOURCE, REPORT, PLUGIN))
    assert imports_of(ours - drawing - plugin) - names(*ASKED_FOR) == names("core")
    assert names("report") <= imports_of(drawing) <= names("core", "report")
    assert imports_of(plugin) <= names("workflow")


def test_benchmarks_need_the_core_alone():
    assert imports_of((PROJECT / "benchmarks").rglob("*.py")) <= names("core")


def locked():
    """{name: (version, hashes)} of the lock."""
    entries = re.split(r"\n(?=[a-zA-Z0-9])", (PROJECT / "requirements.lock").read_text())[1:]
    pins = [re.match(r"([A-Za-z0-9._-]+)==([^\s;]+)", entry) for entry in entries]
    return {
        canonicalize_name(pin[1]): (pin[2], re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry))
        for pin, entry in zip(pins, entries, strict=True)
    }


@pytest.mark.parametrize("group", LOCKED)
def test_the_lock_pins_every_group(group):
    lock = locked()
    for requirement in REQUIREMENTS[group]:
        name = canonicalize_name(requirement.name)
        assert name in UNHASHED or requirement.specifier.contains(Version(lock[name][0])), requirement


def test_the_lock_says_hashes():
    lock = locked()
    assert len(lock) > 150 and all(hashes for _, hashes in lock.values())
    assert not UNHASHED & set(lock)


def test_what_has_no_hash_is_pinned_the_same_in_both_places():
    lines = (PROJECT / "requirements-torch.txt").read_text().splitlines()
    assert {line for line in lines if not line.startswith("#")} == {
        str(requirement) for requirement in REQUIREMENTS["core"] if requirement.name in UNHASHED
    }
