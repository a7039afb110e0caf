"""Every setting of the pipeline: typed, documented, validated once.

`params.yaml` is the mini study; a file in `studies/` overlays it. Unknown keys, wrong types and
impossible combinations are errors that name the key, the value and what is allowed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from soundprompt.errors import InputError
from soundprompt.layout import Layout

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Run = tuple[str, str, int]  # setting, model, seed


class Settings(BaseModel):
    """Base of all blocks: unknown keys are errors, values cannot change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# ------------------------------------------------------------------------------------ data
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

    size: Positive = Field(128, description="side of a frame, pixels")
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
        return {name: split for name, split in value.items() if split is not None} if isinstance(value, dict) else {}


class Reading(Settings):
    """How the datasets are read; all that results can depend on."""

    source: Literal["generated", "avsbench"] = "generated"
    shots: tuple[Positive, ...] = (1, 3, 5)
    v1s_supervision: Literal["first", "repeat"] = Field(
        "first",
        description="v1s training masks exist for frame 0 only: supervise it alone, or repeat it (released code)",
    )
    bgr: bool = Field(False, description="feed BGR pictures to SAM, as the released code does by accident")
    box_crop: Literal["full_frame", "reference"] = Field("full_frame", description="vggss: geometry of the heat map")


class Youtube(Settings):
    """How clips are asked for by YouTube id (VGG-SS)."""

    cookies: str | None = Field(None, description="cookies.txt of a browser that is signed in, handed to yt-dlp")
    pause_s: Annotated[float, Field(ge=0)] = Field(5.0, description="between two clips; too short a pause gets blocked")
    rate: Annotated[str, Field(pattern=r"^\d+(\.\d+)?[KM]?$")] | None = Field(
        None, description="bytes per second at most, such as '2M'"
    )
    timeout_s: Positive = Field(300, description="after which one clip is given up")


class Data(Reading):
    """Where the datasets come from, besides how they are read. No result depends on the former."""

    mirrors: tuple[str, ...] = Field(
        (), description="URLs (http, https, file) or folders tried in this order before the origin of a download"
    )
    vggss_clips: str = Field(
        "youtube",
        description="where VGG-SS clips come from: 'youtube'; 'none' (those extracted already); or a folder with "
        "{file}.mp4 (or any other container), each the ten seconds of its clip",
    )
    youtube: Youtube = Youtube()
    leaks: Literal["stop", "drop", "report"] = Field(
        "stop",
        description="when training or selection knows something of the test (data/leaks.py): make no table; leave "
        "those clips out of the frame tables; or make the tables and say it beside them",
    )


# ------------------------------------------------------------------------------ foundation
class Sam(Settings):
    """The image encoder, prompt encoder and mask decoder."""

    source: Literal["pretrain", "checkpoint"] = "pretrain"
    architecture: Literal["mini", "vit_b", "vit_l", "vit_h"] = "mini"
    checkpoint: str | None = Field(None, description="path of the released weights, with source: checkpoint")
    image_size: Positive = Field(128, description="longest side of the resized picture, pixels")
    prompts: Literal["concept", "points"] = Field(
        "concept",
        description="pre-training prompts: with concept vectors; or points and boxes only, as the released SAM",
    )
    seed: Count = 0
    pictures: Positive = Field(3000, description="class-agnostic pictures of the pre-training pool")
    steps: Positive = 1650
    pictures_per_step: Positive = Field(8, description="each in two views")
    masks_per_picture: Positive = 3
    learning_rate: Rate = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05

    @model_validator(mode="after")
    def _source_fits(self) -> Sam:
        if (self.source == "pretrain") != (self.architecture == "mini"):
            raise ValueError("source 'pretrain' goes with architecture 'mini', 'checkpoint' with vit_b, vit_l or vit_h")
        if (self.source == "checkpoint") != (self.checkpoint is not None):
            raise ValueError("checkpoint is a path with source 'checkpoint' and null with source 'pretrain'")
        return self


class Audio(Settings):
    """The sound encoder: 0.96 s of log-mel in, 128 numbers out."""

    source: Literal["pretrain", "checkpoint"] = "pretrain"
    architecture: Literal["mini_vggish", "vggish"] = "mini_vggish"
    checkpoint: str | None = None
    final_relu: bool = Field(True, description="vggish only: the ReLU after the last layer; torchvggish has it")
    pca: bool = Field(False, description="vggish only: PCA and quantisation to 0..255")
    pca_checkpoint: str | None = Field(None, description="path of the released PCA parameters, with pca: true")
    seed: Count = 0
    sounds: Positive = Field(2000, description="one-second sounds of the pre-training pool")
    epochs: Positive = 8

    @model_validator(mode="after")
    def _source_fits(self) -> Audio:
        if (self.source == "pretrain") != (self.architecture == "mini_vggish"):
            raise ValueError("source 'pretrain' goes with architecture 'mini_vggish', 'checkpoint' with 'vggish'")
        if (self.source == "checkpoint") != (self.checkpoint is not None):
            raise ValueError("checkpoint is a path with source 'checkpoint' and null with source 'pretrain'")
        if self.pca != (self.pca_checkpoint is not None):
            raise ValueError("pca_checkpoint is a path with pca: true and null without")
        return self


