"""What each stage may know: the part of the settings that its results depend on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, model_validator

from soundprompt import registry
from soundprompt.layout import Layout
from soundprompt.params.base import Count, Positive, Settings
from soundprompt.params.data import Data, Reading, Scene, World
from soundprompt.params.evaluation import Cost, Evaluation
from soundprompt.params.experiments import Experiment, Setting, model_of, plain
from soundprompt.params.foundation import Audio, Features, Pyramid, Sam
from soundprompt.params.models import Model, Schedule
from soundprompt.params.study import Params


class View(Settings):
    """What a stage may know, and whose artifacts it makes."""

    study: str
    shared: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _of_records(cls, content: Any) -> Any:
        """Records of models that travel may be older: what told where their study's artifacts lay is passed over."""
        if isinstance(content, dict):
            return {key: value for key, value in content.items() if key not in ("borrows", "parent")}
        return content

    @property
    def layout(self) -> Layout:
        """Where the stage reads and writes."""
        return Layout(self.study, self.shared)

    def chosen(self) -> list[registry.Entry]:
        """What the stage works with of what is registered."""
        return []


class WorldView(View):
    """All that generating the world depends on."""

    world: World
    shots: tuple[Positive, ...]


class TablesView(View):
    """All that reading a dataset into its frame table depends on, besides its files."""

    dataset: str
    data: Reading
    apart: dict[str, Setting] = Field({}, description="settings whose leaks are left out, with data.leaks: drop")
    protocols: tuple[str, ...] = Field((), description="selections by published protocols that settings draw from")


class LeaksView(View):
    """All that the leak check depends on, besides the frame tables."""

    settings: dict[str, Setting]
    leaks: Literal["stop", "drop", "report"]


class FetchView(View):
    """All that fetching depends on: data sources, and the released weights and datasets that the study uses."""

    data: Data
    checkpoints: tuple[str, ...]
    datasets: tuple[str, ...]
    protocols: tuple[str, ...] = ()


class PretrainView(View):
    """All that pre-training a foundation model depends on: its own block and the scene, no clips, no world seed."""

    model: Sam | Audio
    scene: Scene


class PyramidView(PretrainView):
    """All that pre-training the pyramid depends on: besides, which pictures the mini SAM sees."""

    model: Pyramid
    pool_seed: int
    pictures: int


class FeaturesView(View):
    """All that the feature cache depends on, besides weights and frame tables."""

    tables: tuple[str, ...]
    taps: tuple[int | None, ...]
    features: Features
    bgr: bool


class FloorsView(View):
    """All that scoring the methods without training depends on, besides the frame tables."""

    setting_name: str
    setting: Setting
    data: Reading
    evaluation: Evaluation
    metrics: tuple[str, ...] = Field((), description="those of other packages that are measured too")

    def chosen(self) -> list[registry.Entry]:
        """The metrics of other packages."""
        return [registry.metrics()[name] for name in self.metrics]


class TrainView(View):
    """All that training one pack of runs depends on, besides its input files."""

    setting_name: str
    setting: Setting
    model_name: str
    model: Model
    data: Reading

    def chosen(self) -> list[registry.Entry]:
        """The model's architecture."""
        return [self.model.registered]


class ScoreView(TrainView):
    """All that scoring one pack of runs depends on, besides its input files."""

    evaluation: Evaluation
    probes: tuple[str, ...]
    metrics: tuple[str, ...] = Field((), description="those of other packages that are measured too")

    def chosen(self) -> list[registry.Entry]:
        """The model's architecture and the metrics of other packages."""
        return [self.model.registered, *(registry.metrics()[name] for name in self.metrics)]


class CostView(View):
    """All that the cost of a study's models depends on, besides the foundation models' files.

    picture: height and width of the frames, pixels. Weights do not change the speed, so neither seeds nor data count.
    """

    models: dict[str, Model]
    picture: tuple[Positive, Positive]
    cost: Cost

    def chosen(self) -> list[registry.Entry]:
        """The models' architectures."""
        return list({model.architecture: model.registered for model in self.models.values()}.values())


class HeldOut(Settings):
    """The pictures that SAM's pre-training kept back, by which they can be drawn again."""

    seed: Count
    scene: Scene


class ExamineView(TrainView):
    """All that examining one pack of runs depends on, besides its input files."""

    measures: tuple[Literal["alignment", "knowledge"], ...]
    examined_frames: Positive
    held_out: HeldOut | None = Field(description="null: knowledge is measured on the test frames")


class TableView(View):
    """All that an experiment's table and plots depend on, besides the scores."""

    name: str
    experiment: Experiment
    settings: dict[str, Setting]
    models: dict[str, Model]
    seeds: tuple[int, ...]


def world_view(params: Params) -> WorldView:
    """The part of the settings that generating the world may read."""
    return WorldView(**_identity(params), world=params.world, shots=params.data.shots)


