"""Fonts that machine-readable zones are printed in: OCR-B, what passes for it, and variations.

Doc 9303 part 3, 4.4 asks for OCR-B size 1 (ISO 1073-2). Real documents come close to it: the cut,
the weight, the proportions of digits to letters and of width to height differ from printer to
printer, and some documents use a typewriter or console face. A :class:`ZoneFont` is a face plus
such deviations; :func:`atlas` draws its 37 characters, from masters drawn once per face and size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sightbook.donut.mrz.build import ALPHABET
from sightbook.synth.fonts import TYPEFACES, open_font

FACES: dict[str, float] = {
    "OCRB.otf": 50.0,
    "OCRBS.otf": 30.0,
    "ZoneCockpit.otf": 3.0,
    "ZoneConsole.ttf": 3.0,
    "ZoneGothic.otf": 2.5,
    "ZoneHumanist.ttf": 1.5,
    "ZoneSans.ttf": 3.0,
    "ZoneSansBold.ttf": 1.0,
    "ZoneSlab.ttf": 1.0,
    "ZoneTypewriter.otf": 3.0,
    "ZoneTypewriterBold.otf": 2.0,
}
"""Files in ``fonts.TYPEFACES`` and how often each is drawn; four zones in five are OCR-B."""

CAP_HEIGHT = 1.05
"""Height of capitals in units of the pitch that every face is scaled to (OCR-B: 1.0 to 1.1)."""

CELL_WIDTH, CELL_HEIGHT, BASELINE = 1.5, 2.0, 1.5
"""Size of an atlas cell and the baseline within it, in units of the pitch."""

_MASTER_PITCHES = (8, 12, 16, 24, 36, 54)


@dataclass(frozen=True)
class ZoneFont:
    """A face and its deviations; lengths are in units of the pitch.

    Attributes:
        face: file name, one of :data:`FACES`.
        width: horizontal stretch of the glyphs (the pitch does not follow).
        height: vertical stretch about the baseline.
        digit_height: further vertical stretch of digits (in OCR-B they are taller than capitals).
        filler_height: further stretch of ``<``.
        slant: horizontal shift per unit of height (0.1 is about 6 degrees).
        weight: change of the stroke's width, negative is thinner.
    """

    face: str = "OCRB.otf"
    width: float = 1.0
    height: float = 1.0
    digit_height: float = 1.0
    filler_height: float = 1.0
    slant: float = 0.0
    weight: float = 0.0

    @property
    def is_ocrb(self) -> bool:
        """Whether the face is OCR-B itself."""
        return self.face.startswith("OCRB")


def random_font(rng: np.random.Generator, variety: float = 1.0) -> ZoneFont:
    """Draw a font.

    Args:
        rng: the only source of chance.
        variety: 0 is plain OCR-B, 1 the full spread of faces and deviations.
    """
    names = list(FACES)
    weights = np.array(list(FACES.values()))
    weights[2:] *= variety
    face = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    spread = variety * rng.uniform(0, 1)  # most documents are close to the norm
    if face.startswith("OCRB"):
        width, weight = rng.uniform(-0.14, 0.1), rng.uniform(-0.05, 0.09)
    else:  # these faces are narrower for their height, and have their own weight
        width, weight = rng.uniform(-0.1, 0.25), rng.uniform(-0.03, 0.05)
    return ZoneFont(
        face=face,
        width=float(1 + spread * width),
        height=float(1 + spread * rng.uniform(-0.16, 0.2)),
        digit_height=float(1 + 0.06 * spread * rng.uniform(-1, 1.5)),
        filler_height=float(1 + spread * rng.uniform(-0.2, 0.2)),
        slant=float(spread * (rng.normal(0, 0.03) + (0.15 if rng.random() < 0.03 else 0.0))),
        weight=float(spread * weight),
    )


def atlas(font: ZoneFont, pitch: float, characters: str = ALPHABET) -> NDArray[np.uint8]:
    """Draw the font's characters.

    Args:
        font: face and deviations.
        pitch: distance of characters in pixels.
        characters: which ones, each of ``mrz.ALPHABET``.

    Returns:
        uint8 ``[len(characters), h, w]`` ink coverage; cells are
        ``round(CELL_HEIGHT * pitch)`` by ``round(CELL_WIDTH * pitch)`` pixels, the character is
        centred on the cell's middle column and stands on ``BASELINE * pitch``.
    """
    master_pitch = next((p for p in _MASTER_PITCHES if p >= pitch), _MASTER_PITCHES[-1])
    order = [ALPHABET.index(character) for character in characters]
    master = _master(font.face, master_pitch)[order]
    if abs(font.weight) * master_pitch > 0.1:
        master = _reweigh(master, font.weight * master_pitch)
    size = (round(CELL_WIDTH * pitch), round(CELL_HEIGHT * pitch))
    plain = _cell_matrix(font, 1.0, pitch, master_pitch)
    digit = _cell_matrix(font, font.digit_height, pitch, master_pitch)
    filler = _cell_matrix(font, font.filler_height, pitch, master_pitch)
    cells = np.empty((len(characters), size[1], size[0]), dtype=np.uint8)
    for index, character in enumerate(characters):
        matrix = filler if character == "<" else digit if character.isdigit() else plain
        cv2.warpAffine(master[index], matrix, size, cells[index], flags=cv2.INTER_LINEAR)
    return cells


def _cell_matrix(
    font: ZoneFont, stretch: float, pitch: float, master_pitch: int
) -> NDArray[np.float64]:
    """Map a master cell to an atlas cell: middle to middle, baseline to baseline."""
    scale = pitch / master_pitch
    across, down = scale * font.width, scale * font.height * stretch
    shear = font.slant * scale
    middle, base = CELL_WIDTH * master_pitch / 2 - 0.5, BASELINE * master_pitch - 0.5
    # Slanting about half the height keeps the glyph centred.
    half = base - CAP_HEIGHT * master_pitch / 2
    x, y = CELL_WIDTH * pitch / 2 - 0.5, BASELINE * pitch - 0.5
    return np.array(
        [[across, -shear, x - across * middle + shear * half], [0.0, down, y - down * base]]
    )


def _reweigh(master: NDArray[np.uint8], change: float) -> NDArray[np.uint8]:
    """Make the strokes wider by ``change`` pixels (narrower if negative)."""
    count, height, width = master.shape
    sheet = master.reshape(count * height, width)
    reach = max(1, math.ceil(abs(change) / 2))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    moved = cv2.dilate(sheet, kernel) if change > 0 else cv2.erode(sheet, kernel)
    # Morphology moves edges by whole pixels: mix with the original for what lies between.
    share = min(1.0, abs(change) / (2 * reach))
    mixed = cv2.addWeighted(sheet, 1 - share, moved, share, 0)
    return np.asarray(mixed, dtype=np.uint8).reshape(count, height, width)


@cache
def _master(face: str, pitch: int) -> NDArray[np.uint8]:
    """Draw the 37 characters with capitals ``CAP_HEIGHT`` tall, uint8 ``[37, h, w]``."""
    _, top, _, bottom = open_font(TYPEFACES / face, 1000).getbbox("H", anchor="ls")
    font = open_font(TYPEFACES / face, 1000 * CAP_HEIGHT * pitch / (bottom - top))
    height, width = round(CELL_HEIGHT * pitch), round(CELL_WIDTH * pitch)
    cells = np.zeros((len(ALPHABET), height, width), dtype=np.uint8)
    for index, character in enumerate(ALPHABET):
        image = Image.new("L", (width, height), 0)
        place = (width / 2, BASELINE * pitch)
        ImageDraw.Draw(image).text(place, character, font=font, fill=255, anchor="ms")
        cells[index] = np.asarray(image)
    return cells
