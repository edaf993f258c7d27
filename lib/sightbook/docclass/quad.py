"""A card in a larger photo: its four corners, and the card straightened."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Quad = NDArray[np.float32]

WORKING_SIDE = 480
"""Longer side, in pixels, at which is looked for edges."""

LEAST_SHARE, MOST_SHARE = 0.06, 0.95
"""Share of the photo that a card covers; what covers more is the photo itself."""

SLIMMEST = 3.2
"""Longer over shorter side; nothing slimmer is taken for a document."""

SOLID = 0.93
"""Share of the quadrilateral that the outline it was made of must fill."""


def find_quads(image: Image, most: int = 2) -> list[Quad]:
    """Find quadrilaterals that may be documents, the largest first.

    Args:
        image: uint8 RGB ``[H, W, 3]``.
        most: how many to return.

    Returns:
        Corners float32 ``[4, 2]`` (x, y) in pixels, clockwise from the upper left; empty where
        nothing convinces.
    """
    scale = WORKING_SIDE / max(image.shape[:2])
    size = (max(8, round(image.shape[1] * scale)), max(8, round(image.shape[0] * scale)))
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    found: list[Quad] = []
    for outline in _outlines(small):
        quad = _as_quad(outline, size[0] * size[1])
        if quad is not None and not any(_same(quad, other) for other in found):
            found.append(quad)
    found.sort(key=lambda quad: -cv2.contourArea(quad))
    return [np.asarray(quad / scale, np.float32) for quad in found[:most]]


def straighten(image: Image, quad: Quad, longer: int = 256) -> Image:
    """Cut a quadrilateral out as a rectangle.

    Args:
        image: uint8 RGB.
        quad: corners as of `find_quads`.
        longer: longer side of the result, pixels.
    """
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    wide, tall = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
    scale = longer / max(wide, tall, 1.0)
    width, height = max(8, round(float(wide * scale))), max(8, round(float(tall * scale)))
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(np.asarray(quad, np.float32), target)
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.warpPerspective(image, matrix, (width, height), flags=flags), np.uint8)


def _outlines(small: Image) -> Iterator[NDArray[np.int32]]:
    """Outlines of what stands out, by edges and by brightness and colour."""
    smooth = cv2.bilateralFilter(small, 7, 40, 7)
    lab = cv2.cvtColor(smooth, cv2.COLOR_RGB2LAB)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (5, 5))
    for low, high in ((25, 75), (60, 160)):
        edges = np.zeros(small.shape[:2], np.uint8)
        for channel in range(3):
            plane = np.ascontiguousarray(lab[..., channel])
            edges = np.maximum(edges, np.asarray(cv2.Canny(plane, low, high), np.uint8))
        closed = cv2.morphologyEx(edges, cv2.MORPH_CLOSE, kernel)
        yield from _contours(closed)
    border = np.concatenate([lab[:4].reshape(-1, 3), lab[-4:].reshape(-1, 3),
                             lab[:, :4].reshape(-1, 3), lab[:, -4:].reshape(-1, 3)])  # fmt: skip
    # What is unlike the photo's border is the document, if the table is of one colour.
    away = np.linalg.norm(lab.astype(np.float32) - np.median(border, axis=0), axis=2)
    away = np.clip(away * 2, 0, 255).astype(np.uint8)
    _, mask = cv2.threshold(away, 0, 255, cv2.THRESH_OTSU)
    yield from _contours(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((11, 11), np.uint8)))


def _contours(mask: object) -> Iterator[NDArray[np.int32]]:
    found, _ = cv2.findContours(np.asarray(mask, np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    for outline in found:
        yield np.asarray(outline, np.int32)


def _as_quad(outline: NDArray[np.int32], whole: int) -> Quad | None:
    """The quadrilateral that an outline is, if it is one of a document's size and shape."""
    hull = cv2.convexHull(outline)
    area = cv2.contourArea(hull)
    if not LEAST_SHARE * whole <= area <= MOST_SHARE * whole:
        return None
    length = cv2.arcLength(hull, True)
    for share in (0.02, 0.035, 0.05, 0.08):
        corners = cv2.approxPolyDP(hull, share * length, True)
        if len(corners) == 4:
            break
    else:
        return None
    quad = _clockwise(np.asarray(corners, np.float32).reshape(4, 2))
    covered = cv2.contourArea(quad)
    if not SOLID <= area / max(covered, 1.0) <= 1 / SOLID:
        return None
    sides = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    wide, tall = (sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2
    if max(wide, tall) > SLIMMEST * max(min(wide, tall), 1.0):
        return None
    # Opposite sides of a card that is photographed at all legibly are not too different.
    if max(sides[0], sides[2]) > 2.2 * min(sides[0], sides[2]):
        return None
    if max(sides[1], sides[3]) > 2.2 * min(sides[1], sides[3]):
        return None
    return quad


def _clockwise(points: Quad) -> Quad:
    """Corners clockwise on the screen, beginning with the one nearest to the upper left."""
    middle = points.mean(axis=0)
    angles = [math.atan2(y - middle[1], x - middle[0]) for x, y in points]
    ordered = points[np.argsort(angles)]
    # The corner that begins is the one whose side to the next runs most to the right.
    sides = np.roll(ordered, -1, axis=0) - ordered
    start = int(np.argmax(sides[:, 0] / np.maximum(np.linalg.norm(sides, axis=1), 1e-6)))
    return np.roll(ordered, -start, axis=0)


def _same(a: Quad, b: Quad) -> bool:
    return float(np.abs(a - b).max()) < 0.03 * WORKING_SIDE
