"""What all blocks of settings share: the base class, ranges of numbers, names, and lists without repetition."""

from __future__ import annotations

import re
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from soundprompt import registry

MOST = 2**31 - 1  # what numpy, torch and a scheduler all take

LARGEST = 8192  # side of a picture, pixels

Positive = Annotated[int, Field(gt=0, le=MOST)]
Count = Annotated[int, Field(ge=0, le=MOST)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1000)]  # of a loss, or of noise, beside what counts 1
Item = TypeVar("Item")

# What stands for itself beside models, settings, experiments and studies, as a rule or a folder.
RESERVED = frozenset(
    {
        *("all", "all_tables", "all_runs", "fetch", "downloads", "world_part", "world", "frame_table", "leaks"),
        *("pretrain", "foundation", "feature_plan", "feature_index", "visual_features", "audio_features", "train"),
        *("score", "examine", "floors", "cost", "table", "report", "latest_report"),
    }
)


class Settings(BaseModel):
    """Base of all blocks: unknown keys are errors, numbers are finite, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, defer_build=True)


def _name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+([_-][a-z0-9]+)*", value) or len(value) > 60:
        likely = re.sub(r"[^a-z0-9]+", "_", value.lower()).strip("_")[:60]
        hint = f"; did you mean '{likely}'?" if likely else ""
        raise ValueError(f"a name is lower-case letters and digits, single '_' or '-' between them, at most 60{hint}")
    if value in RESERVED or value in registry.floors():
        raise ValueError("this name is taken by a rule or a folder of the project")
    return value


# Of studies, substudies, models, settings and experiments: it becomes a folder, a rule, and a word in shell commands.
Name = Annotated[str, AfterValidator(_name)]


def distinct(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """The items. Raises ValueError when one stands in them twice."""
    twice = next((item for place, item in enumerate(items) if item in items[:place]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} stands in it twice, its entries must differ")
    return items


Distinct = Annotated[tuple[Item, ...], AfterValidator(distinct)]

Named = Annotated[Distinct[str], Field(min_length=1)]  # names of what is defined elsewhere, at least one
