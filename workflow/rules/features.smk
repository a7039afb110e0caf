# The cache: frozen encoders run once per picture and per second of sound.
VISUAL_SHARDS = [LAYOUT.visual_shard(shard) for shard in range(STUDY.features.shards)]
FEATURES = [LAYOUT.visual_plan, *VISUAL_SHARDS, LAYOUT.audio_features]


rule feature_plan:
    input:
        tables=[LAYOUT.table(dataset) for dataset in STUDY.tables()],
        code=code("features"),
    output:
        LAYOUT.visual_plan,
    log:
        "logs/{}/features/plan.log".format(STUDY.study),
    threads: needs("frame_table")
    resources:
        **asked("frame_table"),
    params:
        settings=settings(params.features_view(STUDY)),
    message:
        "divide the pictures over {} shards".format(STUDY.features.shards)
    shell:
        "{SOUNDPROMPT} features --step plan --settings '{params.settings}' > {log} 2>&1"


rule visual_features:
    input:
        plan=LAYOUT.visual_plan,
        sam=LAYOUT.foundation("sam"),
        code=code("features"),
    output:
        LAYOUT.visual_shard("{shard}"),
    log:
        "logs/{}/features/shard-{{shard}}.log".format(STUDY.study),
    threads: needs("visual_features")
    resources:
        **asked("visual_features"),
    params:
        settings=settings(params.features_view(STUDY)),
    message:
        "encode pictures, shard {wildcards.shard}"
    shell:
        "{SOUNDPROMPT} features --step shard --shard {wildcards.shard} --settings '{params.settings}' > {log} 2>&1"


rule audio_features:
    input:
        tables=[LAYOUT.table(dataset) for dataset in STUDY.tables()],
        audio=LAYOUT.foundation("audio"),
        code=code("features"),
    output:
        LAYOUT.audio_features,
    log:
        "logs/{}/features/audio.log".format(STUDY.study),
    threads: needs("audio_features")
    resources:
        **asked("audio_features"),
    params:
        settings=settings(params.features_view(STUDY)),
    message:
        "encode sounds"
    shell:
        "{SOUNDPROMPT} features --step audio --settings '{params.settings}' > {log} 2>&1"
