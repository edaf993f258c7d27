"""How far polygons, and masks of several polygons, lie over each other.

Words are compared as polygons, exactly; lines and paragraphs as the pixels of their words, as
HierText's protocol has it. Both come as matrices of intersections: what is not there costs nothing,
as only pairs whose bounding boxes touch are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.page import Points

Matrix = NDArray[np.float64]

CHUNK = 4096
"""Pairs of polygons clipped at a time: memory stays at some megabytes."""


@dataclass(frozen=True)
class Overlaps:
    """Intersections of two groups of regions.

    Attributes:
        intersection: areas in square pixels, float64 ``[n, m]``.
        first: areas of the one group, ``[n]``.
        second: areas of the other, ``[m]``.
    """

    intersection: Matrix
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @property
    def iou(self) -> Matrix:
        """Intersection over union ``[n, m]``; 0 where both are empty."""
        union = self.first[:, None] + self.second[None] - self.intersection
        return _divided(self.intersection, union)

    @property
    def of_first(self) -> Matrix:
        """Share ``[n, m]`` of each first region that each second one covers."""
        return _divided(self.intersection, self.first[:, None])

    @property
    def of_second(self) -> Matrix:
        """Share ``[n, m]`` of each second region that each first one covers."""
        return _divided(self.intersection, self.second[None])

    def taken(self, rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> Overlaps:
        """The same of some regions only."""
        return Overlaps(self.intersection[rows][:, columns], self.first[rows], self.second[columns])


def area(polygon: NDArray[np.floating]) -> float:
    """Area of a simple polygon ``[n, 2]`` by the shoelace formula; 0 below three points."""
    return abs(_signed_area(np.asarray(polygon, np.float64)))


def polygon_overlaps(first: Sequence[Points], second: Sequence[Points]) -> Overlaps:
    """Exact intersections of simple polygons, convex or not, each ``[n, 2]``."""
    areas = [np.array([area(polygon) for polygon in group]) for group in (first, second)]
    intersection = np.zeros((len(first), len(second)))
    near = _boxes_touch(first, second)
    if near.any():
        own_a, signs_a, a = _pieces(first, np.any(near, 1))
        own_b, signs_b, b = _pieces(second, np.any(near, 0))
        rows, columns = np.nonzero(near[own_a][:, own_b])
        for start in range(0, len(rows), CHUNK):
            i, j = rows[start : start + CHUNK], columns[start : start + CHUNK]
            shared = _convex_intersections(a[i], b[j]) * signs_a[i] * signs_b[j]
            np.add.at(intersection, (own_a[i], own_b[j]), shared)
    return Overlaps(np.maximum(intersection, 0), areas[0], areas[1])


@dataclass(frozen=True)
class Mask:
    """Some pixels of a page: a small picture and where its top left corner lies.

    Attributes:
        x: of the corner, pixels.
        y: of the corner, pixels.
        pixels: bool ``[h, w]``.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]


def mask_of(polygons: Sequence[Points], width: int, height: int) -> Mask:
    """The pixels of a page that some polygons cover; what lies beyond the page is cut off.

    A polygon's border belongs to it, corners are rounded to whole pixels.
    """
    corners = [np.round(polygon).astype(np.int32) for polygon in polygons]
    every = np.concatenate(corners)
    x0, y0 = np.clip(every.min(0), 0, (width, height)).tolist()
    x1, y1 = np.clip(every.max(0) + 1, 0, (width, height)).tolist()
    pixels = np.zeros((max(0, y1 - y0), max(0, x1 - x0)), np.uint8)
    if pixels.size:
        for polygon in corners:
            cv2.fillPoly(pixels, [polygon - (x0, y0)], (1,))
    return Mask(x0, y0, pixels > 0)


