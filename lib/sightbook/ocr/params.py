"""Parameters of the OCR line's training notebooks; light to import."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sightbook.exporting import ExportModel
from sightbook.training_params import FitParams


class TrainRecognition(FitParams):
    """`02_train_text_recognition`: train a reader of text lines."""

    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "own_share",
        "init",
        "size",
        "alphabet",
        "lines",
        "max_chars",
        "wear",
        "fonts",
        "epochs",
        "batch_size",
        "learning_rate",
        "devices",
        "seed",
    )

    epochs: int = Field(4, ge=1, description="passes over the training set")
    batch_size: int = Field(16, ge=2, description="lines a step on each device")
    learning_rate: float = Field(5e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.02, ge=0, description="on weights, not on norms and biases")
    clip_norm: float = Field(5.0, ge=0, description="gradient norm is clipped to it; 0: off")
    ema_decay: float = Field(0.95, ge=0, lt=1, description="average of the weights; 0: off")
    warmup: float = Field(
        0.1, ge=0, description="linear warm-up: share of all steps, or steps if 1 or more"
    )

    run: str = Field("", description="run's name; empty takes the time of day; same name resumes")
    data: str = Field(
        "synthetic", description="synthetic (nothing else), or a folder in HierText form"
    )
    own_share: float = Field(0.5, ge=0, le=1, description="share of lines from data, not drawn")
    validation: float = Field(0.1, gt=0, lt=1, description="share of data's pages held back")
    lines: int = Field(1500, ge=2, description="lines an epoch; drawn ones are always new")
    validation_lines: int = Field(120, ge=1, description="drawn lines to validate on, at most")
    init: str = Field("scratch", description="scratch, reference, a run or a folder")
    size: Literal["tiny", "small", "base"] = Field(
        "tiny", description="tiny (0.3 M parameters), small (2.7 M) or base (4.7 M)"
    )
    alphabet: str = Field(
        "digits", description="ocrs, latin, mrz, digits, a text file, or chars:ABC"
    )
    surgery: Literal["keep", "union", "replace"] = Field(
        "union", description="with init: keep the model's alphabet, unite both, or replace it"
    )
    unknown: Literal["replace", "drop", "skip"] = Field(
        "skip", description="characters of data outside the alphabet: replace, drop, or skip lines"
    )
    fonts: str = Field("embedded", description="embedded, system, or a folder of font files")
    words: str = Field("", description="text file or word list to draw words from; empty: built-in")
    random_share: float = Field(
        0.15, ge=0, le=1, description="share of drawn lines that are random strings"
    )
    max_chars: int = Field(8, ge=1, le=120, description="characters of the longest drawn line")
    wear: float = Field(0.3, ge=0, le=1, description="how worn drawn lines are: 0 clean, 1 all")
    curriculum: int = Field(
        2400, ge=0, description="drawn lines over which they grow from short and clean to that"
    )
    max_bad: int = Field(20, ge=0, description="unreadable pictures skipped before it stops")


class TrainDetection(FitParams):
    """`02_train_text_detection`: train a finder of words."""

    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "own_share",
        "init",
        "size",
        "pages",
        "crop",
        "shrink",
        "fonts",
        "epochs",
        "batch_size",
        "learning_rate",
        "devices",
        "seed",
    )

    epochs: int = Field(3, ge=1, description="passes over the training set")
    batch_size: int = Field(2, ge=1, description="pages a step on each device")
    learning_rate: float = Field(6e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.02, ge=0, description="on weights, not on norms and biases")
    clip_norm: float = Field(5.0, ge=0, description="gradient norm is clipped to it; 0: off")
    ema_decay: float = Field(0.95, ge=0, lt=1, description="average of the weights; 0: off")
    warmup: float = Field(
        0.1, ge=0, description="linear warm-up: share of all steps, or steps if 1 or more"
    )

    run: str = Field("", description="run's name; empty takes the time of day; same name resumes")
    data: str = Field(
        "synthetic", description="synthetic (nothing else), or a folder in HierText form"
    )
    own_share: float = Field(0.5, ge=0, le=1, description="share of pages from data, not drawn")
    validation: float = Field(0.1, gt=0, lt=1, description="share of data's pages held back")
    pages: int = Field(140, ge=1, description="pages an epoch; drawn ones are always new")
    validation_pages: int = Field(5, ge=1, description="pages to validate on, at most")
    init: str = Field("scratch", description="scratch, reference, a run or a folder")
    size: Literal["small", "base"] = Field(
        "small", description="small (0.6 M parameters) or base (1.6 M)"
    )
    height: int = Field(800, ge=64, le=4096, description="rows of the exported model's input")
    width: int = Field(600, ge=64, le=4096, description="columns of it")
    crop: int = Field(160, ge=64, le=2048, description="side of training cut-outs, pixels")
    shrink: float = Field(
        3.0, ge=0, le=20, description="pixels that words shrink on each side; the engine grows 3"
    )
    fonts: str = Field("embedded", description="embedded, system, or a folder of font files")
    words: str = Field("", description="text file or word list to draw words from; empty: built-in")
    max_bad: int = Field(20, ge=0, description="unreadable pictures skipped before it stops")


class ExportOcr(ExportModel):
    """`04_export` of this line: what all lines take, and pages to measure on."""

    line: Literal["ocr"] = Field("ocr", description="line whose run is exported")
    data: str = Field(
        "", description="folder of labelled pages to measure and calibrate on; empty: the run's"
    )
