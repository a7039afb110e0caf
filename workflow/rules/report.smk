# What a reader opens. Everything here is cheap and made from scores alone.
def experiment_scores(wildcards):
    """Scores of every (setting, model) of an experiment, and its floors."""
    experiment = STUDY.experiments[wildcards.experiment]
    models = dict.fromkeys(
        params.model_of(m)
        for m in experiment.methods
        if params.model_of(m) in STUDY.models
    )
    return {
        "scores": [
            pack
            for setting in experiment.settings
            for model in models
            for pack in scored(*whose(setting), model)
        ],
        "floors": [LAYOUT.floors(setting) for setting in experiment.settings],
        "ledgers": [
            ledger.path(whose(setting)[0].layout, name)
            for setting in experiment.settings
            for name in tested(setting)
        ],
    }


rule table:
    input:
        unpack(experiment_scores),
        code=code("report"),
    output:
        table=LAYOUT.result_table("{experiment}"),
        plots=directory(LAYOUT.result_plots("{experiment}")),
    log:
        "logs/{}/table/{{experiment}}.log".format(STUDY.study),
    threads: needs("table")
    resources:
        **asked("table"),
    params:
        settings=lambda wildcards: settings(
            params.table_view(STUDY, wildcards.experiment)
        ),
    message:
        "table and plots of {wildcards.experiment}"
    shell:
        "{SOUNDPROMPT} table --settings '{params.settings}' > {log} 2>&1"


rule report:
    input:
        tables=[LAYOUT.result_table(name) for name in STUDY.experiments],
        plots=[LAYOUT.result_plots(name) for name in STUDY.experiments],
        quality=[
            path.with_suffix(".json")
            for study in STUDIES.values()
            for path in foundation(study)
        ],
        ledgers=[ledger.path(LAYOUT, dataset) for dataset in STUDY.tables()],
        code=code("report"),
    output:
        page=LAYOUT.report,
        headline=LAYOUT.headline,
        ledger=LAYOUT.data_ledger,
    log:
        "logs/{}/report.log".format(STUDY.study),
    threads: needs("report")
    resources:
        **asked("report"),
    params:
        settings=settings(STUDY, exclude={"resources"}),
    message:
        "write {output.page}"
    shell:
        "{SOUNDPROMPT} report --settings '{params.settings}' > {log} 2>&1"


# Each experiment is a target of its own: `snakemake ablation_sap`.
for name in STUDY.experiments:

    rule:
        name:
            name
        input:
            LAYOUT.result_table(name),
            LAYOUT.result_plots(name),
