"""Words to lines and paragraphs as the ocrs engine groups them, without a model.

A reference of ocrs 0.12's layout analysis: words are chained from left to right, never across a
tall empty rectangle (a gap between columns); lines are chained downwards, never across the middle
of a wide one. Rectangles are float32 ``[n, 4, 2]``, clockwise from the top left.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rects = NDArray[np.float32]
Segments = NDArray[np.float64]
"""``[n, 4]``: x and y of the start, x and y of the end."""

Box = tuple[int, int, int, int]
"""Left, top, right, bottom."""

MIN_OVERLAP = 5.0
"""Pixels by which two words of a line share height at least."""

MAX_INTRUSION = 5.0
"""Pixels by which a word may begin left of where the one before it ends."""

MAX_SEPARATORS = 80
MAX_COMMON = 0.5
"""Share of its area that a separator may have in common with one found before."""


def find_lines(rects: Rects) -> list[list[int]]:
    """Lines of words, as numbers of rectangles, in the engine's reading order."""
    return [line for paragraph in find_paragraphs(rects) for line in paragraph]


def find_paragraphs(rects: Rects) -> list[list[list[int]]]:
    """Paragraphs of lines of words, as numbers of rectangles, in the engine's reading order."""
    if not len(rects):
        return []
    gaps = separators(rects)
    middle_x, middle_y = np.trunc((gaps[:, :2] + gaps[:, 2:]) / 2).T
    upright = np.stack([middle_x, gaps[:, 1], middle_x, gaps[:, 3]], 1).astype(float)
    level = np.stack([gaps[:, 0], middle_y, gaps[:, 2], middle_y], 1).astype(float)
    lines = group_into_lines(rects, upright)
    low, high = rects.min(1), rects.max(1)
    # a line stands for itself as the segment from its first word's left to its last word's right
    middles = np.array(
        [
            [low[a, 0], (low[a, 1] + high[a, 1]) / 2, high[b, 0], (low[b, 1] + high[b, 1]) / 2]
            for a, b in ((line[0], line[-1]) for line in lines)
        ]
    )
    centres = (middles[:, :2] + middles[:, 2:]) / 2
    waiting = sorted(range(len(lines)), key=lambda line: int(centres[line, 1]))
    paragraphs = []
    while waiting:
        last = waiting.pop(0)
        members, left = [last], []
        follows = _follows(last, middles, centres, level)
        for line in waiting:
            if follows[line]:
                members.append(line)
                follows = _follows(line, middles, centres, level)
            else:
                left.append(line)
        waiting = left
        paragraphs.append([lines[line] for line in members])
    return paragraphs


def group_into_lines(rects: Rects, walls: Segments) -> list[list[int]]:
    """Chain words from left to right.

    Args:
        rects: float32 ``[n, 4, 2]``.
        walls: segments that no chain may cross, float64 ``[m, 4]``.

    Returns:
        Numbers of rectangles, a list a line, lines by their first word's left edge.
    """
    by_x = np.take_along_axis(rects, rects[..., 0].argsort(1, kind="stable")[..., None], 1)
    left, right = by_x[:, :2], by_x[:, 2:]
    starts, ends = left[..., 0].mean(1), right[..., 0].mean(1)
    left_low, left_high = left[..., 1].min(1), left[..., 1].max(1)
    right_low, right_high = right[..., 1].min(1), right[..., 1].max(1)
    centres = rects.mean(1)
    whole_x = np.trunc(centres[:, 0])
    order = np.argsort(np.trunc(rects[..., 0].min(1)), kind="stable")
    place = np.empty(len(rects), np.int64)
    place[order] = np.arange(len(rects))
    free = np.ones(len(rects), bool)
    lines = []
    for first in order.tolist():
        if not free[first]:
            continue
        free[first] = False
        line = [first]
        while True:
            last = line[-1]
            shared = np.minimum(left_high, right_high[last]) - np.maximum(left_low, right_low[last])
            usable = np.flatnonzero(
                free
                & (centres[:, 0] > centres[last, 0])
                & (starts - ends[last] >= -MAX_INTRUSION)
                & (shared >= MIN_OVERLAP)
            )
            if len(usable) and len(walls):
                ways = np.concatenate(
                    [np.broadcast_to(centres[last], (len(usable), 2)), centres[usable]], 1
                )
                usable = usable[~crossings(ways, walls).any(1)]
            if not len(usable):
                break
            best = usable[np.lexsort([place[usable], whole_x[usable]])[0]]
            free[best] = False
            line.append(int(best))
        lines.append(line)
    return lines


