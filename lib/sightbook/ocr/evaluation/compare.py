"""One page as read against the same page as it is: what matches, and what the lines say.

The matching is HierText's; :mod:`sightbook.ocr.evaluation.metrics` says how and makes figures of
the counts.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from sightbook.metrics.polygons import Overlaps, polygon_overlaps
from sightbook.ocr.pages.page import Line, Page, Paragraph, Points, Word

Counts = dict[str, float]

IOU = 0.5
DONT_CARE = 0.5
"""A prediction with this share of its area on one illegible region is left out."""
HALF = 0.5
"""Share of the smaller of two words that their intersection needs for one to hold the other."""

OUTCOMES = ("matched", "merged", "split", "loose", "missed")
"""What may happen to a true word: matched; swallowed by a prediction that holds other words too;
broken into several predictions; found by one that fits badly; or not found at all."""

_EPSILON = 1e-5  # the protocol's own


@dataclass(frozen=True)
class WordMatch:
    """What became of one true word.

    Attributes:
        truth: the word.
        found: the prediction that matched it, or else the one that lies on it most.
        iou: of the two; 0 for nothing found.
        outcome: one of :data:`OUTCOMES`.
    """

    truth: Word
    found: Word | None
    iou: float
    outcome: str

    @property
    def right(self) -> bool:
        """Whether it was matched and says exactly the same."""
        return self.outcome == "matched" and same_text(self.truth.text, self.found)

    @property
    def read(self) -> str:
        """The text found; empty for none."""
        return normal(self.found.text) if self.found is not None else ""


@dataclass(frozen=True)
class LineReading:
    """A true line and the predicted words that lie on it, however these were grouped."""

    truth: str
    read: str


@dataclass(frozen=True)
class PageResult:
    """One page's counts, which may be added up, and what is behind them.

    Attributes:
        counts: by name; see :func:`figures`.
        words: every legible true word.
        lines: every legible true line with text.
        false: predicted words that no true word accounts for.
    """

    counts: Counts
    words: list[WordMatch] = field(default_factory=list)
    lines: list[LineReading] = field(default_factory=list)
    false: list[Word] = field(default_factory=list)


def compare_pages(
    truth: Sequence[Page], predicted: Sequence[Page], iou: float = IOU
) -> list[PageResult]:
    """Compare pages given in the same order; see :func:`evaluate_pages`."""
    if len(truth) != len(predicted):
        raise ValueError(
            f"{len(truth)} true pages and {len(predicted)} predicted ones: give one prediction for "
            "each page, an empty page where nothing was found"
        )
    for a, b in zip(truth, predicted, strict=True):
        if a.image_id and b.image_id and a.image_id != b.image_id:
            raise ValueError(
                f"page '{a.image_id}' stands beside a prediction for '{b.image_id}': "
                "both must come in the same order"
            )
    return [compare_page(a, b, iou) for a, b in zip(truth, predicted, strict=True)]


def compare_page(truth: Page, predicted: Page, iou: float = IOU) -> PageResult:
    """Compare one page; see :func:`evaluate_pages`."""
    words, read = list(truth.words()), list(predicted.words())
    overlaps = polygon_overlaps([w.vertices for w in words], [w.vertices for w in read])
    legible = np.array([w.legible for w in words], bool)
    # Lines that are only given as a whole cannot say which words they hold.
    wordless = [line for line in truth.lines() if line.legible and not line.words]
    on_lines = polygon_overlaps([x.vertices for x in wordless], [w.vertices for w in read])
    cared = _cared_for(overlaps, legible)
    kept = cared & _cared_for(on_lines, np.zeros(len(wordless), bool))
    mine = [word for word, yes in zip(words, legible, strict=True) if yes]
    theirs = [word for word, yes in zip(read, kept, strict=True) if yes]
    valid = overlaps.taken(legible, kept)
    found = _matches(valid.iou, iou)
    outcomes = [_outcome(row, found, valid) for row in range(len(mine))]
    matches = [_match(mine, theirs, row, outcomes[row], valid, found) for row in range(len(mine))]
    counts = _level("words", valid.iou, found)
    counts |= _end_to_end("end_to_end", valid.iou, found, _texts(mine), _texts(theirs))
    counts |= {f"outcome/{name}": float(outcomes.count(name)) for name in OUTCOMES}
    counts |= _line_counts(truth, predicted, iou) | _paragraph_counts(truth, predicted, iou)
    readings, added = _line_readings(truth, read, cared, overlaps, on_lines)
    counts |= _text_counts(readings, added, matches)
    taken = {column for column in found if column >= 0}
    false = [word for column, word in enumerate(theirs) if column not in taken]
    return PageResult(counts, matches, readings, false)


def normal(text: str) -> str:
    """Text as it is compared: composed characters (NFC), one blank between words."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def same_text(truth: str, found: Word | Line | None) -> bool:
    """Whether exactly this was read."""
    return found is not None and normal(truth) == normal(found.text)


