"""Parameters of the Donut notebooks: one model a notebook, the source of names and limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from sightbook.donut.page.sequences import TASK_TOKENS
from sightbook.params import Parameters
from sightbook.training.params import FitParams

Kind = Literal["passport", "id_front", "id_back", "visa", "other"]


class PrepareDonut(Parameters):
    """`01_prepare_donut`: make or import a data set in the Donut folder format."""

    name: str = Field("demo", description="data set's name: outputs/data/donut/<name>")
    source: Literal["synthetic", "folder", "csv"] = Field(
        "synthetic", description="synthetic, folder (Donut format or image + .txt/.json) or csv"
    )
    path: str = Field("", description="folder or table to import; not used by synthetic")
    documents: int = Field(48, ge=3, description="documents to generate")
    width: int = Field(960, ge=320, le=4000, description="width of generated images, px")
    height: int = Field(720, ge=240, le=4000, description="height of generated images, px")
    validation: float = Field(0.15, ge=0, lt=1, description="share of the validation split")
    test: float = Field(0.2, ge=0, lt=1, description="share of the test split")
    seed: int = Field(7, ge=0, description="seed of the generator and of the split")
    workers: int = Field(2, ge=0, description="processes that draw; 0 draws in this one")
    max_bad: int = Field(
        20, ge=0, description="unreadable samples that are skipped before it stops"
    )

    @model_validator(mode="after")
    def _some_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave nothing to train on: "
                "their sum must stay below 1"
            )
        return self


class TrainDonut(FitParams):
    """`02_train_donut`: train a reader of machine-readable zones or of whole pages."""

    renamed: ClassVar[Mapping[str, str]] = {
        "road": "pipeline",
    }

    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "pipeline",
        "data",
        "init",
        "encoder",
        "size",
        "samples",
        "documents",
        "document_share",
        "finder",
        "epochs",
        "batch_size",
        "learning_rate",
        "devices",
        "seed",
    )

    run: str = Field("", description="run's name; empty takes the time of day; same name resumes")
    pipeline: Literal["zone", "page"] = Field(
        "zone", description="zone: find, straighten, read; page: whole image in, text out"
    )
    data: str = Field("synthetic", description="documents: synthetic, or a Donut folder")
    init: str = Field(
        "scratch", description="scratch, reference, pretrained, a hub name, a run or a folder"
    )
    encoder: Literal["conv", "swin"] = Field(
        "conv", description="encoder of the zone pipeline; the page pipeline is always swin"
    )
    size: Literal["tiny", "small", "base"] = Field("tiny", description="size of a scratch model")
    samples: int = Field(400, ge=8, description="zones (or pages) per epoch")
    validation_samples: int = Field(64, ge=1, description="zones (or pages) validated on")
    ctc_weight: float = Field(
        0.5, ge=0, le=1, description="share of the CTC head in the zone pipeline's loss"
    )
    curriculum: float = Field(
        0.5, ge=0, le=1, description="share of the run over which samples grow to full difficulty"
    )
    document_share: float = Field(
        0.25, ge=0, le=1, description="share of zones cut from documents, not streamed; 1: only"
    )
    documents: int = Field(64, ge=10, description="whole documents drawn when data is synthetic")
    finder: str = Field("train", description="zone finder: train, reference, or a run's name")
    finder_size: Literal["tiny", "small"] = Field("tiny", description="size of the zone finder")
    finder_epochs: int = Field(6, ge=1, description="passes over the documents for the finder")
    max_bad: int = Field(20, ge=0, description="unreadable images skipped before it stops")
    image_height: int = Field(320, ge=64, description="page pipeline: height of the input, px")
    image_width: int = Field(448, ge=64, description="page pipeline: width of the input, px")
    max_length: int = Field(128, ge=8, le=2048, description="page pipeline: longest output, tokens")
    task: str = Field(
        "auto",
        description="page pipeline: auto, parsing, classification, question_answering or a token",
    )
    align_long_axis: bool = Field(
        False, description="page pipeline: turn images until their long side is the input's"
    )
    read_samples: int = Field(
        8,
        ge=0,
        description="page pipeline: validation pages written out each epoch; 0: only losses",
    )

    @field_validator("task")
    @classmethod
    def _check_task(cls, value: str) -> str:
        if (
            value != "auto"
            and value not in TASK_TOKENS
            and not re.fullmatch(r"<s_[^<>/\s]+>", value)
        ):
            raise ValueError(
                f"expected auto, {', '.join(TASK_TOKENS)}, or a task token such as <s_receipts>"
            )
        return value


class EvaluateDonut(Parameters):
    """`03_evaluate_donut`: how well a run reads, where it fails and why."""

    run: str = Field("latest", description="run to evaluate: latest, a name, a path or reference")
    data: str = Field(
        "synthetic", description="synthetic, or a folder of documents with their truth"
    )
    samples: int = Field(40, ge=1, description="documents drawn when data is synthetic")
    seed: int = Field(2026, ge=0, description="seed of those documents, apart from training's")
    grammar: bool = Field(True, description="allow only what ICAO Doc 9303 allows at each place")
    correct: bool = Field(False, description="re-score by check digits; every change is reported")
    worst: int = Field(6, ge=0, description="worst documents to show")
    max_bad: int = Field(20, ge=0, description="unreadable images skipped before it stops")
