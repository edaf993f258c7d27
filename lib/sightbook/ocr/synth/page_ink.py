"""A sheet that pages are drawn on: text and rules, with a record of every word's place.

Everything is drawn in grey on a ``uint8`` picture. Words are recorded as polygons in the sheet's
own pixels, tight around the ink with the thin margin that people leave when they box a word; what
the camera does to the sheet afterwards moves the polygons along.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.ocr.pages.page import Points, rectangle
from sightbook.ocr.synth.page_faces import Cast
from sightbook.ocr.synth.texts import Texts
from sightbook.synth import fonts
from sightbook.synth.lettering import Ink, overlap, text_ink

Image = NDArray[np.uint8]
Align = Literal["left", "right", "centre", "justify"]
T = TypeVar("T")

MARGIN = 0.08
"""What is left around the ink of a word, as a share of the letter size."""


class Mark(NamedTuple):
    """A word on the sheet: its polygon ``[n, 2]``, clockwise from where reading starts."""

    polygon: Points
    text: str
    legible: bool = True
    handwritten: bool = False
    vertical: bool = False


Row = list[Mark]


@dataclass(frozen=True)
class Hand:
    """How text is set.

    Attributes:
        face: its typeface.
        px: size of the em in pixels.
        ink: grey level of the letters.
        stretch: horizontal scale; below 1 is condensed.
        bold: thickens strokes by a pixel.
        slant: horizontal shear; 0.2 makes an oblique.
        caps: sets capitals only.
        gap: width of a blank, as a share of the typeface's own.
        jitter: how far words may leave the baseline, pixels (typewriters, hands).
        handwritten: whether it passes for handwriting.
    """

    face: fonts.Face
    px: int
    ink: int = 0
    stretch: float = 1.0
    bold: bool = False
    slant: float = 0.0
    caps: bool = False
    gap: float = 1.0
    jitter: float = 0.0
    handwritten: bool = False

    def sized(self, scale: float) -> Hand:
        """The same at another size."""
        return replace(self, px=max(6, round(self.px * scale)))

    @property
    def space(self) -> float:
        """Width of a blank, pixels."""
        return _blank(self.face.path, self.px) * self.stretch * self.gap

    @property
    def rise(self) -> int:
        """Height of a capital, pixels."""
        return round(self.face.cap_height * self.px)

    @property
    def leading(self) -> int:
        """Distance of baselines in ordinary setting, pixels."""
        return round(self.px * 1.2)

    def spelled(self, word: str) -> str:
        """A word as this hand writes it: capitals, without what the typeface cannot draw."""
        text = word.upper() if self.caps else word
        if self.face.characters.issuperset(text):
            return text
        return "".join(c for c in text if c in self.face.characters)

    def shape(self, word: str) -> Ink:
        """The ink of a word that was spelled."""
        return _shape(word, self.face.path, self.px, self.stretch, self.bold, self.slant)

    def width(self, text: str) -> float:
        """How far the pen moves over a text with blanks, pixels."""
        words = text.split()
        moved = sum(self.shape(self.spelled(word)).advance for word in words)
        return moved + self.space * max(0, len(words) - 1)


@lru_cache(maxsize=4096)
def _blank(font: Path, px: int) -> float:
    return text_ink("o o", font, px).advance - text_ink("oo", font, px).advance


@lru_cache(maxsize=20_000)
def _shape(text: str, font: Path, px: int, stretch: float, bold: bool, slant: float) -> Ink:
    ink = text_ink(text, font, px)
    mask, left = ink.mask, ink.left
    if not mask.size:
        return replace(ink, advance=ink.advance * stretch)
    height = mask.shape[0]
    if stretch != 1.0:
        size = (max(1, round(mask.shape[1] * stretch)), height)
        mask = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)
        left = round(left * stretch)
    if slant:
        matrix = np.array([[1.0, -slant, slant * height], [0.0, 1.0, 0.0]])
        size = (mask.shape[1] + int(slant * height) + 1, height)
        mask = np.asarray(cv2.warpAffine(mask, matrix, size), np.uint8)
    if bold:
        thick = np.zeros((height, mask.shape[1] + 1), np.uint8)
        thick[:, :-1] = mask
        np.maximum(thick[:, 1:], mask, out=thick[:, 1:])
        mask = thick
    return Ink(mask, left, ink.top, ink.advance * stretch + bold)


@dataclass
class Sheet:
    """A picture under the pen and the paragraphs written on it so far.

    Attributes:
        pixels: uint8 ``[H, W]``.
        rng: the only source of chance.
        texts: what there is to write.
        cast: the typefaces to choose from.
        paragraphs: rows of words, in the sheet's pixels, in reading order.
    """

    pixels: Image
    rng: np.random.Generator
    texts: Texts
    cast: Cast
    paragraphs: list[list[Row]] = field(default_factory=list)

    @property
    def width(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Pixels."""
        return int(self.pixels.shape[0])

    def chance(self, probability: float) -> bool:
        """Throw a coin."""
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        """A number from an interval, uniformly."""
        return float(self.rng.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, items: Sequence[T]) -> T:
        """One of several, all alike."""
        return items[int(self.rng.integers(len(items)))]

    def add(self, *rows: Row) -> None:
        """Record a paragraph; rows without words do not count."""
        kept = [row for row in rows if row]
        if kept:
            self.paragraphs.append(kept)


