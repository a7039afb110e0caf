# soundprompt: data -> frame tables -> foundation models -> features -> training -> scores -> tables, plots, report.
# Settings: params.yaml, overlaid by --configfile studies/<study>.yaml. What a rule may know of them is its `view`.
from snakemake.utils import min_version

min_version("9.0")


configfile: "params.yaml"


include: "workflow/rules/settings.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/foundation.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/artifacts.smk"


rule all:
    default_target: True
    input:
        LAYOUT.report,


rule all_tables:
    input:
        [LAYOUT.result_table(name) for name in STUDY.experiments],


rule all_runs:
    input:
        [
            pack
            for study in STUDIES.values()
            for setting, model in sorted({run[:2] for run in study.runs()})
            for pack in trained(study, setting, model)
        ],
