# The cache: frozen encoders run once per picture and per second of sound.
def features(study):
    """What stands for all cached features of a study."""
    return [study.layout.visual_index, study.layout.audio_features]


# All that trainings start from, of the study and its substudies, as a target: `snakemake foundation`.
rule foundation:
    input:
        [
            [features(study), foundation(study), leaks.path(study.layout)]
            + [study.layout.table(dataset) for dataset in study.tables()]
            for study in STUDIES.values()
        ],


rule feature_plan:
    input:
        tables=all_tables_of,
    output:
        ANY.visual_plan,
    log:
        "logs/{study}/features/plan.log",
    params:
        code=code("features"),
        settings=reads("features"),
    message:
        "divide the pictures of {wildcards.study} over shards"
    shell:
        "{SOUNDPROMPT} features --settings {SETTINGS} --study {wildcards.study} --step plan > {log} 2>&1"


rule visual_features:
    input:
        plan=ANY.visual_plan,
        sam=lambda wildcards: asked_by(wildcards).layout.foundation("sam"),
    output:
        update(ANY.visual_shard("{shard}")),  # one whose pictures are the same is kept
    log:
        "logs/{study}/features/shard-{shard}.log",
    params:
        code=code("features"),
        settings=reads("features"),
    message:
        "encode pictures of {wildcards.study}, shard {wildcards.shard}"
    shell:
        "{SOUNDPROMPT} features --settings {SETTINGS} --study {wildcards.study} --step shard --shard {wildcards.shard} > {log} 2>&1"


# One small file in place of all shards: what reads them all depends on it alone, lest the graph grow by runs times shards.
rule feature_index:
    input:
        plan=ANY.visual_plan,
        shards=lambda wildcards: [
            asked_by(wildcards).layout.visual_shard(shard)
            for shard in range(asked_by(wildcards).features.shards)
        ],
    output:
        ANY.visual_index,
    log:
        "logs/{study}/features/index.log",
    localrule: True
    params:
        code=code("features"),
        settings=reads("features"),
    message:
        "seal the features of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} features --settings {SETTINGS} --study {wildcards.study} --step index > {log} 2>&1"


rule audio_features:
    input:
        tables=all_tables_of,
        audio=lambda wildcards: asked_by(wildcards).layout.foundation("audio"),
    output:
        update(ANY.audio_features),
    log:
        "logs/{study}/features/audio.log",
    params:
        code=code("features"),
        settings=reads("features"),
    message:
        "encode sounds of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} features --settings {SETTINGS} --study {wildcards.study} --step audio > {log} 2>&1"
