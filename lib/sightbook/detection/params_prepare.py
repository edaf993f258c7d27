"""Parameters of `01_prepare_defects` and `01_prepare_headstamps`."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from sightbook.params import Parameters


class PrepareDetection(Parameters):
    """What both lines' data sets are made by."""

    line: ClassVar[str]

    name: str = Field("demo", description="data set's name: outputs/data/<line>/<name>")
    source: Literal["synthetic", "auto", "coco", "csv", "voc", "yolo", "masks", "labellers"] = (
        Field("synthetic", description="or auto, coco, csv, voc, yolo, masks, labellers")
    )
    path: str = Field("", description="folder or file to import; not used by synthetic")
    images: str = Field("", description="folder of its pictures; empty: found by path")
    classes: list[str] = Field(
        default_factory=list, description="the only classes allowed, in order; empty: as found"
    )
    usecase: str = Field("", description="of CSV versions, read and written; empty: the only one")
    version: str = Field("latest", description="of CSV versions to read: latest, or a stamp")
    min_consent: float = Field(
        0.6, gt=0, le=1, description="labellers: share of them that an object needs"
    )
    consent_iou: float = Field(
        0.5, gt=0, le=1, description="labellers: overlap from which boxes are one object"
    )
    pictures: int = Field(32, ge=3, description="pictures to generate")
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
    max_bad: int = Field(20, ge=0, description="unusable pictures skipped before it stops")

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


class PrepareDefects(PrepareDetection):
    """`01_prepare_defects`: make or import surfaces with boxes, check and split them."""

    line: ClassVar[str] = "defects"

    kind: Literal["road", "asphalt", "concrete", "board", "plate"] = Field(
        "road", description="of generated surface: road, asphalt, concrete, board or plate (easy)"
    )
    side: int = Field(320, ge=0, description="longer side of generated pictures, px; 0: the usual")
    clean: float = Field(0.3, ge=0, le=1, description="share of generated pictures without defect")


class PrepareHeadstamps(PrepareDetection):
    """`01_prepare_headstamps`: make or import cartridge bases, check and split them."""

    line: ClassVar[str] = "headstamps"

    side: int = Field(640, ge=96, description="longer side of generated pictures, px")
