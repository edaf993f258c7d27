"""One truth from several annotators: boxes matched by IoU, kept by agreement, averaged.

Boxes of different annotators are one object if each two of them overlap enough; each annotator has
at most one box of an object. Its class is the one most of them chose. The object is kept if the
share of annotators who saw it, of those who labelled the image, reaches the agreement asked for.
Whatever falls out is listed, to be looked at by eye.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sightbook.data.validation import DataError
from sightbook.detection.labels.annotations import Annotations, Box, ImageRecord, Points
from sightbook.detection.labels.masks import mask_polygons, moved, polygons_mask
from sightbook.figures.tables import Table
from sightbook.metrics.polygons import box_iou, box_overlaps

Vote = tuple[str, Box]
"""Who drew a box, and the box."""


@dataclass(frozen=True)
class FallenOut:
    """An object that was not kept.

    Attributes:
        name: of the picture.
        box: averaged over those who saw it, with the class that most of them chose.
        annotators: who saw it.
        agreement: share of those who chose its class, of all who labelled the picture.
        reason: in a few words.
    """

    name: str
    box: Box
    annotators: tuple[str, ...]
    agreement: float
    reason: str


@dataclass(frozen=True)
class Consensus:
    """What several annotators agree on.

    Attributes:
        annotations: all pictures that anybody labelled; ``agreement`` and ``annotators`` are among
            the attributes of each box.
        agreement: a row for each two annotators, see `agreement`.
        fallen_out: the objects that were not kept.
    """

    annotations: Annotations
    agreement: Table
    fallen_out: list[FallenOut]


def consensus(
    annotators: Mapping[str, Annotations], *, iou: float = 0.5, min_agreement: float = 0.6
) -> Consensus:
    """Unite the labels of several people.

    Args:
        annotators: name -> what this person labelled. Pictures are the same by name; who has no
            record of a picture did not label it, who has one without boxes called it clean.
        iou: boxes that overlap by so much may be one object, from 0 to 1.
        min_agreement: share of a picture's annotators an object needs, from 0 to 1. The default
            asks for 2 of 2, 2 of 3, 3 of 4 and 3 of 5.

    Raises:
        DataError: the annotators had pictures of different sizes under one name.
        ValueError: no annotators, or a threshold that is not above 0 and up to 1.
    """
    if not annotators:
        raise ValueError("no annotators, expected at least one")
    for name, value in (("iou", iou), ("min_agreement", min_agreement)):
        if not 0 < value <= 1:
            raise ValueError(f"{name} is {value}, expected more than 0 and up to 1")
    fallen: list[FallenOut] = []
    records = []
    for seen in _by_image(annotators).values():
        votes = [(who, box) for who, record in seen.items() for box in record.boxes]
        kept = []
        for group in clusters(votes, iou):
            box, share, reason = _united(group, len(seen), min_agreement)
            if reason:
                who = tuple(name for name, _ in group)
                fallen.append(FallenOut(next(iter(seen.values())).name, box, who, share, reason))
            else:
                kept.append(box)
        records.append(_record(list(seen.values()), kept))
    labels = dict.fromkeys(label for part in annotators.values() for label in part.labels)
    folder = next(iter(annotators.values())).folder
    united = Annotations(tuple(records), tuple(labels), folder)
    return Consensus(united, agreement(annotators, iou=iou), fallen)


def agreement(annotators: Mapping[str, Annotations], *, iou: float = 0.5) -> Table:
    """How far each two annotators agree on the pictures that both labelled.

    Columns: ``boxes`` of each; ``matched``, pairs of boxes that overlap by `iou`, whatever their
    class; ``agreement``, twice that by all boxes of both (F1, either as truth); ``mean IoU`` of
    the pairs; ``same class``, their share; ``same verdict``, share of pictures that both call
    clean or both do not. A share of nothing stays empty.
    """
    images = _by_image(annotators)
    rows = []
    for first, second in itertools.combinations(annotators, 2):
        boxes, shared, pairs = [0, 0], 0, []
        verdicts = 0
        for seen in images.values():
            if first not in seen or second not in seen:
                continue
            shared += 1
            mine, other = seen[first].boxes, seen[second].boxes
            verdicts += bool(mine) == bool(other)
            boxes = [boxes[0] + len(mine), boxes[1] + len(other)]
            votes = [(first, box) for box in mine] + [(second, box) for box in other]
            pairs += [(g[0][1], g[1][1]) for g in clusters(votes, iou) if len(g) == 2]
        overlaps = [box_iou(a.xyxy, b.xyxy) for a, b in pairs]
        rows.append(
            {
                "annotators": f"{first}, {second}",
                "images": shared,
                "boxes": f"{boxes[0]}, {boxes[1]}",
                "matched": len(pairs),
                "agreement": _share(2 * len(pairs), sum(boxes)),
                "mean IoU": _share(sum(overlaps), len(pairs)),
                "same class": _share(sum(a.label == b.label for a, b in pairs), len(pairs)),
                "same verdict": _share(verdicts, shared),
            }
        )
    return Table(rows)


def clusters(votes: Sequence[Vote], iou: float) -> list[list[Vote]]:
    """Group boxes of one picture by object, the pairs that overlap most first.

    In a group each two boxes overlap by `iou`, and no two are of one annotator. Crowds are grouped
    with crowds only.
    """
    corners = [box.xyxy for _, box in votes]
    values = box_overlaps(corners, corners).iou
    overlaps = {}
    for a, b in itertools.combinations(range(len(votes)), 2):
        (who, box), (other, their) = votes[a], votes[b]
        if who != other and box.crowd == their.crowd and values[a, b] >= iou:
            overlaps[a, b] = float(values[a, b])
    group_of = {number: [number] for number in range(len(votes))}
    for a, b in sorted(overlaps, key=lambda pair: -overlaps[pair]):
        first, second = group_of[a], group_of[b]
        if first is not second and all(
            (min(pair), max(pair)) in overlaps for pair in itertools.product(first, second)
        ):
            first.extend(second)
            for number in second:
                group_of[number] = first
    groups = {id(group): sorted(group) for group in group_of.values()}
    return [[votes[number] for number in group] for group in groups.values()]


def _united(group: list[Vote], count: int, min_agreement: float) -> tuple[Box, float, str]:
    """The group's box, the consent on it, and why it falls out (empty if it does not)."""
    (label, votes), *others = Counter(box.label for _, box in group).most_common()
    chosen = [(who, box) for who, box in group if box.label == label]
    xyxy = np.mean([box.xyxy for _, box in chosen], axis=0).tolist()
    left, top, right, bottom = xyxy
    share = votes / count
    attributes = dict(chosen[0][1].attributes)
    attributes |= {"agreement": round(share, 3), "annotators": [who for who, _ in chosen]}
    box = replace(
        chosen[0][1],
        xyxy=(left, top, right, bottom),
        polygons=_common_outline([box for _, box in chosen]),
        attributes=attributes,
    )
    reason = ""
    if others and others[0][1] == votes:
        reason = f"classes tied: {', '.join(sorted(box.label for _, box in group))}"
    elif share < min_agreement - 1e-9:
        reason = f"seen by {len(group)} of {count}"
        if len(group) > votes:
            reason += f", as {label} by {votes}"
    return box, share, reason


