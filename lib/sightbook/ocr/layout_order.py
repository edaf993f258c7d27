"""The order in which lines and paragraphs are read, from where their words lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.layout_data import Floats, Ints

Layout = list[list[list[int]]]
"""Paragraphs of lines of word numbers, each in reading order."""

RUNNING_TEXT = 0.5
"""Share of a page's words in paragraphs of three lines or more from which it is running text."""


def ordered_lines(lines: list[list[int]], words: Floats) -> list[list[int]]:
    """Lines of a paragraph from top to bottom; those beside one another from left to right."""
    if len(lines) < 2:
        return lines
    # The paragraph's own direction: a page that is not flat has many.
    cosine, sine = _direction(words[np.array([word for line in lines for word in line])])
    boxes = np.array([_extent(words[line], cosine, sine) for line in lines])
    return [lines[place] for place in _precedence(boxes, columns=False)]


def reading_order(paragraphs: Layout, words: Floats) -> Layout:
    """Paragraphs in the order a reader takes them.

    Running text is read column by column (Breuel 2003, "High performance document layout analysis",
    section 5): a paragraph comes before those under it that share its columns, and before those of
    a column to its right unless something wider in between ties both columns together. Where
    most words stand in paragraphs of one or two lines, as in forms, tables and receipts, it is read
    row by row.
    """
    if len(paragraphs) < 2:
        return paragraphs
    cosine, sine = _direction(words)
    members = [np.array([word for line in group for word in line]) for group in paragraphs]
    boxes = np.array([_extent(words[group], cosine, sine) for group in members])
    running = sum(map(len, (members[k] for k, group in enumerate(paragraphs) if len(group) > 2)))
    columns = running > RUNNING_TEXT * sum(map(len, members))
    return [paragraphs[place] for place in _precedence(boxes, columns)]


def _direction(words: Floats) -> tuple[float, float]:
    """The direction of writing, long words counting most."""
    cosine, sine = (words[:, 2:4] * words[:, 4:5]).sum(0).tolist()
    length = max(float(np.hypot(cosine, sine)), 1e-6)
    return cosine / length, sine / length


def _extent(words: Floats, cosine: float, sine: float) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of words in the frame of the page's writing."""
    x = words[:, 0] * cosine + words[:, 1] * sine
    y = words[:, 1] * cosine - words[:, 0] * sine
    width, height = words[:, 4] / 2, words[:, 5] / 2
    return (
        float((x - width).min()),
        float((y - height).min()),
        float((x + width).max()),
        float((y + height).max()),
    )


def _precedence(boxes: NDArray[np.float64], columns: bool) -> list[int]:
    """Order of boxes ``[n, 4]`` such that none comes before one that must precede it."""
    left, top, right, bottom = boxes.T
    middle = (top + bottom) / 2
    shared_x = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    shared_y = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    narrow = np.minimum((right - left)[:, None], right - left)
    low = np.minimum((bottom - top)[:, None], bottom - top)
    over = middle[:, None] < middle
    to_left = (left + right)[:, None] < left + right
    if columns:
        stacked = shared_x > 0.1 * narrow
        before = stacked & over
        # Left of it, and nothing that spans both columns lies between the two.
        beside = ~stacked & to_left
        for one in np.flatnonzero(beside.any(1)).tolist():
            high = np.minimum(middle[one], middle)[:, None]
            deep = np.maximum(middle[one], middle)[:, None]
            between = stacked[one] & stacked & (middle > high) & (middle < deep)
            before[one] |= beside[one] & ~between.any(1)
    else:
        # Lines on a curled page reach into one another's height, but not beside one another.
        level = (shared_y > 0.5 * low) & (shared_x < 0.2 * narrow)
        before = np.where(level, to_left, over)
    np.fill_diagonal(before, False)
    return _topological(before, np.lexsort((left, top)))


def _topological(before: NDArray[np.bool_], fallback: Ints) -> list[int]:
    """Items in an order that respects `before`; rings are cut where `fallback` comes first."""
    waiting = before.sum(0)
    left = list(fallback.tolist())
    order: list[int] = []
    while left:
        free = [item for item in left if waiting[item] == 0] or [
            min(left, key=lambda item: waiting[item])
        ]
        item = free[0]
        order.append(item)
        left.remove(item)
        waiting = waiting - before[item]
    return order
