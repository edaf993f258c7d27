"""Parameters that the lines which find objects share; light to import."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from sightbook._moved import moved_names
from sightbook.params import Parameters
from sightbook.training.params import FitParams

FIRST_STAGE = (
    "nms_iou_threshold",
    "nms_score_threshold",
    "max_proposals",
    "localization_loss_weight",
    "objectness_loss_weight",
)
"""Names of the region proposal network's settings, as the accelerator calls them."""

RPN_NAMES: Mapping[str, str] = {
    "rpn_nms_thresh": "nms_iou_threshold",
    "rpn_score_thresh": "nms_score_threshold",
    "rpn_post_nms_top_n": "max_proposals",
    "loss_rpn_box_reg": "localization_loss_weight",
    "loss_objectness": "objectness_loss_weight",
}
"""The same by torchvision's names of arguments and losses."""

SMALL = ("fasterrcnn_mobilenet", "maskrcnn_mobilenet")
"""Small enough to be trained on a CPU and to be shipped: 3 million parameters."""

FINEST: Mapping[str, tuple[int, ...]] = {
    "fasterrcnn_mobilenet": (8, 4),
    "maskrcnn_mobilenet": (8, 4),
    "dfine_nano": (16, 8),
}
"""Strides that a model's finest map may have, the usual one first; others leave no choice."""

DetectorName = Literal[
    "fasterrcnn_mobilenet",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_resnet50_fpn_v2",
    "maskrcnn_mobilenet",
    "maskrcnn_resnet50_fpn_v2",
    "dfine_nano",
]


