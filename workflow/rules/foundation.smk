# The frozen models: the mini ones are pre-trained here, released weights are imported and checked.
FOUNDATION = [LAYOUT.foundation(name) for name in STUDY.foundations()]


def released_weights(wildcards):
    """What says that the released checkpoints of a model are there: they are fetched, or the user's own files."""
    model = getattr(STUDY.foundation, wildcards.foundation)
    paths = filter(None, (model.checkpoint, getattr(model, "pca_checkpoint", None)))
    fetched = {path: acquire.released(path, LAYOUT) for path in paths}
    return [LAYOUT.fetched(name) if name else path for path, name in fetched.items()]


rule pretrain:
    input:
        checkpoint=released_weights,
        code=lambda wildcards: code(f"foundation/{wildcards.foundation}"),
    output:
        weights=LAYOUT.foundation("{foundation}"),
        quality=LAYOUT.foundation_quality("{foundation}"),
    log:
        "logs/{}/pretrain/{{foundation}}.log".format(STUDY.study),
    wildcard_constraints:
        foundation="sam|audio|pyramid",
    priority: 100  # the longest chain of the study starts here
    threads: needs("pretrain")
    resources:
        **asked("pretrain"),
    params:
        settings=lambda wildcards: settings(
            params.pretrain_view(STUDY, wildcards.foundation)
        ),
    message:
        "make the foundation model '{wildcards.foundation}'"
    shell:
        "{SOUNDPROMPT} pretrain --model {wildcards.foundation} --settings '{params.settings}' > {log} 2>&1"
