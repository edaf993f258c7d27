"""From word boxes to lines and paragraphs in reading order, with numpy and onnxruntime alone.

The network (or, without one, a few rules) scores pairs of words; decoding here makes of the scores
what every reader of a page relies on: each word in exactly one line, each line in one paragraph.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.layout.data import Floats, Ints, word_features

if TYPE_CHECKING:
    import onnxruntime

INPUTS = ("words", "mask")
OUTPUTS = ("line_ends", "next_word", "same_paragraph")
DYNAMIC_AXES = {
    "words": {0: "batch", 1: "words"},
    "mask": {0: "batch", 1: "words"},
    "line_ends": {0: "batch", 1: "words"},
    "next_word": {0: "batch", 1: "words", 2: "others"},
    "same_paragraph": {0: "batch", 1: "words", 2: "others"},
}
"""Names and symbolic sizes of the exported graph; see `layout.LayoutModel.forward`."""

MAX_WORDS = 160
"""Words judged at once, about as many as in training; larger pages in overlapping parts.

Time and memory of a part grow with the square of its words.
"""

NEIGHBOURS = 24
"""Each word is asked about this many neighbours' paragraph."""

CANDIDATES = 6
"""Likeliest successors of each word that decoding considers."""

Scores = tuple[Floats, Floats, Floats]
"""`line_ends` ``[n, 2]``, `next_word` ``[n, n]``, `same_paragraph` ``[n, n]`` of one page."""

Judge = Callable[[Floats], Scores]
"""Scores of words ``[n, 6]``."""


class LayoutModelFile:
    """An exported layout network."""

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        """Open it.

        Raises:
            ValueError: the file is no layout model.
        """
        from sightbook.inference.onnx import session

        self.session: onnxruntime.InferenceSession = session(path, threads)
        names = tuple(item.name for item in self.session.get_outputs())
        if names != OUTPUTS:
            raise ValueError(
                f"{path} has outputs {', '.join(names)}, a layout model has {', '.join(OUTPUTS)}: "
                "give the model.onnx of a run of 02_train_layout"
            )

    def __call__(self, words: Floats) -> Scores:
        """Scores of one page's words."""
        mask = np.ones((1, len(words)), np.float32)
        feeds = {"words": words[None].astype(np.float32), "mask": mask}
        line_ends, next_word, same_paragraph = self.session.run(list(OUTPUTS), feeds)
        return line_ends[0], next_word[0], same_paragraph[0]


def arrange(quads: Floats, judge: Judge | None = None, max_words: int = MAX_WORDS) -> Layout:
    """Put words into lines and paragraphs, and those into reading order.

    Args:
        quads: word boxes ``[n, 4, 2]`` in pixels, corners in order round the box.
        judge: a `LayoutModelFile`; rules of thumb if None.
        max_words: judged at once.

    Returns:
        Every word exactly once; no paragraphs for no words.
    """
    return arrange_words(word_features(quads), judge or rule_scores, max_words)


def arrange_words(words: Floats, judge: Judge, max_words: int = MAX_WORDS) -> Layout:
    """As `arrange`, from the words' features ``[n, 6]``."""
    if not len(words):
        return []
    scores = sparse_scores(words, judge, max_words)
    lines = decode_lines(scores, len(words))
    paragraphs = decode_paragraphs(lines, scores)
    return reading_order([ordered_lines(group, words) for group in paragraphs], words)


# --------------------------------------------------------------------------- scores


@dataclass(frozen=True)
class SparseScores:
    """What decoding needs of a page's scores.

    Attributes:
        line_ends: ``[n, 2]``, logits of line start and line end.
        next_pairs: int64 ``[m, 2]``, word and candidate for its successor.
        next_scores: ``[m]``, log-probabilities.
        near_pairs: int64 ``[k, 2]``, word and neighbour.
        near_scores: ``[k]``, logits that they share a paragraph.
    """

    line_ends: Floats
    next_pairs: Ints
    next_scores: Floats
    near_pairs: Ints
    near_scores: Floats


