"""Small defects on large pictures: overlapping windows, and one list of boxes out of all of them.

An object that a window's border cuts is found whole in the neighbouring window if it is smaller
than the overlap, and in the picture as a whole if it is large; its cut part is then dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import XYXY, Box
from sightbook.detection.labels.masks import moved
from sightbook.metrics.polygons import box_overlaps

Image = NDArray[np.uint8]
Window = tuple[int, int, int, int]
"""Left, top, right, bottom, whole pixels."""

SAME_IOU = 0.5
"""Two boxes of one class that overlap so much are one object."""

PART_OF = 0.6
"""A cut box that lies by this share within another one is part of the same object."""

EDGE = 2.0
"""A box that ends so near a window's inner border, in pixels, was cut by it."""


@dataclass(frozen=True)
class _Found:
    box: Box
    cut: bool


def windows(width: int, height: int, tile: int, overlap: float) -> Iterator[Window]:
    """Windows that cover a picture row by row, the last of a row and column flush with its end.

    Args:
        width: of the picture.
        height: of the picture.
        tile: side of a window; a side of the picture that is shorter is covered by one.
        overlap: share of a window that its neighbour shows too, at least; 0 to 0.9.

    Raises:
        ValueError: `tile` or `overlap` out of range.
    """
    if tile < 32:
        raise ValueError(f"tile is {tile}, expected a side of 32 pixels or more")
    if not 0 <= overlap <= 0.9:
        raise ValueError(f"overlap is {overlap}, expected a share from 0 to 0.9")
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            yield left, top, min(left + tile, width), min(top + tile, height)


def detect_tiled(
    image: Image, detect: Callable[[Image], Sequence[Box]], tile: int, overlap: float
) -> tuple[Box, ...]:
    """Detect on each window and on the whole picture, and unite what is found.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        detect: boxes with scores of a picture of any size.
        tile: as in `windows`, as is `overlap`.
        overlap: share of a window.

    Returns:
        Boxes in pixels of the whole picture, the most certain first.

    Raises:
        ValueError: as `windows`.
    """
    height, width = image.shape[:2]
    places = list(windows(width, height, tile, overlap))
    found = [_Found(box, False) for box in detect(image)]
    for place in places if len(places) > 1 else ():
        left, top, right, bottom = place
        for box in detect(image[top:bottom, left:right]):
            shifted = _shifted(box, left, top)
            found.append(_Found(shifted, _is_cut(shifted.xyxy, place, width, height)))
    return tuple(sorted(_united(found), key=_score, reverse=True))


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    if length <= tile:
        return [0]
    count = int(np.ceil((length - tile) / (tile * (1 - overlap)))) + 1
    return np.round(np.linspace(0, length - tile, count)).astype(int).tolist()


def _shifted(box: Box, left: int, top: int) -> Box:
    x0, y0, x1, y1 = box.xyxy
    return replace(
        box,
        xyxy=(x0 + left, y0 + top, x1 + left, y1 + top),
        polygons=tuple(moved(polygon, left, top) for polygon in box.polygons),
    )


def _is_cut(xyxy: XYXY, place: Window, width: int, height: int) -> bool:
    """Whether a box ends at a border of its window that is none of the picture's."""
    left, top, right, bottom = place
    return (
        (left > 0 and xyxy[0] < left + EDGE)
        or (top > 0 and xyxy[1] < top + EDGE)
        or (right < width and xyxy[2] > right - EDGE)
        or (bottom < height and xyxy[3] > bottom - EDGE)
    )


def _united(found: Sequence[_Found]) -> list[Box]:
    """Whole boxes before cut ones, certain ones before others; what was kept already is dropped.

    A part of an object may look more certain than the whole, so certainty alone would keep parts.
    """
    kept: dict[str, list[Box]] = {}
    for one in sorted(found, key=lambda f: (f.cut, -_score(f.box))):
        others = kept.setdefault(one.box.label, [])
        if others:
            overlaps = box_overlaps(one.box.xyxy, [other.xyxy for other in others])
            part = one.cut and (overlaps.of_first >= PART_OF).any()
            if part or (overlaps.iou >= SAME_IOU).any():
                continue
        others.append(one.box)
    return [box for boxes in kept.values() for box in boxes]


def _score(box: Box) -> float:
    return box.score or 0.0
