"""Figures of a layout whose words are given: exact lines and paragraphs, and their order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import numpy as np

from sightbook.ocr.layout.arrange import Judge, Layout, arrange_words
from sightbook.ocr.layout.data import NOISE, Floats, Ints


class LayoutFigures:
    """Counts over pages.

    A line is found if it holds the true line's words in their order and nothing else, a paragraph
    if it holds the same set of words. Order is of pairs of words, over all pairs of a page: 1 if
    every pair is read in the true order, 0.5 by chance.
    """

    def __init__(self) -> None:
        """Start with nothing counted."""
        self.lines = np.zeros(3, np.int64)
        self.paragraphs = np.zeros(3, np.int64)
        self.orders: list[float] = []

    def update(self, words: Floats, lines: Ints, paragraphs: Ints, judge: Judge) -> Layout:
        """Lay out a page and count.

        Args:
            words: features ``[n, 6]``, in the true reading order.
            lines: true line of each word.
            paragraphs: true paragraph of each word.
            judge: scores pairs of words.

        Returns:
            What was found.
        """
        found = arrange_words(words, judge)
        every = [line for paragraph in found for line in paragraph]
        self.lines += exact_groups(map(tuple, every), map(tuple, grouped(lines)))
        merged = (sorted(chain.from_iterable(paragraph)) for paragraph in found)
        self.paragraphs += exact_groups(map(tuple, merged), map(tuple, grouped(paragraphs)))
        self.orders.append(concordance([word for line in every for word in line]))
        return found

    def extend(self, other: LayoutFigures) -> None:
        """Take over another's counts."""
        self.lines += other.lines
        self.paragraphs += other.paragraphs
        self.orders += other.orders

    def summary(self) -> dict[str, float]:
        """F1 of lines and of paragraphs, the mean of both, and the order."""
        line, paragraph = f1(self.lines), f1(self.paragraphs)
        return {
            "layout_f1": (line + paragraph) / 2,
            "line_f1": line,
            "paragraph_f1": paragraph,
            "order": float(np.mean(self.orders)) if self.orders else 0.0,
        }


def exact_groups(
    predicted: Iterable[tuple[int, ...]], truth: Iterable[tuple[int, ...]]
) -> tuple[int, int, int]:
    """Groups found word for word, groups predicted, groups there are: what F1 is made of."""
    found, wanted = set(predicted), set(truth)
    return len(found & wanted), len(found), len(wanted)


def f1(counts: np.ndarray) -> float:
    """F1 of (found, predicted, true); 0 of nothing."""
    total = int(counts[1] + counts[2])
    return 2 * int(counts[0]) / total if total else 0.0


def grouped(numbers: Ints) -> list[list[int]]:
    """Places of the words of each line or paragraph, in order; noise is left out."""
    groups: dict[int, list[int]] = {}
    for place, number in enumerate(numbers.tolist()):
        if number != NOISE:
            groups.setdefault(number, []).append(place)
    return list(groups.values())


def concordance(order: list[int]) -> float:
    """Share of pairs of words that stand in `order` as in 0, 1, 2 ...; 1 for fewer than two."""
    places = np.asarray(order)
    pairs = len(places) * (len(places) - 1) // 2
    if not pairs:
        return 1.0
    return float(np.triu(places[:, None] < places[None], 1).sum() / pairs)
