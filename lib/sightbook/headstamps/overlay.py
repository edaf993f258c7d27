"""Heads drawn over their photograph, and strips as files: what `predict headstamps` writes.

Only OpenCV, Pillow and numpy: prediction needs no matplotlib.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from sightbook.data.images import encode_image
from sightbook.headstamps.read import Head
from sightbook.headstamps.unroll import directions
from sightbook.headstamps.words import Direction
from sightbook.runs.files import write_atomic

Image = NDArray[np.uint8]
Color = tuple[int, int, int]

COLORS: dict[Direction, Color] = {
    "outward": (36, 99, 166),
    "inward": (224, 138, 30),
    "sideways": (138, 95, 176),
}
"""Colours of words, by where their letters' tops point."""

OUTLINE: Color = (46, 157, 120)


def draw_heads(image: Image, heads: Sequence[Head]) -> Image:
    """The photograph with outlines, words outside the rim where they stand, and the best candidate.

    Args:
        image: uint8 RGB ``[H, W, 3]``; left as it is.
        heads: found on it.

    Returns:
        uint8 RGB ``[H, W, 3]``.
    """
    canvas = Pillow.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    thick = max(1, round(max(image.shape) / 500))
    for head in heads:
        for ellipse in (head.outline.ellipse, head.outline.primer_ellipse):
            if ellipse is not None:
                points = [(float(x), float(y)) for x, y in ellipse.polygon()]
                draw.line([*points, points[0]], fill=OUTLINE, width=thick)
        casing = head.outline.ellipse
        size = round(min(max(0.16 * casing.a, 11), 60))
        for word in head.words:
            x, y = casing.points(1.16 * directions(np.array(word.angle)))
            _write(draw, (float(x), float(y)), word.text, COLORS[word.direction], size)
        if head.candidates:
            best = head.candidates[0]
            name = ", ".join(part for part in (best.maker, best.calibre) if part)
            below = casing.y + 1.36 * max(casing.a, casing.b)
            _write(draw, (casing.x, below), name, OUTLINE, size)
    return np.asarray(canvas)


def save_strips(folder: str | Path, stem: str, heads: Sequence[Head]) -> list[Path]:
    """Write each head's strip as the recogniser got it: ``{stem}_1.png`` and so on.

    Args:
        folder: made if missing.
        stem: the photograph's name without its suffix.
        heads: found on it.

    Returns:
        The files, in the heads' order.
    """
    files = []
    for number, head in enumerate(heads, start=1):
        file = Path(folder) / f"{stem}_{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, encode_image(head.strip.image))
        files.append(file)
    return files


def _write(
    draw: ImageDraw.ImageDraw, middle: tuple[float, float], text: str, color: Color, size: int
) -> None:
    """Text on a plate of its colour, moved so that it stands within the picture."""
    font = ImageFont.load_default(size)
    left, top, right, bottom = draw.textbbox(middle, text, font=font, anchor="mm")
    pad = size / 6
    width, height = draw.im.size
    across = max(pad - left, 0) - max(right + pad - width, 0)
    down = max(pad - top, 0) - max(bottom + pad - height, 0)
    plate = (left + across - pad, top + down - pad, right + across + pad, bottom + down + pad)
    draw.rounded_rectangle(plate, radius=2 * pad, fill=color)
    draw.text((middle[0] + across, middle[1] + down), text, fill="white", font=font, anchor="mm")
