# The cache: frozen encoders run once per picture and per second of sound.
def features(study):
    """All cached features of a study."""
    shards = [study.layout.visual_shard(i) for i in range(study.features.shards)]
    return [study.layout.visual_plan, *shards, study.layout.audio_features]


# All that trainings start from, of the study and its variants, as a target: `snakemake foundation`.
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
    threads: needs("frame_table")
    resources:
        **asked("frame_table"),
    params:
        code=code("features"),
        settings=lambda wildcards: settings(params.features_view(asked_by(wildcards))),
    message:
        "divide the pictures of {wildcards.study} over shards"
    shell:
        "{SOUNDPROMPT} features --step plan --settings '{params.settings}' > {log} 2>&1"


rule visual_features:
    input:
        plan=ANY.visual_plan,
        sam=lambda wildcards: asked_by(wildcards).layout.foundation("sam"),
    output:
        ANY.visual_shard("{shard}"),
    log:
        "logs/{study}/features/shard-{shard}.log",
    threads: needs("visual_features")
    resources:
        **asked("visual_features"),
    params:
        code=code("features"),
        settings=lambda wildcards: settings(params.features_view(asked_by(wildcards))),
    message:
        "encode pictures of {wildcards.study}, shard {wildcards.shard}"
    shell:
        "{SOUNDPROMPT} features --step shard --shard {wildcards.shard} --settings '{params.settings}' > {log} 2>&1"


rule audio_features:
    input:
        tables=all_tables_of,
        audio=lambda wildcards: asked_by(wildcards).layout.foundation("audio"),
    output:
        ANY.audio_features,
    log:
        "logs/{study}/features/audio.log",
    threads: needs("audio_features")
    resources:
        **asked("audio_features"),
    params:
        code=code("features"),
        settings=lambda wildcards: settings(params.features_view(asked_by(wildcards))),
    message:
        "encode sounds of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} features --step audio --settings '{params.settings}' > {log} 2>&1"