def separators(rects: Rects) -> NDArray[np.int64]:
    """Large empty rectangles between blocks of words, as left, top, right, bottom ``[m, 4]``.

    The engine takes the height of the word in the middle of its list along that word's own axes,
    which may be its width where it leans; here it is always the height.
    """
    low, high = rects.min(1), rects.max(1)
    boxes = np.concatenate([np.trunc(low), np.ceil(high)], 1).astype(np.int64)
    (x0, y0), (x1, y1) = low.min(0), high.max(0)
    page = (int(x0), int(y0), math.ceil(x1), math.ceil(y1))
    spaces = sorted(
        _rounded(max(0.0, float(low[b, 0] - high[a, 0])))
        for line in group_into_lines(rects, np.zeros((0, 4)))
        for a, b in itertools.pairwise(line)
    )
    space = spaces[len(spaces) // 2] if spaces else 10
    middle = rects[len(rects) // 2]
    height = _rounded(float(np.linalg.norm(middle[3] - middle[0])))
    found = np.zeros((MAX_SEPARATORS, 4), np.int64)
    count = 0
    for box in empty_rectangles(boxes, page, 3 * space, 3 * height):
        if _common(found[:count], box) >= MAX_COMMON:
            continue
        found[count] = box
        count += 1
        if count == MAX_SEPARATORS:
            break
    return found[:count]


def empty_rectangles(
    obstacles: NDArray[np.int64], page: Box, min_width: int, min_height: int
) -> Iterator[Box]:
    """Largest rectangles without obstacles, the best score first (Breuel 2002, "Two geometric
    algorithms for layout analysis").

    Args:
        obstacles: int64 ``[n, 4]``: left, top, right, bottom.
        page: what the rectangles lie within.
        min_width: narrower ones are left out.
        min_height: lower ones are left out.
    """
    if page[2] <= page[0] or page[3] <= page[1]:
        return
    middles = (obstacles[:, :2] + obstacles[:, 2:]) // 2
    obstacles = obstacles[np.lexsort([middles[:, 1], middles[:, 0]])]
    queue = [(-_score(page), page, np.arange(len(obstacles)))]
    seen = {page}  # reached by another way it would only be found again
    while queue:
        _, box, inside = heapq.heappop(queue)
        if not len(inside):
            yield box
            continue
        x0, y0, x1, y1 = box
        left, top, right, bottom = obstacles[inside[len(inside) // 2]].tolist()
        blocks = obstacles[inside]
        for part in ((x0, y0, x1, top), (x0, y0, left, y1), (x0, bottom, x1, y1),
                     (right, y0, x1, y1)):  # fmt: skip
            width, height = part[2] - part[0], part[3] - part[1]
            if width < max(1, min_width) or height < max(1, min_height) or part in seen:
                continue
            seen.add(part)
            shared = np.minimum(blocks[:, 2:], part[2:]) > np.maximum(blocks[:, :2], part[:2])
            heapq.heappush(queue, (-_score(part), part, inside[shared.all(1)]))


def crossings(first: Segments, second: Segments) -> NDArray[np.bool_]:
    """Which segments cross which in one point (touching counts), bool ``[n, m]``."""
    p, q = first[:, None, :2], second[None, :, :2]
    along, other = first[:, None, 2:] - p, second[None, :, 2:] - q
    gap = q - p
    turn = along[..., 1] * other[..., 0] - along[..., 0] * other[..., 1]
    s = gap[..., 1] * other[..., 0] - gap[..., 0] * other[..., 1]
    t = gap[..., 1] * along[..., 0] - gap[..., 0] * along[..., 1]
    positive = turn > 0
    met = ((s >= 0) == positive) & (np.abs(s) <= np.abs(turn))
    met &= ((t >= 0) == positive) & (np.abs(t) <= np.abs(turn))
    return met & (turn != 0)


def _follows(
    line: int, middles: Segments, centres: NDArray[np.float64], walls: Segments
) -> NDArray[np.bool_]:
    """Which lines share columns with a line, and no wall stands between."""
    shared = np.minimum(middles[:, 2], middles[line, 2]) > np.maximum(
        middles[:, 0], middles[line, 0]
    )
    near = np.flatnonzero(shared)
    ways = np.concatenate([np.broadcast_to(centres[line], (len(near), 2)), centres[near]], 1)
    shared[near] = ~crossings(ways, walls).any(1)
    return shared


def _score(box: Box) -> float:
    """The engine's liking: area, more of it the longer and thinner the rectangle is."""
    width, height = box[2] - box[0], box[3] - box[1]
    thin = abs(math.log2(height / width))
    weight = 0.5 if thin < 3 else 1.5 if thin < 5 else thin
    return math.sqrt(width * height * weight)


def _common(found: NDArray[np.int64], box: Box) -> float:
    """Largest "intersection over union" with boxes found before; as in the engine the union is
    the box around both, and two negative sides of an empty intersection make a positive area."""
    if not len(found):
        return -1.0
    inner = np.minimum(found[:, 2:], box[2:]) - np.maximum(found[:, :2], box[:2])
    outer = np.maximum(found[:, 2:], box[2:]) - np.minimum(found[:, :2], box[:2])
    return float((inner.prod(1) / outer.prod(1)).max())


def _rounded(value: float) -> int:
    """Nearest whole number, halves upwards (values here are not negative)."""
    return math.floor(value + 0.5)