def word_height(word: Word) -> float:
    """Height of a word in pixels: the short side of the rectangle around it."""
    if len(word.text) == 1:  # "l" is higher than it is long
        return float(np.ptp(word.vertices[:, 1]))
    return float(min(cv2.minAreaRect(np.asarray(word.vertices, np.float32))[1]))


# ------------------------------------------------------------------ masks


@dataclass(frozen=True)
class Mask:
    """Some pixels of a page: a small picture and where its top left corner lies.

    Attributes:
        x: of the corner, pixels.
        y: of the corner, pixels.
        pixels: bool ``[h, w]``.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]


def mask_of(polygons: Sequence[Points], width: int, height: int) -> Mask:
    """The pixels of a page that some polygons cover; what lies beyond the page is cut off.

    A polygon's border belongs to it, corners are rounded to whole pixels.
    """
    corners = [np.round(polygon).astype(np.int32) for polygon in polygons]
    every = np.concatenate(corners)
    x0, y0 = np.clip(every.min(0), 0, (width, height)).tolist()
    x1, y1 = np.clip(every.max(0) + 1, 0, (width, height)).tolist()
    pixels = np.zeros((max(0, y1 - y0), max(0, x1 - x0)), np.uint8)
    if pixels.size:
        for polygon in corners:
            cv2.fillPoly(pixels, [polygon - (x0, y0)], (1,))
    return Mask(x0, y0, pixels > 0)


def mask_overlaps(first: Sequence[Mask], second: Sequence[Mask]) -> Overlaps:
    """Intersections of masks, in pixels."""
    areas = [np.array([mask.pixels.sum() for mask in group], float) for group in (first, second)]
    intersection = np.zeros((len(first), len(second)))
    for row, a in enumerate(first):
        for column, b in enumerate(second):
            x0, y0 = max(a.x, b.x), max(a.y, b.y)
            x1 = min(a.x + a.pixels.shape[1], b.x + b.pixels.shape[1])
            y1 = min(a.y + a.pixels.shape[0], b.y + b.pixels.shape[0])
            if x1 > x0 and y1 > y0:
                mine = a.pixels[y0 - a.y : y1 - a.y, x0 - a.x : x1 - a.x]
                other = b.pixels[y0 - b.y : y1 - b.y, x0 - b.x : x1 - b.x]
                intersection[row, column] = np.count_nonzero(mine & other)
    return Overlaps(intersection, areas[0], areas[1])


# ------------------------------------------------------------------ matching


def _cared_for(overlaps: Overlaps, legible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which predictions lie on no illegible region."""
    on = overlaps.intersection[~legible] / (overlaps.second[None] + _EPSILON)
    return ~np.any(on >= DONT_CARE, axis=0)