class Pyramid(Settings):
    """The multi-scale image encoder of the baselines that fuse sound and picture (strides 4, 8, 16, 32).

    The mini one is pre-trained on the pictures of the mini SAM: their seed and number are those of `foundation.sam`.
    """

    source: Literal["pretrain", "checkpoint"] = "pretrain"
    architecture: Literal["mini_pyramid", "pvt_v2_b5"] = "mini_pyramid"
    checkpoint: str | None = Field(None, description="path of the released weights, with source: checkpoint")
    image_size: Positive = Field(128, description="side of the square that pictures are stretched to, pixels")
    seed: Count = 0
    steps: Positive = 1000
    pictures_per_step: Positive = Field(8, description="each in two views")
    objects_per_picture: Positive = Field(3, description="whose looks are compared between the views")
    learning_rate: Rate = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.05

    @model_validator(mode="after")
    def _source_fits(self) -> Pyramid:
        if (self.source == "pretrain") != (self.architecture == "mini_pyramid"):
            raise ValueError("source 'pretrain' goes with architecture 'mini_pyramid', 'checkpoint' with 'pvt_v2_b5'")
        if (self.source == "checkpoint") != (self.checkpoint is not None):
            raise ValueError("checkpoint is a path with source 'checkpoint' and null with source 'pretrain'")
        if self.image_size % 32:
            raise ValueError("image_size is a multiple of 32, the coarsest stride")
        return self


class Foundation(Settings):
    """The frozen models that everything else stands on."""

    sam: Sam
    audio: Audio
    pyramid: Pyramid = Pyramid()


class Features(Settings):
    """The cache: frozen encoders run once per frame and per second of sound."""

    dtype: Literal["float16", "float32"] = "float16"
    shards: Positive = Field(description="files (and jobs) that the visual cache is divided into")
    batch_size: Positive = 32


# ---------------------------------------------------------------------------------- models
class Sap(Settings):
    """Semantic-aware audio prompt: which tokens F_A' holds (paper, overview figure; docs/models.md)."""

    audio_token: bool = True
    visual_cue: bool = True
    noise: Literal["token", "additive_learned", "gaussian_additive", "gaussian_replace", "off"] = "token"
    noise_scale: Annotated[float, Field(ge=0)] = Field(0.1, description="gaussian_additive: multiple of std(F_A)")
    joint_dim: Literal[128, 256] = 128
    hidden: Positive = 512
    gap_valid_only: bool = Field(True, description="average F_V over the un-padded part of the frame")

    @field_validator("noise", mode="before")
    @classmethod
    def _off(cls, value: Any) -> Any:
        """YAML 1.1 reads a bare off as false, and `dvc exp run --set-param` writes it bare."""
        return "off" if value is False else value

    @model_validator(mode="after")
    def _some_token(self) -> Sap:
        if not (self.audio_token or self.visual_cue):
            raise ValueError("at least one of audio_token and visual_cue must be on")
        if self.noise not in ("token", "off") and not self.audio_token:
            raise ValueError(f"noise '{self.noise}' changes the audio token, which is off")
        return self


class Cola(Settings):
    """Correlation Adapter behind the MLP of each two-way decoder block (docs/models.md)."""

    enabled: bool = True
    dim: Positive = 128
    act: Literal["gelu", "relu"] = "gelu"
    residual: bool = True
    zero_init: bool = False
    placement: Literal["mlp", "attention", "parallel"] = Field(
        "mlp", description="after the MLP (the paper's), after the token-to-image attention, or parallel to the MLP"
    )


class Visual(Settings):
    """Adapters in SAM's image encoder (docs/models.md)."""

    tune_from: Count | None = Field(None, description="first block with an adapter; null: encoder frozen, no adapters")
    dim: Positive = 128
    zero_init: bool = False
    tune_norms: bool = Field(True, description="also train norm1 and norm2 of the blocks after tune_from")
    tune_neck: bool = Field(False, description="also train the LayerNorms of the encoder's neck")


class Triplet(Settings):
    """Alignment of sound and visual cue; margin and weight are this project's choice."""

    weight: Annotated[float, Field(ge=0)] = 0.1
    margin: Annotated[float, Field(ge=0, le=2)] = 0.3
    anchor: Literal["audio", "visual", "both"] = "audio"


class Fusion(Settings):
    """SAM-Fusion: sound mixed into F_V before the decoder: our reading of the paper's double dagger."""

    decoder: Literal["sam", "scratch"] = "sam"
    width: Positive = Field(64, description="channels of the decoder from scratch")


class Tuning(Settings):
    """What of the pyramid a baseline trains. Both papers tune all of their image encoder."""

    tune: Literal["all", "none"] = "all"


class Tpavi(Settings):
    """AVSBench's baseline (arXiv 2207.05042): sound fused at every scale by attention over all seconds of a clip."""

    width: Positive = Field(256, description="channels that every scale is brought to")
    dilations: tuple[Positive, ...] = Field((3, 6, 12, 18), description="of the parallel convolutions of each scale")
    reduce_first: bool = Field(
        False, description="a 1 x 1 convolution to `width` before the dilated ones, which then cost less (mini study)"
    )
    temporal: bool = Field(True, description="attend to all seconds of the clip; false: to the frame's own alone")


class Avsegformer(Settings):
    """AVSegFormer (arXiv 2307.01146): queries made of the sound read multi-scale features; sizes are the paper's."""

    width: Positive = 256
    queries: Positive = 300
    encoder_layers: Positive = 6
    decoder_layers: Positive = 6
    heads: Positive = 8
    points: Positive = Field(4, description="sampled by each head on each scale")
    hidden: Positive = Field(2048, description="width inside the feed-forward layers")
    auxiliary: Annotated[float, Field(ge=0)] = Field(0.1, description="weight of the mixer's own mask loss; 0: none")

    @model_validator(mode="after")
    def _heads_fit(self) -> Avsegformer:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")
        return self


