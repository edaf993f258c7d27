"""Where the words of a line that was read stand on the page.

The recogniser reads lines; a line is split into words at its blanks. The engine places them by
their characters' positions, which are those of CTC peaks and lag by half a character. The detected
words are placed better, so they are matched with what was read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.inference.engine import LineText, Rects, line_polygon
from sightbook.ocr.pages.page import smallest_rectangle

Box = NDArray[np.float32]


def engine_boxes(read: LineText, rects: Rects) -> list[Box]:
    """Where the words stand, as the engine says it: by the places of their characters.

    Args:
        read: what was read on `line_image(gray, rects)`.
        rects: the detected words of the line, left to right, float32 ``[k, 4, 2]``.

    Returns:
        For each of `read.words()` four corners, float32 ``[4, 2]``.
    """
    polygon = line_polygon(rects)
    return [slice_of_polygon(polygon, x0, max(x1, x0 + 1)) for x0, x1 in _columns(read, polygon)]


def detected_boxes(read: LineText, rects: Rects) -> list[Box]:
    """Where the words stand, by the detected rectangles.

    A rectangle belongs to the word that it shares most columns with. A word of several rectangles
    gets the one around them; words that share one are cut apart at the blanks between them.

    Args:
        read: what was read on `line_image(gray, rects)`.
        rects: the detected words of the line, left to right, float32 ``[k, 4, 2]``.

    Returns:
        For each of `read.words()` four corners, float32 ``[4, 2]``, clockwise from the top left.
    """
    spans = np.array(_columns(read, line_polygon(rects)), np.float32).reshape(-1, 2)
    if not len(spans):
        return []
    extents = np.stack([rects[..., 0].min(1), rects[..., 0].max(1)], 1)
    # negative where they are apart: the nearest then wins
    shared = np.minimum(extents[:, None, 1], spans[None, :, 1]) - np.maximum(
        extents[:, None, 0], spans[None, :, 0]
    )
    owners = shared.argmax(1)
    parts: list[list[Box]] = [[] for _ in spans]
    guests: dict[int, list[int]] = {}
    for word in set(range(len(spans))) - set(owners.tolist()):
        guests.setdefault(int(shared[:, word].argmax()), []).append(word)
    for index, (rect, owner) in enumerate(zip(rects, owners.tolist(), strict=True)):
        sharing = sorted([owner, *guests.get(index, [])])
        # the blank begins where the word before it ends
        cuts = [extents[index, 0], *(spans[word, 1] for word in sharing[:-1]), extents[index, 1]]
        for word, x0, x1 in zip(sharing, cuts, cuts[1:], strict=False):
            parts[word].append(_piece(rect, float(x0), float(x1)) if len(sharing) > 1 else rect)
    return [
        found[0] if len(found) == 1 else smallest_rectangle(np.concatenate(found))
        for found in parts
    ]


def slice_of_polygon(polygon: NDArray[np.int64], x0: int, x1: int) -> Box:
    """Bounding box of the part of a polygon between two columns, float32 ``[4, 2]``."""
    start, end = polygon.astype(np.float64), np.roll(polygon, -1, 0).astype(np.float64)
    swapped = (start[:, 0] > end[:, 0])[:, None]
    start, end = np.where(swapped, end, start), np.where(swapped, start, end)
    crossing = (start[:, 0] <= x1) & (end[:, 0] >= x0)
    start, end = start[crossing], end[crossing]
    slope = (end[:, 1] - start[:, 1]) / np.maximum(end[:, 0] - start[:, 0], 1e-9)
    upright = end[:, 0] == start[:, 0]
    y0 = np.where(upright, start[:, 1], start[:, 1] + slope * np.maximum(x0 - start[:, 0], 0))
    y1 = np.where(upright, end[:, 1], end[:, 1] - slope * np.maximum(end[:, 0] - x1, 0))
    ys = np.round(np.concatenate([y0, y1]))
    low, high = float(ys.min()), float(ys.max())
    return np.array([[x0, low], [x1, low], [x1, high], [x0, high]], np.float32)


def _columns(read: LineText, polygon: NDArray[np.int64]) -> list[tuple[int, int]]:
    """First and last column of each word on the page, as whole numbers like the engine's."""
    left, right = int(polygon[:, 0].min()), int(polygon[:, 0].max())
    scale = (right - left) / read.width
    return [
        (left + int(read.starts[word][0] * scale), left + int(read.ends[word][-1] * scale))
        for word in read.words()
    ]


def _piece(rect: Box, x0: float, x1: float) -> Box:
    """The part of a rectangle between two columns, cut along its own sides."""
    low, high = float(rect[:, 0].min()), float(rect[:, 0].max())
    shares = np.clip((np.array([x0, x1]) - low) / max(high - low, 1.0), 0, 1)
    shares[1] = max(shares[1], shares[0] + 0.01)
    top, bottom = rect[1] - rect[0], rect[2] - rect[3]
    return np.array(
        [
            rect[0] + shares[0] * top,
            rect[0] + shares[1] * top,
            rect[3] + shares[1] * bottom,
            rect[3] + shares[0] * bottom,
        ],
        np.float32,
    )