class TrainDetector(FitParams):
    """What detectors are trained by; a line adds its generator's and its augmentation's."""

    renamed: ClassVar[Mapping[str, str]] = {
        "pictures": "synthetic_images",
        "validation_pictures": "validation_images",
        "leavings": "epoch_dumps",
    }

    line: ClassVar[str]

    epochs: int = Field(5, ge=1, description="passes over the training set")
    batch_size: int = Field(2, ge=1, description="images a step on each device")
    weight_decay: float = Field(0.02, ge=0, description="on weights, not on norms and biases")
    clip_norm: float = Field(5.0, ge=0, description="gradient norm is clipped to it; 0: off")
    ema_decay: float = Field(0.95, ge=0, lt=1, description="average of the weights; 0: off")
    warmup: float = Field(
        0.1, ge=0, description="linear warm-up: share of all steps, or steps if 1 or more"
    )

    run: str = Field("", description="run's name; empty takes the time of day; same name resumes")
    data: str = Field(
        "synthetic", description="synthetic (nothing else), or labels: a folder or a file"
    )
    images: str = Field("", description="folder of data's images; empty: found beside the labels")
    usecase: str = Field("", description="of CSV versions in data; empty: none, or the only one")
    version: str = Field("latest", description="of CSV versions: latest, or a stamp")
    validation: float = Field(0.2, gt=0, lt=1, description="share of data's groups to validate on")
    test: float = Field(
        0.0, ge=0, lt=1, description="share of data's groups kept for evaluation, where it has none"
    )
    use_test: bool = Field(
        False, description="images that data sets apart for testing are used like all others"
    )
    folds: int = Field(
        0, ge=0, description="cross-validation: parts that are held back in turn; 0: off"
    )
    strict: bool = Field(
        False, description="errors in labels end the run; else bad boxes are left out"
    )
    own_share: float = Field(
        1.0, gt=0, le=1, description="share of an epoch's images from data, the others drawn"
    )
    synthetic_images: int = Field(
        60, ge=1, description="images an epoch; with data alone: all of its"
    )
    validation_images: int = Field(
        16, ge=1, description="drawn images to validate on; of data's, all are taken"
    )
    model: DetectorName = Field(
        "fasterrcnn_mobilenet",
        description="or fasterrcnn_resnet50_fpn_v2, dfine_nano ...; see rcnn.py",
    )
    init: str = Field("scratch", description="scratch, pretrained, reference, a run or a folder")
    size: int = Field(
        256,
        ge=96,
        le=4096,
        multiple_of=32,
        description="longer side of a image as the model sees it, px",
    )
    finest: int = Field(
        0, ge=0, description="stride of the model's finest map, small for small objects; 0: usual"
    )
    channels: int = Field(
        0,
        ge=0,
        le=512,
        multiple_of=16,
        description="of a small model's feature pyramid; 0: as init has it, else 96",
    )
    anchors: Literal["default", "data"] = Field(
        "default", description="default, or data: sizes and shapes from the boxes to train on"
    )
    first_stage: dict[str, float] = Field(
        default_factory=dict,
        description="of region proposals: nms_iou_threshold ...",
    )
    box_batch_size_per_image: int = Field(
        64, ge=1, description="proposals a image that the second stage learns from"
    )
    rpn_batch_size_per_image: int = Field(
        128, ge=2, description="anchors a image that the first stage learns from"
    )
    backbone_rate: float = Field(
        1.0, gt=0, le=1, description="learning rate of the backbone, as a share of the others'"
    )
    head_rate: float = Field(
        0.3,
        gt=0,
        le=1,
        description="learning rate of an R-CNN's fully connected layers, likewise",
    )
    scale_min: float = Field(
        0.7, gt=0, description="smallest scale of large-scale jitter; 1 fills the model's input"
    )
    scale_max: float = Field(1.4, gt=0, description="largest scale of large-scale jitter")
    photometric: float = Field(
        0.5, ge=0, le=1, description="share of images with light and colours changed"
    )
    copy_paste: float = Field(
        0.0, ge=0, le=1, description="share of images with objects pasted in from others"
    )
    mosaic: float = Field(0.0, ge=0, le=1, description="share of images put together of four")
    crop: int = Field(
        0,
        ge=0,
        multiple_of=32,
        description="side of parts of images to train on, px: for small objects; 0: whole ones",
    )
    epoch_dumps: int = Field(
        0,
        ge=0,
        description="images to draw after each epoch, beside loss.txt and predictions; 0: none",
    )
    max_bad: int = Field(20, ge=0, description="unusable images skipped before it stops")

    @property
    def has_masks(self) -> bool:
        """Whether the model learns outlines as well."""
        return self.model.startswith("maskrcnn")

    @field_validator("first_stage")
    @classmethod
    def _names_of_the_first_stage(cls, value: dict[str, float]) -> dict[str, float]:
        for usual, name in RPN_NAMES.items():
            if usual in value and name in value:
                raise ValueError(f"{usual!r} and {name!r} are the same, give one of them")
        value = {RPN_NAMES.get(name, name): number for name, number in value.items()}
        for name, number in value.items():
            if name == "stride":
                raise ValueError(
                    "'stride' is given by the backbone: its maps have the strides they have, and "
                    "there is an anchor at each of their places. For small objects raise 'size', "
                    "or lower 'finest'"
                )
            if name not in FIRST_STAGE:
                names = ", ".join((*FIRST_STAGE, *RPN_NAMES))
                raise ValueError(f"{name!r} is none of {names}")
            highest = 1.0 if name.startswith("nms_") else float("inf")
            lowest = 1.0 if name == "max_proposals" else 0.0
            if not lowest <= number <= highest:
                raise ValueError(f"{name} is {number}, expected {lowest:g} to {highest:g}")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        model = self.model
        if self.finest and self.finest not in FINEST.get(model, ()):
            choices = " or ".join(map(str, FINEST.get(model, ())))
            raise ValueError(
                f"finest {self.finest}: {model} "
                + (f"has {choices}" if choices else "leaves no choice, give 0")
            )
        if model.startswith("dfine") and (self.first_stage or self.anchors != "default"):
            raise ValueError(
                f"first_stage and anchors: {model} has no region proposal network, its decoder "
                "finds boxes without anchors; leave both as they are, or choose an R-CNN"
            )
        if self.channels and model not in SMALL:
            raise ValueError(
                f"channels {self.channels}: {model} leaves no choice, give 0; "
                f"{' and '.join(SMALL)} have one"
            )
        if self.use_test and (self.data == "synthetic" or self.usecase):
            raise ValueError("use_test: is for a folder or a file as 'data' that names splits")
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave nothing to train on: "
                "their sum must stay below 1"
            )
        if self.crop and (self.mosaic or self.crop > self.size):
            raise ValueError(
                f"crop {self.crop}: expected at most size {self.size}, and mosaic 0: a mosaic is "
                "of parts already"
            )
        if self.scale_min > self.scale_max:
            raise ValueError(f"scale_min {self.scale_min} is above scale_max {self.scale_max}")
        if self.folds == 1 or (self.folds and self.data == "synthetic"):
            raise ValueError("folds: expected 0, or 2 and more of the pictures of 'data'")
        if self.version != "latest" and not self.usecase:
            raise ValueError(f"version {self.version!r} needs the usecase in the files' names")
        return self