class Schedule(Settings):
    """How a model is trained."""

    learning_rate: Rate = 1e-3
    adapter_learning_rate: Rate | None = Field(None, description="visual adapters; null: as learning_rate")
    steps: Positive = Field(1000, description="at most; best on validation is kept")
    validate_every: Positive = Field(100, description="steps")
    epochs: Positive | None = Field(
        None, description="null: `steps` and `validate_every` count; else epochs at most, with a validation after each"
    )
    validation_frames: Positive | None = Field(
        None, description="at most so many frames of each validation selection, evenly spread; null: all"
    )
    patience: Positive = Field(6, description="validations without a new best before it stops")
    warmup: Count = 30
    weight_decay: Annotated[float, Field(ge=0)] = 1e-4
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    clips_per_step: Positive = 8
    frames_per_clip: Positive = 2
    shot_epochs: Positive = Field(10, description="few-shot: epochs from the seen model (AVS-V3 protocol)")
    shot_learning_rate: Rate | None = Field(None, description="few-shot; null: as learning_rate")
    negatives: Share = Field(
        0.0,
        description="share of a step's frames that get a sound which nothing in them makes (silence, room noise, "
        "another clip's), and an empty mask",
    )
    loss_size: Literal["decoder", "original"] = Field("original", description="grid on which the mask loss is computed")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32",
        description="of the model's forward and backward pass in training: bfloat16 autocasts, auto does so on a GPU "
        "only; weights, optimiser, losses and scoring are float32 in any case",
    )


class Architecture(NamedTuple):
    """Where a model is written (a class in a module of `soundprompt.models`) and which image encoder it reads."""

    module: str
    name: str
    reads: Literal["sam", "pyramid"] = "sam"


ARCHITECTURES = {
    "gavs": Architecture("gavs", "Gavs"),
    "sam_fusion": Architecture("sam_fusion", "SamFusion"),
    "avsbench_tpavi": Architecture("avsbench_tpavi", "AvsbenchTpavi", "pyramid"),
    "avsegformer": Architecture("avsegformer", "AvsegFormer", "pyramid"),
}


class Model(Settings):
    """One trainable architecture with everything in it that may train."""

    base: str | None = Field(None, description="the model that this one is made from, by the overrides given here")
    architecture: str = "gavs"
    decoder: Literal["frozen", "cross_attention", "full"] = Field(
        "frozen", description="which weights of SAM's own mask decoder train, besides ColA"
    )
    mute: bool = Field(False, description="the sound is replaced by zeros in training and test: a model without audio")
    sap: Sap = Sap()
    cola: Cola = Cola()
    visual: Visual = Visual()
    triplet: Triplet = Triplet()
    fusion: Fusion = Fusion()
    pyramid: Tuning = Tuning()
    tpavi: Tpavi = Tpavi()
    avsegformer: Avsegformer = Avsegformer()
    schedule: Schedule = Schedule()

    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ARCHITECTURES:
            raise ValueError(f"'{value}' is not one of {', '.join(ARCHITECTURES)}")
        return value

    @model_validator(mode="after")
    def _parts_fit(self) -> Model:
        if self.architecture != "gavs" and self.cola.enabled:
            raise ValueError(f"{self.architecture} has no ColA: set cola.enabled to false")
        if self.reads == "pyramid" and self.visual.tune_from is not None:
            raise ValueError(f"{self.architecture} reads the pyramid, not SAM: set visual.tune_from to null")
        if self.triplet.weight and not (self.architecture == "gavs" and self.sap.visual_cue and self.sap.audio_token):
            raise ValueError(
                "a triplet loss needs gavs with sap.visual_cue and sap.audio_token: set triplet.weight to 0"
            )
        deaf = self.mute or (self.architecture == "gavs" and not self.sap.audio_token)
        if self.schedule.negatives and deaf:
            raise ValueError("a model without sound cannot tell negatives: set schedule.negatives to 0")
        return self

    def measures(self) -> tuple[str, ...]:
        """What can be measured of it besides its masks: 'alignment' of sound and visual cue, 'knowledge' of SAM."""
        gavs = self.architecture == "gavs"
        found = {
            "alignment": gavs and self.sap.visual_cue and self.sap.audio_token and not self.mute,
            "knowledge": gavs or (self.architecture == "sam_fusion" and self.fusion.decoder == "sam"),
        }
        return tuple(name for name, possible in found.items() if possible)

    @property
    def reads(self) -> Literal["sam", "pyramid"]:
        """The foundation model behind it: 'sam' is read from the cache, 'pyramid' runs on pixels and may be tuned."""
        return ARCHITECTURES[self.architecture].reads

    @property
    def temporal(self) -> bool:
        """Whether it looks across the seconds of a clip, so that batches must hold whole clips."""
        return self.architecture == "avsbench_tpavi" and self.tpavi.temporal

    @property
    def tap(self) -> int | Literal["pixels"] | None:
        """What its batches carry: the input of a block of SAM's encoder, for None its output, or pixels."""
        return "pixels" if self.reads == "pyramid" else self.visual.tune_from


# ------------------------------------------------------------------- settings, experiments
class Setting(Settings):
    """Names data: `dataset/split` selections of the frame tables."""

    train: tuple[str, ...] = ()
    validate_on: tuple[str, ...] = ()
    test: tuple[str, ...] = Field(min_length=1)
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
        if self.share < 1 and (self.start_from or self.model_of):
            why = "few shots are few already" if self.start_from else "a borrowed model is trained elsewhere"
            raise ValueError(
                f"share {self.share:g} is for settings that train from the beginning: {why}, leave it at 1"
            )
        return self


class Evaluation(Settings):
    """Metric conventions where sources differ (docs/models.md)."""

    threshold: Rate = Field(0.5, description="headline binarisation; 0.4 (released code) is always computed beside it")
    f_group: Literal["clip", "batch4"] = Field(
        "clip", description="frames whose F curves are averaged before the maximum"
    )
    hit_iou: Rate = Field(0.5, description="a frame counts as the right object from this IoU on")
    wrong_iou: Rate = Field(0.2, description="and as a wrong object below this IoU")
    alarm_area: Rate = Field(0.01, description="a mask of more than this share of the frame is an alarm")
    bootstrap: Positive = Field(2000, description="draws of the paired bootstrap over clips and seeds")
    examined_frames: Positive = Field(
        400, description="frames of a test selection on which trained models are examined, drawn by their names"
    )


