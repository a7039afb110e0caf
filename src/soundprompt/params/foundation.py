"""The frozen models, and the cache of their features."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from soundprompt.params.base import LARGEST, Count, Positive, Rate, Settings, Share

FOUNDATIONS = ("sam", "audio", "pyramid")
PATCH = 16  # side of the patches of SAM's encoder, pixels
BLOCKS = {"mini": 4, "vit_b": 12, "vit_l": 24, "vit_h": 32}  # of SAM's encoder, by architecture


class Sam(Settings):
    """The image encoder, prompt encoder and mask decoder."""

    source: Literal["pretrain", "checkpoint"] = "pretrain"
    architecture: Literal["mini", "vit_b", "vit_l", "vit_h"] = "mini"
    checkpoint: str | None = Field(None, description="path of the released weights, with source: checkpoint")
    image_size: Annotated[Positive, Field(le=LARGEST)] = Field(
        128, description="longest side of the resized picture, pixels"
    )
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
    weight_decay: Share = 0.05

    @model_validator(mode="after")
    def _source_fits(self) -> Sam:
        if (self.source == "pretrain") != (self.architecture == "mini"):
            raise ValueError("source 'pretrain' goes with architecture 'mini', 'checkpoint' with vit_b, vit_l or vit_h")
        if (self.source == "checkpoint") != (self.checkpoint is not None):
            raise ValueError("checkpoint is a path with source 'checkpoint' and null with source 'pretrain'")
        if self.image_size % PATCH:
            raise ValueError(f"image_size {self.image_size} is no multiple of {PATCH}, the side of a patch")
        return self


class Audio(Settings):
    """The sound encoder: 0.96 s of log-mel in, 128 numbers out, without a ReLU behind them (`Model.audio_relu`)."""

    source: Literal["pretrain", "checkpoint"] = "pretrain"
    architecture: Literal["mini_vggish", "vggish"] = "mini_vggish"
    checkpoint: str | None = None
    pca: bool = Field(False, description="vggish only: ReLU, PCA and quantisation to 0..255, as torchvggish")
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
    image_size: Annotated[Positive, Field(le=LARGEST)] = Field(
        128, description="side of the square that pictures are stretched to, pixels"
    )
    seed: Count = 0
    steps: Positive = 1000
    pictures_per_step: Positive = Field(8, description="each in two views")
    objects_per_picture: Positive = Field(3, description="whose looks are compared between the views")
    learning_rate: Rate = 3e-3
    weight_decay: Share = 0.05

    @model_validator(mode="after")
    def _source_fits(self) -> Pyramid:
        if (self.source == "pretrain") != (self.architecture == "mini_pyramid"):
            raise ValueError("source 'pretrain' goes with architecture 'mini_pyramid', 'checkpoint' with 'pvt_v2_b5'")
        if (self.source == "checkpoint") != (self.checkpoint is not None):
            raise ValueError("checkpoint is a path with source 'checkpoint' and null with source 'pretrain'")
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
    shards: Annotated[Positive, Field(le=10_000)] = Field(
        description="files (and jobs) that the visual cache is divided into"
    )
    batch_size: Positive = 32