def blend(pixels: Image, mask: Image, x: int, y: int, ink: int) -> None:
    """Lay ink through a mask whose top left corner is at (x, y); what sticks out is cut off."""
    both = overlap(pixels, mask, x, y)
    if both is None:
        return
    part = mask[both[1]].astype(np.int32)
    under = pixels[both[0]]
    paper = under.astype(np.int32)
    paper += ((ink - paper) * part + 127) // 255
    under[...] = paper


def write(sheet: Sheet, hand: Hand, text: str | Sequence[str], x: float, baseline: float) -> Row:
    """Write words on one line from the pen's start; returns them without recording them.

    Args:
        sheet: drawn on.
        hand: how.
        text: words, or a text that is split at its blanks.
        x: where the pen starts.
        baseline: row that letters stand on.
    """
    words = text.split() if isinstance(text, str) else text
    row: Row = []
    space = hand.space
    for word in words:
        mark, advance = _write_word(sheet, hand, word, x, baseline)
        if mark is not None:
            row.append(mark)
        x += advance + space
    return row


def _write_word(
    sheet: Sheet, hand: Hand, word: str, x: float, baseline: float
) -> tuple[Mark | None, float]:
    spelled = hand.spelled(word)
    ink = hand.shape(spelled)
    if not ink.mask.size:
        return None, ink.advance
    shift = sheet.between(-hand.jitter, hand.jitter) if hand.jitter else 0.0
    left, top = round(x) + ink.left, round(baseline + shift) + ink.top
    blend(sheet.pixels, ink.mask, left, top, hand.ink)
    height, width = ink.mask.shape
    edge = MARGIN * hand.px
    polygon = rectangle(left - edge, top - edge, left + width + edge, top + height + edge)
    return Mark(polygon, spelled, handwritten=hand.handwritten), ink.advance


def fitted(hand: Hand, words: Sequence[str], width: float) -> list[str]:
    """As many words as go into a width, pixels."""
    kept: list[str] = []
    room = width
    for word in words:
        room -= hand.width(word)
        if room < 0:
            break
        kept.append(word)
        room -= hand.space
    return kept


def write_aligned(
    sheet: Sheet, hand: Hand, text: str, x0: float, x1: float, baseline: float, align: Align
) -> Row:
    """Write one line to the left, the right or the middle of an interval."""
    start = x0
    if align in ("right", "centre"):
        start += (x1 - x0 - hand.width(text)) * (0.5 if align == "centre" else 1.0)
    return write(sheet, hand, text, start, baseline)


