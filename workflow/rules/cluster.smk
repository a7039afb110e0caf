# How jobs of Slurm start at the site (cluster.yaml). What they ask for stands in workflow/profiles/slurm.
import os

from soundprompt import cluster

SITE = cluster.load(Path(workflow.basedir) / "workflow/profiles/slurm/cluster.yaml")

# A job of Slurm runs in the site's environment, and looks about in its first second.
if "SLURM_JOB_ID" in os.environ:
    pretend = "" if SITE.gpu.visible else "SOUNDPROMPT_PRETEND_GPU=1"
    setup = f"{SITE.setup}; " if SITE.setup else ""
    python = SITE.python or PYTHON
    SOUNDPROMPT = f"{setup}PYTHONPATH={SOURCE} SOUNDPROMPT_CHECK=1 {pretend} {python} -m soundprompt"
