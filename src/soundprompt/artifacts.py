"""DVC's view of a study: dvc.yaml, made from the settings, and the metrics that `dvc metrics diff` compares.

Snakemake decides what runs; a stage calls one of its targets. DVC owns the artifacts: each folder of runs
belongs to exactly one stage. Runs of one experiment belong to its stage, runs of a model on a setting that several
experiments use to a stage of their own, so that `dvc repro ablation_sap` makes what that table needs and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from soundprompt import files
from soundprompt import params as p
from soundprompt.errors import InputError
from soundprompt.layout import Layout, pack_name

DVC_FILE = Path("dvc.yaml")
CODE = "src/soundprompt"  # any change calls Snakemake, which knows what it concerns
ASKING = ("settings", "methods", "probes", "seeds", "metrics")  # keys of an experiment that say which runs it needs
FLOORS = "floors"  # stands for a model in pairs: what is scored without training
Pair = tuple[str, str]  # setting (of the study, or of a variant: 'v1s@points'), model
HEAD = """# Written by `soundprompt stages --study {study}`: run that again when experiments change, do not edit.
# Snakemake is the scheduler; a stage calls its target, here or on a cluster (SNAKEMAKE_PROFILE=slurm dvc repro).
# docs/artifacts.md
"""


# --------------------------------------------------------------------------- who owns which runs
def groups(params: p.Params) -> dict[str, list[Pair]]:
    """Stage name -> the (setting, model) pairs whose run folders it owns, in a stable order."""
    users: dict[Pair, list[str]] = {}
    for name in params.experiments:
        for pair in pairs(params, name):
            users.setdefault(pair, []).append(name)
    found: dict[str, list[Pair]] = {name: [] for name in params.experiments}
    for pair, names in users.items():
        found.setdefault(names[0] if len(names) == 1 else shared_stage(pair), []).append(pair)
    return found


def shared_stage(pair: Pair) -> str:
    """('v1s@points', 'gavs') -> 'runs_v1s_points_gavs': neither DVC nor Snakemake takes every sign in a name."""
    return "runs_" + "_".join(pair).replace("@", "_").replace("-", "_")


def foundation_stage(params: p.Params, study: p.Params) -> str:
    """Name of the stage that makes datasets, foundation models and features of a study or a variant of it."""
    return "foundation" + params.study.removeprefix(study.study)


def pairs(params: p.Params, name: str) -> list[Pair]:
    """Every (setting, model) that an experiment scores or validates, or that one of those starts from or borrows."""
    experiment = params.experiments[name]
    models = dict.fromkeys(m for m in map(p.model_of, experiment.methods) if m in params.models)
    found: dict[Pair, None] = {}
    for setting in experiment.settings:
        for model in models:
            found[setting, model] = None
            found.update(dict.fromkeys(origins(params, (setting, model))))
        if not experiment.of_validation:
            found[setting, FLOORS] = None
    return list(found)


def origins(params: p.Params, pair: Pair) -> list[Pair]:
    """The runs that a pair's runs start from or borrow."""
    name, at, variant = pair[0].partition("@")
    setting = params.settings[name]
    names = [] if pair[1] == FLOORS else filter(None, (setting.start_from, setting.model_of))
    return [(name + at + variant, pair[1]) for name in names]


def targets(params: p.Params, pair: Pair) -> list[Path]:
    """The files that say that a pair's runs are done."""
    (layout, setting), model = params.layout.of(pair[0]), pair[1]
    if model == FLOORS:
        return [layout.floors(setting)]
    study = params.studies()[layout.study]
    trained = [layout.trained(setting, model, pack_name(seeds)) for seeds in study.packs(setting, model)]
    scored = [layout.scored(setting, model, pack_name(seeds)) for seeds in study.packs(setting, model, evaluate=True)]
    examined = [layout.examined(setting, model, pack_name(seeds)) for seeds in study.examined_packs(setting, model)]
    return trained + scored + examined


