# The settings, validated before any rule exists, and what rules take from them.
import functools
import os
import re
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from soundprompt import params, provenance, records, registry, turns
from soundprompt.data import acquire, comparisons, leaks, ledger, protocols
from soundprompt.data.world import parts
from soundprompt.errors import InputError
from soundprompt.files import digest_value
from soundprompt.foundation import released
from soundprompt.layout import Layout, pack_name, pack_seeds

# Read by our own reader, which tells more mistakes than Snakemake's, and the same for all commands.
try:
    given = workflow.config_settings.config
    STUDY = params.read(workflow.overwrite_configfiles, **given)
    released.check(STUDY)
except InputError as error:
    raise WorkflowError(str(error))

# The study and its substudies: the same rules make the artifacts of all of them, by the wildcard `study`.
STUDIES = STUDY.studies()
LAYOUT = STUDY.layout
SETTINGS = params.write(STUDY)  # what the verbs read
ANY = Layout("{study}")
# Lists of finished runs that name files which somebody deleted, damaged ones say: what is gone is made anew.
for each in STUDIES.values():
    for gone in records.withdraw(each.layout.runs):
        print(
            f"{gone}: damaged, or names files that are gone; they are made anew",
            file=sys.stderr,
        )
# Large pages for the tensors of all jobs, where Linux lends them: some 4 % of a training step, with the same results.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
turns.announce(STUDY.study)
# A user's own PYTHONPATH stays behind ours: models, datasets and metrics of other packages may lie there.
SOURCE = shlex.quote(
    os.pathsep.join(
        [f"{workflow.basedir}/src", *filter(None, [os.environ.get("PYTHONPATH")])]
    )
)
PYTHON = shlex.quote(sys.executable)
SOUNDPROMPT = f"PYTHONPATH={SOURCE} {PYTHON} -m soundprompt"


wildcard_constraints:
    study="|".join(map(re.escape, STUDIES)),
    dataset="|".join(registry.datasets()),
    part="|".join((*parts.PARTS, parts.SCENES)),
    shard=r"\d+",
    pack=r"\d+(-\d+)*",
    setting="|".join(STUDY.settings),
    model="|".join(map(re.escape, STUDY.models)),
    experiment="|".join(STUDY.experiments),


@functools.cache
def digest_of(stage, study, names):
    """Digest of the part of a study's settings that a stage reads."""
    view = params.READS[stage](STUDIES[study], *names)
    return digest_value(view.model_dump(mode="json"))


def reads(stage, *names):
    """The same for a job, by its wildcards: a rule's params, so that only a change in what it reads makes it stale."""
    return lambda wildcards: digest_of(
        stage, wildcards.study, tuple(wildcards[name] for name in names)
    )


def code(stage, chosen=()):
    """Digest of the source files that a stage executes: a rule's params, so that changed code makes results stale.

    chosen: what it works with of what is registered.
    """
    return provenance.code_digest(stage, chosen)


def code_of_model(stage):
    """The same for a job on a model: the files of other models are no concern of it."""
    return lambda wildcards: code(stage, [STUDY.models[wildcards.model].registered])


def extra_metrics(wildcards):
    """The metrics of other packages that are asked of a job's scores; of a model's, or of those of the floors."""
    names = asked_by(wildcards).extra_metrics(wildcards.setting, wildcards.get("model"))
    return [registry.metrics()[name] for name in names]


def asked_by(wildcards):
    """The settings of the study that a job belongs to."""
    return STUDIES[wildcards.study]


def tables_of(wildcards):
    """Frame tables that a job's setting draws from, and their masks."""
    study = asked_by(wildcards)
    spec = study.settings[wildcards.setting]
    names = {
        selection.partition("/")[0]
        for selection in spec.train + spec.validate_on + spec.test
    }
    return [path for name in sorted(names) for path in table_files(study, name)]


def table_files(study, dataset):
    """What reading a dataset leaves for others."""
    return [study.layout.table(dataset), study.layout.masks(dataset)]


def all_tables_of(wildcards):
    """The frame tables of a study."""
    study = asked_by(wildcards)
    return [study.layout.table(dataset) for dataset in study.tables()]


def tested(setting):
    """Datasets that a setting is tested on."""
    spec = STUDY.settings[params.plain(setting)]
    return sorted({selection.partition("/")[0] for selection in spec.test})


def done(name, packs, seeds):
    """Where each pack says that it is done; of packs that hold none of some seeds nothing is asked."""
    wanted = [pack for pack in packs if seeds is None or set(pack) & set(seeds)]
    return [name(pack_name(pack)) for pack in wanted]


def trained(study, setting, model, seeds=None):
    """What says that the seeds (default: all) of (setting, model) of a study are trained."""
    name = functools.partial(study.layout.trained, setting, model)
    return done(name, study.packs(setting, model), seeds)


def scored(study, setting, model, seeds=None):
    """What says that they are scored."""
    name = functools.partial(study.layout.scored, setting, model)
    return done(name, study.packs(setting, model, evaluate=True), seeds)


def examined(study, setting, model, seeds=None):
    """What says that they are examined, where some experiment asks for it."""
    name = functools.partial(study.layout.examined, setting, model)
    return done(name, study.examined_packs(setting, model), seeds)


def study_of(setting):
    """The study that a setting of an experiment belongs to, and the setting's name there."""
    place, name = LAYOUT.of(setting)
    return STUDIES[place.study], name
