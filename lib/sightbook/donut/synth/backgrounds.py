"""What lies under and around a zone crop: paper, security print, neighbouring text, borders, desk.

All grey, ``uint8``. Drawing whole documents (``documents.py``) is ten times slower; this module
makes the strip of a document that a zone crop shows, from sheets and lettering that are drawn once
per process and cut, turned and stretched anew for every sample.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.donut.synth import wording
from sightbook.donut.synth.guilloches import security_paper
from sightbook.synth import degrade
from sightbook.synth.lettering import FACES, TextLayer, overlap

ROWS = 160
"""Different rows of neighbouring text."""

SHEETS = 24
"""Different sheets of security print."""

_ROW_SIZE = 26  # pixels of type size a row is kept at

Gray = NDArray[np.uint8]
Box = tuple[float, float, float, float]


def paper(
    rng: np.random.Generator, width: int, height: int, pitch: float, level: float, strength: float
) -> Gray:
    """Draw document paper: a tint, its texture, and security print.

    Args:
        rng: the only source of chance.
        width: pixels.
        height: pixels.
        pitch: distance of the zone's characters in pixels; sets the scale of patterns.
        level: mean grey level.
        strength: contrast of the security print in grey levels; 0 is blank paper.
    """
    page = np.full((height, width), round(level), dtype=np.uint8)
    if rng.random() < 0.4:  # rainbow printing: the tint drifts
        page = degrade.uneven_light(page, rng, rng.uniform(0.03, 0.15))
    if strength > 0:
        for _ in range(int(rng.choice((1, 2, 3), p=(0.5, 0.35, 0.15)))):
            depth = strength * rng.uniform(0.4, 1.0)
            if rng.random() < 0.78:
                mask = _pattern(rng, width, height, pitch)
            else:
                mask = _words(rng, width, height, pitch)
            page = _shade(page, mask, depth if rng.random() < 0.75 else -depth)
    if rng.random() < 0.5:  # fibres and grain
        grain = max(1.0, pitch * rng.uniform(0.05, 0.4))
        page = degrade.noise(page, rng, rng.uniform(1, 6), grain=grain)
    return page


def _pattern(rng: np.random.Generator, width: int, height: int, pitch: float) -> Gray:
    """Cut a piece of a guilloche sheet, turned and stretched, or compute a screen."""
    if rng.random() < 0.25:
        return _screen(rng, width, height, pitch)
    sheet = _security_print(int(rng.integers(SHEETS)))
    # Sheets are drawn with lines 6 to 16 px apart; in documents they are 0.2 to 1 pitch apart.
    scale = pitch * rng.uniform(0.03, 0.12)
    angle = rng.choice((0, 90, 180, 270)) + rng.uniform(-15, 15)
    middle = (rng.uniform(0, sheet.shape[1]), rng.uniform(0, sheet.shape[0]))
    matrix = cv2.getRotationMatrix2D(middle, angle, scale)
    matrix[:, 2] += np.array([width / 2 - middle[0], height / 2 - middle[1]])
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REFLECT
    mask = cv2.warpAffine(sheet, matrix, (width, height), flags=flags, borderMode=border)
    return np.asarray(mask, dtype=np.uint8)


@lru_cache(maxsize=SHEETS)
def _security_print(key: int) -> Gray:
    """Security print number ``key`` (0..SHEETS-1) without its tint: coverage ``[600, 900]``."""
    colours = security_paper(np.random.default_rng([key, 0x5EC]), 900, 600, 1.0)
    grey = cv2.cvtColor(colours, cv2.COLOR_RGB2GRAY)
    # What remains above the local mean is paper: coverage counts from there, stretched to 0..255.
    tint = cv2.boxFilter(grey, -1, (41, 41))
    fine = grey.astype(np.float32) - tint
    low, high = np.percentile(fine, (1, 97))
    return np.clip((high - fine) * (255 / max(high - low, 1e-3)), 0, 255).astype(np.uint8)


def _screen(rng: np.random.Generator, width: int, height: int, pitch: float) -> Gray:
    """Compute a halftone screen or fine ruling: one or two crossing waves."""
    period = pitch * rng.uniform(0.12, 0.8)
    angle = rng.uniform(0, math.pi)
    kx = np.float32(2 * math.pi / period * math.cos(angle))
    ky = np.float32(2 * math.pi / period * math.sin(angle))
    xs, ys = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    bend = rng.uniform(0, 4) * np.sin(xs * np.float32(0.5 / pitch) + rng.uniform(0, 6))
    if rng.random() < 0.5:  # dots: a separable grid is exact enough and needs no full-size sine
        grid = np.cos(xs * kx + bend)[None, :] + np.cos(ys * (kx + ky))[:, None]
        wave = grid / 2
    else:
        # cos(a + b) from its parts, so that sines are taken of rows and columns only.
        across, down = xs * kx + bend, ys * ky
        wave = np.cos(across)[None, :] * np.cos(down)[:, None]
        wave -= np.sin(across)[None, :] * np.sin(down)[:, None]
    gain = rng.uniform(100, 300)
    return np.asarray(np.clip(wave * gain + 128, 0, 255), dtype=np.uint8)


def _words(rng: np.random.Generator, width: int, height: int, pitch: float) -> Gray:
    """Repeat one word all over, as SAMPLE and microtext are."""
    row = text_row(int(rng.integers(ROWS)))
    word = row[:, : max(8, min(row.shape[1], round(row.shape[0] * rng.uniform(2, 7))))]
    scale = pitch * rng.uniform(0.25, 1.6) / _ROW_SIZE
    size = (max(3, round(word.shape[1] * scale)), max(3, round(word.shape[0] * scale)))
    small = np.asarray(cv2.resize(word, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    gap = round(size[1] * rng.uniform(0, 1.2))
    tile = np.pad(small, ((0, gap), (0, max(1, gap // 2))))
    shift = int(rng.integers(0, tile.shape[1]))
    lines = [np.roll(tile, shift * i, axis=1) for i in range(2)]
    block = np.concatenate(lines)
    down, across = math.ceil(height / block.shape[0]), math.ceil(width / block.shape[1])
    return np.tile(block, (down, across))[:height, :width]


def _shade(page: Gray, mask: Gray, depth: float) -> Gray:
    """Darken (``depth`` > 0) or lighten by up to ``depth`` grey levels where the mask is white."""
    change = cv2.convertScaleAbs(mask, alpha=abs(depth) / 255)
    return np.asarray(cv2.subtract(page, change) if depth > 0 else cv2.add(page, change), np.uint8)


# --- neighbours ----------------------------------------------------------------------------------


@lru_cache(maxsize=ROWS)
def text_row(key: int) -> Gray:
    """Row of ordinary print number ``key`` (0..ROWS-1): coverage, cut to its letters."""
    rng = np.random.default_rng([key, 0x7E47])
    faces = list(FACES)
    language = int(rng.integers(len(wording.LANGUAGES)))
    labels = list(wording.LABELS.values())
    kind = key % 8
    if kind < 2:
        text = labels[int(rng.integers(len(labels)))][language]
    elif kind == 2:
        first, second = (labels[int(i)] for i in rng.integers(len(labels), size=2))
        text = f"{first[0]} / {second[language]}"
    elif kind == 3:
        day, month = int(rng.integers(1, 29)), int(rng.integers(12))
        text = f"{day:02d} {wording.MONTHS[month]} {int(rng.integers(1950, 2040))}"
        if rng.random() < 0.5:
            text = f"{day:02d}.{month + 1:02d}.{int(rng.integers(1950, 2040))}"
    elif kind == 4:
        text = wording.state_title(rng)
    elif kind == 5:
        text = wording.prose(rng, int(rng.integers(3, 9)))
    elif kind == 6:
        words = (
            "SPECIMEN",
            "SAMPLE",
            "VOID",
            "MUSTER",
            "WZÓR",
            "VZOR",
            "DRUK",
            wording.place_name(rng),
        )
        text = words[int(rng.integers(len(words)))]
    else:
        text = "".join(str(digit) for digit in rng.integers(0, 10, int(rng.integers(5, 14))))
    layer = TextLayer(_ROW_SIZE * 24, 2 * _ROW_SIZE, condense=float(rng.uniform(0.75, 1.0)))
    face = faces[int(rng.integers(len(faces)))]
    layer.write(2, 1.5 * _ROW_SIZE, text, face, _ROW_SIZE)
    mask = layer.mask()
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return np.ascontiguousarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])


def write_neighbours(rng: np.random.Generator, page: Gray, zone: Box, pitch: float) -> None:
    """Write and draw in place what documents have above, below and beside the zone.

    Args:
        rng: the only source of chance.
        page: changed in place.
        zone: x0, y0, x1, y1 of the zone's print in pixels; stays free of anything opaque.
        pitch: distance of the zone's characters in pixels.
    """
    x0, y0, x1, y1 = zone
    width = page.shape[1]
    if rng.random() < 0.3:  # lower part of the portrait
        side = pitch * rng.uniform(6, 14)
        left = x0 + rng.uniform(-1, 1) * pitch if rng.random() < 0.7 else x1 - side
        base = y0 - pitch * rng.uniform(0.4, 2.5)
        _portrait(rng, page, round(left), round(left + side), round(base))
    top = y0 - pitch * rng.uniform(0.5, 2.5)
    while top > 0 and rng.random() < 0.75:
        size = pitch * rng.uniform(0.5, 1.3)
        x = x0 + (x1 - x0) * rng.uniform(-0.1, 0.3)
        while x < width:
            _write_row(rng, page, x, top, size, dark=rng.uniform(0.4, 1.0))
            x += (x1 - x0) * rng.uniform(0.25, 0.9)
        top -= size * rng.uniform(1.3, 3.0)
    if rng.random() < 0.2:
        size = pitch * rng.uniform(0.35, 0.9)
        x = x0 + (x1 - x0) * rng.uniform(0, 0.8)
        _write_row(
            rng, page, x, y1 + pitch * rng.uniform(0.6, 2) + size, size, rng.uniform(0.2, 0.9)
        )
    if rng.random() < 0.12:  # rule or edge of a printed strip above the zone
        y, shade = round(y0 - pitch * rng.uniform(0.3, 1.5)), int(rng.integers(20, 220))
        cv2.line(page, (0, y), (width, y), shade, max(1, round(pitch * rng.uniform(0.03, 0.2))))
    if rng.random() < 0.06:  # a stamp or a signature that runs into the zone
        _write_row(rng, page, rng.uniform(x0, x1), rng.uniform(y0, y1), 3 * pitch, dark=0.25)


def _write_row(
    rng: np.random.Generator, page: Gray, x: float, base: float, size: float, dark: float
) -> None:
    """Write one kept row with its lower edge at ``base``; ``dark`` is the ink's strength."""
    row = text_row(int(rng.integers(ROWS)))
    scale = size / _ROW_SIZE
    columns, rows = max(2, round(row.shape[1] * scale)), max(2, round(row.shape[0] * scale))
    mask = cv2.resize(row, (columns, rows), interpolation=cv2.INTER_AREA)
    both = overlap(page, mask, round(x), round(base) - rows)
    if both is not None:
        area, part = page[both[0]], mask[both[1]]
        # Printing inks let a little of the paper through: never quite black.
        cv2.multiply(area, 255 - cv2.convertScaleAbs(part, alpha=0.9 * dark), area, 1 / 255)


