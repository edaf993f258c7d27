"""Text as coverage masks, and the ink that is laid through them.

:func:`text_ink` gives the mask of a word in any font file; a :class:`TextLayer` is a whole sheet on
which lines are set with the fonts that come with matplotlib, so that no font has to be installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from sightbook.synth.fonts import matplotlib_font, open_font

# uint8 throughout; OpenCV's stubs promise no more than "some numbers".
LoadedImage = npt.NDArray[Any]
Colour = tuple[int, int, int]
Window = tuple[slice, slice]

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


@dataclass(frozen=True)
class Ink:
    """The ink of a text in one face and size.

    Attributes:
        mask: coverage, uint8 ``[h, w]`` without empty margins; ``[0, 0]`` for blanks.
        left: from the pen's start to the first column, pixels.
        top: from the baseline to the first row, negative above it.
        advance: how far the pen moves.
    """

    mask: npt.NDArray[np.uint8]
    left: int
    top: int
    advance: float


@lru_cache(maxsize=60_000)
def text_ink(text: str, path: Path, size: int) -> Ink:
    """Draw a text without a canvas; kept, as words come again and again.

    Args:
        text: one line.
        path: of the face.
        size: in pixels (of the em).
    """
    font = open_font(path, size)
    core, (left, top) = font.getmask2(text, "L", anchor="ls")
    width, height = core.size
    advance = float(font.getlength(text))
    if not width or not height:
        return Ink(np.zeros((0, 0), np.uint8), 0, 0, advance)
    mask = np.frombuffer(bytes(core), np.uint8).reshape(height, width)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return Ink(np.zeros((0, 0), np.uint8), 0, 0, advance)
    tight = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Ink(tight, int(left + columns[0]), int(top + rows[0]), advance)


@lru_cache(maxsize=60_000)
def text_advance(text: str, path: Path, size: int) -> float:
    """How far the pen moves over a text, pixels."""
    return float(open_font(path, size).getlength(text))


def font(face: str, size: float) -> ImageFont.FreeTypeFont:
    """A face of ``FACES`` at ``size`` pixels, rounded to half a pixel (so that caching helps)."""
    return open_font(matplotlib_font(FACES[face]), max(6, round(size * 2)) / 2)


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

    def mask(self) -> LoadedImage:
        """The coverage as uint8 [height, width]."""
        mask = np.asarray(self._image)
        if self.condense != 1.0:
            mask = cv2.resize(mask, self.size, interpolation=cv2.INTER_AREA)
        return mask


def ink(
    image: LoadedImage, mask: LoadedImage, colour: Colour | LoadedImage, strength: float = 1.0
) -> None:
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
    image: LoadedImage,
    mask: LoadedImage,
    x: int,
    y: int,
    colour: Colour | LoadedImage,
    strength: float = 1.0,
) -> None:
    """:func:`ink` for a small mask whose corner lies at (x, y) of ``image``; cut at its borders."""
    both = overlap(image, mask, x, y)
    if both is not None:
        there, part = both
        laid = colour if isinstance(colour, tuple) else colour[part]
        ink(image[there], mask[part], laid, strength)


def overlap(image: LoadedImage, patch: LoadedImage, x: int, y: int) -> tuple[Window, Window] | None:
    """Where a patch whose corner lies at (x, y) of an image covers it.

    Returns:
        The window of the image and that of the patch, each rows and columns, of one size; None
        where the patch lies outside.
    """
    height, width = image.shape[:2]
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + patch.shape[1], width), min(y + patch.shape[0], height)
    if x0 >= x1 or y0 >= y1:
        return None
    there = slice(y0, y1), slice(x0, x1)
    return there, (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))


def smooth_colours(
    rng: np.random.Generator, width: int, height: int, colours: npt.NDArray[np.float64]
) -> LoadedImage:
    """An RGB picture that drifts between ``colours`` [n, 3] as rainbow-printed paper does."""
    grid = colours[rng.integers(0, len(colours), size=(3, 4))].astype(np.uint8)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)
