"""What a person looks at before training on labels: counts, sizes, copies, leaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from sightbook.data.images import content_hash
from sightbook.data.validation import Report, find_leaks
from sightbook.detection.labels.annotations import Annotations, ImageRecord
from sightbook.figures.tables import Table

SIZES = (("small", 0.0, 32.0**2), ("medium", 32.0**2, 96.0**2), ("large", 96.0**2, float("inf")))
"""COCO's classes of sizes: name, least and greatest area in pixels²."""


def content_key(record: ImageRecord) -> str:
    """Hash of the picture's file; its name where there is no file. Copies have the same."""
    return content_hash(record.image) if record.image is not None else record.name


def split_leaks(splits: Mapping[str, Sequence[ImageRecord]]) -> Report:
    """Report each picture (by name and by content) and each group that is in several splits."""
    report = find_leaks(
        splits,
        key=content_key,
        group=lambda record: record.group or None,
        name=lambda record: record.name,
    )
    places: dict[str, dict[str, Path | None]] = {}
    for split, records in splits.items():
        for record in records:
            places.setdefault(record.name, {})[split] = record.image
    for name, sides in places.items():
        # of one file the content has told already
        if len(sides) > 1 and len(set(sides.values())) > 1:
            report.error("same name in two splits", name, f"is in {', '.join(sides)}")
    return report


def copies(annotations: Annotations) -> list[list[ImageRecord]]:
    """Pictures with the same content under several names, the largest sets first."""
    found: dict[str, list[ImageRecord]] = {}
    for record in annotations.records:
        found.setdefault(content_key(record), []).append(record)
    return sorted((group for group in found.values() if len(group) > 1), key=len, reverse=True)


def class_table(annotations: Annotations) -> Table:
    """A row per class: boxes, pictures, COCO's sizes, median side; one for clean pictures.

    A side is the square root of the box's area, pixels. Crowds are left out.
    """
    rows = []
    for label in annotations.labels:
        areas, images = [], 0
        for record in annotations.records:
            own = [box.area for box in record.boxes if box.label == label and not box.crowd]
            areas += own
            images += bool(own)
        row = {"class": label, "boxes": len(areas), "images": images}
        row |= {name: sum(low <= area < high for area in areas) for name, low, high in SIZES}
        rows.append(row | {"median side": round(median(areas) ** 0.5, 1) if areas else ""})
    rows.append({"class": "(clean)", "boxes": 0, "images": len(annotations.clean())})
    return Table(rows)


def box_sides(annotations: Annotations) -> dict[str, list[float]]:
    """Square root of each box's area in pixels, by class: what a size histogram shows."""
    sides: dict[str, list[float]] = {label: [] for label in annotations.labels}
    for record in annotations.records:
        for box in record.boxes:
            if not box.crowd:
                sides[box.label].append(box.area**0.5)
    return sides
