"""Printing machine-readable lines: from text to ink coverage, with the defects of real printers.

The result is coverage only (how much of each pixel the ink takes); colour, paper and light belong
to whoever lays it on a background.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.donut.mrz.build import ALPHABET
from sightbook.donut.synth.zone_fonts import (
    BASELINE,
    CAP_HEIGHT,
    CELL_HEIGHT,
    CELL_WIDTH,
    ZoneFont,
    atlas,
    random_font,
)
from sightbook.synth import degrade
from sightbook.synth.lettering import overlap

LINE_SPACING = 2.5
"""Usual distance of baselines in units of the pitch (Doc 9303: 6.35 mm to 2.54 mm)."""

MARGIN = 0.8
"""Empty border around the outermost cells in units of the pitch."""

_FINE_PITCH = 14  # below this, glyphs at whole pixels would dance: draw twice as large

Gray = NDArray[np.uint8]


@dataclass(frozen=True)
class PrintedZone:
    """Ink on nothing.

    Attributes:
        alpha: uint8 ``[H, W]``, 255 where ink covers the pixel.
        line_quads: float32 ``[n_lines, 4, 2]`` (x, y): top left, top right, bottom right, bottom
            left; left edge of the first cell to right edge of the last, capital height to baseline.
    """

    alpha: Gray
    line_quads: NDArray[np.float32]


def print_lines(
    rng: np.random.Generator,
    lines: Sequence[str],
    pitch_px: float,
    font: ZoneFont | None = None,
    *,
    line_spacing: float = LINE_SPACING,
    wear: float = 1.0,
) -> PrintedZone:
    """Print lines of machine-readable text.

    Args:
        rng: the only source of chance.
        lines: characters of ``mrz.ALPHABET``; lines may differ in length.
        pitch_px: distance of neighbouring characters in pixels.
        font: drawn at random if not given.
        line_spacing: distance of baselines in units of the pitch.
        wear: how often and how badly the printer's defects show, 0 (clean) to 1.
    """
    font = font or random_font(rng)
    fine = 2 if pitch_px < _FINE_PITCH else 1
    pitch = pitch_px * fine
    used = "".join(sorted(set("".join(lines))))
    if not set(used) <= set(ALPHABET):
        foreign = "".join(sorted(set(used) - set(ALPHABET)))
        raise ValueError(f"cannot print {foreign!r}: expected characters of {ALPHABET!r}")
    cells = dict(zip(used, atlas(font, pitch, used), strict=True))
    columns = max(len(line) for line in lines)
    # Even sides, so that halving keeps the geometry.
    width = 2 * math.ceil((columns + 2 * MARGIN) * pitch / 2)
    height = 2 * math.ceil((CELL_HEIGHT + (len(lines) - 1) * line_spacing + 0.1) * pitch / 2)
    canvas = np.zeros((height, width), dtype=np.uint8)
    quads = np.empty((len(lines), 4, 2), dtype=np.float32)
    loose = rng.random() < 0.12 * wear  # a typewriter or a worn transport
    jitter = rng.uniform(0.01, 0.05) * pitch if loose else 0.0
    indent = rng.uniform(-0.4, 0.4) if rng.random() < 0.08 * wear else 0.0
    cap = CAP_HEIGHT * font.height * pitch
    for row, line in enumerate(lines):
        left = (MARGIN + max(-MARGIN + 0.3, indent * row)) * pitch
        base = (BASELINE + row * line_spacing) * pitch
        shifts = rng.normal(0, jitter, (len(line), 2)) if loose else np.zeros((len(line), 2))
        for column, (character, (dx, dy)) in enumerate(zip(line, shifts, strict=True)):
            cell = cells[character]
            x = round(left + (column + 0.5 - CELL_WIDTH / 2) * pitch + dx)
            y = round(base - BASELINE * pitch + dy)
            _stamp(canvas, cell, x, y)
        right, top = left + len(line) * pitch, base - cap
        quads[row] = [(left, top), (right, top), (right, base), (left, base)]
    if wear > 0:
        canvas = _print_defects(rng, canvas, pitch, wear)
    if fine > 1:
        canvas = np.asarray(
            cv2.resize(canvas, (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8
        )
    # Corners of cells to pixel coordinates, in which the first pixel's centre is 0.
    return PrintedZone(canvas, quads / np.float32(fine) - np.float32(0.5))


def _stamp(canvas: Gray, cell: Gray, x: int, y: int) -> None:
    """Lay one glyph's cell on the canvas, cut at the borders."""
    both = overlap(canvas, cell, x, y)
    if both is not None:
        area = canvas[both[0]]
        np.maximum(area, cell[both[1]], out=area)