class Variant(Settings):
    """The study once more in another world or on other foundation models: what differs, as an overlay.

    Its artifacts lie beside the study's own under `<study>_<variant>`. Datasets and foundation models that the overlay
    does not touch are the study's.
    """

    world: dict[str, Any] = {}
    data: dict[Literal["bgr", "box_crop"], Any] = Field({}, description="what no frame table depends on")
    foundation: dict[str, Any] = {}

    @property
    def borrows(self) -> tuple[str, ...]:
        """What a variant takes from its study (see `Layout`)."""
        whole = () if self.world else ("data",)
        return *whole, *(model for model in FOUNDATIONS if model not in self.foundation)


class Curve(Settings):
    """Scores along settings, selections or methods in order: a panel for each metric, with the intervals as bands.

    Along settings and selections there is a line for each method, along methods one for each setting.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")] = Field("curve", description="names the plot's file")
    title: str | None = Field(None, description="null: made from the label")
    over: Literal["settings", "selections", "methods"]
    label: str = Field(description="what changes along the axis, with its unit")
    along: tuple[str, ...] | None = Field(None, description="null: all that the experiment has, in its order")
    x: tuple[float, ...] | None = Field(
        None, description="of each place; null: the numbers that names end in, if all do"
    )
    spacing: Literal["auto", "even", "linear", "log"] = Field(
        "auto", description="auto: log over a factor of 8 or more"
    )
    setting: str | None = Field(None, description="over selections: whose; null: the experiment's first")
    methods: tuple[str, ...] | None = Field(None, description="which have lines; null: all of the experiment")
    metrics: tuple[str, ...] | None = Field(None, description="null: the experiment's first")
    published: bool = Field(False, description="over settings: the paper's figures as hollow marks")

    @model_validator(mode="after")
    def _one_x_each(self) -> Curve:
        if self.x is not None and (self.along is None or len(self.along) != len(self.x)):
            raise ValueError("x needs `along`, and one number for each of its names")
        if self.x is not None and list(self.x) != sorted(set(self.x)):
            raise ValueError("x must rise")
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
    methods: tuple[str, ...] | None = Field(None, description="null: the experiment's, with their own sound")
    panels: tuple[Panel, ...] = Field(min_length=1, max_length=4)


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


class Experiment(Settings):
    """Which settings and methods make a table, and which plots beside it.

    A setting may name a variant of the study: `v1s@points`. A method is a model, `model@probe` (its sound at test time:
    mismatched, muted, silence, ambient, off_screen), or a floor.
    """

    title: str
    settings: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[Count, ...] | None = Field(None, description="null: the study's seeds")
    metrics: tuple[str, ...] = ("miou", "f_score", "hit_rate", "wrong_rate", "iou_in_hits")
    by_kind: bool = Field(False, description="also break down by kind of class (new combination, new level)")
    reference: str | None = Field(None, description="method that the others are compared with, paired")
    published: str | None = Field(None, description="the paper's table whose figures stand beside ours")
    plots: tuple[Literal["bars", "shots", "classes", "cost"], ...] = ()
    curves: tuple[Curve, ...] = ()
    dots: tuple[Dots, ...] = ()

    @property
    def examines(self) -> bool:
        """Whether its table shows what the stage `examine` measures."""
        return bool(set(self.metrics) & set(EXAMINED))

    @property
    def measures_cost(self) -> bool:
        """Whether its table shows what the stage `cost` measures."""
        return bool(set(self.metrics) & set(MEASURED))

    @model_validator(mode="after")
    def _validation_stands_alone(self) -> Experiment:
        if "validation" in self.metrics and len(self.metrics) > 1:
            raise ValueError("metrics: 'validation' is for searches that never look at a test: it stands alone")
        return self

    @property
    def of_validation(self) -> bool:
        """Whether its table is made from validation alone: its models are trained and not tested."""
        return self.metrics == ("validation",)


class Needs(Settings):
    """What one job of a rule asks of a scheduler; by hand only `threads` counts."""

    threads: Positive = 1
    mem_mb: Positive = Field(2000, description="memory, MB")
    runtime: Positive = Field(60, description="minutes")
    gpus: Count = 0

    def asked(self) -> dict[str, int]:
        """As Snakemake's `resources` take it."""
        return {"mem_mb": self.mem_mb, "runtime": self.runtime, "gpu": self.gpus}


class Resources(Settings):
    """Needs of a job by rule; no result depends on them."""

    fetch: Needs = Needs()
    world_part: Needs = Needs()
    frame_table: Needs = Needs()
    pretrain: Needs = Needs()
    visual_features: Needs = Needs()
    audio_features: Needs = Needs()
    train: Needs = Needs()
    score: Needs = Needs()
    examine: Needs = Needs()
    floors: Needs = Needs()
    cost: Needs = Needs()
    table: Needs = Needs()
    report: Needs = Needs()

    def overview(self) -> str:
        """What each rule asks for, as lines of text."""
        lines = [f"{'a job of':<16} {'cores':>5} {'memory, MB':>11} {'minutes':>8} {'GPUs':>5}"]
        for rule in type(self).model_fields:
            n = getattr(self, rule)
            lines.append(f"{rule:<16} {n.threads:>5} {n.mem_mb:>11} {n.runtime:>8} {n.gpus:>5}")
        return "\n".join(lines)


