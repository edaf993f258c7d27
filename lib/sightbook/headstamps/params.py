"""Parameters of the notebooks of headstamps; light to import."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from sightbook.detection.params import (
    DetectorName,
    EvaluateDetection,
    PrepareDetection,
    TrainDetector,
)


class PrepareHeadstamps(PrepareDetection):
    """`01_prepare_headstamps`: make or import cartridge bases, check and split them."""

    line: ClassVar[str] = "headstamps"
    shown: ClassVar[tuple[str, ...]] = (
        "name",
        "source",
        "path",
        "images",
        "classes",
        "usecase",
        "version",
        "synthetic_images",
        "side",
        "splits",
        "validation",
        "test",
        "seed",
        "strict",
    )

    side: int = Field(640, ge=96, description="longer side of generated images, px")


class TrainHeadstamps(TrainDetector):
    """`02_train_headstamps`: train a finder of cartridge bases and primers, with their masks."""

    line: ClassVar[str] = "headstamps"
    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "own_share",
        "synthetic_images",
        "init",
        "model",
        "size",
        "turn",
        "photometric",
        "epochs",
        "batch_size",
        "learning_rate",
        "devices",
        "seed",
    )

    learning_rate: float = Field(1.5e-3, gt=0, description="peak learning rate of AdamW")
    beta2: float = Field(0.98, gt=0, lt=1, description="AdamW's second-moment decay")

    synthetic_images: int = Field(
        80, ge=1, description="images an epoch; with data alone: all of its"
    )
    size: int = Field(
        192,
        ge=96,
        le=4096,
        multiple_of=32,
        description="longer side of a image as the model sees it, px",
    )
    box_batch_size_per_image: int = Field(
        32, ge=1, description="proposals a image that the second stage learns from"
    )
    scale_min: float = Field(
        0.9, gt=0, description="smallest scale of large-scale jitter; 1 fills the model's input"
    )
    photometric: float = Field(
        0.2, ge=0, le=1, description="share of images with light and colours changed"
    )
    model: DetectorName = Field(
        "maskrcnn_mobilenet",
        description="or maskrcnn_resnet50_fpn_v2; others give boxes alone",
    )
    turn: bool = Field(True, description="quarter turns; text is never mirrored")


class EvaluateHeadstamps(EvaluateDetection):
    """`03_evaluate_headstamps`: casings, primers, ellipses, and the text on them."""

    line: ClassVar[str] = "headstamps"
    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "images",
        "part",
        "synthetic_images",
        "max_images",
        "recognition",
        "beams",
        "min_score",
        "min_confidence",
        "confidence",
        "bootstrap",
        "worst",
        "seed",
        "description",
    )

    synthetic_images: int = Field(
        16, ge=2, description="images to generate, where data is generated"
    )
    recognition: str = Field(
        "reference", description="reads rings: reference, latest, a run of ocr or a model.onnx"
    )
    beams: int = Field(1, ge=1, description="texts the recogniser keeps; 1: best path")
    min_score: float = Field(0.5, ge=0, le=1, description="casings from it on are read")
    min_confidence: float = Field(0.4, ge=0, le=1, description="words below it are left out")
