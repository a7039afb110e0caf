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
    threads: needs("score")
    resources:
        **asked("score"),
    params:
        code=lambda wildcards: code(
            "score",
            [STUDY.models[wildcards.model].registered, *extra_metrics(wildcards)],
        ),
        settings=lambda wildcards: settings(
            params.score_view(asked_by(wildcards), wildcards.setting, wildcards.model)
        ),
    message:
        "score {wildcards.model} on {wildcards.setting} of {wildcards.study}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} score --seeds {wildcards.pack} --settings '{params.settings}' > {log} 2>&1"


rule examine:
    input:
        unpack(scoring_inputs),
    output:
        ANY.examined("{setting}", "{model}", "{pack}"),
    log:
        "logs/{study}/examine/{setting}/{model}/{pack}.log",
    threads: needs("examine")
    resources:
        **asked("examine"),
    params:
        code=code_of_model("examine"),
        settings=lambda wildcards: settings(
            params.examine_view(
                asked_by(wildcards), wildcards.setting, wildcards.model
            )
        ),
    message:
        "examine {wildcards.model} on {wildcards.setting} of {wildcards.study}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} examine --seeds {wildcards.pack} --settings '{params.settings}' > {log} 2>&1"


rule floors:
    input:
        tables=tables_of,
    output:
        ANY.floors("{setting}"),
    log:
        "logs/{study}/floors/{setting}.log",
    threads: needs("floors")
    resources:
        **asked("floors"),
    params:
        code=lambda wildcards: code("floors", extra_metrics(wildcards)),
        settings=lambda wildcards: settings(
            params.floors_view(asked_by(wildcards), wildcards.setting)
        ),
    message:
        "score what needs no training on {wildcards.setting} of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} floors --settings '{params.settings}' > {log} 2>&1"


# One job of one thread for all models: they take turns, because times are compared within one job only.
rule cost:
    input:
        foundation=lambda wildcards: foundation(asked_by(wildcards)),
    output:
        ANY.cost,
    log:
        "logs/{study}/cost.log",
    threads: needs("cost")
    resources:
        **asked("cost"),
    params:
        code=lambda wildcards: code(
            "cost", params.cost_view(asked_by(wildcards)).chosen()
        ),
        settings=lambda wildcards: settings(params.cost_view(asked_by(wildcards))),
    message:
        "measure what a frame costs in {wildcards.study}"
    shell:
        "{SOUNDPROMPT} cost --settings '{params.settings}' > {log} 2>&1"
