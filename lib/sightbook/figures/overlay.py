"""Outlines with a text each, drawn on a copy of an image, without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sightbook.data.images import Pixels

GOOD, BAD = (46, 157, 120), (214, 40, 40)
"""Colours: of what can be relied on, and of what cannot."""

Color = tuple[int, int, int]


def draw_labelled(
    image: Pixels,
    outlines: Sequence[NDArray[np.floating]],
    texts: Sequence[str],
    color: Color = GOOD,
) -> Pixels:
    """Closed outlines, and above each its text on a ground of the same colour.

    Args:
        image: uint8 RGB ``[H, W, 3]``; left as it is.
        outlines: corners ``[n, 2]``, x and y in the image's pixels.
        texts: one for each outline, of one line or several; an empty one is not written.
        color: red, green and blue, 0 to 255.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    canvas = Image.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    unit = max(1, round(max(image.shape[:2]) / 500))
    font = ImageFont.load_default(12 * unit)
    for corners, text in zip(outlines, texts, strict=True):
        points = [(float(x), float(y)) for x, y in corners]
        draw.line([*points, points[0]], fill=color, width=unit)
        if not text:
            continue
        left, _, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
        x = min(max(0.0, min(x for x, _ in points)), max(0.0, image.shape[1] - (right - left)))
        y = max(0.0, min(y for _, y in points) - bottom - unit)
        draw.rectangle((x, y, x + right - left, y + bottom + unit), fill=color)
        draw.text((x, y), text, fill="white", font=font)
    return np.asarray(canvas)
