"""Pictures and the objects on them, in one form whichever file they came from.

Truth and predictions have the same form, so that what draws or counts one does so for the other.
Everything is in pixels of the upright picture, x to the right and y down; a pixel's left edge has
the number of its column, so that a box around the first pixel alone is (0, 0, 1, 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from sightbook.data.validation import Fingerprint, fingerprint

Points = NDArray[np.float32]

XYXY = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Box:
    """One object.

    Attributes:
        label: name of its class.
        xyxy: left, top, right, bottom.
        polygons: outlines of its parts, float32 ``[n, 2]`` each, n of 3 or more; empty where only
            the box is known.
        crowd: a group that nobody told apart; found objects in it are neither demanded nor
            punished.
        score: from 0 to 1 in predictions, None in truth.
        attributes: whatever else is known. On a casing: ``object_id``, ``legibility``, ``tokens``
            (list of str) and ``segments`` (list of ``{"text", "angle", "direction"}``: the middle
            of the text in degrees, 0 to the right, clockwise as seen; direction "outward",
            "inward" or "sideways").
    """

    label: str
    xyxy: XYXY
    polygons: tuple[Points, ...] = ()
    crowd: bool = False
    score: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def width(self) -> float:
        """Right minus left, pixels."""
        return self.xyxy[2] - self.xyxy[0]

    @property
    def height(self) -> float:
        """Bottom minus top, pixels."""
        return self.xyxy[3] - self.xyxy[1]

    @property
    def area(self) -> float:
        """Of the box, not of its outline, pixels²."""
        return self.width * self.height

    # the default comparison stops at arrays
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Box):
            return NotImplemented
        return (
            (self.label, self.xyxy, self.crowd, self.score, self.attributes)
            == (other.label, other.xyxy, other.crowd, other.score, other.attributes)
            and len(self.polygons) == len(other.polygons)
            and all(map(np.array_equal, self.polygons, other.polygons))
        )

    def __hash__(self) -> int:
        return hash((self.label, self.xyxy, self.crowd, self.score))


@dataclass(frozen=True)
class ImageRecord:
    """A picture and the objects on it.

    Attributes:
        name: the file's name relative to the folder of pictures, with ``/`` between folders.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        boxes: empty for a clean picture, which is data like any other.
        image: the picture's file; None where there is none.
        group: what must not be torn apart by a split (highway, board, session); empty for none.
        split: as the data set's own files say; empty where they do not.
        attributes: whatever else is known.
    """

    name: str
    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    image: Path | None = None
    group: str = ""
    split: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def with_boxes(self, boxes: Iterable[Box]) -> Self:
        """The same picture with other objects."""
        return replace(self, boxes=tuple(boxes))

    def to_dict(self) -> dict[str, Any]:
        """All but the file, exactly, as JSON can hold it; `from_dict` reads it."""
        boxes = [
            {**vars(box), "polygons": [polygon.tolist() for polygon in box.polygons]}
            for box in self.boxes
        ]
        return {**vars(self), "boxes": boxes, "image": None}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any], image: Path | None = None) -> Self:
        """The record that `to_dict` wrote, and its picture's file."""
        boxes = tuple(
            Box(
                **{
                    **box,
                    "xyxy": tuple(box["xyxy"]),
                    "polygons": tuple(np.array(polygon, np.float32) for polygon in box["polygons"]),
                }
            )
            for box in row["boxes"]
        )
        return cls(**{**row, "boxes": boxes, "image": image})


@dataclass(frozen=True)
class Annotations:
    """A data set: pictures and the names of all classes.

    Attributes:
        records: one per picture, clean ones among them.
        labels: names of the classes; a class's number is its place here (0 first).
        folder: where the data set lies; None for one that lies nowhere.
    """

    records: tuple[ImageRecord, ...]
    labels: tuple[str, ...]
    folder: Path | None = None

    def counts(self) -> dict[str, int]:
        """How many boxes each class has, crowds left out; 0 for a class without any."""
        found = dict.fromkeys(self.labels, 0)
        for record in self.records:
            for box in record.boxes:
                if not box.crowd:
                    found[box.label] = found.get(box.label, 0) + 1
        return found

    def clean(self) -> list[ImageRecord]:
        """Pictures without any box."""
        return [record for record in self.records if not record.boxes]

    def with_records(self, records: Iterable[ImageRecord]) -> Self:
        """The same classes and folder with other pictures."""
        return replace(self, records=tuple(records))

    def fingerprint(self) -> Fingerprint:
        """Over names, pictures and all objects; see `validation.fingerprint`."""
        return fingerprint(
            (record.name, record.image, [self.labels, record.group, _label(record)])
            for record in self.records
        )


def polygons_box(polygons: Iterable[Points]) -> XYXY:
    """The box around all polygons.

    Raises:
        ValueError: no polygon, or one without points.
    """
    points = np.concatenate([np.asarray(polygon, np.float32) for polygon in polygons])
    (left, top), (right, bottom) = points.min(0).tolist(), points.max(0).tolist()
    return left, top, right, bottom


def _label(record: ImageRecord) -> list[Any]:
    return [
        [box.label, box.xyxy, [p.tolist() for p in box.polygons], box.crowd, dict(box.attributes)]
        for box in record.boxes
    ]
