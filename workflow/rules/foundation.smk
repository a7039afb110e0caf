# The frozen models: the mini ones are pre-trained here, released weights are imported and checked.
def foundation(study):
    """The frozen models of a study."""
    return [study.layout.foundation(name) for name in study.foundations()]


def released_weights(wildcards):
    """What a model is imported from: what the project comes with, what is fetched, or the user's own files."""
    study, name = asked_by(wildcards), wildcards.foundation
    model = getattr(study.foundation, name)
    if model.source == "released" and model.is_own:
        return released.files(name, params.pretrain_view(study, name))
    paths = filter(None, (model.checkpoint, getattr(model, "pca_checkpoint", None)))
    fetched = {path: acquire.released(path, study.layout) for path in paths}
    return [
        study.layout.fetched(name) if name else path for path, name in fetched.items()
    ]


rule pretrain:
    input:
        checkpoint=released_weights,
    output:
        weights=ANY.foundation("{foundation}"),
        quality=ANY.foundation_quality("{foundation}"),
    log:
        "logs/{study}/pretrain/{foundation}.log",
    wildcard_constraints:
        foundation="sam|audio|pyramid",
    priority: 100  # the longest chain of the study starts here
    params:
        code=lambda wildcards: code(f"pretrain/{wildcards.foundation}"),
        settings=reads("pretrain", "foundation"),
    message:
        "make the foundation model '{wildcards.foundation}' of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} pretrain --settings {SETTINGS} --study {wildcards.study} --model {wildcards.foundation} > {log} 2>&1"
