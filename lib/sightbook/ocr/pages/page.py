"""A page and what stands on it: paragraphs of lines of words, in HierText's own nesting.

Truth and predictions have the same form, so that what reads one reads the other. Everything is in
pixels of the upright picture, x to the right and y down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]


@dataclass(frozen=True)
class Word:
    """One word.

    Attributes:
        vertices: its polygon, float32 ``[n, 2]``, at least three points.
        text: what it says; empty where nobody can tell.
        legible: whether it can be read; an illegible word is neither demanded nor punished.
        handwritten: whether it was written by hand.
        vertical: whether its letters run downwards.
        confidence: from 0 to 1 in predictions, None in truth.
    """

    vertices: Points
    text: str = ""
    legible: bool = True
    handwritten: bool = False
    vertical: bool = False
    confidence: float | None = None


@dataclass(frozen=True)
class Line:
    """A line of text and its words, in reading order; `text` joins them with blanks."""

    vertices: Points
    text: str = ""
    words: tuple[Word, ...] = ()
    legible: bool = True
    handwritten: bool = False
    vertical: bool = False
    confidence: float | None = None


@dataclass(frozen=True)
class Paragraph:
    """Lines that belong together, in reading order."""

    vertices: Points
    lines: tuple[Line, ...] = ()
    legible: bool = True


@dataclass(frozen=True)
class Page:
    """A picture and its text.

    Attributes:
        image_id: the picture's name without its suffix.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
        paragraphs: in reading order.
        image: the picture's file; None where there is none.
    """

    image_id: str
    width: int
    height: int
    paragraphs: tuple[Paragraph, ...] = ()
    image: Path | None = None

    def lines(self) -> Iterator[Line]:
        """All lines in reading order."""
        for paragraph in self.paragraphs:
            yield from paragraph.lines

    def words(self) -> Iterator[Word]:
        """All words in reading order."""
        for line in self.lines():
            yield from line.words

    def with_image(self, image: Path | None) -> Self:
        """The same page with another picture file."""
        return replace(self, image=image)

    def text(self) -> str:
        """Lines under one another, a blank line between paragraphs."""
        return "\n\n".join(
            "\n".join(line.text for line in paragraph.lines) for paragraph in self.paragraphs
        )

    def to_dict(self) -> dict[str, Any]:
        """The page as HierText's JSON has it; coordinates rounded to a tenth of a pixel."""
        return {
            "image_id": self.image_id,
            "image_width": self.width,
            "image_height": self.height,
            "paragraphs": [
                {
                    "vertices": _listed(paragraph.vertices),
                    "legible": paragraph.legible,
                    "lines": [_line_dict(line) for line in paragraph.lines],
                }
                for paragraph in self.paragraphs
            ],
        }


@dataclass
class PageBuilder:
    """Collects lines of words into paragraphs whose polygons follow from what they hold."""

    image_id: str
    width: int
    height: int
    image: Path | None = None
    _paragraphs: list[Paragraph] = field(default_factory=list)

    def add(self, lines: Iterable[Iterable[Word]]) -> None:
        """Add a paragraph given as lines of words; empty lines are left out."""
        made = tuple(line_of(words) for words in map(tuple, lines) if words)
        if made:
            corners = np.concatenate([line.vertices for line in made])
            legible = any(line.legible for line in made)
            self._paragraphs.append(Paragraph(bounding_box(corners), made, legible))

    def page(self) -> Page:
        """The page with everything that was added."""
        return Page(self.image_id, self.width, self.height, tuple(self._paragraphs), self.image)


def line_of(words: tuple[Word, ...]) -> Line:
    """A line from its words: text joined by blanks, polygon the smallest rotated rectangle."""
    corners = np.concatenate([word.vertices for word in words])
    return Line(
        smallest_rectangle(corners) if len(words) > 1 else words[0].vertices,
        " ".join(word.text for word in words if word.text),
        words,
        legible=any(word.legible for word in words),
        handwritten=any(word.handwritten for word in words),
        vertical=all(word.vertical for word in words),
    )


def bounding_box(points: Points) -> Points:
    """The upright rectangle around points, as four corners clockwise from the top left."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return rectangle(x0, y0, x1, y1)


def rectangle(x0: float, y0: float, x1: float, y1: float) -> Points:
    """Four corners clockwise from the top left."""
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def smallest_rectangle(points: Points) -> Points:
    """The rotated rectangle of least area around points, clockwise from its top left corner."""
    import cv2

    corners = cv2.boxPoints(cv2.minAreaRect(points.astype(np.float32)))
    return from_top_left(np.asarray(corners, np.float32))


def from_top_left(corners: Points) -> Points:
    """Four corners of a convex quadrilateral, clockwise, first the one nearest the top left."""
    centre = corners.mean(0)
    angles = np.arctan2(corners[:, 1] - centre[1], corners[:, 0] - centre[0])
    ordered = corners[np.argsort(angles)]
    return np.roll(ordered, -int(ordered.sum(1).argmin()), axis=0).astype(np.float32)


def _line_dict(line: Line) -> dict[str, Any]:
    flags = {"legible": line.legible, "handwritten": line.handwritten, "vertical": line.vertical}
    return {
        "vertices": _listed(line.vertices),
        "text": line.text,
        **flags,
        **_confidence(line),
        "words": [
            {
                "vertices": _listed(word.vertices),
                "text": word.text,
                "legible": word.legible,
                "handwritten": word.handwritten,
                "vertical": word.vertical,
                **_confidence(word),
            }
            for word in line.words
        ],
    }


def _confidence(item: Line | Word) -> dict[str, float]:
    return {} if item.confidence is None else {"confidence": round(item.confidence, 4)}


def _listed(points: Points) -> list[list[float]]:
    return [[round(float(x), 1), round(float(y), 1)] for x, y in points]