class PrepareDetection(Parameters):
    """What both lines' data sets are made by."""

    renamed: ClassVar[Mapping[str, str]] = {
        "pictures": "synthetic_images",
        "min_consent": "min_agreement",
        "consent_iou": "agreement_iou",
    }

    line: ClassVar[str]

    name: str = Field("demo", description="data set's name: outputs/data/<line>/<name>")
    source: Literal["synthetic", "auto", "coco", "csv", "voc", "yolo", "masks", "annotators"] = (
        Field("synthetic", description="or auto, coco, csv, voc, yolo, masks, annotators")
    )
    path: str = Field("", description="folder or file to import; not used by synthetic")
    images: str = Field("", description="folder of its images; empty: found by path")
    classes: list[str] = Field(
        default_factory=list, description="the only classes allowed, in order; empty: as found"
    )
    usecase: str = Field("", description="of CSV versions, read and written; empty: the only one")
    version: str = Field("latest", description="of CSV versions to read: latest, or a stamp")

    @field_validator("source", mode="before")
    @classmethod
    def _old_source(cls, value: Any) -> Any:
        if value != "labellers":
            return value
        warnings.warn(
            "source 'labellers' is called 'annotators' now; the old name goes with release 0.3",
            FutureWarning,
            stacklevel=2,
        )
        return "annotators"

    min_agreement: float = Field(
        0.6, gt=0, le=1, description="annotators: share of them that an object needs"
    )
    agreement_iou: float = Field(
        0.5, gt=0, le=1, description="annotators: overlap from which boxes are one object"
    )
    synthetic_images: int = Field(32, ge=3, description="images to generate")
    splits: Literal["source", "new"] = Field(
        "source", description="source: kept where it names them; new: drawn anew, by groups"
    )
    validation: float = Field(0.2, ge=0, lt=1, description="share of the validation split")
    test: float = Field(0.2, ge=0, lt=1, description="share of the test split")
    seed: int = Field(7, ge=0, description="seed of the generator and of the split")
    workers: int = Field(2, ge=0, description="processes that draw; 0 draws in this one")
    strict: bool = Field(
        False, description="errors in labels end the run; else bad boxes are left out"
    )
    max_bad: int = Field(20, ge=0, description="unusable images skipped before it stops")

    @property
    def shares(self) -> dict[str, float]:
        """Share of each split, empty ones left out."""
        kept = 1 - self.validation - self.test
        shares = {"train": kept, "validation": self.validation, "test": self.test}
        return {name: share for name, share in shares.items() if share > 0}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation {self.validation} and test {self.test} leave no pictures to train "
                "on: their sum must stay below 1"
            )
        if self.source != "synthetic" and not self.path:
            raise ValueError(f"source is {self.source!r}: parameter 'path' must name it")
        if self.version != "latest" and not (self.source == "csv" and self.usecase):
            raise ValueError(
                f"version {self.version!r}: needs source csv and the usecase in the files' names"
            )
        return self


class EvaluateDetection(Parameters):
    """What both lines' evaluations are told."""

    renamed: ClassVar[Mapping[str, str]] = {
        "pictures": "synthetic_images",
        "max_pictures": "max_images",
    }

    line: ClassVar[str]

    run: str = Field("latest", description="run to evaluate: latest, a name, a path or reference")
    data: str = Field(
        "trained", description="trained: what the run held back; synthetic; or a folder or file"
    )
    images: str = Field("", description="folder of data's images; empty: found beside the labels")
    part: Literal["test", "validation", "train", "all"] = Field(
        "test", description="of a folder: its test, validation or train split, or all"
    )
    synthetic_images: int = Field(
        24, ge=2, description="images to generate, where data is generated"
    )
    max_images: int = Field(
        0, ge=0, description="of a folder so many at most, evenly over it; 0: all"
    )
    seed: int = Field(2026, ge=0, description="of generated images, apart from training's")
    confidence: float = Field(
        0.0, ge=0, le=1, description="detections from it on are judged singly; 0: where F1 is best"
    )
    bootstrap: int = Field(
        200, ge=0, description="resamples of images or groups for intervals; 0: none"
    )
    worst: int = Field(6, ge=1, description="worst images to show")
    threads: int = Field(1, ge=1, description="threads of the models")
    max_bad: int = Field(20, ge=0, description="unreadable images skipped before it stops")
    description: str = Field("", description="what was tried, in a few words; for comparisons")


__getattr__ = moved_names(__name__)
