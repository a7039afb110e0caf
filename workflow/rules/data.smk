# Datasets on disk in their published formats, and from there the frame tables.
PARTS = ("v1s", "v1m", "v2", "vggss")
WORLD_INDEX = LAYOUT.avsbench / "metadata.csv"


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


def base_tables(wildcards):
    """AVS-V3 is made of clips of v1m and v2."""
    return [LAYOUT.table(name) for name in ("v1m", "v2") if wildcards.dataset == "v3"]


rule frame_table:
    input:
        base_tables,
        world=WORLD_INDEX,
        code=code("tables"),
    output:
        LAYOUT.table("{dataset}"),
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
