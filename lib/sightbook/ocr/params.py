"""Parameters of the OCR line's training notebooks; light to import."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from sightbook.inference.export import ExportModel
from sightbook.params import Parameters
from sightbook.training.params import FitParams


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
    max_bad: int = Field(20, ge=0, description="unreadable images skipped before it stops")


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
    max_bad: int = Field(20, ge=0, description="unreadable images skipped before it stops")


class ExportOcr(ExportModel):
    """`04_export` of this line: what all lines take, and pages to measure on."""

    line: Literal["ocr"] = Field("ocr", description="line whose run is exported")
    data: str = Field(
        "", description="folder of labelled pages to measure and calibrate on; empty: the run's"
    )


class PrepareOcr(Parameters):
    """`01_prepare_ocr`: make or import pages with their text, check and split them."""

    name: str = Field("demo", description="data set's name: outputs/data/ocr/<name>")
    source: Literal["synthetic", "auto", "hiertext", "funsd", "icdar", "page", "alto", "lines"] = (
        Field("synthetic", description="or auto, hiertext, funsd, icdar, page, alto, lines")
    )
    path: str = Field(
        "", description="folder or file to import, in the form of source; not used by synthetic"
    )
    pages: int = Field(24, ge=3, description="pages to generate")
    fonts: str = Field("embedded", description="embedded, system, or a folder of font files")
    words: str = Field("", description="text file or word list to draw words from; empty: built-in")
    max_pages: int = Field(0, ge=0, description="pages to import, the first ones; 0: all")
    alphabet: str = Field(
        "ocrs", description="ocrs, latin, mrz, a text file or chars:ABC; what it lacks is counted"
    )
    cut_words: bool = Field(
        False, description="lines of unknown words are cut into words by their characters"
    )
    validation: float = Field(0.15, ge=0, lt=1, description="share of the validation split")
    test: float = Field(0.15, ge=0, lt=1, description="share of the test split")
    seed: int = Field(7, ge=0, description="seed of the generator and of the split")
    workers: int = Field(2, ge=0, description="processes that draw; 0 draws in this one")
    max_bad: int = Field(20, ge=0, description="unusable pages that are skipped before it stops")

    @property
    def shares(self) -> dict[str, float]:
        """Share of each split, empty ones left out."""
        shares = {
            "train": 1 - self.validation - self.test,
            "validation": self.validation,
            "test": self.test,
        }
        return {name: share for name, share in shares.items() if share > 0}

    @model_validator(mode="after")
    def _some_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave no pages to train on: "
                "their sum must stay below 1"
            )
        return self


class EvaluateOcr(Parameters):
    """`03_evaluate_ocr`: the whole reader on a folder of pages whose text is known."""

    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "detection",
        "layout",
        "recognition",
        "data",
        "pages",
        "part",
        "seed",
        "iou",
        "boxes",
        "beams",
        "tesseract",
        "bootstrap",
        "worst",
    )

    run: str = Field("", description="name of this evaluation; empty takes the time of day")
    detection: str = Field(
        "latest", description="finds words: latest, reference, a run or a model.onnx"
    )
    layout: str = Field(
        "latest", description="makes lines and paragraphs: the same, or rules or engine (no model)"
    )
    recognition: str = Field(
        "latest", description="reads lines: latest, reference, a run or a model.onnx"
    )
    data: str = Field("synthetic", description="synthetic, or a folder of pages in any format")
    pages: int = Field(8, ge=0, description="so many pages at most; 0: all of a folder")
    part: Literal["all", "train", "validation", "test"] = Field(
        "all", description="of a folder: all, or the train, validation or test split"
    )
    seed: int = Field(2026, ge=0, description="of synthetic pages, apart from training's")
    iou: float = Field(0.5, gt=0, le=1, description="overlap that a found word needs to count")
    boxes: Literal["detected", "engine"] = Field(
        "detected", description="of words: detected, or engine: derived from characters as by ocrs"
    )
    beams: int = Field(1, ge=1, description="texts the recogniser keeps; 1: best path, as by ocrs")
    threads: int = Field(1, ge=1, description="threads of the models, and of Tesseract")
    tesseract: str = Field(
        "eng", description="Tesseract's language to compare with, if installed; empty: do not"
    )
    bootstrap: int = Field(1000, ge=20, description="resamples of the pages for intervals")
    worst: int = Field(12, ge=1, description="worst words to show")
    max_bad: int = Field(20, ge=0, description="unreadable pages skipped before it stops")


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
