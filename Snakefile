# soundprompt: data -> frame tables -> foundation models -> features -> training -> scores -> tables, plots, report.
# Settings: params.yaml, overlaid by --configfile studies/<study>.yaml. What a rule may know of them is its `view`.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/settings.smk"
include: "workflow/rules/cluster.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/foundation.smk"
include: "workflow/rules/features.smk"
include: "workflow/rules/training.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/report.smk"


onstart:
    # Before the first job; jobs that run in a Snakemake of their own call no hooks.
    try:
        turns.take(STUDY.study, STUDIES)
    except InputError as error:
        raise WorkflowError(str(error))
    # Snakemake 9 limits jobs to 100 a second, and for that looks at all that is ready once a second *for each job that
    # has ended*: after some hundred jobs this takes a whole core. Its command line and profiles cannot say "no limit",
    # and with a longer timespan it waits for its timers when all is done. A limit that somebody asked for stays.
    limit = workflow.scheduling_settings.max_jobs_per_timespan
    if limit is not None and (limit.max_jobs, limit.timespan) == (100, 1):
        workflow.scheduler.job_rate_limiter = None


# Snakemake does not miss what is gone as long as all that was made from it is there. Whoever deleted a file because it
# was damaged wants it back: the study's target asks for tables, and for what they were made from, by name.
rule all:
    default_target: True
    input:
        LAYOUT.report,
        LAYOUT.latest_report,
        [LAYOUT.result_table(name) for name in STUDY.experiments],
        [
            table_files(study, name)
            for study in STUDIES.values()
            for name in study.tables()
        ],
        [paths for name in STUDY.experiments for paths in made_from(name).values()],


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
