"""What became of each true box and of each detection: the kinds of errors behind the figures.

Detections are dealt with from the most confident on. One is *correct* where it overlaps a true box
of its class that is still free by an IoU of 0.5. The others are told apart much as by Bolya et al.
2020, "TIDE", section 3.2: *duplicate* on a box of its class that is taken, *misclassed* on a box of
another class, *mislocated* near a box of its class (an IoU of 0.1), or *false*. A true box that no
detection found or explains is *missed*.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord
from sightbook.detection.metrics.scoring import Found, check_found

IOU, NEARBY = 0.5, 0.1

ERRORS = ("missed", "false", "mislocated", "misclassed", "duplicate")
"""Kinds of errors, as `count_errors` gives them."""


@dataclass(frozen=True)
class MatchOutcome:
    """What became of a true box or of a detection.

    Attributes:
        box: the true box or the detection.
        outcome: of a detection ``correct`` or one of :data:`ERRORS` but ``missed``, or
            ``ignored`` in a crowd; of a true box ``correct``, ``misclassed``, ``mislocated`` or
            ``missed``.
        other: the box at the other side that explains it.
        iou: of the two; 0 without another.
    """

    box: Box
    outcome: str
    other: Box | None = None
    iou: float = 0.0


@dataclass(frozen=True)
class ImageErrors:
    """Fates on one image; those of detections from the most confident on."""

    record: ImageRecord
    truths: tuple[MatchOutcome, ...]
    detections: tuple[MatchOutcome, ...]

    @property
    def wrong(self) -> int:
        """Number of errors: missed boxes, and detections that are neither correct nor ignored."""
        return sum(count_errors([self]).values())


def coco_iou(boxes: Sequence[Box], others: Sequence[Box]) -> NDArray[np.float64]:
    """IoU of every pair ``[n, m]``; with a crowd among `others` the share of the box inside it."""
    from pycocotools import mask

    if not boxes or not others:
        return np.zeros((len(boxes), len(others)))
    sides = [
        np.array([[b.xyxy[0], b.xyxy[1], b.width, b.height] for b in side], np.float64)
        for side in (boxes, others)
    ]
    return np.asarray(mask.iou(*sides, [int(box.crowd) for box in others]))


def find_errors(
    truth: Annotations, found: Found, *, confidence: float, iou: float = IOU
) -> list[ImageErrors]:
    """Fates of all boxes, image by image.

    Args:
        truth: all images that were predicted.
        found: detections of each, with scores.
        confidence: detections below it are left out.
        iou: that a detection needs to have found a box, above :data:`NEARBY`.

    Raises:
        ValueError: see `scoring.check_found`.
    """
    check_found(truth, found)
    return [
        _image_errors(
            record, [b for b in found[record.name] if (b.score or 0.0) >= confidence], iou
        )
        for record in truth.records
    ]


def count_errors(errors: Sequence[ImageErrors]) -> dict[str, int]:
    """How many errors of each kind of :data:`ERRORS` there are."""
    outcomes = Counter(outcome.outcome for image in errors for outcome in image.detections)
    outcomes["missed"] = sum(
        outcome.outcome == "missed" for image in errors for outcome in image.truths
    )
    return {name: outcomes[name] for name in ERRORS}


def confusion_matrix(errors: Sequence[ImageErrors], labels: Sequence[str]) -> NDArray[np.int64]:
    """Confusions of classes, with background as the last row and column.

    Each true box stands once in its class's row: in the column of the class that it was found as,
    or in the last one. Each detection that tells of no true box stands in the last row.

    Returns:
        int64 ``[classes + 1, classes + 1]``, truth by prediction; the last entry is 0.
    """
    place = {label: k for k, label in enumerate(labels)}
    background = len(labels)
    matrix = np.zeros((background + 1, background + 1), np.int64)
    for image in errors:
        told: set[int] = set()
        for outcome in image.truths:
            column = background
            if outcome.outcome in ("correct", "misclassed") and outcome.other is not None:
                column = place[outcome.other.label]
                told.add(id(outcome.other))
            matrix[place[outcome.box.label], column] += 1
        for outcome in image.detections:
            if outcome.outcome != "ignored" and id(outcome.box) not in told:
                matrix[background, place[outcome.box.label]] += 1
    return matrix


def _image_errors(record: ImageRecord, found: Sequence[Box], iou: float) -> ImageErrors:
    detections = sorted(found, key=lambda box: -(box.score or 0.0))
    truths = [box for box in record.boxes if not box.crowd]
    crowds = [box for box in record.boxes if box.crowd]
    overlap = coco_iou(detections, truths)
    crowded = coco_iou(detections, crowds)
    same = np.array([[d.label == t.label for t in truths] for d in detections], bool)
    same = same.reshape(len(detections), len(truths))
    own, foreign = np.where(same, overlap, 0.0), np.where(same, 0.0, overlap)
    outcomes: list[MatchOutcome | None] = [None] * len(detections)
    told: dict[int, MatchOutcome] = {}
    for k, box in enumerate(detections):
        free = np.array([t not in told for t in range(len(truths))], bool)
        t, reached = _best(np.where(free, own[k], 0.0))
        if reached >= iou:
            outcomes[k] = MatchOutcome(box, "correct", truths[t], reached)
            told[t] = MatchOutcome(truths[t], "correct", box, reached)
    # Only once all are found can be said which boxes are left to be explained by an error.
    for k, box in enumerate(detections):
        if outcomes[k] is None:
            outcomes[k] = _error(box, truths, own[k], foreign[k], iou)
            if any(c.label == box.label and crowded[k, n] >= iou for n, c in enumerate(crowds)):
                outcomes[k] = MatchOutcome(box, "ignored")
    for kind, near in (("misclassed", foreign), ("mislocated", own)):
        for k, outcome in enumerate(outcomes):
            if outcome is None or outcome.outcome != kind:
                continue
            free = np.array([t not in told for t in range(len(truths))], bool)
            t, reached = _best(np.where(free, near[k], 0.0))
            if reached >= (iou if kind == "misclassed" else NEARBY):
                told[t] = MatchOutcome(truths[t], kind, outcome.box, reached)
    return ImageErrors(
        record,
        tuple(told.get(t, MatchOutcome(box, "missed")) for t, box in enumerate(truths)),
        tuple(outcome for outcome in outcomes if outcome is not None),
    )


def _error(
    box: Box,
    truths: Sequence[Box],
    own: NDArray[np.float64],
    foreign: NDArray[np.float64],
    iou: float,
) -> MatchOutcome:
    (mine, reached), (other, touched) = _best(own), _best(foreign)
    if reached >= iou:
        return MatchOutcome(box, "duplicate", truths[mine], reached)
    if touched >= iou:
        return MatchOutcome(box, "misclassed", truths[other], touched)
    if reached >= NEARBY:
        return MatchOutcome(box, "mislocated", truths[mine], reached)
    return MatchOutcome(box, "false")


def _best(overlaps: NDArray[np.float64]) -> tuple[int, float]:
    if not len(overlaps):
        return -1, 0.0
    place = int(overlaps.argmax())
    return place, float(overlaps[place])