FOUNDATIONS = ("sam", "audio", "pyramid")
FLOORS = ("all_positive", "all_objects", "centre_disc")
PROBES = ("own", "mismatched", "muted", "silence", "ambient", "off_screen")
METRICS = (
    "miou",
    "miou_04",
    "f_score",
    "hit_rate",
    "wrong_rate",
    "iou_in_hits",
    "area",
    "alarm",
    "ciou",
    "auc",
    "ciou_fixed",
    "auc_fixed",
    "retrieval",
    "retrieval_chance",
    "margin_kept",
    "modality_gap",
    "knowledge",
    "knowledge_untouched",
    "validation",
)
# Metrics that `examine` measures, and what it has to look at for them (Model.measures).
EXAMINED = {
    "retrieval": "alignment",
    "retrieval_chance": "alignment",
    "margin_kept": "alignment",
    "modality_gap": "alignment",
    "knowledge": "knowledge",
    "knowledge_untouched": "knowledge",
}
# Of a model, whatever it answers: measured by the stage `cost`, the last two read from the runs' provenance.
MEASURED = (
    "trained_parameters",
    "total_parameters",
    "gflops",
    "gflops_cached",
    "latency_ms",
    "latency_cached_ms",
    "rtf_1",
    "rtf_25",
    "peak_mib",
)
COST_METRICS = (*MEASURED, "training_s", "training_steps")


class Params(Settings):
    """The whole of params.yaml with its overlay."""

    study: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    seeds: tuple[Count, ...] = Field(min_length=1)
    seeds_per_job: Positive = Field(3, description="runs packed into one process, so that start-up does not dominate")
    world: World
    data: Data
    foundation: Foundation
    features: Features
    models: dict[str, Model]
    settings: dict[str, Setting]
    evaluation: Evaluation
    cost: Cost = Cost()
    variants: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], Variant] = {}
    experiments: dict[str, Experiment]
    resources: Resources = Resources()
    parent: str | None = Field(None, exclude=True, description="of a variant: its study; never in a file")
    borrows: tuple[str, ...] = Field((), exclude=True)

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError("seeds must differ")
        return seeds

    @model_validator(mode="after")
    def _names_exist(self) -> Params:
        for name, setting in self.settings.items():
            for other in filter(None, (setting.start_from, setting.model_of)):
                if not (other in self.settings and self.settings[other].train):
                    raise ValueError(f"settings.{name}: '{other}' is not a setting that trains")
        for name, experiment in self.experiments.items():
            where = f"experiments.{name}"
            _check_names(f"{where}.settings", map(plain, experiment.settings), self.settings)
            _check_names(f"{where}.settings", filter(None, map(variant_of, experiment.settings)), self.variants)
            _check_names(f"{where}.metrics", experiment.metrics, [*METRICS, *COST_METRICS])
            for method in experiment.methods:
                model, _, probe = method.partition("@")
                _check_names(f"{where}.methods", [model], [*self.models, *FLOORS])
                _check_names(f"{where}.methods", [probe or "own"], PROBES)
                if experiment.of_validation and (probe or model in FLOORS):
                    raise ValueError(f"{where}.methods: '{method}' is not trained, so that nothing validated it")
            for setting in experiment.settings if experiment.of_validation else ():
                if not self.settings[setting].train:
                    raise ValueError(f"{where}.settings: '{setting}' trains nothing, so that nothing validated it")
            if experiment.reference and experiment.reference not in experiment.methods:
                raise ValueError(f"{where}.reference: '{experiment.reference}' is not among its methods")
            _check_plots(where, experiment, self.settings)
        return self

    # ---- the study and its variants
    @property
    def layout(self) -> Layout:
        """Where this study's artifacts lie."""
        return Layout(self.study, self.parent, self.borrows)

    def studies(self) -> dict[str, Params]:
        """This study and its variants that some experiment asks for, by the name under which their artifacts lie."""
        asked = {variant_of(setting) for experiment in self.experiments.values() for setting in experiment.settings}
        variants = [self.variant(name) for name in self.variants if name in asked]
        return {params.study: params for params in (self, *variants)}

    def variant(self, name: str) -> Params:
        """A variant as a study of its own, with what the experiments ask of it. Raises InputError."""
        if name not in self.variants:
            raise InputError(f"'{name}' is not one of the variants {', '.join(self.variants)}")
        overlay = self.variants[name]
        asked = {
            key: experiment.model_copy(update={"settings": here, "curves": (), "dots": ()})  # the study's own plots
            for key, experiment in self.experiments.items()
            if (here := tuple(plain(s) for s in experiment.settings if variant_of(s) == name))
        }
        wanted = {setting for experiment in asked.values() for setting in experiment.settings}
        origins = {o for s in wanted for o in (self.settings[s].start_from, self.settings[s].model_of)}
        content = {
            **merge(self.model_dump(exclude={"variants", "experiments", "settings"}), overlay.model_dump()),
            "study": f"{self.study}_{name}",
            "settings": {s: spec.model_dump() for s, spec in self.settings.items() if s in wanted | origins},
            "experiments": {key: experiment.model_dump() for key, experiment in asked.items()},
            "parent": self.study,
            "borrows": overlay.borrows,
        }
        return _validated(content, f"variants.{name}: ")

    def everywhere(self, asked: Callable[[Params], list[Run]]) -> list[Run]:
        """What a method such as `Params.runs` lists, of the study and its variants, whose settings are `v1s@points`."""
        found = list(asked(self))
        for study in list(self.studies().values())[1:]:
            variant = study.study.removeprefix(f"{self.study}_")
            found += [(f"{setting}@{variant}", model, seed) for setting, model, seed in asked(study)]
        return found

    # ---- what the experiments need
    def runs(self) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) to train, once, in a stable order; cross-dataset settings train nothing.

        Runs of variants are not among these and the following: `variant` has them.
        """
        wanted: dict[tuple[str, str, int], None] = {}
        for setting, model, seed in [*self.evaluations(), *self._asked(of_validation=True)]:
            spec = self.settings[setting]
            for origin in filter(None, (spec.model_of or setting, spec.start_from)):
                wanted.setdefault((origin, model, seed))
        return sorted(wanted)

    def evaluations(self) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) that some experiment scores, once."""
        return self._asked(of_validation=False)

    def _asked(self, *, of_validation: bool) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) of the experiments made from scores, or of those made from validation."""
        wanted = {
            (setting, model_of(method), seed)
            for experiment in self.experiments.values()
            if experiment.of_validation == of_validation
            for setting in experiment.settings
            if not variant_of(setting)
            for method in experiment.methods
            if model_of(method) in self.models
            for seed in experiment.seeds or self.seeds
        }
        return sorted(wanted)

    def probes(self, setting: str, model: str) -> tuple[str, ...]:
        """Sounds at test time under which (setting, model) is scored; 'own' always."""
        asked = {
            method.partition("@")[2]
            for experiment in self.experiments.values()
            if setting in experiment.settings
            for method in experiment.methods
            if model_of(method) == model
        }
        return tuple(probe for probe in PROBES if probe == "own" or probe in asked)

    def costed(self) -> list[str]:
        """The models whose cost some experiment asks for, once, in the order of `models`."""
        asked = {
            model_of(method)
            for experiment in self.experiments.values()
            if experiment.measures_cost
            for method in experiment.methods
        }
        return [name for name in self.models if name in asked]

    def examinations(self) -> list[tuple[str, str, int]]:
        """Every (setting, model, seed) of which some experiment asks more than its masks, once."""
        wanted = {
            (setting, model_of(method), seed)
            for experiment in self.experiments.values()
            for setting in experiment.settings
            if not variant_of(setting)
            for method in experiment.methods
            if model_of(method) in self.models and self._wanted(experiment, model_of(method))
            for seed in experiment.seeds or self.seeds
        }
        return sorted(wanted)

    def measures(self, setting: str, model: str) -> tuple[str, ...]:
        """What is examined of (setting, model): of what the model has, that which some experiment asks for."""
        asked = {
            measure
            for experiment in self.experiments.values()
            if setting in experiment.settings and model in map(model_of, experiment.methods)
            for measure in self._wanted(experiment, model)
        }
        return tuple(measure for measure in self.models[model].measures() if measure in asked)

    def _wanted(self, experiment: Experiment, model: str) -> set[str]:
        wanted = {EXAMINED[metric] for metric in experiment.metrics if metric in EXAMINED}
        return wanted & set(self.models[model].measures())

    def packs(self, setting: str, model: str, *, evaluate: bool = False) -> list[tuple[int, ...]]:
        """The seeds of (setting, model), divided into jobs of at most `seeds_per_job`."""
        return self._packed(self.evaluations() if evaluate else self.runs(), setting, model)

    def examined_packs(self, setting: str, model: str) -> list[tuple[int, ...]]:
        """As `packs`, of the runs that are examined."""
        return self._packed(self.examinations(), setting, model)

    def _packed(self, keys: list[tuple[str, str, int]], setting: str, model: str) -> list[tuple[int, ...]]:
        seeds = [seed for s, m, seed in keys if (s, m) == (setting, model)]
        return [tuple(seeds[i : i + self.seeds_per_job]) for i in range(0, len(seeds), self.seeds_per_job)]

    def tables(self) -> list[str]:
        """The frame tables (datasets) that the settings draw from."""
        selections = [
            s for setting in self.settings.values() for s in setting.train + setting.validate_on + setting.test
        ]
        return sorted({selection.partition("/")[0] for selection in selections})

    def taps(self) -> list[int | None]:
        """Encoder blocks whose input the visual cache holds; None is the encoder's output."""
        used = {self.models[model] for _, model, _ in self.runs() if self.models[model].reads == "sam"}
        return sorted({model.visual.tune_from for model in used}, key=lambda tap: (tap is None, tap))

    def foundations(self) -> list[str]:
        """The foundation models that the study makes: the pyramid only where a model reads it."""
        reading = any(self.models[model].reads == "pyramid" for _, model, _ in self.runs())
        return ["sam", "audio", *(["pyramid"] if reading else [])]


