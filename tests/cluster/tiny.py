"""A study of a minute: the pipeline's every stage, on next to nothing. What it learns is worth nothing."""

from pathlib import Path

import yaml

SMALL = {
    "study": "tiny",
    "seeds": [0],
    "world": {
        "levels": {"pitch": 4, "modulation": 1, "timbre": 3},
        "v1s_classes": 3,
        "v1s": {"train": 2, "val": 1, "test": 1},
        "v1m": {"train": 3, "val": 1, "test": 2},
        "v1m_unseen": 2,
        "v2": {"train": 3, "val": 1, "test": 2},
        "vggss": 4,
    },
    "data": {"shots": [1]},
    "foundation": {
        "sam": {"pictures": 16, "steps": 4, "pictures_per_step": 4},
        "audio": {"sounds": 60, "epochs": 1},
    },
    "models": {"gavs": {"schedule": {"steps": 6, "validate_every": 3, "warmup": 2, "shot_epochs": 1}}},
    "evaluation": {"bootstrap": 50},
    "resources": {
        "train": {"mem_mb": 1500, "runtime": 10, "gpus": 1},
        "score": {"mem_mb": 1500, "runtime": 5, "gpus": 1},
        "pretrain": {"mem_mb": 1500, "runtime": 10},
    },
}
EXPERIMENTS = {
    "table_v3": {
        "title": "Unseen classes, zero and one shot",
        "settings": ["v3_0shot", "v3_1shot"],
        "methods": ["all_objects", "gavs"],
    },
    "ablation_sap": {
        "title": "What noise is worth",
        "settings": ["v3_0shot"],
        "methods": ["gavs", "gavs-no_noise"],
        "reference": "gavs",
    },
}


SITE = {
    "account": "lab",
    "cpu": {"partition": "cpu", "max_runtime": 30, "max_mem_mb": 4000},
    "gpu": {"partition": "gpu", "type": "pretend", "max_runtime": 30, "max_mem_mb": 4000, "visible": False},
}


def write(project: Path) -> None:
    """Puts the study into a copy of the project: fewer experiments in params.yaml, small numbers in studies/tiny.yaml."""
    path = project / "params.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["experiments"] = EXPERIMENTS
    settings["settings"] = {name: settings["settings"][name] for name in ("v3_0shot", "v3_1shot")}
    settings["settings"]["v3_0shot"]["test"] = ["v3/unseen", "v3/1_shot_test"]
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    (project / "workflow" / "profiles" / "slurm" / "cluster.yaml").write_text(yaml.safe_dump(SITE))
    (project / "studies" / "tiny.yaml").write_text(yaml.safe_dump(SMALL, sort_keys=False))
