"""Making the engine's fixed threshold the right one: a shift of the detector's logits.

The engine takes a pixel for text above a probability of 0.2. Adding a number to the logits before
the sigmoid lets that act as any other threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightbook.metrics.polygons import polygon_overlaps
from sightbook.ocr.inference import engine
from sightbook.ocr.pages.page import Page

IOU = 0.5
"""Overlap from which on a rectangle is a word."""

DONT_CARE = 0.5
"""Share of a rectangle on illegible words from which on it does not count."""

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Probabilities, before the shift, that are tried as threshold."""


@dataclass(frozen=True)
class WordCounts:
    """How many words were found, and of how many."""

    hits: int = 0
    true: int = 0
    found: int = 0

    def __add__(self, other: WordCounts) -> WordCounts:
        return WordCounts(self.hits + other.hits, self.true + other.true, self.found + other.found)

    @property
    def precision(self) -> float:
        """Share of what was found that is a word; 1 if nothing was found."""
        return self.hits / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """Share of the words that was found; 1 if there are none."""
        return self.hits / self.true if self.true else 1.0

    @property
    def f(self) -> float:
        """Harmonic mean of both; 1 where there was nothing and nothing was found."""
        both = self.true + self.found
        return 2 * self.hits / both if both else 1.0


def count_words(page: Page, rects: NDArray[np.float32], iou: float = IOU) -> WordCounts:
    """Hold rectangles against a page's words.

    A word and a rectangle match that are each other's best and overlap enough. Illegible words are
    not asked for, and rectangles that lie on them do not count.

    Args:
        page: the truth.
        rects: float32 ``[n, 4, 2]``.
        iou: that a match needs.
    """
    words = list(page.words())
    overlaps = polygon_overlaps([word.vertices for word in words], list(rects))
    legible = np.array([word.legible for word in words], bool)
    blind = overlaps.intersection[~legible] / (overlaps.second[None] + 1e-9)
    kept = ~(blind >= DONT_CARE).any(0)
    shared = overlaps.taken(legible, kept).iou
    hits = 0
    if shared.size:
        best, back = shared.argmax(1), shared.argmax(0)
        rows = np.arange(len(best))
        hits = int(((back[best] == rows) & (shared[rows, best] >= iou)).sum())
    return WordCounts(hits, int(legible.sum()), int(kept.sum()))


def total(counts: Iterable[WordCounts]) -> WordCounts:
    """The sum over pages."""
    return sum(counts, WordCounts())


def shift_for(threshold: float) -> float:
    """Logit shift that makes the engine's 0.2 act as a threshold.

    Args:
        threshold: a probability between 0 and 1.
    """
    return _logit(engine.THRESHOLD) - _logit(threshold)


def best_shift(
    logits: Sequence[NDArray[np.float32]], pages: Sequence[Page]
) -> tuple[float, list[dict[str, float]]]:
    """The logit shift with which the engine's own rectangles fit the words best.

    Args:
        logits: of each page, ``[h, w]``, cut to the part that shows the picture.
        pages: the truth.

    Returns:
        The shift of the highest F (of several, the one next to a threshold of a half), and a row
        for each that was tried: `threshold`, `shift`, `F`, `precision`, `recall`.
    """
    rows = []
    for threshold in THRESHOLDS:
        shift = shift_for(threshold)
        counts = total(
            count_words(page, engine.find_words(sigmoid(part + shift), (page.height, page.width)))
            for part, page in zip(logits, pages, strict=True)
        )
        rows.append(
            {
                "threshold": threshold,
                "shift": round(shift, 4),
                "F": round(counts.f, 4),
                "precision": round(counts.precision, 4),
                "recall": round(counts.recall, 4),
            }
        )
    best = max(rows, key=lambda row: (row["F"], -abs(row["threshold"] - 0.5)))
    return best["shift"], rows


def sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Logits to probabilities, float32."""
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))
