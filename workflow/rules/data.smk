# Datasets on disk in their published formats, and from there the frame tables.
# Here, and in foundation.smk for weights, a rule may ask where things come from; nowhere else.
PARTS = ("v1s", "v1m", "v2", "vggss")
WORLD_INDEX = LAYOUT.avsbench / "metadata.csv"
FETCHED = [*acquire.NAMES, *acquire.catalog.load().files]


# Its output says what was brought; the downloads themselves are no outputs, because Snakemake deletes those of a job
# that it runs again. Source files are no inputs: published bytes do not depend on our code.
rule fetch:
    input:
        annotations=lambda wildcards: (
            LAYOUT.fetched("vggss") if wildcards.name == "vggss_clips" else []
        ),
    output:
        LAYOUT.fetched("{name}"),
    log:
        "logs/{}/fetch/{{name}}.log".format(STUDY.study),
    wildcard_constraints:
        name="|".join(map(re.escape, FETCHED)),
    localrule: True  # nodes of a cluster rarely reach the internet
    threads: needs("fetch")
    resources:
        **asked("fetch"),
    params:
        settings=settings(params.fetch_view(STUDY)),
    message:
        "fetch {wildcards.name}"
    shell:
        "{SOUNDPROMPT} fetch --only {wildcards.name} --settings '{params.settings}' > {log} 2>&1"


rule world_part:
    input:
        code=code("world"),
    output:
        LAYOUT.data / "world-{part}.csv",
    log:
        "logs/{}/world/{{part}}.log".format(STUDY.study),
    threads: needs("world_part")
    resources:
        **asked("world_part"),
    params:
        settings=settings(params.world_view(STUDY)),
    message:
        "generate {wildcards.part} clips"
    shell:
        "{SOUNDPROMPT} world --part {wildcards.part} --settings '{params.settings}' > {log} 2>&1"


rule world:
    input:
        parts=expand(LAYOUT.data / "world-{part}.csv", part=PARTS),
        code=code("world"),
    output:
        WORLD_INDEX,
    log:
        "logs/{}/world/index.log".format(STUDY.study),
    threads: needs("world_part")
    resources:
        **asked("world_part"),
    params:
        settings=settings(params.world_view(STUDY)),
    message:
        "write the world's metadata and AVS-V3 splits"
    shell:
        "{SOUNDPROMPT} world --part index --settings '{params.settings}' > {log} 2>&1"


def dataset_on_disk(dataset):
    """What says that the files of a frame table are there: the generated world, or all that is fetched for it."""
    if STUDY.data.source == "generated":
        return [WORLD_INDEX]
    # also of the datasets that it may share no source video with
    spared = comparisons.spared(params.tables_view(STUDY, dataset).apart, dataset)
    datasets = {dataset, *(other.partition("/")[0] for _, other in spared)}
    names = {name for one in sorted(datasets) for name in acquire.SOURCES[one]}
    return [LAYOUT.fetched(name) for name in sorted(names)]


rule frame_table:
    input:
        files=lambda wildcards: dataset_on_disk(wildcards.dataset),
        code=code("tables"),
    output:
        table=LAYOUT.table("{dataset}"),
        ledger=ledger.path(LAYOUT, "{dataset}"),
    log:
        "logs/{}/tables/{{dataset}}.log".format(STUDY.study),
    threads: needs("frame_table")
    resources:
        **asked("frame_table"),
    params:
        settings=lambda wildcards: settings(
            params.tables_view(STUDY, wildcards.dataset)
        ),
    message:
        "read {wildcards.dataset} into its frame table"
    shell:
        "{SOUNDPROMPT} tables --dataset {wildcards.dataset} --settings '{params.settings}' > {log} 2>&1"


# Before any table, and early, so that a study stops here and not after its trainings.
rule leaks:
    input:
        tables=[LAYOUT.table(dataset) for dataset in STUDY.tables()],
        code=code("leaks"),
    output:
        leaks.path(LAYOUT),
    log:
        "logs/{}/leaks.log".format(STUDY.study),
    priority: 100
    threads: needs("table")
    resources:
        **asked("table"),
    params:
        settings=settings(params.leaks_view(STUDY)),
    message:
        "check that what is tested is new to what was trained"
    shell:
        "{SOUNDPROMPT} leaks --settings '{params.settings}' > {log} 2>&1"
