# The frozen models: the mini ones are pre-trained here, released weights are imported and checked.
def foundation(study):
    """The frozen models of a study."""
    return [study.layout.foundation(name) for name in study.foundations()]


def released_weights(wildcards):
    """What a model is imported from: what is fetched, or the user's own files."""
    study, name = asked_by(wildcards), wildcards.foundation
    model = getattr(study.foundation, name)
    if model.source == "released" and model.is_own:
        own = released.files(name, params.pretrain_view(study, name))
        return own if model.checkpoint else []
    paths = filter(None, (model.checkpoint, getattr(model, "pca_checkpoint", None)))
    fetched = {path: acquire.released(path, study.layout) for path in paths}
    return [
        study.layout.fetched(name) if name else path for path, name in fetched.items()
    ]


def comes_with(wildcards):
    """Digest of the card of weights that the project comes with, which lie wherever it is installed; else None."""
    study, name = asked_by(wildcards), wildcards.foundation
    model = getattr(study.foundation, name)
    if model.source != "released" or not model.is_own or model.checkpoint:
        return None
    _, card = released.files(name, params.pretrain_view(study, name))
    return records.sha256(card)


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
        released=comes_with,
    message:
        "make the foundation model '{wildcards.foundation}' of {wildcards.study}"
    shell:
        "{SOUNDPROMPT} pretrain --settings {SETTINGS} --study {wildcards.study} --model {wildcards.foundation} > {log} 2>&1"