def _matches(iou: NDArray[np.float64], least: float) -> list[int]:
    """For each true region the prediction that it and no other is matched with, or -1."""
    if not iou.size:
        return [-1] * len(iou)
    best, back = iou.argmax(1), iou.argmax(0)
    return [
        int(column) if iou[row, column] >= least and back[column] == row else -1
        for row, column in enumerate(best)
    ]


def _level(name: str, iou: NDArray[np.float64], found: list[int]) -> Counts:
    hits = [(row, column) for row, column in enumerate(found) if column >= 0]
    return {
        f"{name}/hits": float(len(hits)),
        f"{name}/iou": float(sum(iou[hit] for hit in hits)),
        f"{name}/true": float(iou.shape[0]),
        f"{name}/read": float(iou.shape[1]),
    }


def _end_to_end(
    name: str,
    iou: NDArray[np.float64],
    found: list[int],
    truth: Sequence[str],
    read: Sequence[str],
) -> Counts:
    """Matches with the right text. A true region without text asks for none: it is left out, and
    so is what was found there."""
    known = [row for row, text in enumerate(truth) if text]
    unknown = sum(column >= 0 for row, column in enumerate(found) if not truth[row])
    right = [row for row in known if found[row] >= 0 and read[found[row]] == truth[row]]
    return {
        f"{name}/hits": float(len(right)),
        f"{name}/iou": float(sum(iou[row, found[row]] for row in right)),
        f"{name}/true": float(len(known)),
        f"{name}/read": float(iou.shape[1] - unknown),
    }


def _texts(items: Iterable[Word | Line]) -> list[str]:
    return [normal(item.text) for item in items]


def _holds(overlaps: Overlaps) -> NDArray[np.bool_]:
    """Whether the intersection is half of the smaller word."""
    return np.maximum(overlaps.of_first, overlaps.of_second) >= HALF


def _outcome(row: int, found: list[int], overlaps: Overlaps) -> str:
    if found[row] >= 0:
        return "matched"
    covered = overlaps.of_first >= HALF
    inside = overlaps.of_second[row] >= HALF
    if (covered[row] & (covered.sum(0) > 1)).any():
        return "merged"
    if inside.sum() > 1:
        return "split"
    return "loose" if _holds(overlaps)[row].any() else "missed"


def _match(
    truth: list[Word],
    read: list[Word],
    row: int,
    outcome: str,
    overlaps: Overlaps,
    found: list[int],
) -> WordMatch:
    column = found[row]
    if column < 0 and outcome != "missed":
        column = int(overlaps.intersection[row].argmax())
    if column < 0:
        return WordMatch(truth[row], None, 0.0, outcome)
    return WordMatch(truth[row], read[column], float(overlaps.iou[row, column]), outcome)


def _line_counts(truth: Page, predicted: Page, iou: float) -> Counts:
    mine, read = list(truth.lines()), list(predicted.lines())
    parts = [[w.vertices for w in line.words] or [line.vertices] for line in mine]
    found, valid, kept = _region_matches(mine, parts, _line_polygons(read), truth, iou)
    texts = _texts(line for line in mine if line.legible)
    theirs = _texts(line for line, yes in zip(read, kept, strict=True) if yes)
    return _level("lines", valid, found) | _end_to_end(
        "lines_end_to_end", valid, found, texts, theirs
    )


def _paragraph_counts(truth: Page, predicted: Page, iou: float) -> Counts:
    # An illegible paragraph is all of its polygon: its words may not even have been drawn.
    parts = [
        (p.legible and [w.vertices for line in p.lines for w in line.words]) or [p.vertices]
        for p in truth.paragraphs
    ]
    read = [
        [v for polygons in _line_polygons(p.lines) for v in polygons] or [p.vertices]
        for p in predicted.paragraphs
    ]
    found, valid, _ = _region_matches(truth.paragraphs, parts, read, truth, iou)
    return _level("paragraphs", valid, found)


def _line_polygons(lines: Iterable[Line]) -> list[list[Points]]:
    return [[word.vertices for word in line.words] or [line.vertices] for line in lines]