def mask_overlaps(first: Sequence[Mask], second: Sequence[Mask]) -> Overlaps:
    """Intersections of masks, in pixels."""
    areas = [np.array([mask.pixels.sum() for mask in group], float) for group in (first, second)]
    intersection = np.zeros((len(first), len(second)))
    for row, a in enumerate(first):
        for column, b in enumerate(second):
            x0, y0 = max(a.x, b.x), max(a.y, b.y)
            x1 = min(a.x + a.pixels.shape[1], b.x + b.pixels.shape[1])
            y1 = min(a.y + a.pixels.shape[0], b.y + b.pixels.shape[0])
            if x1 > x0 and y1 > y0:
                mine = a.pixels[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
                other = b.pixels[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
                intersection[row, column] = np.count_nonzero(mine & other)
    return Overlaps(intersection, areas[0], areas[1])


def _divided(values: Matrix, by: NDArray[np.float64]) -> Matrix:
    return np.divide(
        values, by, out=np.zeros_like(values), where=np.broadcast_to(by > 0, values.shape)
    )


def _signed_area(polygon: NDArray[np.float64]) -> float:
    if len(polygon) < 3:
        return 0.0
    x, y = (polygon - polygon[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _boxes_touch(first: Sequence[Points], second: Sequence[Points]) -> NDArray[np.bool_]:
    if not len(first) or not len(second):
        return np.zeros((len(first), len(second)), bool)
    low_a, high_a = (np.array([f(p, 0) for p in first]) for f in (np.min, np.max))
    low_b, high_b = (np.array([f(p, 0) for p in second]) for f in (np.min, np.max))
    return np.all((low_a[:, None] < high_b[None]) & (low_b[None] < high_a[:, None]), axis=2)


def _pieces(
    polygons: Sequence[Points], wanted: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Convex pieces of polygons: whose they are, their signs, and corners ``[n, k, 2]``.

    A convex polygon is its own piece. Any other is the sum of the triangles between its first
    corner and its sides, those that turn against it counted as negative.
    """
    owners, signs, pieces = [], [], []
    for number in np.nonzero(wanted)[0].tolist():
        corners = np.asarray(polygons[number], np.float64)
        whole = _signed_area(corners)
        around = cv2.convexHull(corners.astype(np.float32), returnPoints=False)[:, 0]
        hull = area(corners[around])
        if hull <= abs(whole) * (1 + 1e-6):
            parts = [corners]
        else:
            parts = [corners[[0, k, k + 1]] for k in range(1, len(corners) - 1)]
        for part in parts:
            turn = _signed_area(part)
            if turn:
                owners.append(number)
                signs.append(np.sign(turn) * np.sign(whole or 1))
                pieces.append(part if turn > 0 else part[::-1])
    longest = max(map(len, pieces), default=3)
    # Repeating a corner adds a side of no length, which changes nothing.
    padded = [np.concatenate([p, np.repeat(p[-1:], longest - len(p), 0)]) for p in pieces]
    return (
        np.array(owners, np.int64),
        np.array(signs, np.float64),
        np.array(padded, np.float64).reshape(-1, longest, 2),
    )


def _convex_intersections(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Areas ``[n]`` of the intersections of convex polygons, all turning the same positive way.

    The border of an intersection is what of either's sides lies within the other; its area follows
    from those parts by the shoelace formula.
    """
    origin = a[:, :1]
    a, b = a - origin, b - origin
    # A stretch that is a side of both must be counted once: with a, and never with b.
    return np.maximum(_inner_border(a, b, shared=True) + _inner_border(b, a, shared=False), 0) / 2


def _inner_border(
    a: NDArray[np.float64], b: NDArray[np.float64], *, shared: bool
) -> NDArray[np.float64]:
    start, side = a[:, :, None], (np.roll(a, -1, 1) - a)[:, :, None]
    corner, edge = b[:, None], (np.roll(b, -1, 1) - b)[:, None]
    # Twice the signed distance of either end of a's sides from b's lines, times b's side.
    from_line = _cross(edge, start - corner)
    to_line = _cross(edge, start + side - corner)
    along = (from_line == 0) & (to_line == 0)
    real = (edge != 0).any(-1)
    outside = (from_line <= 0) & (to_line <= 0) & ~along
    if shared:
        outside |= along & ((edge * side).sum(-1) < 0)
    else:
        outside |= along
    outside &= real
    change = np.where(from_line == to_line, 1.0, from_line - to_line)
    place = from_line / change
    enters = np.where((from_line < 0) & (to_line > 0), place, 0.0).max(2)
    leaves = np.where((from_line > 0) & (to_line < 0), place, 1.0).min(2)
    inside = ~outside.any(2) & (leaves > enters)
    first = start[:, :, 0] + side[:, :, 0] * enters[..., None]
    last = start[:, :, 0] + side[:, :, 0] * leaves[..., None]
    return np.where(inside, _cross(first, last), 0.0).sum(1)


def _cross(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
