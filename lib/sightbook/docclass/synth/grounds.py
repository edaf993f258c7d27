"""What a document is printed on: gradients, metal, patterns, clouds, guilloches, low polygons."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.docclass.synth.palettes import Colour, Palette, mix

Canvas = NDArray[np.uint8]
Field = NDArray[np.float32]


def ground(rng: np.random.Generator, size: tuple[int, int], palette: Palette) -> Canvas:
    """Fill a canvas of (width, height) with one ground, sometimes two over each other."""
    names = list(GROUNDS)
    weights = np.array([GROUNDS[name][1] for name in names])
    chosen = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    canvas = GROUNDS[chosen][0](rng, size, palette)
    if rng.random() < 0.3:
        overlay = names[int(rng.choice(len(names), p=weights / weights.sum()))]
        other = GROUNDS[overlay][0](rng, size, palette)
        cover = np.clip(_ramp(rng, size) * rng.uniform(0.5, 3) - rng.uniform(0, 1), 0, 1)
        canvas = _blend(canvas, other, cover * rng.uniform(0.2, 0.9))
    return canvas


def two_colours(field: Field, a: Colour, b: Colour) -> Canvas:
    """Colour a field of 0..1: 0 is `a`, 1 is `b`."""
    share = np.clip(field, 0, 1)[..., None]
    return (np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share).astype(
        np.uint8
    )


def _blend(a: Canvas, b: Canvas, share: Field) -> Canvas:
    cover = share[..., None]
    return (a * (1 - cover) + b * cover).astype(np.uint8)


def _grid(size: tuple[int, int]) -> tuple[Field, Field]:
    """Coordinates; the longer side is about -1 to 1."""
    width, height = size
    longer = max(size)
    xs = (2 * np.arange(width, dtype=np.float32) - width) / longer
    ys = (2 * np.arange(height, dtype=np.float32) - height) / longer
    return np.broadcast_to(xs, (height, width)), np.broadcast_to(ys[:, None], (height, width))


def _ramp(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    xs, ys = _grid(size)
    angle = rng.uniform(0, 2 * math.pi)
    field = 0.5 + 0.5 * (xs * math.cos(angle) + ys * math.sin(angle))
    return np.asarray(field, np.float32)


def clouds(rng: np.random.Generator, size: tuple[int, int], cells: int) -> Field:
    """Smooth noise from 0 to 1."""
    total = np.zeros(size[::-1], np.float32)
    for octave in range(3):
        count = cells * 2**octave
        shape = max(2, count * size[1] // max(size)), max(2, count * size[0] // max(size))
        coarse = rng.random(shape, dtype=np.float32)
        total += cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC) / 2**octave
    low, high = float(total.min()), float(total.max())
    return np.asarray((total - low) / max(high - low, 1e-6), np.float32)


def _plain(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    return two_colours(_ramp(rng, size) * rng.uniform(0, 0.4), p.ground, p.second)


def _gradient(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    xs, ys = _grid(size)
    kind = rng.random()
    if kind < 0.45:
        field = _ramp(rng, size)
    elif kind < 0.8:
        x, y = rng.uniform(-1, 1), rng.uniform(-0.6, 0.6)
        field = np.hypot(xs - x, ys - y) / rng.uniform(0.6, 1.6)
    else:
        x, y = rng.uniform(-1, 1), rng.uniform(-0.6, 0.6)
        turns = np.arctan2(ys - y, xs - x) / math.pi * rng.integers(1, 5)
        field = 0.5 + 0.5 * np.sin(turns * math.pi + rng.uniform(0, 6))
    canvas = two_colours(np.asarray(field, np.float32), p.ground, p.second)
    if rng.random() < 0.4:  # a third colour in one corner
        other = two_colours(field * 0 + 1, p.second, p.accents[0])
        cover = np.clip(1.4 * _ramp(rng, size) - 0.5, 0, 1)
        canvas = _blend(canvas, other, np.asarray(cover, np.float32))
    return canvas


def _brushed(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    width, height = size
    fibres = rng.standard_normal((height, max(2, width // 40))).astype(np.float32)
    field = cv2.resize(fibres, size, interpolation=cv2.INTER_LINEAR) * rng.uniform(0.05, 0.16)
    xs, ys = _grid(size)
    band = np.sin(3 * (xs * math.cos(0.4) + ys) + rng.uniform(0, 6)) * 0.3
    return two_colours(np.asarray(0.5 + field + band, np.float32), p.ground, p.second)


def _cloudy(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    field = clouds(rng, size, int(rng.integers(2, 9)))
    if rng.random() < 0.4:  # marble
        field = np.sqrt(np.abs(2 * field - 1))
    elif rng.random() < 0.4:  # torn edges
        field = np.clip((field - 0.5) * np.float32(rng.uniform(3, 20)) + 0.5, 0, 1)
    return two_colours(np.asarray(field, np.float32), p.ground, p.second)


def _stripes(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    xs, ys = _grid(size)
    angle = rng.choice([0, math.pi / 2, math.pi / 4, -math.pi / 4, rng.uniform(0, math.pi)])
    along = xs * math.cos(angle) + ys * math.sin(angle)
    across = ys * math.cos(angle) - xs * math.sin(angle)
    along = along + rng.uniform(0, 0.12) * np.sin(across * rng.uniform(2, 9))
    colours = [p.ground, p.second, *p.accents]
    count = int(rng.integers(3, 26))
    order = rng.integers(0, len(colours) if rng.random() < 0.4 else 2, count + 4)
    index = np.clip(((along + 1.3) / 2.6 * count).astype(int), 0, count + 3)
    flat = np.array(colours, np.uint8)[order][index]
    base = two_colours(_ramp(rng, size) * 0.3, p.ground, p.second)
    return _blend(base, flat, np.full(size[::-1], rng.uniform(0.25, 1.0), np.float32))


def _pattern(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    """Checks, dots, diamonds, waves."""
    xs, ys = _grid(size)
    angle, period = rng.choice([0.0, math.pi / 4]), rng.uniform(0.04, 0.4)
    u = (xs * math.cos(angle) + ys * math.sin(angle)) / period
    v = (ys * math.cos(angle) - xs * math.sin(angle)) / (period * rng.choice([1, 1, 0.5, 2]))
    kind = int(rng.integers(5))
    if kind == 0:
        field = (np.floor(u) + np.floor(v)) % 2
    elif kind == 1:
        field = (np.hypot(u % 1 - 0.5, v % 1 - 0.5) < rng.uniform(0.15, 0.48)).astype(np.float32)
    elif kind == 2:
        field = 0.5 + 0.5 * np.sin(2 * math.pi * (v + rng.uniform(0.1, 0.8) * np.sin(u * 3)))
    elif kind == 3:
        field = (np.abs(u % 1 - 0.5) + np.abs(v % 1 - 0.5) < rng.uniform(0.2, 0.5)) * 1.0
    else:
        field = np.maximum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)) * 2 > rng.uniform(0.7, 0.95)
    strength = rng.uniform(0.15, 1.0)
    other = p.second if rng.random() < 0.6 else p.accents[0]
    return two_colours(np.asarray(field, np.float32) * strength, p.ground, other)


def _polygons(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    """Low polygons: a jittered grid cut into triangles."""
    canvas = two_colours(_ramp(rng, size), p.ground, p.second)
    columns = int(rng.integers(4, 12))
    rows = max(2, round(columns * size[1] / size[0]))
    xs, ys = np.meshgrid(np.linspace(0, size[0], columns + 1), np.linspace(0, size[1], rows + 1))
    jitter = 0.35 * size[0] / columns
    points = np.stack([xs, ys], -1) + rng.uniform(-jitter, jitter, (rows + 1, columns + 1, 2))
    points[[0, -1], :, 1], points[:, [0, -1], 0] = [[0], [size[1]]], [0, size[0]]
    shade = rng.uniform(0.1, 0.5)
    for row in range(rows):
        for column in range(columns):
            a, b = points[row, column], points[row, column + 1]
            c, d = points[row + 1, column + 1], points[row + 1, column]
            for corners in ((a, b, c), (a, c, d)):
                x, y = np.clip(np.mean(corners, axis=0), 0, np.array(size) - 1).astype(int)
                colour = mix(_at(canvas, x, y), p.accents[int(rng.integers(len(p.accents)))],
                             rng.uniform(0, shade))  # fmt: skip
                cv2.fillConvexPoly(canvas, np.array(corners, np.int32), colour, cv2.LINE_AA)
    return canvas


def _at(canvas: Canvas, x: int, y: int) -> Colour:
    red, green, blue = (int(v) for v in canvas[y, x])
    return red, green, blue


def _guilloche(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    """Fine lines that swing in step, as on banknotes and passports."""
    canvas = two_colours(_ramp(rng, size) * 0.8, p.ground, p.second)
    t = np.linspace(0, 1, 160)
    for _ in range(int(rng.integers(1, 4))):
        colour = mix(p.ground, p.accents[int(rng.integers(len(p.accents)))], rng.uniform(0.25, 0.8))
        amplitude, waves = rng.uniform(0.03, 0.3), rng.uniform(1, 7)
        phase, drift = rng.uniform(0, 6), rng.uniform(-0.5, 0.5)
        for number in range(int(rng.integers(8, 26))):
            s = number / 18
            y = s - 0.1 + amplitude * np.sin(2 * math.pi * waves * t + phase + drift * number)
            points = np.stack([t * size[0], y * size[1]], -1).astype(np.int32)
            cv2.polylines(canvas, [points], False, colour, 1, cv2.LINE_AA)
    return canvas


def _sweeps(rng: np.random.Generator, size: tuple[int, int], p: Palette) -> Canvas:
    """Large smooth areas and arcs over each other."""
    canvas = _gradient(rng, size, p)
    for _ in range(int(rng.integers(1, 6))):
        x, y = rng.uniform(-0.3, 1.3, 2) * size
        radius = rng.uniform(0.3, 1.4) * max(size)
        mask = np.zeros(size[::-1], np.uint8)
        thick = -1 if rng.random() < 0.6 else max(1, int(rng.uniform(0.005, 0.15) * max(size)))
        axes = int(radius), int(radius * rng.uniform(0.3, 1))
        cv2.ellipse(mask, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 255, thick,
                    cv2.LINE_AA)  # fmt: skip
        colour = p.accents[int(rng.integers(len(p.accents)))] if rng.random() < 0.6 else p.second
        cover = mask.astype(np.float32) / 255 * rng.uniform(0.15, 0.9)
        if rng.random() < 0.5:
            cover *= _ramp(rng, size)
        canvas = _blend(canvas, np.full_like(canvas, colour), np.asarray(cover, np.float32))
    return canvas


Maker = Callable[[np.random.Generator, tuple[int, int], Palette], Canvas]

GROUNDS: dict[str, tuple[Maker, float]] = {
    "plain": (_plain, 3.0),
    "gradient": (_gradient, 4.0),
    "brushed": (_brushed, 1.5),
    "cloudy": (_cloudy, 2.5),
    "stripes": (_stripes, 1.5),
    "pattern": (_pattern, 2.0),
    "polygons": (_polygons, 0.8),
    "guilloche": (_guilloche, 1.2),
    "sweeps": (_sweeps, 3.0),
}
"""Name to what draws it, and how often it is chosen."""
