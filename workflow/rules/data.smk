# Datasets on disk in their published formats, and from there the frame tables.
# Here, and in foundation.smk for weights, a rule may ask where things come from; nowhere else.
FETCHED = [*acquire.NAMES, *acquire.catalog.load().files]


# Its output says what was brought; the downloads themselves are no outputs, because Snakemake deletes those of a job
# that it runs again. Source files are no inputs: published bytes do not depend on our code.
rule fetch:
    input:
        annotations=lambda wildcards: (
            ANY.fetched("vggss") if wildcards.name == "vggss_clips" else []
        ),
    output:
        ANY.fetched("{name}"),
    log:
        "logs/{study}/fetch/{name}.log",
    wildcard_constraints:
        name="|".join(map(re.escape, FETCHED)),
    localrule: True  # nodes of a cluster rarely reach the internet
    params:
        settings=reads("fetch"),
    message:
        "fetch {wildcards.name}"
    shell:
        "{SOUNDPROMPT} fetch --settings {SETTINGS} --study {wildcards.study} --only {wildcards.name} > {log} 2>&1"


rule world_part:
    output:
        ANY.data / "world-{part}.csv",
    log:
        "logs/{study}/world/{part}.log",
    params:
        code=code("world"),
        settings=reads("world"),
    message:
        "generate {wildcards.part} clips of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} world --settings {SETTINGS} --study {wildcards.study} --part {wildcards.part} > {log} 2>&1"


def parts_of_world(wildcards):
    """The parts of a job's world; it has scenes only if it declares some."""
    parts = parts_of(asked_by(wildcards).world)
    return [ANY.data / f"world-{part}.csv" for part in parts]


rule world:
    input:
        parts=parts_of_world,
    output:
        ANY.avsbench / "metadata.csv",
    log:
        "logs/{study}/world/index.log",
    params:
        code=code("world"),
        settings=reads("world"),
    message:
        "write metadata and AVS-V3 splits of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} world --settings {SETTINGS} --study {wildcards.study} --part index > {log} 2>&1"


def dataset_on_disk(wildcards):
    """What says that the files of a frame table are there: the generated world, or all that is fetched for it."""
    study = asked_by(wildcards)
    if study.data.source == "generated":
        return [ANY.avsbench / "metadata.csv"]
    # also of the datasets that it may share no source video with
    view = params.tables_view(study, wildcards.dataset)
    spared = comparisons.spared(view.apart, wildcards.dataset)
    datasets = {wildcards.dataset, *(other.partition("/")[0] for _, other in spared)}
    names = {name for one in sorted(datasets) for name in acquire.SOURCES[one]}
    names.update(protocols.list_names(view.protocols))
    return [ANY.fetched(name) for name in sorted(names)]


rule frame_table:
    input:
        files=dataset_on_disk,
    output:
        table=ANY.table("{dataset}"),
        ledger=ledger.path(ANY, "{dataset}"),
    log:
        "logs/{study}/tables/{dataset}.log",
    params:
        code=code("tables"),
        settings=reads("tables", "dataset"),
    message:
        "read {wildcards.dataset} of {wildcards.study} into its frame table"
    shell:
        "{SOUNDPROMPT} tables --settings {SETTINGS} --study {wildcards.study} --dataset {wildcards.dataset} > {log} 2>&1"


# Before any table, and early, so that a study stops here and not after its trainings.
rule leaks:
    input:
        tables=all_tables_of,
    output:
        leaks.path(ANY),
        leaks.clips_path(ANY),
    log:
        "logs/{study}/leaks.log",
    priority: 100
    params:
        code=code("leaks"),
        settings=reads("leaks"),
    message:
        "check that what is tested in {wildcards.study} is new to what was trained"
    shell:
        "{SOUNDPROMPT} leaks --settings {SETTINGS} --study {wildcards.study} > {log} 2>&1"
