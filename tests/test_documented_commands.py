"""Every command line in README.md and docs/: run, run dry, or at least understood by the real command line."""

import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest
import typer

import project_copy
from project_copy import PROJECT
from soundprompt import params
from soundprompt.cli import app
from soundprompt.data import acquire
from soundprompt.params.foundation import FOUNDATIONS

pytestmark = pytest.mark.pipeline

PROGRAMS = "make|snakemake|dvc|soundprompt|git|scancel|apptainer|pip"
COMMAND = re.compile(rf"([A-Z_]+=\S+ )*({PROGRAMS}) \S")
CLI = typer.main.get_command(app)
RUN = ("--help", "settings", "check")  # verbs that need nothing that is made first

# What cannot even be run dry, and why.
NOT_RUN = {
    "git add dvc.lock && git commit": "commits what a real run made",
    "git clone ... && cd ... && make env": "names no repository",
    "apptainer build containers/soundprompt.sif containers/soundprompt.def": "builds a container",
    "pip install -e '.[youtube]'": "installs from a registry",
    "pip install -e '.[hub]'": "installs from a registry",
    "dvc push": "needs artifacts and a remote",
    "dvc push ablation_sap": "needs artifacts and a remote",
    "dvc pull": "needs a remote",
    "dvc status": "named in a sentence: it says what is not made yet",
    "snakemake --touch": "named as an option that `make restore` gives",
    "snakemake --lint": "make lint runs it",
    "snakemake ... table_benchmarks": "stands for any of the calls before it",
    "snakemake ... table_v3": "stands for any of the calls before it",
    "snakemake --cores 2 ablation_narrow": "tests/test_extending.py runs it, with the settings that it needs",
}


def commands(text):
    """Command lines of blocks without a language, and of what else is set as code."""
    block, prose = None, []
    for line in text.splitlines():
        if line.strip().startswith("```"):
            block = None if block is not None else line.strip("` ")
        elif block == "":
            yield re.sub(r"\s+#.*", "", line).strip()
        elif block is None:
            prose.append(line.strip())
    yield from re.findall(r"`([^`]+)`", " ".join(prose))


def documented():
    """{command line: the file where it stands first}."""
    found = {}
    for path in [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]:
        lines = [line for line in commands(path.read_text()) if COMMAND.match(line)]
        found = {**dict.fromkeys(lines, path.name), **found}
    return found


DOCUMENTED = documented()


def program(line):
    return COMMAND.match(line)[2]


def of(name):
    return [line for line in DOCUMENTED if program(line) == name and line not in NOT_RUN]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A fresh clone, as a git repository with one commit."""
    copy = project_copy.copy_project(tmp_path_factory.mktemp("documented"))
    (copy.root / ".gitignore").open("a").write("/.venv\n")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    for words in (("init", "--quiet"), ("add", "--all"), (*who, "commit", "--quiet", "--message", "all")):
        copy.good("git", *words)
    return copy


def shell(copy, line):
    answer = subprocess.run(["bash", "-c", line], cwd=copy.root, env=copy.environment, capture_output=True, text=True)
    assert answer.returncode == 0, f"{line}\n{answer.stdout[-3000:]}{answer.stderr[-3000:]}"
    return answer.stdout + answer.stderr


def test_the_documents_hold_commands_and_the_exceptions_are_theirs():
    assert len(DOCUMENTED) > 40 and {program(line) for line in DOCUMENTED} >= {
        "make",
        "snakemake",
        "dvc",
        "soundprompt",
    }
    assert set(NOT_RUN) <= set(DOCUMENTED)
    rest = {line for line in DOCUMENTED if program(line) not in ("make", "snakemake", "dvc", "soundprompt")}
    assert rest <= set(NOT_RUN)


@pytest.mark.parametrize("line", of("make"))
def test_make(copy, line):
    assert "No rule" not in shell(copy, line.replace("make", "make -n -o .venv/.ready", 1))


def marked(line):
    """The graph of the paper's study takes half a minute."""
    return pytest.param(line, marks=pytest.mark.slow if "paper" in line or "slurm" in line else ())


@pytest.mark.parametrize("line", map(marked, of("snakemake")))
def test_snakemake(copy, line):
    """The target is made: a plan with jobs, not a file of settings that is missing."""
    said = shell(copy, line if " -n" in line else re.sub(r"\bsnakemake\b", "snakemake -n", line, count=1))
    target = shlex.split(line)[-1] if "--configfile" not in line.split()[-2] else "all_tables"
    assert project_copy.planned_jobs(said).get(target) == 1


@pytest.mark.parametrize("line", of("dvc"))
def test_dvc(copy, line):
    dry = re.sub(r"\bdvc (repro|exp run)\b", r"dvc \1 --dry --force", line, count=1)
    said = shell(copy, dry)
    assert "snakemake" in said if dry != line else "ERROR" not in said


@pytest.mark.parametrize("line", [line for line in of("soundprompt") if line.split()[1] in RUN])
def test_soundprompt_runs(copy, line):
    (copy.root / "studies/mine.yaml").write_text("study: mine\n")
    shell(copy, line)


@pytest.mark.parametrize("line", [line for line in of("soundprompt") if line.split()[1] not in RUN])
def test_soundprompt_is_understood(line):
    """Verb and options exist, and the names that they are given are those of the settings."""
    words = shlex.split(re.sub(r"^([A-Z_]+=\S+ )*soundprompt ", "", line).replace("$", "some-"))
    verb, options = CLI.commands[words[0]], [word for word in words[1:] if word != "..."]
    in_a_sentence = not options  # named there, without what it needs
    with click.Context(verb, info_name=words[0], resilient_parsing=in_a_sentence) as context:
        verb.parse_args(context, options)
    given = {name: value for name, value in context.params.items() if value}
    study = params.load(given.get("study", "mini"))
    known = {
        "setting": study.settings,
        "model": {**study.models, **dict.fromkeys(FOUNDATIONS)},
        "experiment": study.experiments,
        "dataset": params.load("full").tables(),  # the most that a generated world has
        "only": {*acquire.NAMES, "weights", *acquire.catalog.load().files},
    }
    for name in known.keys() & given.keys():
        a_place = isinstance(given[name], Path) or "/" in given[name]  # of a run or an export
        assert a_place or given[name] in known[name]


def test_every_verb_that_a_remedy_or_a_document_names_exists_with_its_options():
    named = re.compile(r"(?:`|run:? |`\$ )soundprompt ([a-z_]+)((?: --?[a-z-]+(?: [a-z0-9_<>.]+)?)*)")
    texts = [*sorted((PROJECT / "src").rglob("*.py")), *sorted((PROJECT / "src").rglob("*.j2"))]
    texts += [*sorted((PROJECT / "src").rglob("*.yaml")), *sorted((PROJECT / "workflow").rglob("*.smk"))]
    texts += [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md")), PROJECT / "dvc.yaml"]
    found = [(path, *match) for path in texts for match in named.findall(path.read_text())]
    assert len(found) > 20
    for path, verb, options in found:
        assert verb in CLI.commands, f"{Path(path).name}: soundprompt {verb}"
        known = {option for each in CLI.commands[verb].params for option in (*each.opts, *each.secondary_opts)}
        assert set(re.findall(r"--[a-z-]+", options)) <= known, f"{Path(path).name}: soundprompt {verb}{options}"