# ----------------------------------------------------------------- what a stage may know
class View(Settings):
    """What a stage may know, and whose artifacts it makes."""

    study: str
    parent: str | None = None
    borrows: tuple[str, ...] = ()

    @property
    def layout(self) -> Layout:
        """Where the stage reads and writes."""
        return Layout(self.study, self.parent, self.borrows)


class WorldView(View):
    """All that generating the world depends on."""

    world: World
    shots: tuple[Positive, ...]


class TablesView(View):
    """All that reading a dataset into its frame table depends on, besides its files."""

    dataset: str
    data: Reading
    apart: dict[str, Setting] = Field({}, description="settings whose leaks are left out, with data.leaks: drop")


class LeaksView(View):
    """All that the leak check depends on, besides the frame tables."""

    settings: dict[str, Setting]
    leaks: Literal["stop", "drop", "report"]


class FetchView(View):
    """All that fetching depends on: data sources, and the released weights and datasets that the study uses."""

    data: Data
    checkpoints: tuple[str, ...]
    datasets: tuple[str, ...]


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


class TrainView(View):
    """All that training one pack of runs depends on, besides its input files."""

    setting_name: str
    setting: Setting
    model_name: str
    model: Model
    data: Reading


class ScoreView(TrainView):
    """All that scoring one pack of runs depends on, besides its input files."""

    evaluation: Evaluation
    probes: tuple[str, ...]


