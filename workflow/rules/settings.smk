# The settings, validated before any rule exists, and what rules take from them.
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from soundprompt import params, provenance
from soundprompt.data import acquire, ledger
from soundprompt.errors import InputError
from soundprompt.layout import Layout, pack_name

try:
    STUDY = params.validate(config)
except InputError as error:
    raise WorkflowError(str(error))

# Snakemake shows a job's message or its resources, not both; a dry run therefore begins with the latter.
if any(re.fullmatch("--dry-?run|-[A-Za-z]*n", word) for word in sys.argv):
    print(STUDY.resources.overview(), file=sys.stderr)

LAYOUT = Layout(STUDY.study)
SOUNDPROMPT = f"PYTHONPATH='{workflow.basedir}/src' '{sys.executable}' -m soundprompt"
PAIRS = sorted({(setting, model) for setting, model, _ in STUDY.runs()})


wildcard_constraints:
    dataset="v1s|v1m|v2|v3|vggss",
    part="v1s|v1m|v2|vggss",
    shard=r"\d+",
    pack=r"\d+(-\d+)*",
    setting="|".join(STUDY.settings),
    model="|".join(map(re.escape, STUDY.models)),
    experiment="|".join(STUDY.experiments),


def settings(view, **options):
    """The canonical text of a stage's view: a rule's params, so that only a change in it makes the rule stale."""
    # It stands between apostrophes in shell commands; JSON has another way to write one.
    return view.model_dump_json(**options).replace("'", r"\u0027")


def code(stage):
    """The stage's source files: inputs of its rules, so that changed code makes results stale."""
    return [str(path) for path in provenance.code_files(stage)]


def tables_of(setting):
    """Frame tables that a setting draws from."""
    spec = STUDY.settings[setting]
    names = {
        selection.partition("/")[0]
        for selection in spec.train + spec.validate_on + spec.test
    }
    return [LAYOUT.table(name) for name in sorted(names)]


def tested(setting):
    """Datasets that a setting is tested on."""
    names = {selection.partition("/")[0] for selection in STUDY.settings[setting].test}
    return sorted(names)


def trained(setting, model):
    """What says that every seed of (setting, model) is trained."""
    return [
        LAYOUT.trained(setting, model, pack_name(seeds))
        for seeds in STUDY.packs(setting, model)
    ]


def scored(setting, model):
    """What says that every seed of (setting, model) is scored."""
    packs = STUDY.packs(setting, model, evaluate=True)
    return [LAYOUT.scored(setting, model, pack_name(seeds)) for seeds in packs]


def examined(setting, model):
    """What says that every seed of (setting, model) is examined, where some experiment asks for it."""
    packs = STUDY.examined_packs(setting, model)
    return [LAYOUT.examined(setting, model, pack_name(seeds)) for seeds in packs]
