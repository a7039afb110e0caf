# Scores: one row per clip, frame and metric. Tables and intervals are computed from them, never from models.
def scoring_inputs(wildcards):
    """The trained runs (of another setting, when it is tested across datasets) and the frames to test on."""
    origin = STUDY.settings[wildcards.setting].model_of or wildcards.setting
    return {
        "runs": trained(origin, wildcards.model),
        "tables": tables_of(wildcards.setting),
    }


rule score:
    input:
        unpack(scoring_inputs),
        features=FEATURES,
        foundation=FOUNDATION,
        code=code("score"),
    output:
        LAYOUT.scored("{setting}", "{model}", "{pack}"),
    log:
        "logs/{}/score/{{setting}}/{{model}}/{{pack}}.log".format(STUDY.study),
    threads: needs("score")
    resources:
        **asked("score"),
    params:
        settings=lambda wildcards: settings(
            params.score_view(STUDY, wildcards.setting, wildcards.model)
        ),
    message:
        "score {wildcards.model} on {wildcards.setting}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} score --seeds {wildcards.pack} --settings '{params.settings}' > {log} 2>&1"


rule examine:
    input:
        unpack(scoring_inputs),
        features=FEATURES,
        foundation=FOUNDATION,
        code=code("examine"),
    output:
        LAYOUT.examined("{setting}", "{model}", "{pack}"),
    log:
        "logs/{}/examine/{{setting}}/{{model}}/{{pack}}.log".format(STUDY.study),
    threads: needs("examine")
    resources:
        **asked("examine"),
    params:
        settings=lambda wildcards: settings(
            params.examine_view(STUDY, wildcards.setting, wildcards.model)
        ),
    message:
        "examine {wildcards.model} on {wildcards.setting}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} examine --seeds {wildcards.pack} --settings '{params.settings}' > {log} 2>&1"


rule floors:
    input:
        tables=lambda wildcards: tables_of(wildcards.setting),
        code=code("score"),
    output:
        LAYOUT.floors("{setting}"),
    log:
        "logs/{}/floors/{{setting}}.log".format(STUDY.study),
    threads: needs("floors")
    resources:
        **asked("floors"),
    params:
        settings=lambda wildcards: settings(
            params.floors_view(STUDY, wildcards.setting)
        ),
    message:
        "score what needs no training on {wildcards.setting}"
    shell:
        "{SOUNDPROMPT} floors --settings '{params.settings}' > {log} 2>&1"
