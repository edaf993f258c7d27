"""What documents carry: chips, marks, numbers, portraits, codes, tables, seals, signatures.

Many types share these parts to the pixel in real life (one chip, one network's mark on thousands of
cards), so their looks are drawn from few variants: a network must learn not to rely on them.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.docclass.synth.lettering import digits, face, stamp, text_block, word, words, write
from sightbook.docclass.synth.palettes import Colour, Palette, hsv, luminance, mix

Canvas = NDArray[np.uint8]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels."""


def chip(rng: np.random.Generator, canvas: Canvas, x: float, y: float, size: float) -> None:
    """A contact plate, gold or silver, `size` pixels high."""
    metal: Colour = (212, 175, 90) if rng.random() < 0.55 else (190, 192, 196)
    metal = mix(metal, (255, 255, 255), rng.uniform(0, 0.3))
    edge = mix(metal, (40, 30, 10), 0.6)
    wide = size * 1.25
    left, top, right, bottom = int(x), int(y), int(x + wide), int(y + size)
    cv2.rectangle(canvas, (left, top), (right, bottom), metal, -1)
    middle = int(x + wide / 2), int(y + size / 2)
    for share in (0.33, 0.66):
        level = int(y + size * share)
        cv2.line(canvas, (left, level), (right, level), edge, 1, cv2.LINE_AA)
    axes = max(1, int(wide * 0.2)), max(1, int(size * 0.3))
    if rng.random() < 0.5:
        cv2.ellipse(canvas, middle, axes, 0, 0, 360, metal, -1, cv2.LINE_AA)
        cv2.ellipse(canvas, middle, axes, 0, 0, 360, edge, 1, cv2.LINE_AA)
    else:
        cv2.rectangle(canvas, (middle[0] - axes[0], top), (middle[0] + axes[0], bottom), edge, 1)
    cv2.rectangle(canvas, (left, top), (right, bottom), edge, 1)


