# What a job asks of a scheduler: the study's needs (params.yaml, resources) at the site (cluster.yaml).
import os

from soundprompt import cluster

SITE = cluster.load(Path(workflow.basedir) / "workflow/profiles/slurm/cluster.yaml")

# A job of Slurm runs in the site's environment, and looks about in its first second.
if "SLURM_JOB_ID" in os.environ:
    pretend = "" if SITE.gpu.visible else "SOUNDPROMPT_PRETEND_GPU=1"
    setup = f"{SITE.setup}; " if SITE.setup else ""
    python = SITE.python or PYTHON
    SOUNDPROMPT = f"{setup}PYTHONPATH={SOURCE} SOUNDPROMPT_CHECK=1 {pretend} {python} -m soundprompt"


def needs(rule):
    """A rule's `threads`."""
    return getattr(STUDY.resources, rule).threads


def asked(rule):
    """A rule's `resources`. `turn` counts inside groups only: four jobs at a time, those with a GPU one by one."""
    wanted = getattr(STUDY.resources, rule)
    return cluster.asked(wanted, SITE) | {"turn": 4 if wanted.gpus else 1}
