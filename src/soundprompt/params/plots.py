"""What an experiment's plots show."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from soundprompt.params.base import Named, Settings


class Curve(Settings):
    """Scores along settings, selections or methods in order: a panel for each metric, with the intervals as bands.

    Along settings and selections there is a line for each method, along methods one for each setting.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = Field("curve", description="names the plot's file")
    title: str | None = Field(None, description="null: made from the label")
    over: Literal["settings", "selections", "methods"]
    label: str = Field(description="what changes along the axis, with its unit")
    along: Named | None = Field(None, description="null: all that the experiment has, in its order")
    x: tuple[float, ...] | None = Field(
        None, description="of each place; null: the numbers that names end in, if all do"
    )
    spacing: Literal["auto", "even", "linear", "log"] = Field(
        "auto", description="auto: log over a factor of 8 or more"
    )
    setting: str | None = Field(None, description="over selections: whose; null: the experiment's first")
    methods: Named | None = Field(None, description="which have lines; null: all of the experiment")
    metrics: Named | None = Field(None, description="null: the experiment's first")
    published: bool = Field(False, description="over settings: the paper's figures as hollow marks")

    @model_validator(mode="after")
    def _one_x_each(self) -> Curve:
        if self.x is not None and (self.along is None or len(self.along) != len(self.x)):
            raise ValueError("x needs `along`, and one number for each of its names")
        if self.x is not None and list(self.x) != sorted(set(self.x)):
            raise ValueError("x must rise")
        if self.x and self.x[0] <= 0 and self.spacing == "log":
            raise ValueError("x must be above 0 for an axis with spacing: log")
        return self


class Panel(Settings):
    """One metric of a dot plot: where it is read."""

    metric: str
    label: str | None = Field(None, description="null: the metric's")
    setting: str | None = Field(None, description="null: the experiment's first")
    selection: str | None = Field(None, description="null: the setting's first that has the metric")
    kind: str = "all"
    probe: str | None = Field(None, description="the sound at test time; null: the method's own")
    against: str | None = Field(None, description="metric whose mean for the reference is a dashed line")


class Dots(Settings):
    """Methods as rows, metrics side by side as panels: dots with their intervals."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = Field("dots", description="names the plot's file")
    title: str | None = Field(None, description="null: the experiment's")
    methods: Named | None = Field(None, description="null: the experiment's, with their own sound")
    one_scale: bool = Field(False, description="for all panels, where they show one metric in several settings")
    panels: tuple[Panel, ...] = Field(min_length=1, max_length=4)