def waves(canvas: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    """The contactless mark."""
    for number in range(1, 5):
        radius = max(1, int(size * number / 5))
        at = int(x), int(y)
        cv2.ellipse(canvas, at, (radius, radius), 0, -40, 40, colour, 1, cv2.LINE_AA)


def network_mark(
    rng: np.random.Generator, canvas: Canvas, x: float, y: float, size: float, ink: Colour
) -> None:
    """One of a few invented payment marks, `size` pixels high, its left upper corner at (x, y)."""
    kind = int(rng.integers(6))
    left, top = int(x), int(y)
    if kind <= 1:  # two discs
        pairs = (((220, 30, 40), (245, 160, 30)), ((30, 110, 200), (210, 40, 60)))
        radius = int(size / 2)
        for number, tone in enumerate(pairs[kind]):
            at = int(x + radius + number * size * 0.62), int(y + radius)
            cv2.circle(canvas, at, radius, tone, -1, cv2.LINE_AA)
        if rng.random() < 0.5:
            write(
                canvas, "DuoPay", x + size * 0.1, y + size * 0.32, size * 0.34, (255, 255, 255), 1
            )
    elif kind <= 3:  # a slanted word, on white or directly
        colour: Colour = (22, 40, 120)
        if kind == 2 or luminance(ink) < 128:
            wide = int(size * 1.6)
            cv2.rectangle(canvas, (left, top), (left + wide, int(y + size)), (250, 250, 250), -1)
        else:
            colour = (245, 245, 245)
        write(canvas, "VITA", x + size * 0.12, y + size * 0.15, size * 0.62, colour, 2)
    elif kind == 4:  # three upright bars
        for number, colour in enumerate(((20, 80, 160), (200, 30, 50), (30, 140, 70))):
            a = int(x + number * size * 0.38), top
            b = int(x + (number * 0.38 + 0.34) * size), int(y + size)
            cv2.rectangle(canvas, a, b, colour, -1)
    else:  # a slanted field of three colours
        for number, colour in enumerate(((200, 30, 50), (20, 70, 150), (10, 120, 120))):
            lean, start = size * 0.2, x + number * size * 0.5
            corners = [[start + lean, y], [start + lean + size * 0.5, y],
                       [start + size * 0.5, y + size], [start, y + size]]  # fmt: skip
            cv2.fillConvexPoly(canvas, np.array(corners, np.int32), colour, cv2.LINE_AA)


def logo(
    rng: np.random.Generator, canvas: Canvas, x: float, y: float, size: float, p: Palette
) -> float:
    """An invented company's sign; returns its width."""
    colour = p.accents[0] if rng.random() < 0.6 else p.ink
    if rng.random() < 0.3:
        colour = hsv(rng.random(), 0.9, 0.8)
    kind, at = int(rng.integers(6)), (int(x + size / 2), int(y + size / 2))
    half = max(2, int(size / 2))
    if kind == 0:
        cv2.circle(canvas, at, half, colour, -1, cv2.LINE_AA)
        cv2.circle(canvas, at, max(1, half // 2), p.ground, -1, cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(canvas, (int(x), int(y)), (int(x + size), int(y + size)), colour, -1)
        write(
            canvas, word(rng)[:1].upper(), x + size * 0.2, y + size * 0.12, size * 0.7, p.ground, 1
        )
    elif kind == 2:
        corners = [[x, y + size], [x + half, y], [x + size, y + size]]
        cv2.fillConvexPoly(canvas, np.array(corners, np.int32), colour, cv2.LINE_AA)
    elif kind == 3:
        for number in range(3):
            radius = max(1, half - number * half // 3)
            cv2.ellipse(canvas, at, (radius, radius), 90 * number, 0, 250, colour, 2, cv2.LINE_AA)
    elif kind == 4:
        count = int(rng.integers(4, 9))
        for spoke in range(count):
            angle = 2 * math.pi * spoke / count
            end = int(at[0] + half * math.cos(angle)), int(at[1] + half * math.sin(angle))
            cv2.line(canvas, at, end, colour, max(1, half // 4), cv2.LINE_AA)
    else:
        cv2.ellipse(canvas, at, (half, max(1, half // 2)), 45, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(canvas, at, (half, max(1, half // 2)), 135, 0, 360, p.ink, 1, cv2.LINE_AA)
    return size * 1.2


def portrait(rng: np.random.Generator, canvas: Canvas, box: Box) -> None:
    """A drawn passport photo."""
    left, top, right, bottom = (int(v) for v in box)
    wide, tall = right - left, bottom - top
    if wide < 6 or tall < 6:
        return
    photo = np.empty((tall, wide, 3), np.uint8)
    photo[...] = hsv(rng.random(), rng.uniform(0, 0.2), rng.uniform(0.7, 0.97))
    skin = mix((236, 196, 165), (92, 60, 42), rng.uniform(0, 1) ** 1.5)
    hair = mix((25, 20, 18), hsv(rng.uniform(0.05, 0.12), 0.6, 0.8), rng.uniform(0, 1))
    coat = hsv(rng.random(), rng.uniform(0, 0.7), rng.uniform(0.1, 0.8))

    def blob(dx: float, dy: float, rx: float, ry: float, tone: Colour) -> None:
        centre = int(wide * dx), int(tall * dy)
        axes = max(1, int(wide * rx)), max(1, int(tall * ry))
        cv2.ellipse(photo, centre, axes, 0, 0, 360, tone, -1, cv2.LINE_AA)

    long = rng.random() < 0.5
    if long:
        blob(0.5, 0.52, 0.33, 0.4, hair)
    blob(0.5, 1.05, 0.46, 0.32, coat)
    blob(0.5, 0.75, 0.1, 0.14, mix(skin, (0, 0, 0), 0.12))
    blob(0.5, 0.36, 0.25, 0.26, hair)
    blob(0.5, 0.46, 0.21, 0.26, skin)
    for side in (-1, 1):
        blob(0.5 + side * 0.09, 0.42, 0.03, 0.015, (30, 25, 25))
        blob(0.5 + side * 0.09, 0.37, 0.05, 0.01, hair)
    blob(0.5, 0.6, 0.07, 0.015, mix(skin, (150, 40, 40), 0.6))
    if rng.random() < 0.3:
        grey = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        photo = np.repeat(grey[..., None], 3, axis=2)
    height, width = canvas.shape[:2]
    a, b = max(0, top), max(0, left)
    part = canvas[a : min(bottom, height), b : min(right, width)]
    part[...] = photo[a - top :, b - left :][: part.shape[0], : part.shape[1]]


def barcode(rng: np.random.Generator, canvas: Canvas, box: Box, ink: Colour) -> None:
    """Bars, or a square code."""
    left, top, right, bottom = box
    height, width = int(bottom - top), int(right - left)
    if height < 4 or width < 4:
        return
    if rng.random() < 0.6:
        bars = np.repeat(rng.random(max(4, width // 2)) < 0.5, 2)[:width]
        mask = np.broadcast_to(bars * np.uint8(255), (height, len(bars)))
    else:
        side = min(height, width)
        cells = rng.random((21, 21)) < 0.5
        for row, column in ((0, 0), (0, 14), (14, 0)):
            cells[row : row + 7, column : column + 7] = True
            cells[row + 1 : row + 6, column + 1 : column + 6] = False
            cells[row + 2 : row + 5, column + 2 : column + 5] = True
        flat = cells.astype(np.uint8) * 255
        mask = np.asarray(cv2.resize(flat, (side, side), interpolation=cv2.INTER_NEAREST), np.uint8)
    stamp(canvas, np.ascontiguousarray(mask), left, top, ink)


def table(rng: np.random.Generator, canvas: Canvas, box: Box, ink: Colour, line: float) -> None:
    """Ruled cells with headings and, in some, entries."""
    left, top, right, bottom = box
    rows = max(1, int((bottom - top) / (line * rng.uniform(1.4, 2.4))))
    cuts = np.sort(rng.uniform(0.1, 0.9, int(rng.integers(0, 5))))
    edges = left + (right - left) * np.array([0, *cuts, 1])
    levels = np.linspace(top, bottom, rows + 1)
    rule = mix(ink, (255, 255, 255), rng.uniform(0, 0.6))
    upright = rng.random() < 0.8
    if rng.random() < 0.4:
        tone = mix(ink, (255, 255, 255), rng.uniform(0.7, 0.92))
        cv2.rectangle(canvas, (int(left), int(top)), (int(right), int(levels[1])), tone, -1)
    for level in levels:
        cv2.line(canvas, (int(left), int(level)), (int(right), int(level)), rule, 1)
    for edge in edges if upright else edges[[0, -1]]:
        cv2.line(canvas, (int(edge), int(top)), (int(edge), int(bottom)), rule, 1)
    font = face(rng)
    for row in range(rows):
        for cell in range(len(edges) - 1):
            if rng.random() < 0.55:
                text = words(rng, 1) if rng.random() < 0.6 else digits(rng, int(rng.integers(2, 7)))
                room = edges[cell + 1] - edges[cell] - 4
                if room > 6:
                    write(canvas, text, edges[cell] + 2, levels[row] + 2, line * 0.8, ink, font,
                          width=room)  # fmt: skip


def fields(rng: np.random.Generator, canvas: Canvas, box: Box, p: Palette, line: float) -> None:
    """Labels in small print, each with its entry below or beside it, as on identity cards."""
    left, top, right, bottom = box
    label, entry = mix(p.accents[0], p.ink, 0.5), mix(p.ink, (0, 0, 0), 0.6)
    fonts, beside = (face(rng), face(rng)), rng.random() < 0.4
    columns, y = int(rng.integers(1, 3)), top
    step = line * (1.5 if beside else 2.2)
    while y + step <= bottom:
        for column in range(columns if rng.random() < 0.5 else 1):
            x = left + column * (right - left) / columns
            room = (right - left) / columns * 0.9
            used = write(canvas, words(rng, 1), x, y, line * 0.55, label, fonts[0], width=room)
            text = words(rng, int(rng.integers(1, 3))).upper()
            if rng.random() < 0.3:
                text = f"{digits(rng, 2)}.{digits(rng, 2)}.{digits(rng, 4)}"
            at = (x + used + 4, y) if beside else (x, y + line * 0.75)
            write(canvas, text, *at, line * 0.85, entry, fonts[1], width=max(6.0, room - 4))
        y += step


def seal(rng: np.random.Generator, canvas: Canvas, x: float, y: float, size: float) -> None:
    """A round stamp."""
    colour = hsv(rng.choice([0.0, 0.6, 0.75, 0.4]), rng.uniform(0.5, 0.9), rng.uniform(0.4, 0.8))
    mask = np.zeros(canvas.shape[:2], np.uint8)
    at = int(x), int(y)
    for share in (1.0, 0.88, 0.5):
        cv2.circle(mask, at, max(1, int(size / 2 * share)), 255, 1, cv2.LINE_AA)
    for letter in range(22):
        angle = 2 * math.pi * letter / 22
        centre = int(x + 0.36 * size * math.cos(angle)), int(y + 0.36 * size * math.sin(angle))
        cv2.circle(mask, centre, max(1, int(size / 40)), 255, -1, cv2.LINE_AA)
    stamp(canvas, mask, 0, 0, colour, rng.uniform(0.4, 0.9))


def signature(rng: np.random.Generator, canvas: Canvas, box: Box, ink: Colour) -> None:
    """A handwritten line."""
    left, top, right, bottom = box
    t = np.linspace(0, 1, 70)
    xs = left + (right - left) * (t + 0.04 * np.sin(t * rng.uniform(20, 50)))
    wave = sum(np.sin(t * rng.uniform(5, 60) + rng.uniform(0, 6)) for _ in range(3)) / 3
    ys = (top + bottom) / 2 + (bottom - top) / 2 * wave * (1 - 0.6 * t)
    points = np.stack([xs, ys], -1).astype(np.int32)
    cv2.polylines(canvas, [points], False, ink, 1, cv2.LINE_AA)


def frame(rng: np.random.Generator, canvas: Canvas, colour: Colour) -> None:
    """A border: lines, or an ornament of waves."""
    height, width = canvas.shape[:2]
    inset = rng.uniform(0.01, 0.06) * min(height, width)
    for number in range(int(rng.integers(1, 4))):
        d = int(inset + number * rng.uniform(2, 6))
        thick = int(rng.integers(1, 4))
        cv2.rectangle(canvas, (d, d), (width - 1 - d, height - 1 - d), colour, thick)
    if rng.random() < 0.4:
        d, t = inset * 1.8, np.linspace(0, 1, 300)
        for phase in (0, math.pi):
            swing = inset * 0.7 * np.sin(t * rng.integers(60, 160) + phase)
            for level in (d, height - d):
                points = np.stack([t * width, level + swing], -1).astype(np.int32)
                cv2.polylines(canvas, [points], False, colour, 1, cv2.LINE_AA)


def print_block(rng: np.random.Generator, canvas: Canvas, box: Box, ink: Colour) -> None:
    """Small print in a box."""
    line = rng.uniform(0.02, 0.05) * max(canvas.shape[:2])
    text_block(rng, canvas, box, line, ink, face(rng))
