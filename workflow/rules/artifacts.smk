# Targets of DVC's stages (dvc.yaml), and the form of the tables that it compares.
from soundprompt import artifacts

# Dataset, frame tables, foundation models and features of each study, by the name of its stage.
for each in STUDIES.values():

    rule:
        name:
            artifacts.foundation_stage(each, STUDY)
        input:
            features(each),
            foundation(each),
            [each.layout.table(dataset) for dataset in each.tables()],
            leaks.path(each.layout),


rule metrics:
    input:
        table=ANY.result_table("{experiment}"),
    output:
        ANY.result_metrics("{experiment}"),
    log:
        "logs/{study}/metrics/{experiment}.log",
    localrule: True
    message:
        "metrics of {wildcards.experiment} in {wildcards.study}"
    shell:
        "{SOUNDPROMPT} metrics --table {input.table} --to {output} > {log} 2>&1"


# Runs that several experiments share, by the name of their stage.
for name, owned in artifacts.groups(STUDY).items():
    if name not in STUDY.experiments:

        rule:
            name:
                name
            input:
                [path for pair in owned for path in artifacts.targets(STUDY, pair)],
