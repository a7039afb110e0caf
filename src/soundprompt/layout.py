"""Where everything lies: the one place that names artifacts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from soundprompt.errors import InputError


@dataclass(frozen=True)
class Layout:
    """Paths of a study's artifacts, relative to the project's root.

    Arguments may also be Snakemake wildcards such as '{setting}'. A setting may be one of a substudy, 'points/v1s'; its
    runs then lie with those of full.points.

    shared: what a substudy has from its study instead of making its own: 'data', and names of foundation models.
    """

    study: str
    shared: tuple[str, ...] = ()

    def of(self, setting: str) -> tuple[Layout, str]:
        """Where a setting's runs lie, and its plain name there: 'points/v1s' -> layout of full.points, 'v1s'."""
        substudy, _, name = setting.rpartition("/")
        return (Layout(f"{self.study}.{substudy}") if substudy else self), name

    def _owner(self, artifact: str) -> str:
        return self.study.partition(".")[0] if artifact in self.shared else self.study

    # data
    @property
    def data(self) -> Path:
        return Path("data") / self._owner("data")

    @property
    def downloads(self) -> Path:
        """What is fetched or brought by hand, once for all studies."""
        return Path("data") / "downloads"

    def fetched(self, name: str) -> Path:
        """Says that something fetched is there, with its digests: a name of the catalogue or of `acquire.NAMES`."""
        return self.data / "fetched" / f"{name}.json"

    @property
    def avsbench(self) -> Path:
        """AVSBench-semantic layout: metadata.csv, label2idx.json, {label}/{uid}/..."""
        return self.data / "avsbench"

    @property
    def avs_v3(self) -> Path:
        """meta_v3_*.csv and v3_{k}_shot/{train,test}.csv."""
        return self.data / "avs_v3"

    @property
    def vggss(self) -> Path:
        """vggss.json, vggss_test.csv, frames/*.jpg, audio/*.wav."""
        return self.data / "vggss"

    def table(self, dataset: str) -> Path:
        """Frame table of a dataset."""
        return self.data / "tables" / f"{dataset}.parquet"

    def masks(self, dataset: str) -> Path:
        """The masks that a frame table names, a bit a pixel."""
        return self.data / "masks" / f"{dataset}.parquet"

    # foundation: weights, and beside them what they are worth
    def foundation(self, model: str) -> Path:
        """Weights of 'sam' or 'audio' (safetensors; architecture in the header)."""
        return Path("weights") / self._owner(model) / f"{model}.safetensors"

    def foundation_quality(self, model: str) -> Path:
        """Json with the model's own quality and provenance."""
        return self.foundation(model).with_suffix(".json")

    # features
    @property
    def features(self) -> Path:
        return Path("features") / self.study

    @property
    def visual_plan(self) -> Path:
        """Which picture stands in which shard and row."""
        return self.features / "visual" / "plan.parquet"

    def visual_shard(self, shard: int | str) -> Path:
        """One shard with the activations of all taps."""
        return self.features / "visual" / f"shard-{shard}.safetensors"

    @property
    def visual_index(self) -> Path:
        """Says that all shards are whole, with what seals each: one file that stands for them in the workflow."""
        return self.features / "visual" / "index.json"

    @property
    def audio_features(self) -> Path:
        """Every second of sound through the sound encoder; its study's for a substudy that shares both."""
        owners = {self._owner("data"), self._owner("audio")}
        owner = owners.pop() if len(owners) == 1 else self.study
        return Path("features") / owner / "audio.safetensors"

    # runs
    @property
    def runs(self) -> Path:
        return Path("runs") / self.study

    def models(self, setting: str) -> Path:
        """Folder with the runs of all models on a setting."""
        place, name = self.of(setting)
        return place.runs / name

    def run(self, setting: str, model: str, seed: int | str) -> Path:
        """Run directory: checkpoint.safetensors, metrics.csv, params.json, provenance.json, scores.parquet, ..."""
        return self.models(setting) / model / f"seed{seed}"

    def trained(self, setting: str, model: str, pack: str) -> Path:
        """Says which runs of a pack are trained, with the digests of their checkpoints."""
        return self.models(setting) / model / f"trained-{pack}.json"

    def scored(self, setting: str, model: str, pack: str) -> Path:
        """Says which runs of a pack are scored, with the digests of their scores."""
        return self.models(setting) / model / f"scored-{pack}.json"

    def examined(self, setting: str, model: str, pack: str) -> Path:
        """Says which runs of a pack are examined, with the digests of what was measured."""
        return self.models(setting) / model / f"examined-{pack}.json"

    def floors(self, setting: str) -> Path:
        """Scores of the methods that need no training."""
        return self.models(setting) / "floors" / "scores.parquet"

    @property
    def cost(self) -> Path:
        """What a frame costs with each model: size, operations, memory, time."""
        return self.runs / "cost" / "cost.json"

    @property
    def logs(self) -> Path:
        return Path("logs") / self.study

    # what a reader opens
    @property
    def results(self) -> Path:
        return Path("results") / self.study

    @property
    def latest_report(self) -> Path:
        """A copy of the report that was asked for last, of whichever study."""
        return Path("results") / "report.html"

    @property
    def report(self) -> Path:
        return self.results / "report.html"

    @property
    def data_ledger(self) -> Path:
        """Clips expected, found, missing and unusable in every dataset of the study."""
        return self.results / "data_ledger.csv"

    @property
    def headline(self) -> Path:
        """The report's main numbers in plain lines."""
        return self.results / "headline.txt"

    @property
    def claims(self) -> Path:
        """What the study says of each claim, with the comparisons that decide."""
        return self.results / "claims.csv"

    def result_table(self, experiment: str) -> Path:
        return self.results / "tables" / f"{experiment}.csv"

    def result_metrics(self, experiment: str) -> Path:
        """The means of a table in the form that DVC compares."""
        return self.results / "metrics" / f"{experiment}.json"

    def result_plots(self, experiment: str) -> Path:
        """Folder with the experiment's plots, svg."""
        return self.results / "plots" / experiment


def pack_name(seeds: tuple[int, ...]) -> str:
    """(0, 1, 2) -> '0-1-2'."""
    return "-".join(str(seed) for seed in seeds)


def pack_seeds(name: str) -> tuple[int, ...]:
    """'0-1-2' -> (0, 1, 2). Raises InputError."""
    if not re.fullmatch(r"\d+(-\d+)*", name):
        raise InputError(f"seeds '{name}' are not numbers joined by '-'", remedy="write 0 or 0-1-2")
    return tuple(int(seed) for seed in name.split("-"))
