# One job trains a pack: the seeds of one model on one setting. Finished runs are kept, killed ones resumed.
def training_inputs(wildcards):
    """Frame tables and features, and the models that few-shot runs start from."""
    start = STUDY.settings[wildcards.setting].start_from
    return {
        "tables": tables_of(wildcards.setting),
        "start": trained(start, wildcards.model) if start else [],
    }


rule train:
    input:
        unpack(training_inputs),
        features=FEATURES,
        foundation=FOUNDATION,
        code=code("train"),
    output:
        LAYOUT.trained("{setting}", "{model}", "{pack}"),
    log:
        "logs/{}/train/{{setting}}/{{model}}/{{pack}}.log".format(STUDY.study),
    threads: needs("train")
    resources:
        **asked("train"),
    params:
        settings=lambda wildcards: settings(
            params.train_view(STUDY, wildcards.setting, wildcards.model)
        ),
    message:
        "train {wildcards.model} on {wildcards.setting}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} train --seeds {wildcards.pack} --settings '{params.settings}' > {log} 2>&1"
