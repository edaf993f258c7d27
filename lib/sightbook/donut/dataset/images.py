"""Whole documents for training: what the finder learns on and whole-document lines are cut from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.donut.dataset.checks import dataset_fingerprint
from sightbook.donut.dataset.folder import Record, add_validation, read_folder
from sightbook.donut.dataset.prepare import write_synthetic
from sightbook.donut.params import TrainDonut
from sightbook.donut.zone.geometry import to_gray
from sightbook.params import resolve_path
from sightbook.runs.run import dataset_folder

SYNTHETIC_SIZE = (800, 600)


def training_folder(params: TrainDonut) -> dict[str, list[Record]]:
    """Records by split of the data set that `params` name; a synthetic one is drawn if need be."""
    if params.data == "synthetic":
        name = f"synthetic-{params.seed}-{params.documents}"
        folder = write_synthetic(
            dataset_folder("donut", name),
            params.documents,
            seed=params.seed,
            size=SYNTHETIC_SIZE,
            validation=0.1,
            test=0.0,
            workers=2,
        )
    else:
        folder = resolve_path(params.data)
    return add_validation(read_folder(folder))


@dataclass(frozen=True)
class Documents:
    """Whole documents to train and to validate on.

    Attributes:
        splits: records by split.
        fingerprint: of all of them.
    """

    splits: dict[str, list[Record]]
    fingerprint: dict[str, Any]


def training_documents(params: TrainDonut) -> Documents:
    """The data set that `params` name, read and hashed; a synthetic one is drawn if need be."""
    splits = training_folder(params)
    return Documents(splits, dataset_fingerprint(splits).to_dict())


@dataclass
class DocumentImages:
    """Grey pictures and line corners of records, opened when asked for.

    A picture that cannot be read is reported in `skipped` and the next readable one stands in.

    Attributes:
        records: records whose line quads are known, or that bear no zone.
        skipped: report of unreadable pictures; stops the run past its limit.
    """

    records: Sequence[Record]
    skipped: Skipped = field(default_factory=Skipped)

    def __post_init__(self) -> None:
        self.records = [record for record in self.records if _usable(record)]

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        record, image = self.opened(index)
        quads = record.quads
        return to_gray(image), np.zeros((0, 4, 2), np.float32) if quads is None else quads

    def opened(self, index: int) -> tuple[Record, NDArray[np.uint8]]:
        """The record at `index`, or the next readable one, and its RGB picture."""
        for step in range(len(self.records)):
            record = self.records[(index + step) % len(self.records)]
            try:
                return record, open_image(record.path)
            except ImageError as error:
                self.skipped.add(record.file_name, error.reason)
        raise ImageError(self.records[0].path.parent, "not one picture can be read")


def _usable(record: Record) -> bool:
    return record.quads is not None or record.mrz_lines == []
