"""Parameters of `03_evaluate_defects` and `03_evaluate_headstamps`."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sightbook.params import Parameters


class EvaluateDetection(Parameters):
    """What both lines' evaluations are told."""

    line: ClassVar[str]

    run: str = Field("latest", description="run to evaluate: latest, a name, a path or reference")
    data: str = Field(
        "trained", description="trained: what the run held back; synthetic; or a folder or file"
    )
    images: str = Field("", description="folder of data's pictures; empty: found beside the labels")
    part: Literal["test", "validation", "train", "all"] = Field(
        "test", description="of a folder: its test, validation or train split, or all"
    )
    pictures: int = Field(24, ge=2, description="pictures to generate, where data is generated")
    max_pictures: int = Field(
        0, ge=0, description="of a folder so many at most, evenly over it; 0: all"
    )
    seed: int = Field(2026, ge=0, description="of generated pictures, apart from training's")
    confidence: float = Field(
        0.0, ge=0, le=1, description="detections from it on are judged singly; 0: where F1 is best"
    )
    bootstrap: int = Field(
        200, ge=0, description="resamples of pictures or groups for intervals; 0: none"
    )
    worst: int = Field(6, ge=1, description="worst pictures to show")
    threads: int = Field(1, ge=1, description="threads of the models")
    max_bad: int = Field(20, ge=0, description="unreadable pictures skipped before it stops")
    description: str = Field("", description="what was tried, in a few words; for comparisons")


class EvaluateDefects(EvaluateDetection):
    """`03_evaluate_defects`: boxes, and "defect or clean?"; sets the operating point."""

    line: ClassVar[str] = "defects"

    required_recall: float = Field(
        0.95, gt=0, le=1, description="share of defective pictures that must be called so"
    )
    eval_conf: float = Field(
        0.0, ge=0, le=1, description="defective from it on; 0: chosen for the required recall"
    )
    tile: int = Field(
        0, ge=0, description="side of windows that large pictures are looked at in, px; 0: off"
    )
    overlap: float = Field(
        0.2, ge=0, le=0.9, description="share of a window that its neighbour shows too"
    )


class EvaluateHeadstamps(EvaluateDetection):
    """`03_evaluate_headstamps`: casings, primers, ellipses, and the text on them."""

    line: ClassVar[str] = "headstamps"

    pictures: int = Field(16, ge=2, description="pictures to generate, where data is generated")
    recognition: str = Field(
        "reference", description="reads rings: reference, latest, a run of ocr or a model.onnx"
    )
    beams: int = Field(1, ge=1, description="texts the recogniser keeps; 1: best path")
    min_score: float = Field(0.5, ge=0, le=1, description="casings from it on are read")
    min_confidence: float = Field(0.4, ge=0, le=1, description="words below it are left out")
