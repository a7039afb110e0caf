# The cache: frozen encoders run once per picture and per second of sound.
def features(study):
    """All cached features of a study."""
    shards = [study.layout.visual_shard(i) for i in range(study.features.shards)]
    return [study.layout.visual_plan, *shards, study.layout.audio_features]


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
        ANY.visual_shard("{shard}"),
    log:
        "logs/{study}/features/shard-{shard}.log",
    threads: needs("visual_features")
    resources:
        **asked("visual_features"),
    params:
        code=code("features"),
        settings=reads("features"),
    message:
        "encode pictures of {wildcards.study}, shard {wildcards.shard}"
    shell:
        "{SOUNDPROMPT} features --settings {SETTINGS} --study {wildcards.study} --step shard --shard {wildcards.shard} > {log} 2>&1"


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
        settings=reads("features"),
    message:
        "encode sounds of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} features --settings {SETTINGS} --study {wildcards.study} --step audio > {log} 2>&1"
