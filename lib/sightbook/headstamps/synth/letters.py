"""Letters of stamps: strokes of even width as dies have them, and some printed faces, on a circle.

Everything is in the head's own circle: x to the right, y down, radius 1 at the rim.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.synth.fonts import matplotlib_font, open_font
from sightbook.synth.lettering import overlap

Mask = NDArray[np.uint8]
Stroke = NDArray[np.float64]

_SHIFT = 4  # OpenCV's fixed point: sixteenths of a pixel
_FACE_SIZE = 96


@dataclass(frozen=True)
class Die:
    """How letters are cut.

    Attributes:
        aspect: width of an H over its height, between the strokes' middles.
        weight: width of a stroke over the height.
        roundness: of corners, from 0 to 1.
        slant: to the right, per height.
        gap: between letters, over the height.
        wobble: how unevenly letters stand: 0 for one die, more for letters struck one by one.
        face: a printed face instead of strokes; None mostly.
    """

    aspect: float = 0.62
    weight: float = 0.14
    roundness: float = 0.8
    slant: float = 0.0
    gap: float = 0.32
    wobble: float = 0.0
    face: Path | None = None


@dataclass(frozen=True)
class Stamp:
    """A text and where it is struck.

    Attributes:
        text: letters that `can_draw` allows, and blanks.
        angle: of its middle, degrees clockwise from the right.
        turn: how far letters are turned against facing outward: 0 outward, 180 inward, 90 sideways
            with their tops clockwise, -90 anti-clockwise.
        height: of its letters.
        radius: of the letters' middles.
    """

    text: str
    angle: float
    turn: int
    height: float
    radius: float

    @property
    def direction(self) -> str:
        """As annotations name it."""
        return {0: "outward", 180: "inward"}.get(self.turn, "sideways")


@dataclass(frozen=True)
class Letter:
    """A letter's place: the middle of its cell, the turn of its upright, and its size."""

    char: str
    x: float
    y: float
    rotation: float
    height: float
    width: float


def can_draw(text: str) -> bool:
    """Whether the strokes hold every letter of a text."""
    return all(c == " " or c in _glyphs() for c in text)


def draw_die(rng: np.random.Generator) -> Die:
    """A way of cutting letters, mostly plain sans."""
    struck_singly = rng.random() < 0.25
    faces = _faces()
    return Die(
        aspect=rng.uniform(0.42, 0.78),
        weight=rng.uniform(0.09, 0.2),
        roundness=rng.uniform(0.35, 1.0),
        slant=rng.normal(0, 0.03) if rng.random() < 0.3 else 0.0,
        gap=rng.uniform(0.22, 0.5) * (2.0 if rng.random() < 0.2 else 1.0),
        wobble=rng.uniform(0.3, 1.0) if struck_singly else rng.uniform(0, 0.15),
        face=faces[int(rng.integers(len(faces)))] if rng.random() < 0.22 else None,
    )


def text_length(text: str, die: Die) -> float:
    """Length of a text set straight, over the letters' height."""
    widths = [_width(c, die) for c in text]
    return sum(widths) + die.gap * max(len(text) - 1, 0)


def place(stamp: Stamp, die: Die, rng: np.random.Generator) -> list[Letter]:
    """Where each letter of a stamp stands, blanks left out, in reading order.

    Letters that face outward or inward are struck straight, each turned to its own place on the
    circle; sideways texts stand on a straight line, as they are struck in one go.
    """
    found = []
    pen = -text_length(stamp.text, die) / 2
    sideways = stamp.turn in (90, -90)
    middle = math.radians(stamp.angle)
    for char in stamp.text:
        width = _width(char, die)
        along = (pen + width / 2) * stamp.height
        pen += width + die.gap
        if char == " ":
            continue
        if sideways:
            x = stamp.radius * math.cos(middle)
            y = stamp.radius * math.sin(middle)
            rotation = stamp.angle + 90 + stamp.turn
            x += along * math.cos(math.radians(rotation))
            y += along * math.sin(math.radians(rotation))
        else:
            sign = 1 if stamp.turn == 0 else -1
            at = middle + sign * along / stamp.radius
            x, y = stamp.radius * math.cos(at), stamp.radius * math.sin(at)
            rotation = math.degrees(at) + 90 + stamp.turn
        shake = die.wobble * stamp.height
        found.append(
            Letter(
                char,
                x + 0.05 * shake * rng.normal(),
                y + 0.05 * shake * rng.normal(),
                rotation + 4.0 * die.wobble * rng.normal(),
                stamp.height * (1 + 0.03 * die.wobble * rng.normal()),
                width,
            )
        )
    return found


