"""The trainable models: their parts and their schedule."""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from soundprompt import registry
from soundprompt.params.base import Count, Distinct, Positive, Rate, Settings, Share, Weight
from soundprompt.params.loading import merge
from soundprompt.params.messages import describe, not_one_of


class Sap(Settings):
    """Semantic-aware audio prompt: which tokens F_A' holds (paper, overview figure; docs/models.md)."""

    audio_token: bool = True
    visual_cue: bool = True
    noise: Literal["token", "additive_learned", "gaussian_additive", "gaussian_replace", "off"] = "token"
    noise_scale: Weight = Field(0.1, description="gaussian_additive: multiple of std(F_A)")
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

    weight: Weight = 0.1
    margin: Annotated[float, Field(ge=0, le=2)] = 0.3
    anchor: Literal["audio", "visual", "both"] = "audio"


class Presence(Settings):
    """A score of whether anything in the frame makes the sound: not the paper's (docs/models.md)."""

    enabled: bool = False
    joint_dim: Positive = Field(128, description="of the space in which what was drawn meets the sound")
    hidden: Positive = 256
    weight: Annotated[float, Field(gt=0, le=100)] = Field(0.5, description="of its cross-entropy beside the mask loss")


class Fusion(Settings):
    """SAM-Fusion: sound mixed into F_V before the decoder: our reading of the paper's double dagger."""

    decoder: Literal["sam", "scratch"] = "sam"
    width: Positive = Field(64, description="channels of the decoder from scratch")


class Tuning(Settings):
    """How a baseline uses the pyramid; the defaults are both papers'."""

    tune: Literal["all", "none"] = "all"
    image_size: Positive | None = Field(
        None, description="side of the square that pictures are stretched to, pixels; null: that of foundation.pyramid"
    )
    mask_stride: Literal[1, 4] = Field(
        1, description="the mask is drawn at the size of the input (1), or of the finest map, with less to do (4)"
    )
    drop_path: Share = Field(
        0.0, description="stochastic depth of PVT-v2 in training: chance to leave out the last block, less before it"
    )

    @field_validator("mask_stride", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        """True equals 1, and is none."""
        if isinstance(value, bool):
            raise ValueError("1 or 4")
        return value

    @field_validator("image_size")
    @classmethod
    def _divisible(cls, value: int | None) -> int | None:
        if value is not None and value % 32:
            raise ValueError("image_size is a multiple of 32, the coarsest stride")
        return value


class Tpavi(Settings):
    """AVSBench's baseline (arXiv 2207.05042): sound fused at every scale by attention over all seconds of a clip."""

    width: Positive = Field(256, description="channels that every scale is brought to")
    dilations: Distinct[Positive] = Field(
        (3, 6, 12, 18), min_length=1, description="of the parallel convolutions of each scale"
    )
    reduce_first: bool = Field(
        False, description="a 1 x 1 convolution to `width` before the dilated ones, which then cost less (mini study)"
    )
    head: tuple[Positive, Positive] = Field((128, 32), description="channels of the convolutions that draw the mask")
    norm: Literal["batch", "frame"] = Field(
        "batch", description="of what attention adds: batch normalisation, or of each frame by itself (mini study)"
    )
    temporal: bool = Field(True, description="attend to all seconds of the clip; false: to the frame's own alone")
    whole_clips: bool = Field(
        True, description="training shows all seconds of a clip, also those without a mask (v1s); false: those drawn"
    )
    kl: Weight = Field(
        0.0, description="weight, in the mean over frames, of the divergence between sound and masked picture"
    )


class Avsegformer(Settings):
    """AVSegFormer (arXiv 2307.01146): queries made of the sound read multi-scale features; sizes are the paper's."""

    width: Annotated[Positive, Field(multiple_of=4)] = 256
    queries: Positive = 300
    generator_layers: Positive = Field(6, description="that make the queries of the sound")
    encoder_layers: Positive = 6
    decoder_layers: Positive = 6
    heads: Positive = 8
    points: Positive = Field(4, description="sampled by each head on each scale")
    hidden: Positive = Field(2048, description="width inside the feed-forward layers, and from queries to the mask")
    generator_hidden: Positive = Field(1024, description="width inside the feed-forward layers of the generator")
    head: tuple[Positive, Positive] = Field((128, 32), description="channels of the convolutions that draw the mask")
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(0.1, description="in encoder and decoder")
    auxiliary: Weight = Field(0.1, description="weight of the mixer's own mask loss; 0: none")

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
    keep: Literal["best", "last"] = Field(
        "best", description="the step that is kept: best on validation, which hears true sound alone, or the last one"
    )
    patience: Positive = Field(6, description="validations without a new best before it stops")
    warmup: Count = 30
    weight_decay: Share = 1e-4
    annealing: Literal["cosine", "none"] = Field(
        "cosine", description="of the learning rates after the warm-up: along a cosine to 0, or constant rates"
    )
    clip_norm: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        1.0, description="a step's gradient is scaled down to this norm where it is larger; null: never"
    )
    selection_threshold: Rate = Field(
        0.5, description="validation, which chooses the best step, cuts masks at this probability"
    )
    clips_per_step: Positive = 8
    frames_per_clip: Positive = 2
    shot_epochs: Positive = Field(10, description="few-shot: epochs from the seen model (AVS-V3 protocol)")
    shot_learning_rate: Rate | None = Field(None, description="few-shot; null: as learning_rate")
    negatives: Share = Field(
        0.0,
        description="share of a step's frames that get a sound which nothing in them makes (silence, room noise, "
        "another clip's), and an empty mask",
    )
    loss_size: Literal["decoder", "original"] = Field(
        "original", description="where the mask loss is computed: on the grid that masks are drawn on, or frames' size"
    )
    mask_loss: Literal["bce", "dice"] = Field("bce", description="binary cross-entropy of pixels, or Dice of masks")
    frozen_epochs: Count = Field(0, description="the image encoder's own weights train only after so many epochs")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "float32",
        description="of the model's forward and backward pass in training: bfloat16 autocasts, auto does so on a GPU "
        "only; weights, optimiser, losses and scoring are float32 in any case",
    )
    deterministic: bool = Field(
        False,
        description="training on a GPU takes kernels that repeat themselves bit by bit, where torch has them: slower; "
        "what it has none for is named in the log (docs/cluster.md). A processor repeats itself in any case",
    )


