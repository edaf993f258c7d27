"""A page drawn over its picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sightbook.ocr.pages.page import Page, Points

PARAGRAPH, LINE, WORD = (148, 103, 189), (31, 119, 180), (44, 160, 44)
UNSURE = (214, 39, 40)


def draw_page(image: NDArray[np.uint8], page: Page, *, texts: bool = True) -> NDArray[np.uint8]:
    """The picture, paled, with paragraphs, lines and words outlined and what was read.

    Words are green where they are sure, through to red where they are not; without confidences
    (truth) all are green.

    Args:
        image: uint8 grey ``[H, W]`` or RGB ``[H, W, 3]``; left as it is.
        page: what stands on it, in the picture's pixels.
        texts: write each word's text above it.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    grey = image if image.ndim == 2 else np.asarray(Image.fromarray(image).convert("L"))
    paled = Image.fromarray((128 + grey // 2).astype(np.uint8)).convert("RGB")
    draw = ImageDraw.Draw(paled)
    thick = max(1, round(max(grey.shape) / 1200))
    for paragraph in page.paragraphs:
        _outline(draw, paragraph.vertices, PARAGRAPH, 2 * thick)
        for line in paragraph.lines:
            _outline(draw, line.vertices, LINE, thick)
            for word in line.words:
                sure = 1.0 if word.confidence is None else word.confidence
                color = tuple(
                    round(sure * good + (1 - sure) * bad)
                    for good, bad in zip(WORD, UNSURE, strict=True)
                )
                _outline(draw, word.vertices, color, thick)
                if texts and word.text:
                    _write(draw, word.vertices, word.text)
    return np.asarray(paled)


def _outline(draw: ImageDraw.ImageDraw, points: Points, color: tuple[int, ...], thick: int) -> None:
    corners = [(float(x), float(y)) for x, y in points]
    draw.line([*corners, corners[0]], fill=color, width=thick)


def _write(draw: ImageDraw.ImageDraw, points: Points, text: str) -> None:
    """The text above a word's upper left corner, at about half of its height."""
    height = float(np.linalg.norm(points[-1] - points[0]))
    font = ImageFont.load_default(min(40, max(8, round(height / 2))))
    x, y = points[np.argmin(points.sum(1))]
    draw.text((float(x), float(y)), text, fill=UNSURE, font=font, anchor="ls")
