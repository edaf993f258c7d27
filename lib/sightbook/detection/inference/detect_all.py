"""A model let loose on all pictures of a set whose boxes are known."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageError, Skipped, open_image
from sightbook.data.validation import DataError
from sightbook.detection.inference.predict import UNCALIBRATED
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.metrics.coco import ALL, BoxEvaluation
from sightbook.detection.params import EvaluateDetection

Image = NDArray[np.uint8]
Detect = Callable[[Image], Sequence[Box]]

FEWEST_GROUPS = 8
"""Groups from which intervals are drawn over them; over pictures where there are fewer."""


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found on pictures whose boxes are known.

    Attributes:
        truth: the pictures that could be read, and their boxes.
        found: detections of each.
        seconds: that each took, on the wall's clock.
    """

    truth: Annotations
    found: dict[str, tuple[Box, ...]]
    seconds: list[float]

    @property
    def units(self) -> list[str] | None:
        """What intervals are drawn over: groups, or pictures (None) where there are few groups."""
        groups = [record.group for record in self.truth.records]
        return groups if len(set(groups)) >= FEWEST_GROUPS else None

    @property
    def seconds_per_image(self) -> float:
        """Their median."""
        return float(np.median(self.seconds)) if self.seconds else 0.0


def detect_all(images: Annotations, detect: Detect, skipped: Skipped) -> Detections:
    """Let a model look at all pictures.

    Args:
        images: with their files.
        detect: the model.
        skipped: takes pictures that cannot be read or that the model refuses; left out.

    Raises:
        DataError: none is left.
        TooManySkipped: more are left out than are allowed.
    """
    kept: list[ImageRecord] = []
    found: dict[str, tuple[Box, ...]] = {}
    seconds: list[float] = []
    for record in images.records:
        try:
            if record.image is None:
                raise ValueError("its picture is missing")
            image = open_image(record.image)
            started = time.perf_counter()
            boxes = detect(image)
        except ValueError as error:  # ImageError is one
            reason = error.reason if isinstance(error, ImageError) else str(error)
            skipped.add(record.image or record.name, reason)
            continue
        seconds.append(time.perf_counter() - started)
        kept.append(record)
        found[record.name] = tuple(boxes)
    if not kept:
        raise DataError(f"no picture is left to evaluate on\n{skipped.text()}")
    return Detections(images.with_records(kept), found, seconds)


def singled_out(params: EvaluateDetection, boxes: BoxEvaluation) -> float:
    """Confidence from which detections are judged singly: as asked for, or where F1 is best."""
    best, _ = boxes.curves[ALL].best
    return params.confidence or (best if np.isfinite(best) else UNCALIBRATED)
