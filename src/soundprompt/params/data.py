"""The generated world, and how datasets are read."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from soundprompt.params.base import LARGEST, Count, Distinct, Positive, Settings, Share


class Levels(Settings):
    """How many levels each latent attribute of the generated world has (at most 5, 3, 3).

    The last pitch level is never met in audio-visual training of the unseen setting.
    """

    pitch: Annotated[int, Field(ge=3, le=5)] = 5
    modulation: Annotated[int, Field(ge=1, le=3)] = 3
    timbre: Annotated[int, Field(ge=1, le=3)] = 3


class Clips(Settings):
    """Clips of each split (v1m: in all; v1s and v2: for each class)."""

    train: Positive
    val: Positive
    test: Positive


class Scene(Settings):
    """What the generated world can show and sound like; all that pre-training may know of it."""

    size: Annotated[Positive, Field(le=LARGEST)] = Field(128, description="side of a frame, pixels")
    levels: Levels = Levels()


class SceneSplit(Settings):
    """One test-only split of the world's part `scenes` (docs/miniworld.md); null: as in the other parts."""

    clips: Positive
    sources: Annotated[int, Field(ge=1, le=3)] = Field(1, description="objects that sound")
    overlap: Share | None = Field(
        None,
        description="share of the seconds in which all sources sound, one alone in the others, at least two sources; "
        "null: each source is on in a second with chance .7, as in v1m",
    )
    distractors: Count | None = Field(None, description="silent objects; null: world.distractors")
    lookalike: Share | None = Field(
        None, description="null: world.lookalike; more than 2 / objects of a frame is not reached"
    )
    shift: Annotated[float, Field(ge=0, le=2)] = Field(
        0.0, description="domain: 0 is that of the training clips, 1 that of vggss, 2 as far again"
    )
    classes: Literal["seen", "all"] = Field("seen", description="which classes sound")


class World(Scene):
    """The generated audio-visual world (docs/miniworld.md): a scene and the clips drawn from it."""

    seed: Count = 0
    v1s_classes: Positive = Field(12, description="seen classes that occur in v1s")
    v1s: Clips
    v1m: Clips
    v1m_unseen: Count = Field(description="two-source clips of unseen classes, for v3 only")
    v2: Clips
    vggss: Positive = Field(description="clips of the shifted domain, test only")
    scenes: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], SceneSplit] = Field(
        {}, description="test-only splits that vary one thing at a time; none: the world has no such part"
    )
    distractors: Count = Field(2, description="silent objects in a frame")
    lookalike: Share = Field(0.5, description="chance that a distractor shares two of three levels with the source")

    @field_validator("scenes", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        """An overlay, which adds to a mapping, leaves out a split, or all of them, by null."""
        if isinstance(value, dict):
            return {name: split for name, split in value.items() if split is not None}
        return {} if value is None else value


class Reading(Settings):
    """How the datasets are read; all that results can depend on."""

    source: Literal["generated", "avsbench"] = "generated"
    shots: Distinct[Positive] = (1, 3, 5)
    v1s_supervision: Literal["first", "repeat"] = Field(
        "first",
        description="v1s training masks exist for frame 0 only: supervise it alone, or repeat it (released code)",
    )
    bgr: bool = Field(False, description="feed BGR pictures to SAM, as the released code does by accident")
    box_crop: Literal["full_frame", "reference"] = Field("full_frame", description="vggss: geometry of the heat map")


class Youtube(Settings):
    """How clips are asked for by YouTube id (VGG-SS)."""

    cookies: str | None = Field(None, description="cookies.txt of a browser that is signed in, handed to yt-dlp")
    pause_s: Annotated[float, Field(ge=0, le=86400)] = Field(
        5.0, description="between two clips; too short a pause gets blocked"
    )
    rate: Annotated[str, Field(pattern=r"^\d+(\.\d+)?[KM]?$")] | None = Field(
        None, description="bytes per second at most, such as '2M'"
    )
    timeout_s: Positive = Field(300, description="after which one clip is given up")


class Data(Reading):
    """Where the datasets come from, besides how they are read. No result depends on the former."""

    mirrors: Distinct[Annotated[str, Field(min_length=1)]] = Field(
        (), description="URLs (http, https, file) or folders tried in this order before the origin of a download"
    )
    vggss_clips: str = Field(
        "youtube",
        min_length=1,
        description="where VGG-SS clips come from: 'youtube'; 'none' (those extracted already); or a folder with "
        "{file}.mp4 (or any other container), each the ten seconds of its clip",
    )
    youtube: Youtube = Youtube()
    leaks: Literal["stop", "drop", "report"] = Field(
        "stop",
        description="when training or selection knows something of the test (data/leaks.py): make no table; leave "
        "those clips out of the frame tables; or make the tables and say it beside them",
    )