def strike(size: int, radius: float, letters: list[Letter], die: Die) -> Mask:
    """Coverage of letters, uint8 ``[size, size]``; the circle's centre is the picture's.

    Args:
        size: of the picture.
        radius: of the head, pixels.
        letters: as `place` gives them.
        die: how they are cut.
    """
    mask = np.zeros((size, size), np.uint8)
    for letter in letters:
        if die.face is not None:
            _print(mask, radius, letter, die.face)
            continue
        thick = max(1, round(die.weight * letter.height * radius))
        points = [_placed(stroke, letter, die) for stroke in _strokes(letter.char, die)]
        fixed = [
            np.round((p * radius + size / 2 - 0.5) * 2**_SHIFT).astype(np.int32) for p in points
        ]
        cv2.polylines(mask, fixed, False, 255, thick, cv2.LINE_AA, _SHIFT)
    return mask


def _width(char: str, die: Die) -> float:
    if char == " ":
        return 0.45 * die.aspect
    if die.face is not None:
        font = open_font(die.face, _FACE_SIZE)
        return float(font.getlength(char)) / _cap_height(die.face) * 0.95
    share = _glyphs()[char][0]
    return share * die.aspect + die.weight


def _placed(stroke: Stroke, letter: Letter, die: Die) -> Stroke:
    """A stroke, in heights about the letter's middle, where it is struck."""
    turn = math.radians(letter.rotation)
    slanted = stroke.copy()
    slanted[:, 0] -= die.slant * stroke[:, 1]
    across = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    return slanted @ across * letter.height + (letter.x, letter.y)


def _strokes(char: str, die: Die) -> list[Stroke]:
    share, strokes = _glyphs()[char]
    inner = 1 - die.weight  # the strokes' middles are half a stroke inside
    scale = np.array([share * die.aspect, inner])
    return [_rounded((stroke - 0.5) * scale, die.roundness) for stroke in strokes]


def _rounded(points: Stroke, roundness: float) -> Stroke:
    """Corners cut short and joined by a curve (quadratic Bezier)."""
    if len(points) < 3:
        return points
    found = [points[:1]]
    last = len(points) - 1
    t = np.linspace(0, 1, 7)[:, None]
    for i in range(1, last):
        before, corner, after = points[i - 1], points[i], points[i + 1]
        to, on = math.dist(before, corner), math.dist(after, corner)
        # Two corners share a segment; one beside a stroke's end has it to itself.
        reach = roundness * min(to / (1 if i == 1 else 2), on / (1 if i == last - 1 else 2))
        start = corner + (before - corner) * (reach / max(to, 1e-9))
        end = corner + (after - corner) * (reach / max(on, 1e-9))
        found.append((1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end)
    found.append(points[-1:])
    return np.concatenate(found)


def _print(mask: Mask, radius: float, letter: Letter, face: Path) -> None:
    """A printed letter, turned to its place; into `mask`."""
    font = open_font(face, _FACE_SIZE)
    core, (left, top) = font.getmask2(letter.char, "L", anchor="ls")
    width, height = core.size
    if not width or not height:
        return
    glyph = np.frombuffer(bytes(core), np.uint8).reshape(height, width)
    cap = _cap_height(face)
    advance = float(font.getlength(letter.char))
    scale = letter.height * radius / cap
    turn = math.radians(letter.rotation)
    rotate = scale * np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    # The glyph's pixels about the middle of its cell: half an advance across, half a cap up.
    origin = np.array([left - advance / 2, top + cap / 2])
    centre = np.array([letter.x, letter.y]) * radius + mask.shape[0] / 2 - 0.5
    reach = math.ceil(scale * math.hypot(advance, cap)) + 2
    x0, y0 = (np.floor(centre) - reach).astype(int)
    matrix = np.c_[rotate, rotate @ origin + centre - (x0, y0)]
    side = 2 * reach + 1
    # Reduced straight away, a letter of a hundred pixels would break up.
    soft = cv2.GaussianBlur(glyph, (0, 0), max(0.1, 0.35 / scale)) if scale < 0.7 else glyph
    turned = cv2.warpAffine(soft, matrix, (side, side), flags=cv2.INTER_LINEAR)
    both = overlap(mask, turned, int(x0), int(y0))
    if both is not None:
        part = mask[both[0]]
        np.maximum(part, turned[both[1]], out=part)


@cache
def _glyphs() -> dict[str, tuple[float, tuple[Stroke, ...]]]:
    """Strokes of each letter, 0..1 with y down, and its width over the usual one."""
    found = {}
    file = Path(__file__).parent / "strokes.txt"
    for line in file.read_text("utf-8").splitlines():
        if not line.strip() or line.startswith("# "):
            continue
        head, _, body = line.partition(" : ")
        char, width = head.split()
        strokes = tuple(
            np.array([[float(v) for v in point.split(",")] for point in stroke.split()]) / 100
            for stroke in body.split("|")
        )
        found[char] = (float(width), strokes)
    return found


@cache
def _faces() -> tuple[Path, ...]:
    """Faces that come with matplotlib: the same everywhere."""
    names = ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono", "DejaVuSerif", "STIXGeneral")
    return tuple(matplotlib_font(f"{name}.ttf") for name in names)


@lru_cache(maxsize=16)
def _cap_height(face: Path) -> float:
    return float(-open_font(face, _FACE_SIZE).getbbox("H", anchor="ls")[1])