def _print_defects(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Apply one printer and, sometimes, the traces of use."""
    if rng.random() < 0.65 * wear:
        names = list(_PRINTERS)
        weights = np.array([weight for _, weight in _PRINTERS.values()])
        name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        alpha = _PRINTERS[name][0](rng, alpha, pitch, wear)
    if rng.random() < 0.18 * wear:
        alpha = _uneven_inking(rng, alpha, pitch, wear)
    if rng.random() < 0.12 * wear:
        alpha = _scratches(rng, alpha, pitch)
    return alpha


# --- printers: (rng, alpha, pitch, wear) -> alpha -------------------------------------------------


def _toner(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Laser: grainy edges, specks of toner beside the strokes, pinholes within."""
    soft = degrade.gaussian_blur(alpha, 0.03 * pitch)
    grainy = degrade.noise(soft, rng, wear * rng.uniform(20, 70), grain=max(1.0, 0.07 * pitch))
    # Only edges and rare extremes pass: grain in the middle of paper or ink is not visible.
    edge = rng.uniform(70, 150)
    return degrade.contrast(grainy, gain=4.0, bias=4.0 * (128 - edge))


def _inkjet(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Ink that ran into the fibres: swollen, with ragged edges."""
    soft = degrade.gaussian_blur(alpha, pitch * rng.uniform(0.04, 0.09) * (0.4 + 0.6 * wear))
    ragged = degrade.noise(soft, rng, wear * rng.uniform(8, 30), grain=max(1.0, 0.12 * pitch))
    level = rng.uniform(70, 115)
    return degrade.contrast(ragged, gain=rng.uniform(1.6, 3.5), bias=2.2 * (128 - level))


def _dots(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Needles, laser pulses or a halftone screen: strokes made of dots on a grid."""
    period = pitch * rng.uniform(0.12, 0.2)
    height, width = alpha.shape
    phase = rng.uniform(0, 2 * math.pi, 2)
    xs = np.cos(np.arange(width, dtype=np.float32) * np.float32(2 * math.pi / period) + phase[0])
    ys = np.cos(np.arange(height, dtype=np.float32) * np.float32(2 * math.pi / period) + phase[1])
    if rng.random() < 0.3:  # lines of a scanning laser or a head with one row of nozzles
        xs = np.zeros_like(xs)
    grid = (xs[None, :] + ys[:, None]).astype(np.float32)
    depth = wear * rng.uniform(0.25, 0.9)
    mask = np.clip(255 * (1 - depth * (0.5 - 0.5 * grid)), 0, 255).astype(np.uint8)
    fat = cv2.dilate(alpha, np.ones((2, 2), np.uint8)) if rng.random() < 0.5 else alpha
    return np.asarray(cv2.multiply(fat, mask, scale=1 / 255), dtype=np.uint8)


def _dead_rows(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Thermal transfer with dead elements: thin unprinted stripes along or across the line."""
    out = alpha.copy()
    height, width = out.shape
    for _ in range(int(rng.integers(1, 4))):
        thick = max(1, round(pitch * rng.uniform(0.03, 0.1) * wear))
        keep = rng.uniform(0.1, 0.7)
        if rng.random() < 0.6:
            start = int(rng.integers(0, height))
            out[start : start + thick] = out[start : start + thick] * keep
        else:
            start = int(rng.integers(0, width))
            out[:, start : start + thick] = out[:, start : start + thick] * keep
    return out


def _ribbon(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Typewriter or needle ribbon: every character its own blackness, fabric showing."""
    height, width = alpha.shape
    blackness = rng.uniform(1 - 0.6 * wear, 1, (1, max(2, round(width / pitch))))
    blackness = np.repeat(blackness, 2, axis=0) * 255
    nearest = cv2.INTER_NEAREST
    mask = cv2.resize(blackness.astype(np.uint8), (width, height), interpolation=nearest)
    mask = degrade.noise(np.asarray(mask, np.uint8), rng, 30 * wear, grain=max(1.0, 0.1 * pitch))
    return np.asarray(cv2.multiply(alpha, mask, scale=1 / 255), dtype=np.uint8)


def _bitmap(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """A device without grey levels, or a screen font: hard, stepped edges."""
    _, hard = cv2.threshold(alpha, rng.uniform(70, 170), 255, cv2.THRESH_BINARY)
    return np.asarray(hard, dtype=np.uint8)


def _thin(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Starved ink: strokes thin out where the pressure is low, fine ones break."""
    soft = degrade.gaussian_blur(alpha, 0.06 * pitch)
    loss = _patches(rng, soft.shape, pitch * rng.uniform(1.5, 8), 30, 40 + 80 * wear)
    starved = np.asarray(cv2.subtract(soft, loss), dtype=np.uint8)
    return degrade.contrast(starved, gain=2.2, bias=150)


_PRINTERS: dict[str, tuple[Callable[..., Gray], float]] = {
    "toner": (_toner, 25),
    "inkjet": (_inkjet, 20),
    "dots": (_dots, 15),
    "dead_rows": (_dead_rows, 5),
    "ribbon": (_ribbon, 8),
    "bitmap": (_bitmap, 10),
    "thin": (_thin, 12),
}


# --- traces of use ----------------------------------------------------------------------------


def _uneven_inking(rng: np.random.Generator, alpha: Gray, pitch: float, wear: float) -> Gray:
    """Ink rubbed off in patches, from a few characters to half a line in size."""
    keep = _patches(rng, alpha.shape, pitch * rng.uniform(0.6, 10), 255 - 170 * wear, 330)
    return np.asarray(cv2.multiply(alpha, keep, scale=1 / 255), dtype=np.uint8)


def _scratches(rng: np.random.Generator, alpha: Gray, pitch: float) -> Gray:
    """Fine lines scraped through the print."""
    keep = np.full_like(alpha, 255)
    height, width = keep.shape
    for _ in range(int(rng.integers(1, 6))):
        x, y, angle = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0, math.pi)
        reach = pitch * rng.uniform(1, 12)
        end = (round(x + reach * math.cos(angle)), round(y + reach * math.sin(angle)))
        thick = max(1, round(pitch * rng.uniform(0.02, 0.08)))
        cv2.line(keep, (round(x), round(y)), end, int(rng.integers(0, 160)), thick, cv2.LINE_AA)
    return np.minimum(alpha, keep)


def _patches(
    rng: np.random.Generator, shape: tuple[int, ...], size: float, low: float, high: float
) -> Gray:
    """Draw a smooth field of values ``low``..``high`` (clipped) in patches ``size`` px wide."""
    rows, columns = max(2, round(shape[0] / size)), max(2, round(shape[1] / size))
    field = np.clip(rng.uniform(low, high, (rows, columns)), 0, 255).astype(np.uint8)
    interpolation = cv2.INTER_CUBIC
    grown = cv2.resize(field, (shape[1], shape[0]), interpolation=interpolation)
    return np.asarray(grown, dtype=np.uint8)