def _common_outline(boxes: Sequence[Box]) -> tuple[Points, ...]:
    """Around the pixels that more than half of the outlines hold; none if any box lacks one."""
    if not all(box.polygons for box in boxes):
        return ()
    if len(boxes) == 1:
        return boxes[0].polygons
    points = np.concatenate([polygon for box in boxes for polygon in box.polygons])
    left, top = np.floor(points.min(0)).astype(int).tolist()
    width, height = (np.ceil(points.max(0)).astype(int) - (left, top)).tolist()
    masks = [
        polygons_mask([moved(polygon, -left, -top) for polygon in box.polygons], width, height)
        for box in boxes
    ]
    inside = np.sum(masks, axis=0) * 2 > len(boxes)
    return tuple(moved(polygon, left, top) for polygon in mask_polygons(inside))


def _by_image(annotators: Mapping[str, Annotations]) -> dict[str, dict[str, ImageRecord]]:
    """Picture -> annotator -> record."""
    found: dict[str, dict[str, ImageRecord]] = {}
    for who, part in annotators.items():
        for record in part.records:
            found.setdefault(record.name, {})[who] = record
    for name, seen in found.items():
        sizes = {(record.width, record.height) for record in seen.values()}
        if len(sizes) > 1:
            listed = ", ".join(f"{r.width} x {r.height} ({who})" for who, r in seen.items())
            raise DataError(f"{name}: annotators had pictures of different sizes: {listed}")
    return found


def _record(records: Sequence[ImageRecord], boxes: Sequence[Box]) -> ImageRecord:
    first = records[0]
    return replace(
        first,
        boxes=tuple(boxes),
        group=next((record.group for record in records if record.group), ""),
        split=next((record.split for record in records if record.split), ""),
    )


def _share(part: float, whole: float) -> float | str:
    return part / whole if whole else ""
