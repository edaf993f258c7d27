"""Rows of print found without a network: a second opinion where the learned finder is unsure.

Lines of a machine-readable zone are the longest evenly printed rows on most documents. Dark
strokes on a lighter ground are brought out (black hat), joined along the row, and rows of about
equal length that stand above one another become candidate zones. Many of them are no zones: the
reader decides.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.donut.zone.geometry import Array, Gray, Zone, apply

SIDE = 960
"""Long side in pixels to which a picture is brought before looking for rows."""

_JOINS = (15, 27)
"""Widths in pixels of the gaps that are closed, for narrow and for wide print."""


def printed_rows(image: Gray, *, most: int = 6) -> list[Zone]:
    """Candidate zones of 2 or 3 printed rows, the widest first.

    Rows may run across or down the picture, tilted by up to some 30 degrees; whether they are read
    forwards or backwards is not known.

    Args:
        image: uint8 [H, W].
        most: candidates returned at most.

    Returns:
        Zones with their line quads in pixels of the picture; score 0.
    """
    height, width = image.shape
    scale = SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(image, size, interpolation=method)
    inverse = np.diag([width / size[0], height / size[1], 1.0])
    found: list[Zone] = []
    for turned in (False, True):
        view = cv2.rotate(small, cv2.ROTATE_90_CLOCKWISE) if turned else small
        for join in _JOINS:
            for quads in _groups(_rows(view.astype(np.uint8), join)):
                if turned:
                    # (x, y) of the turned view lies at (y, H - 1 - x) of the upright one
                    quads = np.stack([quads[..., 1], size[1] - 1 - quads[..., 0]], axis=-1)
                found.append(Zone(apply(inverse, quads), 0.0))
    found.sort(key=lambda zone: -zone.width)
    return found[:most]


def _rows(view: Gray, join: int) -> list[Array]:
    """Corners [4, 2] of long rows of dark print, upper left corner first."""
    hat = cv2.morphologyEx(view, cv2.MORPH_BLACKHAT, np.ones((13, 13), np.uint8))
    level, _ = cv2.threshold(hat, 0, 255, cv2.THRESH_OTSU)
    ink = (hat > max(0.7 * level, 12)).astype(np.uint8)
    band = cv2.morphologyEx(ink, cv2.MORPH_CLOSE, np.ones((1, join), np.uint8))
    # Specks and rules thinner than print go, whatever touches them stays.
    band = cv2.morphologyEx(band, cv2.MORPH_OPEN, np.ones((3, join), np.uint8))
    contours, _ = cv2.findContours(band, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    rows = []
    for contour in contours:
        quad = _ordered(np.asarray(cv2.boxPoints(cv2.minAreaRect(contour)), np.float32))
        length = float(np.linalg.norm(quad[1] - quad[0]))
        height = float(np.linalg.norm(quad[3] - quad[0]))
        if length >= 0.22 * view.shape[1] and 16 <= length / max(height, 1.0) <= 70:
            rows.append(quad)
    return rows


def _ordered(corners: NDArray[np.floating]) -> Array:
    """Corners clockwise on the screen, from the left end of the upper long side."""
    edges = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    first = 0 if edges[0] >= edges[1] else 1
    quad = np.roll(corners, -first, axis=0)
    if quad[1, 0] < quad[0, 0]:
        quad = np.roll(quad, -2, axis=0)
    return quad.astype(np.float32)


def _groups(rows: list[Array]) -> list[Array]:
    """Stacks of 2 or 3 rows [n, 4, 2] that are parallel, about equally long and aligned."""
    rows = sorted(rows, key=lambda quad: float(quad[:, 1].mean()))
    groups = []
    for i, first in enumerate(rows):
        stack = [first]
        for other in rows[i + 1 :]:
            if len(stack) < 3 and _follows(stack[-1], other):
                stack.append(other)
        if len(stack) == 3:
            groups.append(np.stack(stack[:2]))
        if len(stack) >= 2:
            groups.append(np.stack(stack))
    return [_even(group) for group in groups]


def _follows(upper: Array, lower: Array) -> bool:
    lengths = [float(np.linalg.norm(quad[1] - quad[0])) for quad in (upper, lower)]
    heights = [float(np.linalg.norm(quad[3] - quad[0])) for quad in (upper, lower)]
    across = (upper[1] - upper[0]) / max(lengths[0], 1e-6)
    down = np.array([-across[1], across[0]])
    offset = lower.mean(0) - upper.mean(0)
    gap, shift = float(offset @ down), abs(float(offset @ across))
    height = max(heights)
    return (
        min(lengths) > 0.75 * max(lengths)
        and shift < 0.15 * max(lengths)
        and 1.1 * height < gap < 4.5 * height
    )


def _even(group: Array) -> Array:
    """The rows of a group brought to one length: a zone's lines all are, ink or no ink."""
    across = (group[:, 1] - group[:, 0]).sum(0)
    across = across / max(float(np.linalg.norm(across)), 1e-6)
    left = float((group[:, [0, 3]] @ across).min())
    right = float((group[:, [1, 2]] @ across).max())
    even = group.copy()
    for places, end in (([0, 3], left), ([1, 2], right)):
        even[:, places] += (end - group[:, places] @ across)[..., None] * across
    return even.astype(np.float32)
