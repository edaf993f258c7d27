"""Reading cartridge heads: casing and primer, ellipse, unrolled ring, text, maker and calibre.

    recognise = ocr.LineReader("outputs/reference/headstamps/recognition/model.onnx").read
    for head in read_photo(image, detect, recognise):
        print(head.text, head.candidates)

What finds casings and what reads lines are functions that are handed in, so that each step can be
looked at with the true outlines or with texts that are known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.detection.labels.annotations import Box, polygons_box
from sightbook.headstamps.gazetteer import Candidate, Gazetteer, corrected, identify
from sightbook.headstamps.unroll import (
    Ellipse,
    Strip,
    ellipse_of_box,
    fit_ellipse,
    side_window,
    unroll,
    upside_down,
)
from sightbook.headstamps.words import (
    Word,
    best_words,
    better_seam,
    free_angles,
    in_order,
    main_word,
    ring_words,
    side_word,
)
from sightbook.metrics.polygons import box_iou
from sightbook.ocr import LineText

Image = NDArray[np.uint8]

Detector = Callable[[Image], Sequence[Box]]
"""Casings and primers, with outlines where the model makes masks, on a uint8 RGB photograph."""

Recogniser = Callable[[Sequence[Image]], Sequence[LineText]]
"""Texts of pictures of one line each, uint8 grey ``[64, w]``: `ocr.LineReader.read` is one."""

CASING, PRIMER = "casing", "primer"

MIN_CONFIDENCE = 0.4
"""Words below it are left out."""

_SIDE_STEP = 0.19  # rows between windows: letters half out of one are whole in the next
_PRIMER_RADII = (0.15, 0.8)  # of a casing's, what a primer's may be
_SMALLEST = 4.0  # pixels: a semi-axis below which there is no ring to unroll


@dataclass(frozen=True)
class Outline:
    """A casing, and the primer in it.

    Attributes:
        casing: as detected.
        ellipse: its outline.
        primer: as detected; None where none was found.
        primer_ellipse: its outline.
    """

    casing: Box
    ellipse: Ellipse
    primer: Box | None = None
    primer_ellipse: Ellipse | None = None


@dataclass(frozen=True)
class Head:
    """A cartridge head and what stands on it.

    Attributes:
        outline: where it is.
        strip: its ring, unrolled.
        words: in reading order, see `words.in_order`, put right by the table.
        read: the same before that.
        candidates: what it may be, best first.
    """

    outline: Outline
    strip: Strip
    words: tuple[Word, ...]
    read: tuple[Word, ...]
    candidates: tuple[Candidate, ...]

    @property
    def text(self) -> str:
        """All words in order."""
        return " ".join(word.text for word in self.words)

    def to_dict(self) -> dict[str, Any]:
        """For JSON: casing, primer or None, tokens, text, the text as read, candidates."""
        outline = self.outline
        primer = None
        if outline.primer is not None and outline.primer_ellipse is not None:
            primer = _described(outline.primer, outline.primer_ellipse)
        return {
            "casing": _described(outline.casing, outline.ellipse),
            "primer": primer,
            "tokens": [
                {
                    "text": word.text,
                    "angle": round(word.angle, 1),
                    "direction": word.direction,
                    "confidence": round(word.confidence, 4),
                }
                for word in self.words
            ],
            "text": self.text,
            "read": " ".join(word.text for word in self.read),
            "candidates": [asdict(candidate) for candidate in self.candidates],
        }


def read_photo(
    image: Image,
    detect: Detector,
    recognise: Recogniser,
    *,
    table: Gazetteer | None = None,
    min_confidence: float = MIN_CONFIDENCE,
) -> list[Head]:
    """Find the heads of a photograph and read them.

    Args:
        image: uint8 RGB ``[H, W, 3]``, upright.
        detect: finds casings and primers.
        recognise: reads lines.
        table: of makers and calibres; None for the shipped one.
        min_confidence: words below it are left out.

    Returns:
        One a casing, in the detector's order of confidence.
    """
    size = (image.shape[1], image.shape[0])
    return [
        read_head(image, outline, recognise, table=table, min_confidence=min_confidence)
        for outline in find_outlines(detect(image), size)
    ]


def find_outlines(boxes: Sequence[Box], size: tuple[int, int]) -> list[Outline]:
    """Ellipses of casings, each with the primer that lies in it; a casing without one counts.

    Args:
        boxes: of `CASING` and `PRIMER`, others are not looked at.
        size: width and height of the photograph.
    """
    primers = [(box, box_ellipse(box, size)) for box in _by_score(boxes, PRIMER)]
    found = []
    for box in _by_score(boxes, CASING):
        ellipse = box_ellipse(box, size)
        if ellipse.b < _SMALLEST:
            continue
        inside = [pair for pair in primers if _is_within(pair[1], ellipse)]
        if inside:
            primers.remove(inside[0])
            found.append(Outline(box, ellipse, *inside[0]))
        else:
            found.append(Outline(box, ellipse))
    return found


def box_ellipse(box: Box, size: tuple[int, int]) -> Ellipse:
    """The ellipse of a box's outline, or within the box where there is none to be trusted.

    Args:
        box: with its largest polygon as the outline.
        size: width and height of the photograph: an outline cut off at its edge is completed.
    """
    if not box.polygons:
        return ellipse_of_box(box.xyxy)
    outline = max(box.polygons, key=lambda polygon: abs(cv2.contourArea(polygon)))
    try:
        ellipse = fit_ellipse(outline, size)
    except ValueError:
        return ellipse_of_box(box.xyxy)
    # Of a mask in shreds the fit may lie anywhere.
    fits = polygons_box([np.clip(ellipse.polygon(), 0, size).astype(np.float32)])
    return ellipse if box_iou(fits, box.xyxy) > 0.5 else ellipse_of_box(box.xyxy)


def read_head(
    image: Image,
    outline: Outline,
    recognise: Recogniser,
    *,
    table: Gazetteer | None = None,
    min_confidence: float = MIN_CONFIDENCE,
) -> Head:
    """Unroll one head and read it; arguments as `read_photo`."""
    strip = unroll(image, outline.ellipse, outline.primer_ellipse)
    found = _ring_words(strip, recognise)
    seam = better_seam(best_words(found, min_confidence), found)
    if seam is not None:  # what looked quietest went through a word
        strip = unroll(image, outline.ellipse, outline.primer_ellipse, start=seam)
        found += _ring_words(strip, recognise)
    seen = best_words(found, min_confidence)
    beside, main = free_angles(strip, seen, _SIDE_STEP), main_word(seen)
    places = [(angle, clockwise) for angle in beside for clockwise in (True, False)]
    windows = [side_window(strip, angle, clockwise=clockwise) for angle, clockwise in places]
    lines = recognise(windows) if windows else ()
    for (angle, clockwise), line in zip(places, lines, strict=True):
        word = side_word(strip, angle, line, clockwise=clockwise, main=main)
        if word is not None:
            found.append(word)
    read = tuple(in_order(best_words(found, min_confidence), strip))
    words = tuple(corrected(read, table))
    candidates = identify([word.text for word in words], table)
    return Head(outline, strip, words, read, tuple(candidates))


def _ring_words(strip: Strip, recognise: Recogniser) -> list[Word]:
    upright, turned = recognise([strip.image, upside_down(strip)])
    return ring_words(strip, upright, turned)


def _by_score(boxes: Sequence[Box], label: str) -> list[Box]:
    own = [box for box in boxes if box.label == label]
    return sorted(own, key=lambda box: -(1.0 if box.score is None else box.score))


def _is_within(primer: Ellipse, casing: Ellipse) -> bool:
    """Whether a primer may be this casing's: near its middle, and of a primer's size."""
    centre = casing.unit(np.array([primer.x, primer.y]))
    radius = float(np.sqrt(primer.a * primer.b / (casing.a * casing.b)))
    low, high = _PRIMER_RADII
    return bool(np.linalg.norm(centre) < 0.4) and low < radius < high


def _described(box: Box, ellipse: Ellipse) -> dict[str, Any]:
    return {
        "box": [round(value, 1) for value in box.xyxy],
        "score": None if box.score is None else round(box.score, 4),
        "ellipse": {name: round(value, 2) for name, value in asdict(ellipse).items()},
    }
