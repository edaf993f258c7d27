"""Parameters of `02_train_layout`."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from sightbook.training_params import FitParams


class TrainLayout(FitParams):
    """`02_train_layout`: train the network that makes lines and paragraphs of words."""

    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "init",
        "dim",
        "layers",
        "pages",
        "samples",
        "max_words",
        "augment",
        "epochs",
        "batch_size",
        "learning_rate",
        "devices",
        "seed",
    )

    epochs: int = Field(4, ge=1, description="passes over the training set")
    batch_size: int = Field(8, ge=1, description="pages a step on each device")
    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.02, ge=0, description="on weights, not on norms and biases")
    warmup: float = Field(
        0.1, ge=0, description="linear warm-up: share of all steps, or steps if 1 or more"
    )
    ema_decay: float = Field(0.95, ge=0, lt=1, description="average of the weights; 0: off")
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = Field(
        "32", description="32 keeps small distances between boxes apart"
    )

    run: str = Field("", description="run's name; empty takes the time of day; same name resumes")
    data: str = Field(
        "synthetic", description="synthetic (nothing else), or a HierText-form folder"
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of data's pages that is validated on, not trained on"
    )
    pages: int = Field(80, ge=0, description="generated pages to train on, beside data")
    validation_pages: int = Field(16, ge=1, description="generated pages to validate on")
    own_share: float = Field(
        0.5, ge=0, le=1, description="share of samples from data's pages, not generated ones"
    )
    samples: int = Field(256, ge=1, description="pages an epoch, each seen otherwise every time")
    max_words: int = Field(
        120, ge=2, description="words of a training sample at most: a part of the page"
    )
    augment: float = Field(
        1.0, ge=0, le=3, description="how much boxes are moved, torn, joined and lost; 0: not"
    )
    init: str = Field("scratch", description="scratch, reference, a run or a folder")
    dim: int = Field(128, ge=16, description="width of a word's state; a multiple of heads")
    layers: int = Field(4, ge=1, description="transformer blocks")
    heads: int = Field(8, ge=1, description="attention heads a block")
    pair: int = Field(32, ge=4, description="width of the state of a pair of words")
    max_bad: int = Field(20, ge=0, description="unusable pages skipped before it stops")

    @model_validator(mode="after")
    def _shapes_fit(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} is no multiple of heads {self.heads}")
        if self.data == "synthetic" and not self.pages:
            raise ValueError("pages 0: data is synthetic, so 1 or more")
        return self
