"""Parameters of the document-type notebooks: one model a notebook."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from sightbook.inference.export import ExportModel
from sightbook.params import Parameters
from sightbook.training.params import FitParams

Level = Literal["easy", "medium", "hard", "wild", "mixed"]


class PrepareDocclass(Parameters):
    """`01_prepare_docclass`: make or import a folder of templates, find families, split it."""

    name: str = Field("demo", description="data set's name: outputs/data/docclass/<name>")
    source: Literal["synthetic", "folder"] = Field(
        "synthetic", description="synthetic, or folder: a image a class, a sub-folder a class"
    )
    path: str = Field("", description="folder of templates to import; not used by synthetic")
    templates: int = Field(120, ge=6, description="templates to generate")
    long_side: int = Field(480, ge=96, le=4000, description="long side of generated templates, px")
    calibration: float = Field(
        0.2, ge=0, lt=1, description="share of classes that set the threshold, never trained on"
    )
    test: float = Field(0.2, ge=0, lt=1, description="share of classes that figures are from")
    seed: int = Field(7, ge=0, description="seed of the generator and of the split")
    workers: int = Field(2, ge=0, description="processes that draw; 0 draws in this one")
    max_bad: int = Field(
        20, ge=0, description="unreadable templates that are skipped before it stops"
    )

    @model_validator(mode="after")
    def _some_to_train_on(self) -> Self:
        if self.calibration + self.test >= 1:
            raise ValueError(
                f"calibration {self.calibration} and test {self.test} leave no classes to "
                "train on: their sum must stay below 1"
            )
        return self


class TrainDocclass(FitParams):
    """`02_train_docclass`: train an embedding that keeps document types apart."""

    shown: ClassVar[tuple[str, ...]] = (
        "run",
        "data",
        "templates",
        "extra",
        "init",
        "backbone",
        "dim",
        "head",
        "margin",
        "views",
        "epochs",
        "batch_size",
        "learning_rate",
        "devices",
        "seed",
    )

    epochs: int = Field(5, ge=1, description="passes over the training set")
    batch_size: int = Field(64, ge=2, description="views a step on each device")
    learning_rate: float = Field(5e-3, gt=0, description="peak learning rate of AdamW")
    weight_decay: float = Field(0.05, ge=0, description="on weights, not on norms and biases")
    clip_norm: float = Field(5.0, ge=0, description="gradient norm is clipped to it; 0: off")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="average of the weights; 0: off")
    precision: Literal["auto", "32", "bf16-mixed", "16-mixed"] = Field(
        "32", description="32 is fastest for this network on a CPU; auto takes bf16 on a GPU"
    )

    run: str = Field("", description="run's name; empty takes the time of day; same name resumes")
    data: str = Field("synthetic", description="synthetic (nothing else), or a folder of templates")
    templates: int = Field(200, ge=0, description="generated templates, each a class, beside data")
    extra: str = Field("", description="folder of any images, each one more class; empty: none")
    extra_classes: int = Field(10_000, ge=1, description="at most so many of them")
    own_share: float = Field(
        0.5, ge=0, le=1, description="share of views from the classes of data, not generated ones"
    )
    calibration: float = Field(0.2, ge=0, lt=1, description="share of data's classes held back")
    test: float = Field(0.2, ge=0, lt=1, description="share of data's classes held back")
    turns: bool = Field(False, description="turns by 90, 180 and 270 degrees are classes too")
    init: str = Field(
        "scratch", description="scratch, reference, pretrained (timm), a run or a folder"
    )
    backbone: str = Field("lcnet_050", description="timm's name of the backbone")
    dim: int = Field(128, ge=8, le=1024, description="length of the embedding")
    squeeze: int = Field(
        0, ge=0, description="channels before the 4x4 map is flattened; 0: all of them"
    )
    head: Literal["cosface", "arcface", "subcenter_arcface", "sampled_cosface"] = Field(
        "cosface", description="cosface, arcface, subcenter_arcface or sampled_cosface"
    )
    margin: float = Field(
        0.3, ge=0, le=90, description="cosface: off the cosine; arcface: degrees, about 28.6"
    )
    margin_warmup: float = Field(
        0.3, ge=0, le=1, description="share of the run over which the margin grows from 0"
    )
    scale: float = Field(24.0, gt=0, description="of the cosines before the softmax")
    sub_centers: int = Field(3, ge=2, description="centres a class, subcenter_arcface only")
    sampled: int = Field(2000, ge=2, description="classes compared with, sampled_cosface only")
    views: int = Field(3200, ge=16, description="views an epoch, drawn evenly over the classes")
    level: Level = Field(
        "mixed", description="training's views: easy, medium, hard, wild, or mixed of all four"
    )
    curriculum: float = Field(
        0.4, ge=0, le=1, description="share of the run over which mixed views grow to full hardness"
    )
    validation_classes: int = Field(60, ge=2, description="unseen generated classes to validate on")
    validation_views: int = Field(8, ge=2, description="views of each of them")
    max_bad: int = Field(20, ge=0, description="unreadable templates skipped before it stops")

    @property
    def shares(self) -> dict[str, float]:
        """Share of each split of `data`, empty ones left out."""
        kept = 1 - self.calibration - self.test
        shares = {"train": kept, "calibration": self.calibration, "test": self.test}
        return {name: share for name, share in shares.items() if share > 0}

    @model_validator(mode="after")
    def _head_fits(self) -> Self:
        if self.calibration + self.test >= 1:
            raise ValueError(
                f"calibration {self.calibration} and test {self.test} leave no classes to "
                "train on: their sum must stay below 1"
            )
        cosine = self.head in ("cosface", "sampled_cosface")
        if cosine and self.margin >= 1:
            raise ValueError(
                f"margin {self.margin}: {self.head} takes it off the cosine, so it must be below 1 "
                "(0.3 is usual); only ArcFace's is in degrees"
            )
        if not cosine and 0 < self.margin < 1:
            raise ValueError(
                f"margin {self.margin}: {self.head} takes degrees (28.6 is the usual 0.5 radians)"
            )
        if self.data == "synthetic" and self.templates < 2:
            raise ValueError(f"templates {self.templates}: data is synthetic, so 2 or more")
        return self


class EvaluateDocclass(Parameters):
    """`03_evaluate_docclass`: how well unseen types are told apart; sets the threshold."""

    run: str = Field("latest", description="run to evaluate: latest, a name, a path or reference")
    data: str = Field(
        "trained", description="trained: the run's own; synthetic; or a folder of templates"
    )
    templates: int = Field(
        120, ge=8, description="generated types: to test on if data is synthetic, to calibrate with"
    )
    views: int = Field(8, ge=2, description="views of each type")
    level: Level = Field(
        "hard", description="how hard the views are: easy, medium, hard, wild, mixed"
    )
    fpr: float = Field(
        0.01, gt=0, lt=1, description="share of unknown types the threshold may let through"
    )
    seed: int = Field(2026, ge=0, description="of views and types, apart from training's")
    bootstrap: int = Field(200, ge=20, description="resamples of the classes for intervals")
    worst: int = Field(8, ge=1, description="hardest confusions to show")
    max_bad: int = Field(20, ge=0, description="unreadable templates skipped before it stops")


class ExportDocclass(ExportModel):
    """`04_export` of this line: what all lines take, and the graph's names and shapes."""

    line: Literal["docclass"] = Field("docclass", description="line whose run is exported")
    onnx: dict[str, Any] = Field(
        default_factory=dict, description="input_shape, input_names, options ... of ONNX"
    )
