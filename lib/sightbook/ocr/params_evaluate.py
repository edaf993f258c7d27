"""Parameters of `03_evaluate_ocr`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sightbook.params import Parameters


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