def flow(
    sheet: Sheet,
    hand: Hand,
    words: Sequence[str],
    x0: float,
    x1: float,
    y: float,
    *,
    align: Align = "left",
    leading: int | None = None,
    indent: float = 0.0,
    bottom: float | None = None,
) -> float:
    """Set words as a paragraph between two margins, and record it.

    Args:
        sheet: drawn on.
        hand: how.
        words: what.
        x0: left margin.
        x1: right margin.
        y: top of the first line.
        align: how lines fill the measure.
        leading: distance of baselines; the hand's own if not given.
        indent: of the first line; negative hangs it out.
        bottom: lines below are left out; the sheet's edge if not given.

    Returns:
        The y below the last line.
    """
    step = leading or hand.leading
    limit = (sheet.height if bottom is None else bottom) - step * 0.2
    rows: list[Row] = []
    for line, start, last in _broken(hand, words, x0, x1, indent):
        if y + step > limit:
            break
        baseline = y + 0.5 * (step + hand.rise)
        rows.append(_set_line(sheet, hand, line, start, x1, baseline, align, last))
        y += step
    sheet.add(*rows)
    return y


def _broken(
    hand: Hand, words: Sequence[str], x0: float, x1: float, indent: float
) -> list[tuple[list[str], float, bool]]:
    """Words in lines: (words, where the line starts, whether it is the last)."""
    lines: list[tuple[list[str], float, bool]] = []
    line: list[str] = []
    start, x, space = x0 + indent, x0 + indent, hand.space
    for word in words:
        advance = hand.shape(hand.spelled(word)).advance
        if line and x + advance > x1:
            lines.append((line, start, False))
            line, start, x = [], x0, x0
        line.append(word)
        x += advance + space
    if line:
        lines.append((line, start, True))
    return lines


def _set_line(
    sheet: Sheet,
    hand: Hand,
    words: list[str],
    x0: float,
    x1: float,
    baseline: float,
    align: Align,
    last: bool,
) -> Row:
    if align != "justify":
        return write_aligned(sheet, hand, " ".join(words), x0, x1, baseline, align)
    slack = x1 - x0 - hand.width(" ".join(words))
    if last or len(words) < 2 or slack < 0:
        return write(sheet, hand, words, x0, baseline)
    widened = replace(hand, gap=hand.gap * (1 + slack / (len(words) - 1) / max(1.0, hand.space)))
    return write(sheet, widened, words, x0, baseline)


def write_turned(sheet: Sheet, hand: Hand, text: str, x: float, y: float, angle: float) -> Row:
    """Write one line turned about its start; returns its words without recording them.

    Args:
        sheet: drawn on.
        hand: how.
        text: what.
        x: where the line's middle comes to lie.
        y: the same, downwards.
        angle: in degrees, clockwise; 90 runs downwards.
    """
    width, height = int(hand.width(text)) + 8, round(hand.px * 1.6)
    strip = Sheet(np.full((height, width), 255, np.uint8), sheet.rng, sheet.texts, sheet.cast)
    row = write(strip, replace(hand, ink=0), text, 4, 0.5 * (height + hand.rise))
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), -angle, 1.0)
    reach = (
        abs(turn[0, 0]) * width + abs(turn[0, 1]) * height,
        abs(turn[0, 1]) * width + abs(turn[0, 0]) * height,
    )
    wide, high = round(reach[0]) + 2, round(reach[1]) + 2
    turn[:, 2] += (wide - width) / 2, (high - height) / 2
    patch = cv2.warpAffine(cv2.bitwise_not(strip.pixels), turn, (wide, high))
    left, top = round(x - wide / 2), round(y - high / 2)
    blend(sheet.pixels, np.asarray(patch, np.uint8), left, top, hand.ink)
    vertical = abs((angle + 90) % 180 - 90) > 45
    moved = []
    for mark in row:
        polygon = mark.polygon @ turn[:, :2].T + turn[:, 2] + (left, top)
        moved.append(mark._replace(polygon=polygon.astype(np.float32), vertical=vertical))
    return moved
