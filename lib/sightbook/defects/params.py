"""Parameters of the notebooks of defects; light to import."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from sightbook.detection.params import (
    EvaluateDetection,
    PrepareDetection,
    TrainDetector,
)


class PrepareDefects(PrepareDetection):
    """`01_prepare_defects`: make or import surfaces with boxes, check and split them."""

    line: ClassVar[str] = "defects"
    shown: ClassVar[tuple[str, ...]] = (
        "name",
        "source",
        "path",
        "images",
        "classes",
        "usecase",
        "version",
        "synthetic_images",
        "kind",
        "clean",
        "splits",
        "validation",
        "test",
        "seed",
        "strict",
    )

    kind: Literal["road", "asphalt", "concrete", "board", "plate"] = Field(
        "road", description="of generated surface: road, asphalt, concrete, board or plate (easy)"
    )
    side: int = Field(320, ge=0, description="longer side of generated images, px; 0: the usual")
    clean: float = Field(0.3, ge=0, le=1, description="share of generated images without defect")


class TrainDefects(TrainDetector):
    """`02_train_defects`: train a finder of defects on surfaces."""

    line: ClassVar[str] = "defects"
    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "own_share",
        "folds",
        "kind",
        "synthetic_images",
        "init",
        "model",
        "size",
        "anchors",
        "epochs",
        "batch_size",
        "learning_rate",
        "devices",
        "seed",
    )

    learning_rate: float = Field(2e-3, gt=0, description="peak learning rate of AdamW")

    kind: Literal["road", "asphalt", "concrete", "board", "plate"] = Field(
        "plate", description="of drawn surfaces: road, asphalt, concrete, board or plate (easy)"
    )
    clean: float = Field(0.3, ge=0, lt=1, description="share of drawn images without defect")
    flip: Literal["none", "horizontal", "all"] = Field(
        "horizontal", description="mirroring: none, horizontal, or all with quarter turns"
    )


class EvaluateDefects(EvaluateDetection):
    """`03_evaluate_defects`: boxes, and "defect or clean?"; sets the operating point."""

    line: ClassVar[str] = "defects"
    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "images",
        "part",
        "synthetic_images",
        "max_images",
        "required_recall",
        "eval_conf",
        "confidence",
        "tile",
        "overlap",
        "bootstrap",
        "worst",
        "seed",
        "description",
    )

    required_recall: float = Field(
        0.95, gt=0, le=1, description="share of defective images that must be called so"
    )
    eval_conf: float = Field(
        0.0, ge=0, le=1, description="defective from it on; 0: chosen for the required recall"
    )
    tile: int = Field(
        0, ge=0, description="side of windows that large images are looked at in, px; 0: off"
    )
    overlap: float = Field(
        0.2, ge=0, le=0.9, description="share of a window that its neighbour shows too"
    )
