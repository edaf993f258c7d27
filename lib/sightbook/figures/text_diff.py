"""Pictures of what was read beside what is written: wrong characters stand in red."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from sightbook.data.images import ImageError, open_image
from sightbook.figures.style import INK, MUTED, SHADE, WRONG, Plot, empty_plot, show_image

LoadedImage = NDArray[np.uint8] | Path | Callable[[], NDArray[np.uint8]]

GAP = "·"
"""Stands where a character is missing on one side."""


@dataclass(frozen=True)
class Case:
    """One reading to be looked at.

    Attributes:
        name: of the picture.
        image: pixels, a file, or a function that makes the pixels.
        truth: lines as they are; None where it is not known.
        prediction: lines as read; empty for nothing found.
        error: how bad the reading is (CER, say); the browser and the grid sort by it.
        note: more to say about it in a few words.
    """

    name: str
    image: LoadedImage
    truth: Sequence[str] | None
    prediction: Sequence[str]
    error: float = 0.0
    note: str = ""

    def pixels(self) -> NDArray[np.uint8]:
        """The picture, or a grey tile where it cannot be read."""
        if isinstance(self.image, np.ndarray):
            return self.image
        try:
            return open_image(self.image) if isinstance(self.image, Path) else self.image()
        except ImageError:
            return np.full((60, 200), 200, np.uint8)


def align(truth: str, prediction: str) -> list[tuple[str, str]]:
    """Pairs of characters by the fewest edits; "" on the side where one is missing.

    >>> align("ABC1", "AC1X")
    [('A', 'A'), ('B', ''), ('C', 'C'), ('1', '1'), ('', 'X')]
    """
    pairs: list[tuple[str, str]] = []
    for edit in Levenshtein.opcodes(truth, prediction):
        pairs += zip_longest(
            truth[edit.src_start : edit.src_end],
            prediction[edit.dest_start : edit.dest_end],
            fillvalue="",
        )
    return pairs


def reading_comparison(
    image: NDArray[np.uint8],
    truth: Sequence[str] | None,
    prediction: Sequence[str],
    *,
    title: str = "",
    width: float = 9.0,
) -> Plot:
    """One picture with what is written and what was read, character under character."""
    return worst_cases([Case(title, image, truth, prediction)], count=1, columns=1, width=width)


def worst_cases(
    cases: Sequence[Case], *, count: int = 6, columns: int = 2, width: float = 13.0
) -> Plot:
    """The cases with the greatest error, the worst first."""
    shown = sorted(cases, key=lambda case: -case.error)[:count]
    return case_grid(shown, columns=columns, width=width)


def case_grid(cases: Sequence[Case], *, columns: int = 2, width: float = 13.0) -> Plot:
    """Cases in rows, in the order given."""
    if not cases:
        return empty_plot("no cases")
    columns = max(1, min(columns, len(cases)))
    cell = width / columns
    room = 0.94 * cell * 72 / _ADVANCE  # characters of one point's size that fit in a row
    longest = max((len(line) for case in cases for line in _lines(case)), default=0) + _GUTTER
    size = min(13.0, max(8.5, room / longest))
    texts = [_text_rows(case, int(room / size)) for case in cases]
    images = [case.pixels() for case in cases]
    tallest = [min(cell * image.shape[0] / image.shape[1], 0.75 * cell, 4.2) for image in images]
    starts = range(0, len(cases), columns)
    image_heights = [max(tallest[start : start + columns]) for start in starts]
    line_counts = [
        max(1, *(len(text) for text in texts[start : start + columns])) for start in starts
    ]
    pitch = 1.28 * size / 72
    line_counts = [count + 1 for count in line_counts]  # sets a row of cases off from the next
    totals = [a + pitch * b + 0.75 for a, b in zip(image_heights, line_counts, strict=True)]
    plot = Plot(width, sum(totals))
    grid = plot.add_gridspec(len(totals), columns, height_ratios=totals)
    for number, case in enumerate(cases):
        row = number // columns
        parts = (image_heights[row], pitch * line_counts[row])
        place = grid[row, number % columns].subgridspec(2, 1, height_ratios=parts, hspace=0.02)
        upper, lower = plot.add_subplot(place[0]), plot.add_subplot(place[1])
        heading = "   ".join(text for text in (case.name, case.note) if text)
        show_image(upper, images[number], heading, characters=int(cell * 10.5))
        upper.set_anchor("SW")
        _draw_text(lower, texts[number], line_counts[row], size)
    return plot


_ADVANCE = 0.602
"""Width of DejaVu Sans Mono's characters as a share of their size."""
_GUTTER = 5
"""Characters' room at the left of each row for "is" and "read"."""

# One row of text: its label, and the strings drawn over each other, each in its colour and weight.
TextRow = tuple[str, list[tuple[str, str, str]]]


def _text_rows(case: Case, columns: int) -> list[TextRow]:
    """Rows of text of a case, cut to so many characters; a pair of rows is set off by an empty one.

    Each row is some strings of one length, blank where another of them has a character: that is
    far quicker to draw than single characters, and in a mono-spaced font it lies the same.
    """
    width = max(20, columns - _GUTTER)
    if case.truth is None:
        cut = [
            line[at : at + width] for line in case.prediction for at in range(0, len(line), width)
        ]
        return [("read", [(line, INK, "normal")]) for line in cut] or [("read", [])]
    rows: list[TextRow] = []
    for truth, read in zip_longest(case.truth, case.prediction, fillvalue=""):
        pairs = align(truth, read)
        for at in range(0, len(pairs), width):
            block = pairs[at : at + width]
            same = [a == b for a, b in block]
            right = "".join(a if ok else " " for (a, _), ok in zip(block, same, strict=True))
            shade = "".join(" " if ok else "\N{FULL BLOCK}" for ok in same)
            missed = "".join(
                " " if ok else a or GAP for (a, _), ok in zip(block, same, strict=True)
            )
            wrong = "".join(" " if ok else b or GAP for (_, b), ok in zip(block, same, strict=True))
            rows.append(("is", [(right, INK, "normal"), (missed, INK, "bold")]))
            rows.append(
                ("read", [(shade, SHADE, "bold"), (right, INK, "normal"), (wrong, WRONG, "bold")])
            )
            rows.append(("", []))
    return rows[:-1]


def _lines(case: Case) -> list[str]:
    return [*(case.truth or ()), *case.prediction]


def _draw_text(ax: Axes, rows: Sequence[TextRow], places: int, size: float) -> None:
    ax.set_xlim(0, 1)
    ax.set_ylim(places, 0)
    ax.axis("off")
    for number, (label, strings) in enumerate(rows):
        ax.text(0, number + 0.5, label, fontsize=7.5, color=MUTED, va="center")
        for text, color, weight in strings:
            if text.strip():
                ax.annotate(
                    text,
                    (0, number + 0.78),
                    xytext=(_GUTTER * size * _ADVANCE, 0),
                    textcoords="offset points",
                    family="DejaVu Sans Mono",
                    fontsize=size,
                    fontweight=weight,
                    color=color,
                    va="baseline",
                    annotation_clip=False,
                )