class Model(Settings):
    """One trainable architecture with everything in it that may train."""

    base: str | None = Field(None, description="the model that this one is made from, by the overrides given here")
    architecture: str = "gavs"
    decoder: Literal["frozen", "cross_attention", "full"] = Field(
        "frozen", description="which weights of SAM's own mask decoder train, besides ColA"
    )
    mute: bool = Field(False, description="the sound is replaced by zeros in training and test: a model without audio")
    audio_relu: bool = Field(
        False, description="a ReLU behind the sound encoder's last layer, as in AVSBench and AVSegFormer"
    )
    sap: Sap = Sap()
    cola: Cola = Cola()
    visual: Visual = Visual()
    triplet: Triplet = Triplet()
    presence: Presence = Presence()
    fusion: Fusion = Fusion()
    pyramid: Tuning = Tuning()
    tpavi: Tpavi = Tpavi()
    avsegformer: Avsegformer = Avsegformer()
    options: dict[str, Any] = Field({}, description="what the architecture has of its own (`registry.Architecture`)")
    schedule: Schedule = Schedule()
    per_setting: dict[str, dict[str, Any]] = Field(
        {}, description="setting that trains -> what differs there, as an overlay of these settings"
    )

    @field_validator("architecture")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in registry.architectures():
            raise ValueError(f"'{value}' is not one of {', '.join(registry.architectures())}")
        return value

    @model_validator(mode="after")
    def _options_fit(self) -> Model:
        known = self.registered.options
        for name, value in self.options.items():
            if name not in known:
                raise ValueError(
                    f"options: {not_one_of(name, known)}" if known else f"{self.architecture} has no options"
                )
            if type(value) is not type(known[name]) and (type(value), type(known[name])) != (int, float):
                kind = type(known[name]).__name__
                raise ValueError(f"options.{name}: {value!r} is no {kind}, such as {known[name]!r}")
        complete = {**known, **self.options}
        self.options.clear()
        self.options.update(complete)  # in the registered order, so that equal settings are equal texts
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> Model:
        if not self.registered.cola and self.cola.enabled:
            raise ValueError(f"{self.architecture} has no ColA: set cola.enabled to false")
        if self.reads == "pyramid" and self.visual.tune_from is not None:
            raise ValueError(f"{self.architecture} reads the pyramid, not SAM: set visual.tune_from to null")
        if self.triplet.weight and not self._is(self.registered.compares):
            raise ValueError(
                "a triplet loss needs gavs with sap.visual_cue and sap.audio_token: set triplet.weight to 0"
            )
        if self.schedule.negatives and (self.mute or not self._is(self.registered.hears)):
            raise ValueError("a model without sound cannot tell negatives: set schedule.negatives to 0")
        if self.presence.enabled and not (self._is(self.registered.presence) and self.schedule.negatives):
            able = " or ".join(name for name, known in registry.architectures().items() if known.presence is not None)
            raise ValueError(
                f"a presence score needs {able} with SAM's decoder, and frames in which nothing sounds: set "
                "schedule.negatives above 0, or presence.enabled to false"
            )
        return self

    @model_validator(mode="after")
    def _stays_the_same_model(self) -> Model:
        """What other stages plan by does not differ between settings."""
        for setting in self.per_setting:
            where = f"per_setting.{setting}"
            try:
                there = self.on(setting)
            except ValidationError as error:
                raise ValueError(f"{where}.{describe(Model, error.errors()[0])}") from error
            for name in ("architecture", "mute", "temporal", "tap"):
                if getattr(there, name) != getattr(self, name):
                    raise ValueError(f"{where}: it is another model there, by {name}: give it a name of its own")
            if there.measures() != self.measures():
                raise ValueError(f"{where}: it is another model there, by its parts: give it a name of its own")
        return self

    def on(self, setting: str) -> Model:
        """The settings with which it is trained on a setting."""
        content = merge(self.model_dump(), self.per_setting.get(setting, {}))
        return Model.model_validate({**content, "base": None, "per_setting": {}})

    def measures(self) -> tuple[str, ...]:
        """What can be measured of it besides its masks: 'alignment' of sound and visual cue, 'knowledge' of SAM."""
        found = {
            "alignment": self._is(self.registered.compares) and not self.mute,
            "knowledge": self._is(self.registered.sam_decoder),
        }
        return tuple(name for name, possible in found.items() if possible)

    @property
    def registered(self) -> registry.Architecture:
        """What its architecture is registered with."""
        return registry.architectures()[self.architecture]

    def _is(self, when: registry.When | None) -> bool:
        """Whether its settings are what a registration asks for."""
        if when is None:
            return False
        return all(self._setting(name) == value for name, value in when.items())

    def _setting(self, name: str) -> Any:
        """The value of a setting by its dotted name, as registrations have it."""
        try:
            return functools.reduce(
                lambda at, key: at[key] if isinstance(at, dict) else getattr(at, key), name.split("."), self
            )
        except (AttributeError, KeyError) as error:
            raise ValueError(
                f"{self.architecture} is registered with '{name}', which is no setting of a model"
            ) from error

    @property
    def reads(self) -> Literal["sam", "pyramid"]:
        """The foundation model behind it: 'sam' is read from the cache, 'pyramid' runs on pixels and may be tuned."""
        return self.registered.reads

    @property
    def temporal(self) -> bool:
        """Whether it looks across the seconds of a clip, so that batches must hold whole clips."""
        return self._is(self.registered.temporal)

    @property
    def tap(self) -> int | Literal["pixels"] | None:
        """What its batches carry: the input of a block of SAM's encoder, for None its output, or pixels."""
        return "pixels" if self.reads == "pyramid" else self.visual.tune_from
