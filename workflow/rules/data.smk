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
    names = parts.parts_of(asked_by(wildcards).world)
    return [ANY.data / f"world-{part}.csv" for part in names]


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


def datasets_read(wildcards):
    """A frame table's dataset, and those that it may share no source video with."""
    view = params.tables_view(asked_by(wildcards), wildcards.dataset)
    others = comparisons.given_up(view.apart, wildcards.dataset)
    names = {wildcards.dataset, *(other.partition("/")[0] for _, other in others)}
    return [registry.datasets()[name] for name in sorted(names)]


def dataset_on_disk(wildcards):
    """What says that the files of a frame table are there: the generated world, all that is fetched, files by hand."""
    study = asked_by(wildcards)
    datasets = datasets_read(wildcards)
    found = [file for dataset in datasets for file in dataset.files]
    if study.data.source == "generated":
        made = any(dataset.generated != "no" for dataset in datasets)
        return [*found, *([ANY.avsbench / "metadata.csv"] if made else [])]
    names = {name for dataset in datasets for name in dataset.downloads}
    names.update(
        protocols.list_names(params.tables_view(study, wildcards.dataset).protocols)
    )
    return [*found, *(ANY.fetched(name) for name in sorted(names))]


rule frame_table:
    input:
        files=dataset_on_disk,
    output:
        table=ANY.table("{dataset}"),
        masks=ANY.masks("{dataset}"),
        ledger=ledger.path(ANY, "{dataset}"),
    log:
        "logs/{study}/tables/{dataset}.log",
    params:
        code=lambda wildcards: code("tables", datasets_read(wildcards)),
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