# --------------------------------------------------------------------------------------- dvc.yaml
class Stages:
    """Writes the stages of a study.

    study: name of the study; its overlay is studies/<study>.yaml. large: whether the dataset and the features
    go into DVC's cache and its remotes, or are only watched, and made again where they are missing.
    """

    def __init__(self, study: str, *, large: bool = True):
        self.study, self.large = study, large
        self.overlay = f"studies/{study}.yaml"
        self.params, self.layout = p.load(self.overlay), Layout(study)
        if self.params.study != study:
            raise InputError(f"says study '{self.params.study}'", path=self.overlay, remedy=f"write study: {study}")
        self.files = [SettingsFile(str(path)) for path, _ in p.read_layers("params.yaml", [Path(self.overlay)])]
        self.groups = groups(self.params)
        self.owner = {pair: stage for stage, owned in self.groups.items() for pair in owned}
        self.studies = self.params.studies()

    def text(self) -> str:
        """The whole of dvc.yaml."""
        stages = {foundation_stage(each, self.params): self.foundation(each) for each in self.studies.values()}
        stages |= {name: self.runs(name) for name in self.groups if name not in self.params.experiments}
        stages |= {name: self.experiment(name) for name in self.params.experiments}
        stages["report"] = self.report()
        content = {"stages": stages, "plots": self.plots()}
        text = yaml.safe_dump(content, sort_keys=False, width=120, default_flow_style=None)
        return HEAD.format(study=self.study) + text

    # ---- stages
    def foundation(self, study: p.Params) -> dict[str, Any]:
        """Dataset, frame tables, foundation models, features; of a variant what it has of its own."""
        keys = ["world", "data", "foundation", "features", "settings"]
        keys += [f"models.{model}.visual.tune_from" for model in self.params.models]
        name = foundation_stage(study, self.params)
        keys += [f"variants.{name.removeprefix('foundation_')}"] if study is not self.params else []
        own = [path for path in self.base(study) if Path(path).name == study.study]
        borrowed = [path for path in self.base(study) if path not in own]
        whose = "" if study is self.params else f" of the variant {name.removeprefix('foundation_')}"
        return {
            "desc": f"dataset, frame tables, foundation models and the cache of their features{whose}",
            "cmd": self.call(name),
            "deps": [CODE, *borrowed],
            "params": self.keys(keys),
            "outs": [out(path, cache=self.large or path.startswith("weights")) for path in own],
        }

    def runs(self, name: str) -> dict[str, Any]:
        """Runs that several experiments share."""
        owned = self.groups[name]
        users = [e for e in self.params.experiments if set(owned) <= set(pairs(self.params, e))]
        return {
            "desc": f"runs that {' and '.join(users)} share",
            "cmd": self.call(name),
            "deps": [CODE, *self.bases(owned), *self.origins(name)],
            "params": self.keys(self.keys_of(owned, users)),
            "outs": [out(self.folder(pair)) for pair in owned],
        }

    def experiment(self, name: str) -> dict[str, Any]:
        """One experiment: the runs that it alone uses, its table, plots and metrics."""
        owned = self.groups[name]
        shared = [self.folder(pair) for pair in pairs(self.params, name) if pair not in owned]
        deps = [CODE, *self.bases(owned), *shared]
        table, metrics = str(self.layout.result_table(name)), str(self.layout.result_metrics(name))
        costs = self.costs(name)
        own_costs = [path for path, owner in costs.items() if owner == name]
        return {
            "desc": self.params.experiments[name].title,
            "cmd": self.call(name, metrics),
            "deps": list(dict.fromkeys([*deps, *(path for path in costs if path not in own_costs)])),
            "params": self.keys([*self.keys_of(pairs(self.params, name), []), f"experiments.{name}"]),
            "outs": [*map(out, (*map(self.folder, owned), *own_costs, table))],
            "metrics": [out(metrics)],
            "plots": [out(str(self.layout.result_plots(name)))],
        }

    def report(self) -> dict[str, Any]:
        """The page."""
        made = [str(self.layout.result_table(name)) for name in self.params.experiments]
        made += [str(self.layout.result_plots(name)) for name in self.params.experiments]
        keys = list(p.Params.model_fields)
        return {
            "desc": "the report that a reader opens",
            "cmd": self.call("all"),
            "deps": [CODE, *self.base(self.params), *made],
            "params": self.keys(keys),
            "outs": [out(str(path)) for path in (self.layout.report, self.layout.claims, self.layout.data_ledger)],
        }

    def plots(self) -> list[dict[str, Any]]:
        """Learning curves of each experiment's reference, one line a setting."""
        found = []
        for name, experiment in self.params.experiments.items():
            model = p.model_of(experiment.reference or experiment.methods[-1])
            seed = (experiment.seeds or self.params.seeds)[0]
            settings = [s for s in experiment.settings if self.params.settings[p.plain(s)].train]
            trained = settings if model in self.params.models else []
            curves = [str(self.layout.run(s, model, seed) / "metrics.csv") for s in trained]
            if curves:
                facts = {"template": "linear", "x": "step", "y": dict.fromkeys(curves, "loss")}
                found.append({f"loss_{name}": {**facts, "title": f"Loss of {model}, seed {seed}: {name}"}})
        return found

    # ---- their parts
    def call(self, *names: str) -> str:
        """The command of a stage; dvc would itself replace an unescaped ${...}."""
        profile = "\\${SNAKEMAKE_PROFILE:-workflow/profiles/local}"
        call = f'snakemake --profile "{profile}" --configfile {self.overlay} --quiet host -- {" ".join(names)}'
        return f"soundprompt stages --check --study {self.study} && {call}"

    def base(self, study: p.Params) -> list[str]:
        """Folders with what all runs of a study read, some of them of the study that it is a variant of."""
        weights = dict.fromkeys(study.layout.foundation(model).parent for model in study.foundations())
        features = dict.fromkeys((study.layout.features, study.layout.audio_features.parent))
        return [str(path) for path in (study.layout.data, *weights, *features)]

    def bases(self, owned: Iterable[Pair]) -> list[str]:
        """The same for the studies that some pairs belong to."""
        names = dict.fromkeys(self.layout.of(setting)[0].study for setting, _ in owned)
        return list(dict.fromkeys(path for name in names for path in self.base(self.studies[name])))

    def folder(self, pair: Pair) -> str:
        setting, model = pair
        return str(self.layout.models(setting) / model)

    def costs(self, name: str) -> dict[str, str]:
        """What an experiment reads of the cost of models -> the stage that owns it, the first that reads it."""
        found: dict[str, str] = {}
        for other, experiment in self.params.experiments.items():
            for setting in experiment.settings if experiment.measures_cost else ():
                found.setdefault(str(self.layout.of(setting)[0].cost.parent), other)
        mine = self.params.experiments[name]
        read = {str(self.layout.of(s)[0].cost.parent) for s in mine.settings} if mine.measures_cost else set()
        return {path: owner for path, owner in found.items() if path in read}

    def origins(self, name: str) -> list[str]:
        """Folders of other stages that a stage's runs start from."""
        wanted = [origin for pair in self.groups[name] for origin in origins(self.params, pair)]
        return [self.folder(pair) for pair in dict.fromkeys(wanted) if self.owner[pair] != name]

    def keys_of(self, owned: Iterable[Pair], experiments: Iterable[str]) -> list[str]:
        """Settings that runs depend on; of experiments what says which runs there are."""
        keys = ["seeds", "seeds_per_job", "data", "evaluation", "schedule"]
        for setting, model in owned:
            keys.append(f"settings.{p.plain(setting)}")
            keys += [f"variants.{p.variant_of(setting)}"] if p.variant_of(setting) else []
            keys += [f"models.{name}" for name in self.chain(model)]
        return keys + [f"experiments.{name}.{key}" for name in experiments for key in ASKING]

    def chain(self, model: str) -> list[str]:
        """A model and the models that it is made from; none of what is scored without training."""
        if model not in self.params.models:
            return []
        base = self.params.models[model].base
        return [model, *(self.chain(base) if base else [])]

    def keys(self, keys: Iterable[str]) -> list[Any]:
        """DVC's `params`: of each settings file the keys that stand in it."""
        wanted = list(dict.fromkeys(keys))
        found = {file.path: file.keys(wanted) for file in self.files}
        others = [{path: found[path] or None} for path in list(found)[1:] if found[path] is not None]
        return [*(found["params.yaml"] or []), *others]