def fetch_view(params: Params) -> FetchView:
    """The part of the settings that fetching may read."""
    used = [getattr(params.foundation, name) for name in params.foundations()]
    paths = [path for model in used for path in (model.checkpoint, getattr(model, "pca_checkpoint", None))]
    given = [name for name in params.tables() if registry.datasets()[name].generated != "only"]
    return FetchView(
        **_identity(params),
        data=params.data,
        checkpoints=tuple(filter(None, paths)),
        datasets=tuple(given) if params.data.source == "avsbench" else (),
        protocols=params.protocols(),
    )


def tables_view(params: Params, dataset: str) -> TablesView:
    """The part of the settings that reading a dataset may read."""
    apart = params.settings if params.data.leaks == "drop" else {}
    named = (one for one in params.protocols() if apart or one.startswith(f"{dataset}/"))
    return TablesView(**_identity(params), dataset=dataset, data=_reading(params), apart=apart, protocols=tuple(named))


def leaks_view(params: Params) -> LeaksView:
    """The part of the settings that the leak check may read."""
    return LeaksView(**_identity(params), settings=params.settings, leaks=params.data.leaks)


def features_view(params: Params) -> FeaturesView:
    """The part of the settings that the feature cache may read."""
    tables, taps = tuple(params.tables()), tuple(params.taps())
    return FeaturesView(**_identity(params), tables=tables, taps=taps, features=params.features, bgr=params.data.bgr)


def floors_view(params: Params, setting: str) -> FloorsView:
    """The part of the settings that scoring the floors of a setting may read."""
    return FloorsView(
        **_identity(params),
        setting_name=setting,
        setting=params.settings[setting],
        data=_reading(params),
        evaluation=params.evaluation,
        metrics=params.extra_metrics(setting),
    )


def pretrain_view(params: Params, name: Literal["sam", "audio", "pyramid"]) -> PretrainView:
    """The part of the settings that pre-training a foundation model may read."""
    scene = Scene(size=params.world.size, levels=params.world.levels)
    if name == "pyramid":
        sam = params.foundation.sam
        pool = {"pool_seed": sam.seed, "pictures": sam.pictures}
        return PyramidView(**_identity(params), model=params.foundation.pyramid, scene=scene, **pool)
    return PretrainView(**_identity(params), model=getattr(params.foundation, name), scene=scene)


def train_view(params: Params, setting: str, model: str) -> TrainView:
    """The part of the settings that training (setting, model) may read."""
    return TrainView(
        **_identity(params),
        setting_name=setting,
        setting=params.settings[setting],
        model_name=model,
        model=params.on(setting, model),
        data=_reading(params),
    )


def score_view(params: Params, setting: str, model: str) -> ScoreView:
    """The part of the settings that scoring (setting, model) may read."""
    return ScoreView(
        **dict(train_view(params, setting, model)),
        evaluation=params.evaluation,
        probes=params.probes(setting, model),
        metrics=params.extra_metrics(setting, model),
    )


def cost_view(params: Params) -> CostView:
    """The part of the settings that measuring the models' cost may read; schedules are left at their defaults."""
    models = {
        name: params.on(setting, name).model_copy(update={"schedule": Schedule()})
        for name, setting in params.costed().items()
    }
    side = params.world.size
    picture = params.cost.picture or (side, side)
    return CostView(**_identity(params), models=models, picture=picture, cost=params.cost)


def examine_view(params: Params, setting: str, model: str) -> ExamineView:
    """The part of the settings that examining (setting, model) may read; by hand also what no experiment asks for."""
    measures = params.measures(setting, model) or params.models[model].measures()
    sam, scene = params.foundation.sam, Scene(size=params.world.size, levels=params.world.levels)
    drawn = "knowledge" in measures and sam.is_own
    return ExamineView(
        **dict(train_view(params, setting, model)),
        measures=measures,
        examined_frames=params.evaluation.examined_frames,
        held_out=HeldOut(seed=sam.seed, scene=scene) if drawn else None,
    )


def table_view(params: Params, name: str) -> TableView:
    """The part of the settings that an experiment's table may read.

    In a table of validation scores "validation" stands where the others have their test selections.
    """
    experiment = params.experiments[name]
    judged = {"test": ("validation",)} if experiment.of_validation else {}
    return TableView(
        **_identity(params),
        name=name,
        experiment=experiment,
        settings={
            setting: params.settings[plain(setting)].model_copy(update=judged) for setting in experiment.settings
        },
        models={m: params.models[m] for m in map(model_of, experiment.methods) if m in params.models},
        seeds=experiment.seeds or params.seeds,
    )


def report_view(params: Params) -> Params:
    """The report reads everything that the settings say."""
    return params


# Stage -> what it reads of the settings, given the names of what a job is about. Rules and verbs take it from here.
READS: dict[str, Callable[..., Settings]] = {
    "world": world_view,
    "fetch": fetch_view,
    "tables": tables_view,
    "leaks": leaks_view,
    "pretrain": pretrain_view,
    "features": features_view,
    "floors": floors_view,
    "train": train_view,
    "score": score_view,
    "examine": examine_view,
    "cost": cost_view,
    "table": table_view,
    "report": report_view,
}


def _identity(params: Params) -> dict[str, Any]:
    return {"study": params.study, "shared": params.layout.shared}


def _reading(params: Params) -> Reading:
    return Reading(**{name: getattr(params.data, name) for name in Reading.model_fields})
