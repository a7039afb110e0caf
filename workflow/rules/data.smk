# Datasets on disk in their published formats, and from there the frame tables.
# Here, and in foundation.smk for weights, a rule may ask where things come from; nowhere else.
PARTS = ("v1s", "v1m", "v2", "vggss")
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
    threads: needs("fetch")
    resources:
        **asked("fetch"),
    params:
        settings=lambda wildcards: settings(params.fetch_view(asked_by(wildcards))),
    message:
        "fetch {wildcards.name}"
    shell:
        "{SOUNDPROMPT} fetch --only {wildcards.name} --settings '{params.settings}' > {log} 2>&1"


rule world_part:
    input:
        code=code("world"),
    output:
        ANY.data / "world-{part}.csv",
    log:
        "logs/{study}/world/{part}.log",
    threads: needs("world_part")
    resources:
        **asked("world_part"),
    params:
        settings=lambda wildcards: settings(params.world_view(asked_by(wildcards))),
    message:
        "generate {wildcards.part} clips of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} world --part {wildcards.part} --settings '{params.settings}' > {log} 2>&1"


rule world:
    input:
        parts=expand(str(ANY.data / "world-{part}.csv"), part=PARTS, allow_missing=True),
        code=code("world"),
    output:
        ANY.avsbench / "metadata.csv",
    log:
        "logs/{study}/world/index.log",
    threads: needs("world_part")
    resources:
        **asked("world_part"),
    params:
        settings=lambda wildcards: settings(params.world_view(asked_by(wildcards))),
    message:
        "write metadata and AVS-V3 splits of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} world --part index --settings '{params.settings}' > {log} 2>&1"


def dataset_on_disk(wildcards):
    """What says that the files of a frame table are there: the generated world, or all that is fetched for it."""
    if asked_by(wildcards).data.source == "generated":
        return [ANY.avsbench / "metadata.csv"]
    return [ANY.fetched(name) for name in acquire.SOURCES[wildcards.dataset]]


rule frame_table:
    input:
        files=dataset_on_disk,
        code=code("tables"),
    output:
        table=ANY.table("{dataset}"),
        ledger=ledger.path(ANY, "{dataset}"),
    log:
        "logs/{study}/tables/{dataset}.log",
    threads: needs("frame_table")
    resources:
        **asked("frame_table"),
    params:
        settings=lambda wildcards: settings(
            params.tables_view(asked_by(wildcards), wildcards.dataset)
        ),
    message:
        "read {wildcards.dataset} of {wildcards.study} into its frame table"
    shell:
        "{SOUNDPROMPT} tables --dataset {wildcards.dataset} --settings '{params.settings}' > {log} 2>&1"
