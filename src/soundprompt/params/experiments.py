"""Settings (which data), substudies, and experiments (which comparisons, tables and plots)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from soundprompt import registry
from soundprompt.params.base import Count, Distinct, Named, Settings
from soundprompt.params.foundation import FOUNDATIONS
from soundprompt.params.messages import not_one_of
from soundprompt.params.plots import Curve, Dots


def _probe(value: str) -> str:
    if value not in registry.probes():
        raise ValueError(not_one_of(value, registry.probes()))
    return value


Probe = Annotated[str, AfterValidator(_probe)]


class Setting(Settings):
    """Names data: `dataset/split` selections of the frame tables."""

    train: Distinct[str] = ()
    validate_on: Distinct[str] = ()
    test: Named
    start_from: str | None = Field(None, description="few-shot: setting whose trained model is continued")
    model_of: str | None = Field(None, description="cross-dataset: setting whose trained model is tested, no training")
    unseen: bool = Field(False, description="claims that no class of its tests is trained or selected on; checked")
    share: Annotated[float, Field(gt=0, le=1)] = Field(
        1, description="part of its training clips that it trains on; smaller parts lie in larger ones"
    )
    share_seed: Count = Field(0, description="which part that is; the seeds of runs do not matter")

    @model_validator(mode="after")
    def _trains_or_borrows(self) -> Setting:
        if bool(self.train) == bool(self.model_of):
            raise ValueError("a setting either trains (train, validate_on) or borrows a model (model_of)")
        if bool(self.train) != bool(self.validate_on):
            raise ValueError("train and validate_on go together")
        if self.start_from and self.model_of:
            raise ValueError("a setting that borrows a model (model_of) trains nothing, and cannot start_from another")
        if self.share < 1 and (self.start_from or self.model_of):
            why = "few shots are few already" if self.start_from else "a borrowed model is trained elsewhere"
            raise ValueError(
                f"share {self.share:g} is for settings that train from the beginning: {why}, leave it at 1"
            )
        return self


class Substudy(Settings):
    """How a substudy differs from its study, as an overlay; what it does not touch, the two share."""

    world: dict[str, Any] = Field({})
    data: dict[Literal["bgr", "box_crop", "v1s_supervision"], Any] = Field(
        {}, description="what no frame table depends on"
    )
    foundation: dict[str, Any] = Field({})

    @property
    def shared(self) -> tuple[str, ...]:
        """What the study makes for both (see `Layout`)."""
        data = () if self.world else ("data",)
        return *data, *(model for model in FOUNDATIONS if model not in self.foundation)


def _line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("a title is one line of text")
    return value


class Experiment(Settings):
    """Which settings and methods make a table, and which plots beside it.

    A setting may be one of a substudy: `points/v1s`. A method is a model, `model@probe` (another sound at test time),
    or a floor. Its file is experiments/<name>.yaml.
    """

    title: Annotated[str, AfterValidator(_line)] = Field(min_length=1)
    settings: Named
    methods: Named
    models: dict[str, Any] = Field(
        {}, exclude=True, description="variants made for this table; once read they stand among all models"
    )
    probes: Distinct[Probe] = Field(
        (), exclude=True, description="a product: each method that hears is followed by itself under each of them"
    )
    seeds: Annotated[Distinct[Count], Field(min_length=1)] | None = Field(None, description="null: the study's seeds")
    metrics: Named = ("miou", "f_score", "hit_rate", "wrong_rate", "iou_in_hits")
    by_kind: bool = Field(False, description="also break down by kind of class (new combination, new level)")
    reference: str | None = Field(None, description="method that the others are compared with, paired")
    published: Literal["benchmarks", "v3", "vggss", "data_efficiency"] | None = Field(
        None, description="the paper's table whose figures stand beside ours"
    )
    plots: Distinct[Literal["bars", "shots", "classes", "cost"]] = ()
    curves: tuple[Curve, ...] = ()
    dots: tuple[Dots, ...] = ()

    @property
    def examines(self) -> bool:
        """Whether its table shows what the stage `examine` measures."""
        return bool(set(self.metrics) & set(registry.metrics_of("examine")))

    @property
    def asks(self) -> set[str]:
        """What the stage `examine` has to look at for its metrics (`Model.measures`)."""
        return {
            measured
            for name, metric in registry.metrics().items()
            if name in self.metrics and (measured := metric.measures)
        }

    @property
    def measures_cost(self) -> bool:
        """Whether its table shows what the stage `cost` measures."""
        return bool(set(self.metrics) & set(registry.metrics_of("cost")))

    @model_validator(mode="after")
    def _validation_stands_alone(self) -> Experiment:
        if "validation" in self.metrics and len(self.metrics) > 1:
            raise ValueError("metrics: 'validation' is for searches that never look at a test: it stands alone")
        return self

    @property
    def of_validation(self) -> bool:
        """Whether its table is made from validation alone: its models are trained and not tested."""
        return self.metrics == ("validation",)


def model_of(method: str) -> str:
    """'gavs@mismatched' -> 'gavs'."""
    return method.partition("@")[0]


def plain(setting: str) -> str:
    """'points/v1s' -> 'v1s'."""
    return setting.rpartition("/")[2]


def substudy_of(setting: str) -> str:
    """'points/v1s' -> 'points'; '' for a setting of the study itself."""
    return setting.rpartition("/")[0]


def beside(setting: str, other: str) -> str:
    """Another setting of the same study: ('points/v1s', 'v2') -> 'points/v2'."""
    return setting.removesuffix(plain(setting)) + other
