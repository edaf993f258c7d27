"""From what a file says to what can be trained on: pictures found, boxes held against them.

A reader of a format gives drafts: names, sizes and boxes as they are written. Here each draft meets
its picture, relative coordinates become pixels, and what is wrong goes into the report; a box that
cannot be mended is left out, never the whole data set.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from sightbook.data.find_files import ImageFinder
from sightbook.data.images import ImageError, Skipped, image_size
from sightbook.data.validation import Report
from sightbook.detection.labels.annotations import XYXY, Box, ImageRecord, Points, polygons_box
from sightbook.metrics.polygons import box_iou

MIN_SIDE = 8
"""Smaller pictures, in pixels, show nothing that could be inspected."""

SPLIT_NAMES = {"train": "train", "training": "train", "val": "validation", "valid": "validation",
               "validation": "validation", "dev": "validation", "test": "test",
               "testing": "test"}  # fmt: skip


@dataclass
class DraftBox:
    """An object as a file has it.

    Attributes:
        label: name of its class.
        xyxy: as written; None where only an outline is known.
        polygons: outlines as written.
        where: file, and row or id, for the report.
        relative: whether coordinates are shares of the picture's width and height.
        crowd: see `annotations.Box`.
        score: see `annotations.Box`.
        attributes: see `annotations.Box`.
    """

    label: str
    xyxy: Sequence[float] | None
    polygons: Sequence[Points] = ()
    where: str = ""
    relative: bool = False
    crowd: bool = False
    score: float | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Draft:
    """A picture as a file has it.

    Attributes:
        names: what it may be called, the likeliest first: file names, paths or URLs, with or
            without suffix.
        where: the file that says so.
        boxes: its objects.
        size: width and height as written; None where they are not.
        group: see `annotations.ImageRecord`.
        split: see `annotations.ImageRecord`.
        attributes: see `annotations.ImageRecord`.
    """

    names: tuple[str, ...]
    where: Path
    boxes: list[DraftBox] = field(default_factory=list)
    size: tuple[float, float] | None = None
    group: str = ""
    split: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Drafts:
    """All pictures of a file or folder, and the names of its classes in order."""

    images: list[Draft]
    labels: list[str]


def split_of(path: PurePosixPath | Path) -> str:
    """The split a path names (``images/train/1.jpg``, ``instances_val2017.json``); else empty."""
    stem_words = [word for word in re.split(r"[^a-z]+", path.stem.casefold()) if word]
    for word in [part.casefold() for part in reversed(path.parts[:-1])]:
        if word.rstrip("0123456789") in SPLIT_NAMES:
            return SPLIT_NAMES[word.rstrip("0123456789")]
    if path.suffix in (".json", ".csv"):  # a picture called test_17.jpg is of no split
        return next((SPLIT_NAMES[word] for word in stem_words if word in SPLIT_NAMES), "")
    return ""


def checked_records(
    drafts: Drafts, images: ImageFinder, *, report: Report, skipped: Skipped
) -> tuple[ImageRecord, ...]:
    """Hold drafts against their pictures.

    A picture that is missing, cannot be read, is under `MIN_SIDE` or of another shape than
    written is skipped and counted; one of the same shape in another size has its boxes scaled.

    Args:
        drafts: what a reader found.
        images: where to look.
        report: takes boxes left out (errors) and clipped (warnings), and pictures left out.
        skipped: takes pictures left out.

    Raises:
        TooManySkipped: more pictures were left out than `skipped` allows.
    """
    records: dict[str, ImageRecord] = {}
    for draft in drafts.images:
        report.checked += 1
        found = (images.find(name, draft.where) for name in draft.names)
        file = next((file for file in found if file is not None), None)
        size = _image_size(draft, file, report, skipped)
        if file is None or size is None:
            continue
        written = draft.size or size
        scale = size[0] / written[0], size[1] / written[1]
        boxes = []
        for box in draft.boxes:
            checked = checked_box(box, size, scale, drafts.labels, report)
            if checked is not None:
                boxes.append(checked)
        name = images.name(file)
        earlier = records.get(name)
        if earlier is not None:
            report.warning("picture stands twice", draft.where.name, f"{name}; boxes united")
            boxes = [*earlier.boxes, *boxes]
        records[name] = ImageRecord(
            name,
            *size,
            _without_twins(boxes, name, report),
            file,
            draft.group or (earlier.group if earlier else ""),
            draft.split or split_of(PurePosixPath(name)),
            {**(earlier.attributes if earlier else {}), **draft.attributes},
        )
    return tuple(records.values())


def checked_box(
    box: DraftBox,
    size: tuple[int, int],
    scale: tuple[float, float],
    labels: Sequence[str],
    report: Report,
) -> Box | None:
    """The object in pixels of its picture, clipped to it; None, and an error, if it is unusable.

    Args:
        box: as written.
        size: width and height of the picture, pixels.
        scale: what absolute coordinates are multiplied by to be the picture's own pixels.
        labels: all classes.
        report: takes what is wrong.
    """
    if box.label not in labels:
        hint = difflib.get_close_matches(box.label, labels, 1)
        known = f"did you mean {hint[0]!r}?" if hint else f"known are {', '.join(labels)}"
        report.error("unknown class", box.where, f"{box.label!r}; {known}")
        return None
    factors = np.array(size if box.relative else scale, np.float64)
    polygons = []
    for polygon in box.polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2) * factors
        if len(points) < 3 or not np.isfinite(points).all():
            report.warning(
                "unusable outline", box.where, f"{len(points)} points, expected 3 or more numbers"
            )
            continue
        polygons.append(np.clip(points, 0, size).astype(np.float32))
    if box.xyxy is not None:
        corners = (np.asarray(box.xyxy, np.float64).reshape(2, 2) * factors).ravel().tolist()
    elif polygons:
        corners = list(polygons_box(polygons))
    else:
        report.error("object without box", box.where, "neither box nor outline")
        return None
    left, top, right, bottom = corners
    shown = f"[{', '.join(f'{value:g}' for value in box.xyxy or corners)}]"
    if not all(map(math.isfinite, corners)):
        report.error("box is no numbers", box.where, f"{shown}, expected four finite numbers")
        return None
    if right <= left or bottom <= top:
        report.error(
            "box without area",
            box.where,
            f"{shown}, expected left < right and top < bottom",
        )
        return None
    width, height = size
    if left >= width or top >= height or right <= 0 or bottom <= 0:
        report.error("box outside the picture", box.where, f"{shown} in {width} x {height} pixels")
        return None
    # up to a pixel is rounding, and formats that count from 1
    if min(left, top, width - right, height - bottom) < -1.01:
        report.warning(
            "box reaches outside", box.where, f"{shown} in {width} x {height} pixels; clipped"
        )
    xyxy = (max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height)))
    if polygons and box_iou(xyxy, polygons_box(polygons)) < 0.5:
        report.warning("box and outline disagree", box.where, f"{shown}; both are kept")
    return Box(box.label, xyxy, tuple(polygons), box.crowd, box.score, box.attributes)


def flat_polygon(values: Any) -> Points | None:
    """``[x0, y0, x1, y1, ...]`` as points; None if it is no list of pairs of numbers."""
    try:
        points = np.asarray(values, np.float32)
    except (TypeError, ValueError):
        return None
    return points.reshape(-1, 2) if points.ndim == 1 and len(points) % 2 == 0 else None


def _image_size(
    draft: Draft, file: Path | None, report: Report, skipped: Skipped
) -> tuple[int, int] | None:
    """Width and height of the picture; None, and counted, if it cannot be used as annotated."""

    def leave_out(name: str | Path, reason: str) -> None:
        report.warning("picture left out", name, reason)
        skipped.add(name, reason)

    if file is None:
        leave_out(
            draft.names[0], f"its picture is missing, or several may be meant ({draft.where.name})"
        )
        return None
    try:
        size = image_size(file)
    except ImageError as error:
        leave_out(file, error.reason)
        return None
    if min(size) < MIN_SIDE:
        leave_out(file, f"{size[0]} x {size[1]} pixels, at least {MIN_SIDE} are needed")
        return None
    if draft.size is None or draft.size == size:
        return size
    across, down = size[0] / draft.size[0], size[1] / draft.size[1]
    said = f"{size[0]} x {size[1]} pixels, annotated as {draft.size[0]:g} x {draft.size[1]:g}"
    # a pixel of rounding on the shorter side is no other shape
    if abs(across / down - 1) > 0.01 + 1 / min(size):
        turned = " (turned by its EXIF data?)" if draft.size == size[::-1] else ""
        leave_out(file, said + turned)
        return None
    report.warning("annotated in another size", file.name, f"{said}; boxes scaled")
    return size


def _without_twins(boxes: Iterable[Box], name: str, report: Report) -> tuple[Box, ...]:
    """Each box once: the same class at the same place is one object written twice."""
    kept: dict[tuple[str, XYXY, bool], Box] = {}
    for box in boxes:
        key = box.label, box.xyxy, box.crowd
        if key in kept:
            report.warning("box stands twice", name, f"{box.label} at {box.xyxy}; once kept")
        kept.setdefault(key, box)
    return tuple(kept.values())
