"""The frozen models, and the cache of their features."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from soundprompt.params.base import LARGEST, Count, Positive, Rate, Settings, Share

FOUNDATIONS = ("sam", "audio", "pyramid")
PATCH = 16  # side of the patches of SAM's encoder, pixels
BLOCKS = {"mini": 4, "vit_b": 12, "vit_l": 24, "vit_h": 32}  # of SAM's encoder, by architecture


class Frozen(Settings):
    """What the three frozen models share: where the weights come from, and what they are made for.

    released: imported. The project comes with weights of its own architectures, made once for the settings of the
    default study; of other architectures the path of the published file is given.
    """

    own: ClassVar[str]  # the architecture that this project trains
    made_for: ClassVar[tuple[str, ...]]  # the settings that released weights must have been made with

    source: Literal["train", "released"] = "train"
    architecture: str
    checkpoint: str | None = Field(
        None, description="path of released weights; null: those that the project comes with, of its own architecture"
    )
    seed: Count = 0

    @property
    def is_own(self) -> bool:
        """Whether this project makes such models, on generated pictures and sounds."""
        return self.architecture == self.own

    @model_validator(mode="after")
    def _source_fits(self) -> Self:
        if self.source == "train" and not self.is_own:
            raise ValueError(
                f"source 'train' goes with architecture '{self.own}'; {self.architecture} is imported, with source "
                "'released' and the path of its weights as checkpoint"
            )
        if self.source == "train" and self.checkpoint is not None:
            raise ValueError("checkpoint is a path with source 'released' and null with source 'train'")
        if self.source == "released" and not self.is_own and self.checkpoint is None:
            raise ValueError(
                f"source 'released' needs the path of the weights of {self.architecture} as checkpoint: the project "
                f"comes with those of '{self.own}' alone"
            )
        return self


class Sam(Frozen):
    """The image encoder, prompt encoder and mask decoder."""

    own: ClassVar = "mini"
    made_for: ClassVar = ("architecture", "image_size", "prompts", "seed")

    architecture: Literal["mini", "vit_b", "vit_l", "vit_h"] = "mini"
    image_size: Annotated[Positive, Field(le=LARGEST)] = Field(
        128, description="longest side of the resized picture, pixels"
    )
    prompts: Literal["concept", "points"] = Field(
        "concept",
        description="pre-training prompts: with concept vectors; or points and boxes only, as the released SAM",
    )
    pictures: Positive = Field(3000, description="class-agnostic pictures of the pre-training pool")
    steps: Positive = 1650
    pictures_per_step: Positive = Field(8, description="each in two views")
    masks_per_picture: Positive = 3
    learning_rate: Rate = 1e-3
    weight_decay: Share = 0.05

    @model_validator(mode="after")
    def _size_fits(self) -> Sam:
        if self.image_size % PATCH:
            raise ValueError(f"image_size {self.image_size} is no multiple of {PATCH}, the side of a patch")
        return self


class Audio(Frozen):
    """The sound encoder: 0.96 s of log-mel in, 128 numbers out, without a ReLU behind them (`Model.audio_relu`)."""

    own: ClassVar = "mini_vggish"
    made_for: ClassVar = ("architecture", "seed")

    architecture: Literal["mini_vggish", "vggish"] = "mini_vggish"
    pca: bool = Field(False, description="vggish only: ReLU, PCA and quantisation to 0..255, as torchvggish")
    pca_checkpoint: str | None = Field(None, description="path of the released PCA parameters, with pca: true")
    sounds: Positive = Field(2000, description="one-second sounds of the pre-training pool")
    epochs: Positive = 8

    @model_validator(mode="after")
    def _pca_fits(self) -> Audio:
        if self.pca != (self.pca_checkpoint is not None):
            raise ValueError("pca_checkpoint is a path with pca: true and null without")
        return self


class Pyramid(Frozen):
    """The multi-scale image encoder of the baselines that fuse sound and picture (strides 4, 8, 16, 32).

    The mini one is pre-trained on the pictures of the mini SAM: their seed and number are those of `foundation.sam`.
    """

    own: ClassVar = "mini_pyramid"
    made_for: ClassVar = ("architecture", "image_size", "seed")

    architecture: Literal["mini_pyramid", "pvt_v2_b5"] = "mini_pyramid"
    image_size: Annotated[Positive, Field(le=LARGEST)] = Field(
        128, description="side of the square that pictures are stretched to, pixels"
    )
    steps: Positive = 1000
    pictures_per_step: Positive = Field(8, description="each in two views")
    objects_per_picture: Positive = Field(3, description="whose looks are compared between the views")
    learning_rate: Rate = 3e-3
    weight_decay: Share = 0.05

    @model_validator(mode="after")
    def _size_fits(self) -> Pyramid:
        if self.image_size % 32:
            raise ValueError(f"image_size {self.image_size} is no multiple of 32, the coarsest stride")
        return self


class Foundation(Settings):
    """The frozen models that everything else stands on."""

    sam: Sam
    audio: Audio
    pyramid: Pyramid = Pyramid()


class Features(Settings):
    """The cache: frozen encoders run once per frame and per second of sound."""

    dtype: Literal["float16", "float32"] = "float16"
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32",
        description="of SAM's arithmetic: the other two autocast, which is several times faster on a GPU. A picture "
        "whose activations then are not finite is encoded in float32; each shard records how far it is from float32",
    )
    shards: Annotated[Positive, Field(le=10_000)] = Field(
        description="files (and jobs) that the visual cache is divided into"
    )
    batch_size: Positive = 32