def sparse_scores(words: Floats, judge: Judge, max_words: int = MAX_WORDS) -> SparseScores:
    """Judge the words of a page, in parts where there are many.

    Args:
        words: features ``[n, 6]``, n > 0.
        judge: gives the dense scores of a part.
        max_words: words in a part, its surroundings included.
    """
    line_ends = np.zeros((len(words), 2), np.float32)
    following, follow_scores, near, near_scores = [], [], [], []
    for inside, own in parts(words, max_words):
        ends, next_word, same = judge(words[inside])
        line_ends[inside[own]] = ends[own]
        chosen = _largest(next_word[own], CANDIDATES)
        following.append(_pairs(inside, own, chosen))
        follow_scores.append(np.take_along_axis(next_word[own], chosen, 1).ravel())
        beside = _nearest(words[inside], own)
        near.append(_pairs(inside, own, beside))
        near_scores.append(np.take_along_axis(same[own], beside, 1).ravel())
    return SparseScores(
        line_ends,
        np.concatenate(following),
        np.concatenate(follow_scores),
        np.concatenate(near),
        np.concatenate(near_scores),
    )


def parts(words: Floats, max_words: int) -> Iterator[tuple[Ints, Ints]]:
    """Split a page so that each word belongs to one part and is judged with what surrounds it.

    Yields:
        Words of a part with its surroundings (sorted), and the places in it of the words that
        belong to it.
    """
    if len(words) <= max_words:
        everything = np.arange(len(words))
        yield everything, everything
        return
    stack = [np.arange(len(words))]
    while stack:
        group = stack.pop()
        centres = words[group, :2]
        if len(group) <= max(1, max_words // 2):
            low, high = centres.min(0), centres.max(0)
            outside = np.maximum(low - words[:, :2], words[:, :2] - high).clip(0)
            # A line goes on to the side: words there matter more than those above and below.
            distance = outside[:, 0] + 2 * outside[:, 1]
            distance[group] = -1
            inside = np.sort(np.argsort(distance, kind="stable")[:max_words])
            yield inside, np.searchsorted(inside, group)
            continue
        axis = int(np.argmax(np.ptp(centres, axis=0)))
        order = group[np.argsort(centres[:, axis], kind="stable")]
        stack += [np.sort(half) for half in np.array_split(order, 2)]


def _largest(scores: Floats, count: int) -> Ints:
    count = min(count, scores.shape[1])
    return np.argpartition(-scores, count - 1, axis=1)[:, :count]


def _nearest(words: Floats, own: Ints) -> Ints:
    """Places of the words whose boxes lie nearest to those at `own`."""
    delta = np.abs(words[own, None, :2] - words[None, :, :2])
    half = words[:, 4:6] / 2
    gaps = (delta - half[own, None] - half[None]).clip(0)
    distance = gaps.sum(2)
    distance[np.arange(len(own)), own] = np.inf
    return _largest(-distance, min(NEIGHBOURS, max(1, len(words) - 1)))


def _pairs(inside: Ints, own: Ints, chosen: Ints) -> Ints:
    first = np.repeat(inside[own], chosen.shape[1])
    return np.stack([first, inside[chosen.ravel()]], 1)


def rule_scores(words: Floats) -> Scores:
    """Scores by rules of thumb, in the form of the network's.

    A word follows another if it stands to its right at the same height, at most about a height and
    a half away; two words share a paragraph if the space between their lines is below about 0.7
    heights.
    """
    cosine, sine = words[:, 2:3], words[:, 3:4]
    dx = words[None, :, 0] - words[:, None, 0]
    dy = words[None, :, 1] - words[:, None, 1]
    along, across = dx * cosine + dy * sine, dy * cosine - dx * sine
    height = (words[:, None, 5] + words[None, :, 5]) / 2
    between = (words[:, None, 4] + words[None, :, 4]) / 2
    gap, off = (along - between) / height, np.abs(across) / height
    uneven = np.abs(np.log(words[:, None, 5] / words[None, :, 5]))
    fits = 6 * (1.5 - np.maximum(gap, -2 * gap)) - 25 * (off - 0.35).clip(0) - 3 * uneven
    fits = np.where(along > 0, fits - gap.clip(0) ** 2, -1e4)
    np.fill_diagonal(fits, -1e4)
    odds = np.exp(fits.clip(-60, 60))
    after, before = 1 + odds.sum(1), 1 + odds.sum(0)
    next_word = fits.clip(-60, 60) - (np.log(after)[:, None] + np.log(before)[None]) / 2
    line_ends = -np.log(np.stack([before - 1, after - 1], 1) + 1e-6)
    apart = (np.abs(along) - between) / height
    # Only the nearest words above and below say whether the space between two lines is wide.
    space = np.where((apart < 0.3) & (across > 0.35 * height), off - 1, np.inf)
    rows = np.arange(len(words))
    nearest = np.zeros(off.shape, bool)
    nearest[rows, space.argmin(1)] = True
    nearest[space.argmin(0), rows] = True
    nearest &= np.isfinite(space)
    evidence = 8 * (0.7 - np.where(nearest, space, 0)) - 6 * uneven
    same = np.where(nearest, evidence, 0) + np.where(off < 0.35, np.where(gap < 1.5, 1, -1), 0)
    scores = (line_ends, next_word, same + same.T)
    return tuple(part.astype(np.float32) for part in scores)  # type: ignore[return-value]


# --------------------------------------------------------------------------- lines


def decode_lines(scores: SparseScores, count: int) -> list[list[int]]:
    """Chain words to lines, the surest links first.

    A link needs to be likelier than that the first word ends a line and the second starts one;
    no word gets two successors or predecessors, and no chain closes to a ring.

    Args:
        scores: of the page.
        count: number of words.

    Returns:
        Lines of word numbers in writing order; every word once.
    """
    none = -np.logaddexp(0, -scores.line_ends.astype(np.float64))  # log of the sigmoid
    first, second = scores.next_pairs.T
    gain = scores.next_scores - (none[first, 1] + none[second, 0]) / 2
    order = np.argsort(-scores.next_scores, kind="stable")
    order = order[(gain[order] > 0) & (first[order] != second[order])]
    after = np.full(count, -1)
    before = np.full(count, -1)
    chain = list(range(count))
    for place in order.tolist():
        one, two = int(first[place]), int(second[place])
        if after[one] >= 0 or before[two] >= 0 or _root(chain, one) == _root(chain, two):
            continue
        after[one], before[two] = two, one
        chain[_root(chain, two)] = _root(chain, one)
    lines = []
    for start in np.flatnonzero(before < 0).tolist():
        line = [start]
        while after[line[-1]] >= 0:
            line.append(int(after[line[-1]]))
        lines.append(line)
    return lines


def _root(parents: list[int], item: int) -> int:
    while parents[item] != item:
        parents[item] = parents[parents[item]]
        item = parents[item]
    return item


# --------------------------------------------------------------------------- paragraphs


def decode_paragraphs(lines: list[list[int]], scores: SparseScores) -> list[list[list[int]]]:
    """Join lines to paragraphs by average linkage over their neighbouring words.

    Two groups are joined while the mean logit between their neighbouring words is above 0, the
    surest first: one doubtful pair neither joins two paragraphs nor tears one apart.

    Returns:
        Paragraphs of lines; their order means nothing yet.
    """
    count = sum(map(len, lines))
    line_of = np.zeros(count, np.int64)
    for number, line in enumerate(lines):
        line_of[line] = number
    links: list[dict[int, tuple[float, int]]] = [{} for _ in lines]
    pairs = line_of[scores.near_pairs]
    for (one, two), score in zip(pairs.tolist(), scores.near_scores.tolist(), strict=True):
        if one != two:
            for near, far in ((one, two), (two, one)):
                total, number = links[near].get(far, (0.0, 0))
                links[near][far] = (total + score, number + 1)
    members = [[number] for number in range(len(lines))]
    heap = [
        (-total / number, one, two)
        for one, found in enumerate(links)
        for two, (total, number) in found.items()
        if one < two and total > 0
    ]
    heapq.heapify(heap)
    while heap:
        cost, one, two = heapq.heappop(heap)
        total, number = links[one].get(two, (0.0, 1))
        if not members[one] or not members[two] or -total / number != cost:
            continue  # overtaken by an earlier join
        members[one] += members[two]
        members[two] = []
        for other, (more, weight) in links[two].items():
            links[other].pop(two)
            if other == one:
                continue
            total, number = links[one].get(other, (0.0, 0))
            total, number = total + more, number + weight
            links[one][other] = links[other][one] = (total, number)
            if total > 0:
                heapq.heappush(heap, (-total / number, min(one, other), max(one, other)))
        links[two] = {}
    return [[lines[number] for number in group] for group in members if group]


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
