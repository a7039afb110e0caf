# What a reader opens. Everything here is cheap and made from scores alone.
def experiment_inputs(wildcards):
    """All that an experiment's table is made from."""
    return made_from(wildcards.experiment)


def made_from(name):
    """The same by the experiment's name: scores and what else was measured, or, for a search, its runs."""
    experiment = STUDY.experiments[name]
    places = [study_of(setting) for setting in experiment.settings]
    models = dict.fromkeys(map(params.model_of, experiment.methods))
    models = [model for model in models if model in STUDY.models]

    def packs(stage):
        seeds = experiment.seeds or STUDY.seeds
        return [
            pack for place in places for m in models for pack in stage(*place, m, seeds)
        ]

    checks = [leaks.path(study.layout) for study, _ in places]
    found = {"leaks": [*dict.fromkeys(checks), leaks.clips_path(LAYOUT)]}
    if experiment.of_validation:
        return found | {"runs": packs(trained)}
    tables = [
        (study, name)
        for (study, _), setting in zip(places, experiment.settings)
        for name in tested(setting)
    ]
    return found | {
        "scores": packs(scored),
        "examined": packs(examined) if experiment.examines else [],
        "costs": [s.layout.cost for s, _ in places] if experiment.measures_cost else [],
        "floors": [study.layout.floors(setting) for study, setting in places],
        "ledgers": [ledger.path(study.layout, name) for study, name in tables],
    }


rule table:
    input:
        unpack(experiment_inputs),
    output:
        table=ANY.result_table("{experiment}"),
        metrics=ANY.result_metrics("{experiment}"),
        plots=directory(ANY.result_plots("{experiment}")),
    log:
        "logs/{study}/table/{experiment}.log",
    params:
        code=code("table"),
        settings=reads("table", "experiment"),
    message:
        "table and plots of {wildcards.experiment} in {wildcards.study}"
    shell:
        "{SOUNDPROMPT} table --settings {SETTINGS} --study {wildcards.study} --experiment {wildcards.experiment} > {log} 2>&1"


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
        leaks=[leaks.path(study.layout) for study in STUDIES.values()],
    output:
        page=ANY.report,
        headline=ANY.headline,
        claims=ANY.claims,
        ledger=ANY.data_ledger,
    log:
        "logs/{study}/report.log",
    params:
        code=code("report"),
        settings=reads("report"),
    message:
        "write {output.page}"
    shell:
        "{SOUNDPROMPT} report --settings {SETTINGS} --study {wildcards.study} > {log} 2>&1"


# The page that a reader looks for first. Two studies made at once each put theirs there whole.
rule latest_report:
    input:
        LAYOUT.report,
    output:
        LAYOUT.latest_report,
    log:
        "logs/{}/latest_report.log".format(STUDY.study),
    localrule: True
    message:
        "copy {input} to {output}"
    shell:
        "(cp {input} {output}.$$ && mv {output}.$$ {output}) > {log} 2>&1"


# Each experiment is a target of its own: `snakemake ablation_sap`.
for name in STUDY.experiments:

    rule:
        name:
            name
        input:
            LAYOUT.result_table(name),
            LAYOUT.result_plots(name),