def _region_matches(
    truth: Sequence[Line | Paragraph],
    parts: Sequence[Sequence[Points]],
    read: Sequence[Sequence[Points]],
    page: Page,
    iou: float,
) -> tuple[list[int], NDArray[np.float64], NDArray[np.bool_]]:
    """Matches of the legible regions, their IoU matrix, and which predictions were kept."""
    groups = [[mask_of(p, page.width, page.height) for p in group] for group in (parts, read)]
    overlaps = mask_overlaps(*groups)
    legible = np.array([region.legible for region in truth], bool)
    kept = _cared_for(overlaps, legible)
    matrix = overlaps.taken(legible, kept).iou
    return _matches(matrix, iou), matrix, kept


# ------------------------------------------------------------------ text


def _line_readings(
    truth: Page,
    read: Sequence[Word],
    cared: NDArray[np.bool_],
    overlaps: Overlaps,
    on_lines: Overlaps,
) -> tuple[list[LineReading], list[str]]:
    """What was read on each true line, whatever lines were predicted, and what lies on none.

    A predicted word belongs to the line that it covers most, if the intersection is half of it or
    half of a word there; words of a line are put in order along it. So lines that were predicted
    too long or too short, usual on forms, are not counted as errors of reading: the protocol's
    lines have that.
    """
    rows = np.concatenate([overlaps.intersection, on_lines.intersection])
    held = np.concatenate([_holds(overlaps), _holds(on_lines)])
    best = np.where(held, rows, 0).argmax(0) if rows.size else np.zeros(len(read), int)
    owners: dict[int, list[int]] = {}
    added: list[str] = []
    for column in np.nonzero(cared)[0].tolist():
        if rows.size and held[best[column], column]:
            owners.setdefault(int(best[column]), []).append(column)
        else:
            added.append(normal(read[column].text))
    readings, start, last = [], 0, len(overlaps.first)
    for line in truth.lines():
        if line.words:
            numbers = range(start, start + len(line.words))
            start += len(line.words)
        elif line.legible:
            numbers = range(last, last + 1)
            last += 1
        text = _line_text(line)
        if line.legible and text:
            columns = [c for number in numbers for c in owners.get(number, [])]
            found = _along(line, [read[c] for c in columns])
            readings.append(LineReading(text, normal(" ".join(w.text for w in found))))
    return readings, [text for text in added if text]


def _line_text(line: Line) -> str:
    if not line.words:
        return normal(line.text)
    return normal(" ".join(word.text for word in line.words if word.legible))


def _along(line: Line, words: Sequence[Word]) -> list[Word]:
    corners = line.words[0].vertices if line.words else line.vertices
    direction = corners[1] - corners[0]  # polygons begin where reading does
    if len(line.words) > 1:
        direction = line.words[-1].vertices.mean(0) - line.words[0].vertices.mean(0)
    return sorted(words, key=lambda word: float(word.vertices.mean(0) @ direction))


def _text_counts(
    readings: Sequence[LineReading], added: Sequence[str], matches: Sequence[WordMatch]
) -> Counts:
    matched = [m for m in matches if m.outcome == "matched" and m.truth.text]
    return {
        "text/errors": float(
            sum(Levenshtein.distance(line.truth, line.read) for line in readings)
            + sum(map(len, added))
        ),
        "text/characters": float(sum(len(line.truth) for line in readings)),
        "text/word_errors": float(
            sum(Levenshtein.distance(line.truth.split(), line.read.split()) for line in readings)
            + sum(len(text.split()) for text in added)
        ),
        "text/words": float(sum(len(line.truth.split()) for line in readings)),
        "text/exact": float(sum(line.truth == line.read for line in readings)),
        "text/lines": float(len(readings)),
        "matched/errors": float(
            sum(Levenshtein.distance(normal(m.truth.text), m.read) for m in matched)
        ),
        "matched/characters": float(sum(len(normal(m.truth.text)) for m in matched)),
    }
