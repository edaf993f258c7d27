"""Parameters of `01_prepare_ocr`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from sightbook.params import Parameters


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
