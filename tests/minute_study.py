"""A study of a minute, in a copy of the project: every stage, on next to nothing. What it learns is worth nothing."""

from pathlib import Path

import yaml

from project_copy import Copy, copy_project, write_experiments

NAME = "minute"

OVERLAY = {
    "study": NAME,
    "seeds": [0],
    "world": {
        "levels": {"pitch": 4, "modulation": 1, "timbre": 3},
        "v1s_classes": 3,
        "v1s": {"train": 2, "val": 1, "test": 1},
        "v1m": {"train": 3, "val": 1, "test": 2},
        "v1m_unseen": 2,
        "v2": {"train": 3, "val": 1, "test": 2},
        "vggss": 4,
        "scenes": None,
    },
    "data": {"shots": [1]},
    "foundation": {
        "sam": {"source": "train", "pictures": 16, "steps": 4, "pictures_per_step": 4},
        "audio": {"source": "train", "sounds": 60, "epochs": 1},
    },
    "substudies": {"points": {"foundation": {"sam": {"prompts": "points"}}}},
    "models": {"gavs": {"schedule": {"steps": 16, "validate_every": 4, "warmup": 2, "shot_epochs": 1}}},
}
EXPERIMENTS = {
    "table_v3": {
        "title": "Unseen classes, zero and one shot",
        "settings": ["v3_0shot", "v3_1shot"],
        "methods": ["all_objects", "gavs"],
    },
    "ablation_sap": {
        "title": "What GAVS's noise is worth",
        "settings": ["v3_0shot"],
        "models": {
            "gavs-no_noise": {"base": "gavs", "sap": {"noise": "off"}},
            "gavs-no_cue": {"base": "gavs", "sap": {"visual_cue": False}, "triplet": {"weight": 0}},
        },
        "methods": ["gavs", "gavs-no_noise"],
        "reference": "gavs",
    },
    "foundations": {
        "title": "The same model on another SAM",
        "settings": ["v3_0shot", "points/v3_0shot"],
        "methods": ["gavs"],
        "metrics": ["miou", "retrieval", "knowledge"],
    },
}
TABLES = [f"results/{NAME}/tables/{name}.csv" for name in EXPERIMENTS]


class Minute(Copy):
    """The copy, with the tables of the study."""

    def tables(self) -> dict[str, bytes]:
        return {name: (self.root / name).read_bytes() for name in TABLES}


def make(root: Path) -> Minute:
    """A copy of the project with the study, in a git repository of its own."""
    copy_project(root)
    write_study(root)
    write_stages(root)
    copy = Minute(root)
    commit(copy, "the study", first=True)
    return copy


def write_study(root: Path) -> None:
    """The study's overlay, and its experiments and their settings alone."""
    settings = yaml.safe_load((root / "params.yaml").read_text())["settings"]
    settings = {name: settings[name] for name in ("v3_0shot", "v3_1shot")}
    settings["v3_0shot"]["test"] = ["v3/unseen", "v3/1_shot_test"]
    write_experiments(root, EXPERIMENTS, settings=settings)
    (root / "studies" / f"{NAME}.yaml").write_text(yaml.safe_dump(OVERLAY, sort_keys=False))


def write_stages(root: Path) -> None:
    """dvc.yaml for this study, as docs/artifacts.md says: its name, its overlay, and a stage for each experiment."""
    text = (root / "dvc.yaml").read_text().replace("/mini", f"/{NAME}")
    content = yaml.safe_load(text.replace("--quiet host", f"--configfile studies/{NAME}.yaml --quiet host"))
    like = yaml.safe_dump(content["stages"]["ablation_sap"])
    stages = {name: yaml.safe_load(like.replace("ablation_sap", name)) for name in EXPERIMENTS}
    content["stages"] = {"foundation": content["stages"]["foundation"], **stages, "report": content["stages"]["report"]}
    files = [{f"experiments/{name}.yaml": None} for name in EXPERIMENTS]
    content["stages"]["report"]["params"] = [{"params.yaml": None}, *files]
    for stage in content["stages"].values():
        stage["params"].append({f"studies/{NAME}.yaml": None})
    for name, folders in (("foundation", ("weights", "features")), ("report", ("runs",))):
        own = [{f"{folder}/{NAME}.points": {"persist": True}} for folder in folders]  # of the substudy
        content["stages"][name]["outs"] += own
    content["plots"] = [plot for plot in content["plots"] if "loss_v3" in plot]
    curves = content["plots"][0]["loss_v3"]["y"]
    content["plots"][0]["loss_v3"]["y"] = {
        path: y for path, y in curves.items() if "3shot" not in path and "5shot" not in path
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def commit(copy: Copy, message: str, *, first: bool = False) -> None:
    if first:
        (copy.root / ".gitignore").open("a").write("/.venv\n")  # here it is a link, not a folder
        copy.good("git", "init", "--quiet")
    copy.good("git", "add", "--all")
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    copy.good("git", *who, "commit", "--quiet", "--allow-empty", "--message", message)