class SettingsFile:
    """params.yaml, a file of experiments/ or an overlay, as DVC reads it: by the keys that stand in it."""

    def __init__(self, path: str):
        self.path, self.content = path, p.read_yaml(path)
        self.experiment = Path(path).stem if Path(path).parent.name == "experiments" else None

    def keys(self, wanted: Iterable[str]) -> list[str] | None:
        """Of the wanted settings those that stand here, by their keys in this file; [] for all of it, None for none."""
        wanted = list(wanted)
        if self.experiment and {"experiments", f"experiments.{self.experiment}"} & set(wanted):
            return []
        found = [place for key in wanted for place in self.places(key) if has(self.content, place)]
        return list(dict.fromkeys(found)) or None

    def places(self, key: str) -> list[str]:
        """Where a setting stands here, if it does: models also stand in the experiment that they are made for."""
        if self.experiment:
            own = key.removeprefix(f"experiments.{self.experiment}.")
            return [own] if own != key or key.startswith("models.") else []
        experiments = self.content.get("experiments")
        own = experiments if isinstance(experiments, dict) and key.startswith("models.") else ()
        return [key, *(f"experiments.{name}.{key}" for name in own)]


def out(path: str, *, cache: bool = True) -> dict[str, Any]:
    """An output that DVC leaves in place before the stage: Snakemake decides what in it is made again."""
    return {path: {"persist": True} | ({} if cache else {"cache": False})}


def has(settings: dict[str, Any], key: str) -> bool:
    """Whether 'a.b.c' stands in the settings."""
    node: Any = settings
    for part in key.split("."):
        if not isinstance(node, dict) or part not in node:
            return False
        node = node[part]
    return True


def write_stages(study: str, *, large: bool = True) -> None:
    """Writes dvc.yaml."""
    files.write_text(DVC_FILE, Stages(study, large=large).text())


def check_stages(study: str) -> None:
    """Raises InputError when dvc.yaml is not what the settings say."""
    found = DVC_FILE.read_text() if DVC_FILE.exists() else ""
    if found not in {Stages(study, large=large).text() for large in (True, False)}:
        what = f"does not fit the experiments and models of study {study}"
        raise InputError(what, path=DVC_FILE, remedy=f"run: soundprompt stages --study {study}")


# ---------------------------------------------------------------------------------------- metrics
def write_metrics(table: Path, path: Path) -> None:
    """Nests a result table as method -> selection -> metric -> mean, over all kinds of classes."""
    import pandas as pd  # half a second that only this function needs

    rows = pd.read_csv(table)
    rows = rows[(rows["kind"] == "all") & rows["mean"].notna()]
    nested: dict[str, Any] = {}
    for row in rows.itertuples():
        place = nested.setdefault(row.method, {}).setdefault(f"{row.setting}: {row.selection}", {})
        place[row.metric] = float(row.mean)
    files.write_json(path, nested)
