"""What `01_prepare_ocr` shows: polygons on their pages, lines as the recogniser gets them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.data.images import ImageError, open_image
from sightbook.figures import plots
from sightbook.figures.browser import Browser
from sightbook.ocr.pages.page import Page, Points, smallest_rectangle
from sightbook.ocr.pages.read import line_crop

Image = NDArray[np.uint8]
Item = TypeVar("Item")

PARAGRAPH, LINE, WORD, ILLEGIBLE = (224, 138, 30), (46, 157, 120), (36, 99, 166), (194, 59, 75)
"""Colours (RGB) of the outlines."""

_STRIP = (64, 720)


def pages(pages: Sequence[Page], count: int = 6) -> Browser:
    """Leaf through pages with their outlines; the static twin shows some of them."""
    chosen = _spread(pages, count)

    def single(page: Page) -> plots.Plot:
        return plots.image_grid([drawn(page)], [_title(page)], columns=1, width=9)

    def grid() -> plots.Plot:
        if not chosen:
            return plots.empty_plot("no pages")
        # Drawn small: a figure of full pages is megabytes.
        images = [_shrunk(drawn(page), 700) for page in chosen]
        return plots.image_grid(images, [_title(page) for page in chosen], columns=3, width=13)

    return Browser(pages, draw=single, static=grid, describe=lambda page: _title(page, text=True))


def drawn(page: Page) -> Image:
    """The picture with paragraphs, lines, words and what is illegible in four colours.

    Returns:
        uint8 RGB ``[H, W, 3]``; a grey page with the reason where the picture cannot be read.
    """
    try:
        image = open_image(page.image).copy() if page.image else _blank(page, "no picture")
    except ImageError as error:
        image = _blank(page, error.reason)
    thick = max(1, round(max(image.shape[:2]) / 900))
    for paragraph in page.paragraphs:
        _outline(image, paragraph.vertices, PARAGRAPH if paragraph.lines else ILLEGIBLE, 2 * thick)
        for line in paragraph.lines:
            _outline(image, line.vertices, LINE if line.legible else ILLEGIBLE, thick)
            for word in line.words:
                _outline(image, word.vertices, WORD if word.legible else ILLEGIBLE, thick)
    return image


def crops(pages: Sequence[Page], count: int = 18) -> plots.Plot:
    """Lines as the recogniser gets them, with their texts, evenly over all pages."""
    lines = [(page, line) for page in pages for line in page.lines() if line.legible and line.text]
    images, titles = [], []
    for page, line in _spread(lines, count):
        try:
            image = open_image(page.image or page.image_id)
        except ImageError as error:
            titles.append(f"{page.image_id}: {error.reason}")
            images.append(np.full(_STRIP, 235, np.uint8))
            continue
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
        images.append(_laid_out(line_crop(gray, line)))
        titles.append(line.text)
    if not images:
        return plots.empty_plot("no legible lines")
    return plots.image_grid(images, titles, columns=3, width=13)


def word_heights(pages: Sequence[Page]) -> plots.Plot:
    """Heights of legible words in the pictures' pixels: under 10 px reading gets hard."""
    sides = []
    for page in pages:
        for word in page.words():
            if word.legible:
                top_left, _, _, bottom_left = smallest_rectangle(word.vertices)
                sides.append(float(np.linalg.norm(bottom_left - top_left)))
    return plots.histogram(sides, name="word height (px)")


def characters(pages: Sequence[Page]) -> list[dict[str, object]]:
    """Kinds of characters in the legible lines: how many, and which are most frequent."""
    counts = Counter(
        c for page in pages for line in page.lines() if line.legible for c in line.text
    )
    kinds: dict[str, Counter[str]] = {}
    for c, number in counts.items():
        kinds.setdefault(_kind(c), Counter())[c] += number
    return [
        {
            "kind": kind,
            "characters": found.total(),
            "different": len(found),
            "most frequent": " ".join(c for c, _ in found.most_common(16)),
        }
        for kind, found in sorted(kinds.items(), key=lambda item: -item[1].total())
    ]


def _kind(c: str) -> str:
    if c.isspace():
        return "blank"
    if c.isascii():
        return "letter" if c.isalpha() else "digit" if c.isdigit() else "sign"
    return "letter beyond ASCII" if c.isalpha() else "sign beyond ASCII"


def _title(page: Page, text: bool = False) -> str:
    lines = list(page.lines())
    words = sum(len(line.words) for line in lines)
    title = f"{page.image_id}: {len(page.paragraphs)} paragraphs, {len(lines)} lines, {words} words"
    return f"{title}  {page.text()}" if text else title


def _outline(image: Image, points: Points, color: tuple[int, int, int], thick: int) -> None:
    corners = np.round(points * 8).astype(np.int32)
    cv2.polylines(image, [corners], True, color, thick, cv2.LINE_AA, 3)


def _blank(page: Page, reason: str) -> Image:
    image = np.full((max(page.height, 60), max(page.width, 240), 3), 235, np.uint8)
    cv2.putText(image, reason[:60], (10, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (90, 90, 90), 1)
    return image


def _shrunk(image: Image, side: int) -> Image:
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _laid_out(crop: Image) -> Image:
    """A line at the left of a strip of one size, so that all are shown at one scale."""
    crop = _shrunk(crop, _STRIP[1])
    strip = np.full(_STRIP, 235, np.uint8)
    height, width = (min(a, b) for a, b in zip(crop.shape, _STRIP, strict=True))
    strip[:height, :width] = crop[:height, :width]
    return strip


def _spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` items, evenly over all."""
    picked = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[index] for index in picked]
