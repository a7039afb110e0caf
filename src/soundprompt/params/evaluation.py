"""How answers are scored, and how models are timed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from soundprompt.params.base import Positive, Rate, Settings


class Evaluation(Settings):
    """Metric conventions where sources differ (docs/models.md)."""

    threshold: Rate = Field(0.5, description="headline binarisation; 0.4 (released code) is always computed beside it")
    f_group: Literal["clip", "batch2", "batch4"] = Field(
        "clip",
        description="clips whose F curves are averaged before the maximum in f_score (docs/models.md)",
    )
    hit_iou: Rate = Field(0.5, description="a frame counts as the right object from this IoU on")
    wrong_iou: Rate = Field(0.2, description="and as a wrong object below this IoU")
    alarm_area: Rate = Field(0.01, description="a mask of more than this share of the frame is an alarm")
    examined_frames: Positive = Field(
        400, description="frames of a test selection on which trained models are examined, drawn by their names"
    )

    @model_validator(mode="after")
    def _wrong_is_below_right(self) -> Evaluation:
        if self.wrong_iou > self.hit_iou:
            raise ValueError(f"wrong_iou {self.wrong_iou:g} is above hit_iou {self.hit_iou:g}: a frame would be both")
        return self


class Cost(Settings):
    """How the cost of a frame is measured (docs/models.md)."""

    picture: tuple[Positive, Positive] | None = Field(
        None, description="height and width of the frames, pixels; null: those of the generated world"
    )
    rounds: Positive = Field(20, description="timings of one frame; the models take turns")
    seconds: Positive = Field(3, description="of these rounds so many also time a second of film at 25 frames a second")

    @model_validator(mode="after")
    def _some_of_the_rounds(self) -> Cost:
        if self.seconds > self.rounds:
            raise ValueError(f"seconds: {self.seconds} are not some of {self.rounds} rounds")
        return self
