"""What all figures of detections share: what goes in, and what is refused.

An image that nobody looked at must not count as one on which nothing was found, so every record
needs its entry among the detections, empty where the model found nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Annotations, Box
from sightbook.metrics.bootstrap import resample

Found = Mapping[str, Sequence[Box]]
"""Detections by the name of their record."""


def check_found(truth: Annotations, found: Found) -> None:
    """Refuse what cannot be counted honestly.

    Raises:
        ValueError: records of one name; a record without an entry in `found` or an entry without
            a record; a class that `truth.labels` does not hold; a box with a corner that is no
            number or lies above or left of the first; a true box without area; a detection without
            a score from 0 to 1.
    """
    names = [record.name for record in truth.records]
    known = set(names)
    _refuse((name for name, n in Counter(names).items() if n > 1), "records bear the same name")
    _refuse(
        (name for name in names if name not in found),
        "records have no entry among the detections: give an empty list where nothing was found, "
        "and leave records out of the truth that were not predicted",
    )
    _refuse((name for name in found if name not in known), "entries of detections have no record")
    for record in truth.records:
        for box in record.boxes:
            _check_box(record.name, "true box", box, truth.labels)
            if box.width <= 0 or box.height <= 0:
                raise ValueError(f"{record.name}: true box {box.xyxy} has no area")
        for box in found[record.name]:
            _check_box(record.name, "detection", box, truth.labels)
            if box.score is None or not 0 <= box.score <= 1:
                raise ValueError(
                    f"{record.name}: detection {box.xyxy} has the score {box.score}, expected a "
                    "number from 0 to 1"
                )


def resample_images(
    images: int, units: Sequence[str] | None, resamples: int, seed: int = 0
) -> NDArray[np.int64]:
    """How often each image is drawn in each resample; see `bootstrap.resample`.

    Args:
        images: number of images.
        units: of each image the unit that is drawn as a whole (its highway or board, where images
            of one resemble each other; an empty text is a unit of its own); None draws images.
        resamples: number of resamples.
        seed: of the draws.

    Returns:
        Counts ``[resamples, images]``; no rows if there are fewer than two units.

    Raises:
        ValueError: `units` is not as long as there are images.
    """
    if units is not None and len(units) != images:
        raise ValueError(f"{len(units)} units for {images} images, expected one for each")
    return resample([""] * images if units is None else units, resamples, seed)


def _check_box(name: str, what: str, box: Box, labels: Sequence[str]) -> None:
    if box.label not in labels:
        raise ValueError(
            f"{name}: {what} of class {box.label!r}; the classes are {', '.join(labels) or 'none'}"
        )
    x0, y0, x1, y1 = box.xyxy
    if not all(map(math.isfinite, box.xyxy)) or x1 < x0 or y1 < y0:
        raise ValueError(
            f"{name}: {what} {box.xyxy} is no box, expected left, top, right, bottom in pixels"
        )


def _refuse(names: Iterable[str], reason: str) -> None:
    bad = list(names)
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise ValueError(f"{len(bad)} {reason} ({', '.join(bad[:5])}{more})")
