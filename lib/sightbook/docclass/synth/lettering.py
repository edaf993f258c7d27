"""Words on templates: real fonts, embossed digits, and strokes that stand for other scripts."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightbook.docclass.synth.palettes import Colour
from sightbook.synth.fonts import matplotlib_font, open_font
from sightbook.synth.lettering import overlap

Canvas = NDArray[np.uint8]

_FACES = (
    "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSans-Oblique.ttf", "DejaVuSerif.ttf",
    "DejaVuSerif-Bold.ttf", "DejaVuSerif-Italic.ttf", "DejaVuSansMono.ttf",
    "DejaVuSansMono-Bold.ttf", "STIXGeneral.ttf", "STIXGeneralBol.ttf", "STIXGeneralItalic.ttf",
    "cmr10.ttf", "cmtt10.ttf", "cmss10.ttf", "DejaVuSansDisplay.ttf",
)  # fmt: skip
_SYLLABLES = (
    "ba", "co", "da", "el", "fi", "go", "hu", "in", "ja", "ka", "lo", "ma", "ne", "or", "pa",
    "qui", "ro", "sa", "ti", "un", "va", "we", "xo", "yu", "za", "tion", "bank", "card", "pay",
    "club", "plus", "prime", "gold", "air", "sky", "net", "star", "land", "union", "first",
    "city", "trust", "mar", "mont", "vel", "nor", "est",
)  # fmt: skip


def face(rng: np.random.Generator) -> int:
    """Choose a typeface, by number."""
    return int(rng.integers(len(_FACES)))


def word(rng: np.random.Generator) -> str:
    """An invented word in some capitalisation."""
    text = "".join(rng.choice(_SYLLABLES, int(rng.integers(1, 4))))
    return [text.upper(), text.capitalize(), text][int(rng.integers(3))]


def words(rng: np.random.Generator, count: int) -> str:
    """Invented words in a row."""
    return " ".join(word(rng) for _ in range(count))


def digits(rng: np.random.Generator, count: int) -> str:
    """So many random digits."""
    return "".join(str(d) for d in rng.integers(0, 10, count))


def write(
    canvas: Canvas,
    text: str,
    x: float,
    y: float,
    height: float,
    colour: Colour,
    font: int = 0,
    *,
    width: float | None = None,
    emboss: bool = False,
    angle: float = 0.0,
    alpha: float = 1.0,
) -> float:
    """Write text with its upper left corner at (x, y), in pixels; returns its width.

    Args:
        canvas: drawn into.
        text: what to write.
        x: left end.
        y: top.
        height: of the letters' box.
        colour: RGB.
        font: from `face`.
        width: the text is squeezed to it if it is wider.
        emboss: a light and a dark edge beside each stroke, as pressed into plastic.
        angle: turn about the corner, degrees.
        alpha: share of the colour.
    """
    size = max(5, round(height))
    font_object = open_font(matplotlib_font(_FACES[font]), size, shaped=True)
    left, top, right, bottom = font_object.getbbox(text)
    if right <= left or bottom <= top:
        return 0.0
    mask = Image.new("L", (int(right - left) + 2, int(bottom - top) + 2))
    ImageDraw.Draw(mask).text((1 - left, 1 - top), text, 255, font=font_object)
    ink = np.asarray(mask)
    if width is not None and ink.shape[1] > width >= 2:
        ink = _u8(cv2.resize(ink, (int(width), ink.shape[0]), interpolation=cv2.INTER_AREA))
    wide = float(ink.shape[1])
    if angle:
        ink = _turned(ink, angle)
    if emboss:
        light, dark = (255, 255, 255), (0, 0, 0)
        stamp(canvas, ink, x - 1, y - 1, light, 0.35 * alpha)
        stamp(canvas, ink, x + 1, y + 1, dark, 0.45 * alpha)
    stamp(canvas, ink, x, y, colour, alpha)
    return wide


def stamp(
    canvas: Canvas, mask: NDArray[np.uint8], x: float, y: float, colour: Colour, alpha: float = 1.0
) -> None:
    """Blend a colour into the canvas where a mask says so; what lies outside is cut off."""
    both = overlap(canvas, mask, round(x), round(y))
    if both is None:
        return
    cover = mask[both[1]][..., None].astype(np.float32)
    cover *= alpha / 255
    part = canvas[both[0]]
    part[...] = part * (1 - cover) + np.asarray(colour, np.float32) * cover


def strokes(rng: np.random.Generator, count: int, height: int) -> NDArray[np.uint8]:
    """Signs of no script: boxes filled with strokes, as dense as Chinese characters; a mask."""
    cell = max(6, height)
    mask = np.zeros((cell, cell * count), np.uint8)
    for sign in range(count):
        x0 = sign * cell
        for _ in range(int(rng.integers(3, 7))):
            a, b = rng.integers(1, cell - 1, 2)
            along = rng.random()
            start, stop = sorted(rng.integers(1, cell - 1, 2))
            if along < 0.45:
                points = (x0 + start, a), (x0 + stop, a)
            elif along < 0.85:
                points = (x0 + a, start), (x0 + a, stop)
            else:
                points = (x0 + a, start), (x0 + b, stop)
            thick = max(1, cell // 11)
            cv2.line(mask, *points, 255, thick, cv2.LINE_AA)  # type: ignore[call-overload]
    return mask


def title(
    rng: np.random.Generator, canvas: Canvas, x: float, y: float, height: float, colour: Colour
) -> float:
    """A name: of letters, of strokes, or of both; returns its width."""
    wide = 0.0
    kind = rng.random()
    if kind < 0.4:
        mask = strokes(rng, int(rng.integers(2, 7)), round(height))
        stamp(canvas, mask, x, y, colour)
        wide = mask.shape[1] + height / 2
    if kind > 0.25:
        text = words(rng, int(rng.integers(1, 3)))
        wide += write(canvas, text, x + wide, y, height, colour, face(rng))
    return wide


def text_block(
    rng: np.random.Generator,
    canvas: Canvas,
    box: tuple[float, float, float, float],
    line: float,
    colour: Colour,
    font: int,
) -> None:
    """Lines of print in a box (left, top, right, bottom), ragged on the right."""
    left, top, right, bottom = box
    y = top
    while y + line <= bottom:
        if rng.random() < 0.12:
            y += line * 0.7
        wanted = (right - left) * rng.uniform(0.5, 1.0)
        if line < 5:  # too small for letters: a grey line of print
            _grey_line(rng, canvas, left, y, wanted, line, colour)
        else:
            text = words(rng, max(1, int(wanted / line / 3.2)))
            write(canvas, text, left, y, line * 0.8, colour, font, width=wanted)
        y += line * 1.35


def _grey_line(
    rng: np.random.Generator,
    canvas: Canvas,
    left: float,
    y: float,
    wanted: float,
    line: float,
    colour: Colour,
) -> None:
    x = left
    while x < left + wanted:
        wide = rng.uniform(2, 7) * line / 2
        mask = np.full((max(1, round(line * 0.55)), max(1, round(wide))), 255, np.uint8)
        stamp(canvas, mask, x, y, colour, rng.uniform(0.35, 0.75))
        x += wide + line * 0.5


def _turned(mask: NDArray[np.uint8], angle: float) -> NDArray[np.uint8]:
    height, width = mask.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    size = int(height * sin + width * cos) + 1, int(height * cos + width * sin) + 1
    matrix[:, 2] += size[0] / 2 - width / 2, size[1] / 2 - height / 2
    return _u8(cv2.warpAffine(mask, matrix, size))


def _u8(array: object) -> NDArray[np.uint8]:
    return np.asarray(array, np.uint8)
