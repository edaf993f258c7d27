"""Ordinary print for the drawn documents: fonts, text layers and ink.

The machine-readable zone has its own printer (``printing.py``); everything else on a document
(titles, labels, values, letters, receipts) is written here with the fonts that come with
matplotlib, so that no font has to be installed.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

# uint8 throughout; OpenCV's stubs promise no more than "some numbers".
Picture = npt.NDArray[Any]
Colour = tuple[int, int, int]

FACES: dict[str, str] = {
    "sans": "DejaVuSans.ttf",
    "sans-bold": "DejaVuSans-Bold.ttf",
    "sans-italic": "DejaVuSans-Oblique.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif-bold": "DejaVuSerif-Bold.ttf",
    "serif-italic": "DejaVuSerif-Italic.ttf",
    "mono": "DejaVuSansMono.ttf",
    "mono-bold": "DejaVuSansMono-Bold.ttf",
    "times": "STIXGeneral.ttf",
    "times-bold": "STIXGeneralBol.ttf",
    "times-italic": "STIXGeneralItalic.ttf",
}


@lru_cache(maxsize=512)
def _font(face: str, half_pixels: int) -> ImageFont.FreeTypeFont:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / FACES[face]
    # The basic layout engine is in every Pillow; the shaping one is not, and would make the
    # same sample look different on different machines.
    return ImageFont.truetype(str(path), half_pixels / 2, layout_engine=ImageFont.Layout.BASIC)


def font(face: str, size: float) -> ImageFont.FreeTypeFont:
    """A face of ``FACES`` at ``size`` pixels, rounded to half a pixel (so that caching helps)."""
    return _font(face, max(6, round(size * 2)))


class TextLayer:
    """A coverage mask (0..255) on which text is set, in pixels of the sheet it will be inked on.

    Args:
        width: width of the sheet in pixels.
        height: height of the sheet in pixels.
        condense: horizontal scale of the letters; 0.8 makes DejaVu as narrow as the faces
            that identity documents are commonly set in.
    """

    def __init__(self, width: int, height: int, condense: float = 1.0) -> None:
        self.size = (width, height)
        self.condense = condense
        self._image = Image.new("L", (max(1, round(width / condense)), height))
        self._draw = ImageDraw.Draw(self._image)

    def write(
        self, x: float, y: float, text: str, face: str, size: float, anchor: str = "ls"
    ) -> float:
        """Write one line with its baseline at ``y`` and return the x where it ends."""
        chosen = font(face, size)
        self._draw.text((x / self.condense, y), text, fill=255, font=chosen, anchor=anchor)
        return x + chosen.getlength(text) * self.condense

    def length(self, text: str, face: str, size: float) -> float:
        """Width of ``text`` in pixels of the sheet."""
        return font(face, size).getlength(text) * self.condense

    def fit(self, text: str, face: str, size: float, width: float) -> float:
        """The largest size up to ``size`` at which ``text`` is no wider than ``width``."""
        length = self.length(text, face, size)
        return size if length <= width else max(3.0, size * width / length)

    def mask(self) -> Picture:
        """The coverage as uint8 [height, width]."""
        mask = np.asarray(self._image)
        if self.condense != 1.0:
            mask = cv2.resize(mask, self.size, interpolation=cv2.INTER_AREA)
        return mask


def ink(image: Picture, mask: Picture, colour: Colour | Picture, strength: float = 1.0) -> None:
    """Lay ``colour`` (one colour or an RGB picture) over ``image`` in place where ``mask`` says.

    Args:
        image: uint8 [H, W, 3], changed in place.
        mask: coverage uint8 [H, W].
        colour: RGB triple, or uint8 [H, W, 3] for printing in changing colours.
        strength: 0..1, scales the coverage.
    """
    x, y, width, height = cv2.boundingRect(mask)
    if not width:
        return
    inked = slice(y, y + height), slice(x, x + width)
    mask, region = mask[inked], image[inked]
    if strength < 1.0:
        mask = cv2.convertScaleAbs(mask, alpha=strength)
    if isinstance(colour, tuple):
        laid = cv2.merge([cv2.convertScaleAbs(mask, alpha=level / 255) for level in colour])
    else:
        laid = cv2.multiply(cv2.merge([mask] * 3), colour[inked], scale=1 / 255)
    keep = cv2.merge([cv2.bitwise_not(mask)] * 3)
    cv2.multiply(region, keep, dst=region, scale=1 / 255)
    cv2.add(region, laid, dst=region)


def ink_at(
    image: Picture,
    mask: Picture,
    x: int,
    y: int,
    colour: Colour | Picture,
    strength: float = 1.0,
) -> None:
    """:func:`ink` for a small mask whose corner lies at (x, y) of ``image``; cut at its borders."""
    height, width = image.shape[:2]
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + mask.shape[1], width), min(y + mask.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return
    part = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
    laid = colour if isinstance(colour, tuple) else colour[part]
    ink(image[y0:y1, x0:x1], mask[part], laid, strength)


def smooth_colours(
    rng: np.random.Generator, width: int, height: int, colours: npt.NDArray[np.float64]
) -> Picture:
    """An RGB picture that drifts between ``colours`` [n, 3] as rainbow-printed paper does."""
    grid = colours[rng.integers(0, len(colours), size=(3, 4))].astype(np.uint8)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