def _portrait(rng: np.random.Generator, page: Gray, left: int, right: int, base: int) -> None:
    """Put the lower edge of a portrait (shoulders on a ground) above the zone."""
    left, right, base = max(0, left), min(page.shape[1], right), min(page.shape[0], base)
    if right - left < 4 or base < 2:
        return
    blobs = rng.uniform(20, 240, (4, 5)).astype(np.float32)
    size = (right - left, base)
    face = cv2.resize(blobs, size, interpolation=cv2.INTER_CUBIC)
    page[:base, left:right] = np.clip(face, 0, 255)


def lay_on_desk(rng: np.random.Generator, page: Gray, zone: Box, pitch: float) -> None:
    """Cut the document's edge around the zone in place: border line, round corners, desk beyond.

    Args:
        rng: the only source of chance.
        page: changed in place.
        zone: as in :func:`write_neighbours`.
        pitch: distance of the zone's characters in pixels.
    """
    x0, _, x1, y1 = zone
    height, width = page.shape
    # Doc 9303 leaves 2 to 6 mm (1 to 3 pitches) between print and edge; the sides vary more.
    left = round(x0 - pitch * rng.uniform(0.8, 4))
    right = round(x1 + pitch * rng.uniform(0.8, 6))
    bottom = round(y1 + pitch * rng.uniform(0.9, 4.5))
    inside = np.zeros_like(page)
    radius = max(0, round(pitch * rng.uniform(-0.5, 1.8)))
    top = -2 * radius - 5
    cv2.rectangle(inside, (left, top), (right, bottom - radius), 255, -1)
    cv2.rectangle(inside, (left + radius, top), (right - radius, bottom), 255, -1)
    for x in (left + radius, right - radius):
        cv2.circle(inside, (x, bottom - radius), radius, 255, -1, cv2.LINE_AA)
    coarse = rng.uniform(0, 255, (3, 6)).astype(np.float32)
    if rng.random() < 0.45:  # a scanner's lid or a white web page
        beyond = np.full_like(page, int(rng.choice((255, 250, 235, 0, 15))))
    else:
        grown = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        mean = rng.uniform(10, 240)
        beyond = np.clip(mean + (grown - 128) * rng.uniform(0, 0.4), 0, 255).astype(np.uint8)
        beyond = degrade.noise(beyond, rng, rng.uniform(0, 15), grain=rng.uniform(1, pitch / 3))
    np.copyto(page, beyond, where=inside < 128)
    if rng.random() < 0.6:  # printed frame, or the shaded edge of laminate
        outline, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        thick = max(1, round(pitch * rng.uniform(0.03, 0.2)))
        cv2.drawContours(page, outline, -1, int(rng.integers(0, 230)), thick, cv2.LINE_AA)
