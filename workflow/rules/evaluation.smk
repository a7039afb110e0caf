# Scores: one row per clip, frame and metric. Tables and intervals are computed from them, never from models.
def scoring_inputs(wildcards):
    """The trained runs (of another setting, when it is tested across datasets) and the frames to test on."""
    study = asked_by(wildcards)
    origin = study.settings[wildcards.setting].model_of or wildcards.setting
    return {
        "runs": trained(study, origin, wildcards.model, pack_seeds(wildcards.pack)),
        "tables": tables_of(wildcards),
        "features": features(study),
        "foundation": foundation(study),
    }


rule score:
    input:
        unpack(scoring_inputs),
    output:
        ANY.scored("{setting}", "{model}", "{pack}"),
    log:
        "logs/{study}/score/{setting}/{model}/{pack}.log",
    params:
        code=lambda wildcards: code(
            "score",
            [STUDY.models[wildcards.model].registered, *extra_metrics(wildcards)],
        ),
        settings=reads("score", "setting", "model"),
    message:
        "score {wildcards.model} on {wildcards.setting} of {wildcards.study}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} score --settings {SETTINGS} --study {wildcards.study} --setting {wildcards.setting} --model {wildcards.model} --seeds {wildcards.pack} --workers $(({threads} - 1)) > {log} 2>&1"


rule examine:
    input:
        unpack(scoring_inputs),
    output:
        ANY.examined("{setting}", "{model}", "{pack}"),
    log:
        "logs/{study}/examine/{setting}/{model}/{pack}.log",
    params:
        code=code_of_model("examine"),
        settings=reads("examine", "setting", "model"),
    message:
        "examine {wildcards.model} on {wildcards.setting} of {wildcards.study}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} examine --settings {SETTINGS} --study {wildcards.study} --setting {wildcards.setting} --model {wildcards.model} --seeds {wildcards.pack} --workers $(({threads} - 1)) > {log} 2>&1"


rule floors:
    input:
        tables=tables_of,
    output:
        update(ANY.floors("{setting}")),  # kept where the frames are the same
    log:
        "logs/{study}/floors/{setting}.log",
    params:
        code=lambda wildcards: code("floors", extra_metrics(wildcards)),
        settings=reads("floors", "setting"),
    message:
        "score what needs no training on {wildcards.setting} of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} floors --settings {SETTINGS} --study {wildcards.study} --setting {wildcards.setting} > {log} 2>&1"


# One job of one thread for all models: they take turns, because times are compared within one job only.
rule cost:
    input:
        foundation=lambda wildcards: foundation(asked_by(wildcards)),
    output:
        ANY.cost,
    log:
        "logs/{study}/cost.log",
    params:
        code=lambda wildcards: code(
            "cost", params.cost_view(asked_by(wildcards)).chosen()
        ),
        settings=reads("cost"),
    message:
        "measure what a frame costs in {wildcards.study}"
    shell:
        "{SOUNDPROMPT} cost --settings {SETTINGS} --study {wildcards.study} > {log} 2>&1"