class CostView(View):
    """All that the cost of a study's models depends on, besides the foundation models' files.

    picture: height and width of the frames, pixels. Weights do not change the speed, so neither seeds nor data count.
    """

    models: dict[str, Model]
    picture: tuple[Positive, Positive]
    cost: Cost


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
    evaluation: Evaluation


def world_view(params: Params) -> WorldView:
    """The part of the settings that generating the world may read."""
    return WorldView(**_whose(params), world=params.world, shots=params.data.shots)


def fetch_view(params: Params) -> FetchView:
    """The part of the settings that fetching may read."""
    used = [getattr(params.foundation, name) for name in params.foundations()]
    paths = [path for model in used for path in (model.checkpoint, getattr(model, "pca_checkpoint", None))]
    return FetchView(
        **_whose(params),
        data=params.data,
        checkpoints=tuple(filter(None, paths)),
        datasets=tuple(params.tables()) if params.data.source == "avsbench" else (),
    )


def tables_view(params: Params, dataset: str) -> TablesView:
    """The part of the settings that reading a dataset may read."""
    apart = params.settings if params.data.leaks == "drop" else {}
    return TablesView(**_whose(params), dataset=dataset, data=_reading(params), apart=apart)


def leaks_view(params: Params) -> LeaksView:
    """The part of the settings that the leak check may read."""
    return LeaksView(**_whose(params), settings=params.settings, leaks=params.data.leaks)


def features_view(params: Params) -> FeaturesView:
    """The part of the settings that the feature cache may read."""
    tables, taps = tuple(params.tables()), tuple(params.taps())
    return FeaturesView(**_whose(params), tables=tables, taps=taps, features=params.features, bgr=params.data.bgr)


def floors_view(params: Params, setting: str) -> FloorsView:
    """The part of the settings that scoring the floors of a setting may read."""
    return FloorsView(
        **_whose(params),
        setting_name=setting,
        setting=params.settings[setting],
        data=_reading(params),
        evaluation=params.evaluation,
    )


def pretrain_view(params: Params, name: Literal["sam", "audio", "pyramid"]) -> PretrainView:
    """The part of the settings that pre-training a foundation model may read."""
    scene = Scene(size=params.world.size, levels=params.world.levels)
    if name == "pyramid":
        sam = params.foundation.sam
        pool = {"pool_seed": sam.seed, "pictures": sam.pictures}
        return PyramidView(**_whose(params), model=params.foundation.pyramid, scene=scene, **pool)
    return PretrainView(**_whose(params), model=getattr(params.foundation, name), scene=scene)


def train_view(params: Params, setting: str, model: str) -> TrainView:
    """The part of the settings that training (setting, model) may read."""
    return TrainView(
        **_whose(params),
        setting_name=setting,
        setting=params.settings[setting],
        model_name=model,
        model=params.models[model].model_copy(update={"base": None}),  # where its settings stand makes no difference
        data=_reading(params),
    )


def score_view(params: Params, setting: str, model: str) -> ScoreView:
    """The part of the settings that scoring (setting, model) may read."""
    return ScoreView(
        **dict(train_view(params, setting, model)),
        evaluation=params.evaluation,
        probes=params.probes(setting, model),
    )


def cost_view(params: Params) -> CostView:
    """The part of the settings that measuring the models' cost may read; schedules are left at their defaults."""
    models = {name: params.models[name].model_copy(update={"schedule": Schedule()}) for name in params.costed()}
    side = params.world.size
    picture = params.cost.picture or (side, side)
    return CostView(**_whose(params), models=models, picture=picture, cost=params.cost)


def examine_view(params: Params, setting: str, model: str) -> ExamineView:
    """The part of the settings that examining (setting, model) may read; by hand also what no experiment asks for."""
    measures = params.measures(setting, model) or params.models[model].measures()
    sam, scene = params.foundation.sam, Scene(size=params.world.size, levels=params.world.levels)
    drawn = "knowledge" in measures and sam.source == "pretrain"
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
        **_whose(params),
        name=name,
        experiment=experiment,
        settings={
            setting: params.settings[plain(setting)].model_copy(update=judged) for setting in experiment.settings
        },
        models={m: params.models[m] for m in map(model_of, experiment.methods) if m in params.models},
        seeds=experiment.seeds or params.seeds,
        evaluation=params.evaluation,
    )


def model_of(method: str) -> str:
    """'gavs@mismatched' -> 'gavs'."""
    return method.partition("@")[0]


def plain(setting: str) -> str:
    """'v1s@points' -> 'v1s'."""
    return setting.partition("@")[0]


def variant_of(setting: str) -> str:
    """'v1s@points' -> 'points'; '' for a setting of the study itself."""
    return setting.partition("@")[2]


def _whose(params: Params) -> dict[str, Any]:
    return {"study": params.study, "parent": params.parent, "borrows": params.borrows}


def _reading(params: Params) -> Reading:
    return Reading(**{name: getattr(params.data, name) for name in Reading.model_fields})


def _check_names(where: str, names: Any, known: Any) -> None:
    for name in names:
        if name not in known:
            raise ValueError(f"{where}: '{name}' is not one of {', '.join(known)}")


def _check_plots(where: str, experiment: Experiment, settings: dict[str, Setting]) -> None:
    """Curves and dots show what their experiment has. Raises ValueError."""
    for curve in experiment.curves:
        at = f"{where}.curves.{curve.name}"
        whose = curve.setting or experiment.settings[0]
        _check_names(f"{at}.setting", [whose], experiment.settings)
        selections = settings[plain(whose)].test
        along = {"settings": experiment.settings, "selections": selections, "methods": experiment.methods}
        _check_names(f"{at}.along", curve.along or (), along[curve.over])
        _check_names(f"{at}.methods", curve.methods or (), experiment.methods)
        _check_names(f"{at}.metrics", curve.metrics or (), experiment.metrics)
    for dots in experiment.dots:
        at = f"{where}.dots.{dots.name}"
        known = {*experiment.methods, *map(model_of, experiment.methods)}
        _check_names(f"{at}.methods", dots.methods or (), known)
        for panel in dots.panels:
            _check_names(f"{at}.metric", [panel.metric], experiment.metrics)
            _check_names(f"{at}.setting", filter(None, [panel.setting]), experiment.settings)
    for plots in (experiment.curves, experiment.dots):
        if len({plot.name for plot in plots}) < len(plots):
            raise ValueError(f"{where}: two curves or two dot plots have the same name")


