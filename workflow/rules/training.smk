# One job trains a pack: the seeds of one model on one setting. Finished runs are kept, killed ones resumed. Of its
# threads each process computes with one; the others read ahead what is not in memory. They change no result.
def training_inputs(wildcards):
    """Frame tables and features, and the models that few-shot runs start from."""
    study = asked_by(wildcards)
    start = study.settings[wildcards.setting].start_from
    seeds = pack_seeds(wildcards.pack)
    return {
        "tables": tables_of(wildcards),
        "start": trained(study, start, wildcards.model, seeds) if start else [],
        "features": features(study),
        "foundation": foundation(study),
    }


rule train:
    input:
        unpack(training_inputs),
    output:
        ANY.trained("{setting}", "{model}", "{pack}"),
    log:
        "logs/{study}/train/{setting}/{model}/{pack}.log",
    priority: 50  # few-shot runs wait for others, scores for one run only: those can fill the end
    resources:
        processes=1,  # that share a run, with a GPU each
    params:
        code=code_of_model("train"),
        settings=reads("train", "setting", "model"),
    message:
        "train {wildcards.model} on {wildcards.setting} of {wildcards.study}, seeds {wildcards.pack}"
    shell:
        "{SOUNDPROMPT} train --settings {SETTINGS} --study {wildcards.study} --setting {wildcards.setting} --model {wildcards.model} --seeds {wildcards.pack} --processes {resources.processes} --workers $((({threads} - 1) / {resources.processes})) > {log} 2>&1"