# --------------------------------------------------------------------------------- loading
def load(study: str | Path | None = None, base: str | Path = "params.yaml") -> Params:
    """Reads `params.yaml` with the overlay of a study (a name such as 'smoke', or a path).

    Raises InputError naming the key, its value and what is allowed.
    """
    merged = read_yaml(base)
    if study is not None and str(study) != merged.get("study"):
        path = Path(study) if str(study).endswith((".yaml", ".yml")) else Path("studies") / f"{study}.yaml"
        if not path.exists():
            known = ", ".join(sorted(p.stem for p in Path("studies").glob("*.yaml")))
            raise InputError("no such study", path=path, remedy=f"use {merged.get('study')} or one of: {known}")
        merged = merge(merged, read_yaml(path))
    return validate(merged)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML file that holds a mapping. Raises InputError."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError as error:
        raise InputError("missing", path=path, remedy="run from the root of the project") from error
    except yaml.YAMLError as error:
        raise InputError(f"not valid YAML: {error}", path=path) from error
    if not isinstance(content, dict):
        raise InputError("must hold a mapping of settings", path=path)
    return content


def merge(base: dict[str, Any], overlay: dict[str, Any]) -> dict[str, Any]:
    """Deep merge: mappings are merged key by key, everything else is replaced. As Snakemake merges configfiles."""
    merged = copy.copy(base)
    for key, value in overlay.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def validate(raw: dict[str, Any]) -> Params:
    """Resolves model bases and validates. Raises InputError that lists every problem.

    A setting or an experiment that an overlay gives as null is left out: a study of one dataset says so. With a
    setting go those that start from it or borrow its model, and the experiments that have no other.
    """
    params = _validated(left_in({**raw, "models": resolve_models(raw.get("models") or {})}))
    params.studies()  # variants are settings too
    return params


def _validated(content: dict[str, Any], where: str = "") -> Params:
    try:
        return Params.model_validate(content)
    except ValidationError as error:
        problems = "\n".join(f"  {where}{describe(problem)}" for problem in error.errors())
        raise InputError(
            f"invalid settings\n{problems}", remedy="correct them in params.yaml or the study's file"
        ) from error


def left_in(raw: dict[str, Any]) -> dict[str, Any]:
    """The settings without what is given as null: settings, experiments, and left-out settings in experiments."""
    settings, experiments = raw.get("settings"), raw.get("experiments")
    if not (isinstance(settings, dict) and isinstance(experiments, dict)):
        return raw
    left_out = {name for name, value in settings.items() if value is None}
    left_out |= {name for name, value in settings.items() if value and left_out & _origins(value)}
    kept = {}
    for name, value in experiments.items():
        named = value.get("settings") if isinstance(value, dict) else None
        if left_out and isinstance(named, list | tuple) and left_out & set(map(plain, named)):
            named = [setting for setting in named if plain(setting) not in left_out]
            value = {**value, "settings": named, **_plots_left_in(value, left_out)} if named else None
        if value is not None:
            kept[name] = value
    return {**raw, "settings": {n: v for n, v in settings.items() if n not in left_out}, "experiments": kept}


def _plots_left_in(experiment: dict[str, Any], left_out: set[str]) -> dict[str, Any]:
    """An experiment's curves and dot plots without the settings that are left out, and without those left empty."""

    def stays(name: Any) -> bool:
        return plain(str(name)) not in left_out

    curves = []
    for curve in experiment.get("curves") or ():
        along, x = curve.get("along"), curve.get("x")
        if along and curve.get("over") == "settings":
            kept = [i for i, name in enumerate(along) if stays(name)]
            part = {"along": [along[i] for i in kept], **({"x": [x[i] for i in kept]} if x else {})}
            curves += [{**curve, **part}] if kept else []
        elif stays(curve.get("setting")):
            curves.append(curve)
    dots = []
    for plot in experiment.get("dots") or ():
        panels = [panel for panel in plot.get("panels") or () if stays(panel.get("setting"))]
        dots += [{**plot, "panels": panels}] if panels else []
    return {"curves": curves, "dots": dots}


def _origins(setting: Any) -> set[Any]:
    return {setting.get("start_from"), setting.get("model_of")} if isinstance(setting, dict) else set()


def resolve_models(models: dict[str, Any]) -> dict[str, Any]:
    """Follows `base:` (one model named as another with overrides) down to complete settings."""

    def resolve(name: str, chain: tuple[str, ...]) -> dict[str, Any]:
        if name in chain:
            raise InputError(f"models: 'base' goes in a circle: {' -> '.join((*chain, name))}")
        if name not in models:
            raise InputError(f"models.{chain[-1]}.base: '{name}' is not one of {', '.join(models)}")
        own = dict(models[name] or {})
        base = own.pop("base", None)
        return {**merge(resolve(base, (*chain, name)), own), "base": base} if base else own

    return {name: resolve(name, ()) for name in models}


def describe(problem: Any) -> str:
    """One pydantic error as 'key: what is allowed, got value'."""
    key = ".".join(str(part) for part in problem["loc"]) or "settings"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if problem["type"] in ("missing", "value_error"):
        return f"{key}: {message}"
    return f"{key}: {message}, got {problem['input']!r}"
