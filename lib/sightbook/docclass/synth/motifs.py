"""Artwork: flowers, creatures, skylines, mountains, lights, splashes, emblems, large letters."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from sightbook.docclass.synth.grounds import clouds
from sightbook.docclass.synth.lettering import face, stamp, strokes, words, write
from sightbook.docclass.synth.palettes import Colour, Palette, hsv, mix

Canvas = NDArray[np.uint8]


def motif(rng: np.random.Generator, canvas: Canvas, palette: Palette) -> None:
    """Draw one piece of artwork somewhere on the canvas."""
    MOTIFS[int(rng.integers(len(MOTIFS)))](rng, canvas, palette)


def _accent(rng: np.random.Generator, p: Palette) -> Colour:
    if rng.random() < 0.15:
        return hsv(rng.random(), rng.uniform(0.4, 1), rng.uniform(0.5, 1))
    return p.accents[int(rng.integers(len(p.accents)))]


def _place(rng: np.random.Generator, canvas: Canvas) -> tuple[float, float, float]:
    """Centre and size, in pixels."""
    height, width = canvas.shape[:2]
    size = rng.uniform(0.25, 0.95) * min(height, width)
    return rng.uniform(0.1, 0.9) * width, rng.uniform(0.1, 0.9) * height, size


def _flower(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    for _ in range(int(rng.integers(1, 7))):
        x, y, size = _place(rng, canvas)
        size *= rng.uniform(0.2, 0.6)
        petals, colour = int(rng.integers(4, 14)), _accent(rng, p)
        slim, phase = rng.uniform(0.2, 0.6), rng.uniform(0, 360)
        for ring in range(int(rng.integers(1, 4))):
            reach = size * (1 - 0.3 * ring)
            tone = mix(colour, (255, 255, 255), 0.2 * ring)
            for petal in range(petals):
                angle = phase + 360 * (petal + ring / 2) / petals
                c = math.radians(angle)
                centre = int(x + reach / 2 * math.cos(c)), int(y + reach / 2 * math.sin(c))
                axes = max(1, int(reach / 2)), max(1, int(reach / 2 * slim))
                cv2.ellipse(canvas, centre, axes, angle, 0, 360, tone, -1, cv2.LINE_AA)
                edge = mix(tone, (0, 0, 0), 0.25)
                cv2.ellipse(canvas, centre, axes, angle, 0, 360, edge, 1, cv2.LINE_AA)
        core = max(1, int(size * 0.14))
        cv2.circle(canvas, (int(x), int(y)), core, _accent(rng, p), -1, cv2.LINE_AA)


def _tendrils(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """Curling lines with leaves."""
    colour = _accent(rng, p)
    for _ in range(int(rng.integers(2, 9))):
        x, y, size = _place(rng, canvas)
        t = np.linspace(0, 1, 60)
        turn, curl = rng.uniform(0, 6.28), rng.uniform(-9, 9)
        angle = turn + curl * t**1.5
        step = size / 30 * (1 - 0.6 * t)
        path = np.stack([x + np.cumsum(step * np.cos(angle)), y + np.cumsum(step * np.sin(angle))])
        points = path.T.astype(np.int32)
        cv2.polylines(canvas, [points], False, colour, int(rng.integers(1, 4)), cv2.LINE_AA)
        for index in range(8, 60, 12):
            axes = max(1, int(size * 0.09)), max(1, int(size * 0.035))
            lean = math.degrees(angle[index]) + 45
            at = int(points[index][0]), int(points[index][1])
            cv2.ellipse(canvas, at, axes, lean, 0, 360, colour, -1, cv2.LINE_AA)


def _creature(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """A cartoon animal: body, head, ears, eyes."""
    x, y, size = _place(rng, canvas)
    size *= rng.uniform(0.5, 0.9)
    colour = _accent(rng, p)
    line = mix(colour, (0, 0, 0), rng.choice([0.3, 0.9]))

    def blob(dx: float, dy: float, rx: float, ry: float, tone: Colour, angle: float = 0) -> None:
        centre = int(x + dx * size), int(y + dy * size)
        axes = max(1, int(rx * size)), max(1, int(ry * size))
        cv2.ellipse(canvas, centre, axes, angle, 0, 360, tone, -1, cv2.LINE_AA)
        cv2.ellipse(canvas, centre, axes, angle, 0, 360, line, 1, cv2.LINE_AA)

    if rng.random() < 0.7:
        blob(0, 0.45, rng.uniform(0.2, 0.4), rng.uniform(0.2, 0.4), colour)
    ear = rng.uniform(0.06, 0.2), rng.uniform(0.08, 0.35)
    spread = rng.uniform(0.15, 0.28)
    for side in (-1, 1):
        blob(side * spread, -0.28, *ear, colour, side * rng.uniform(0, 40))
    wide = rng.uniform(0.26, 0.4)
    blob(0, 0, wide, rng.uniform(0.22, 0.36), colour)
    belly = mix(colour, (255, 255, 255), 0.7)
    if rng.random() < 0.6:
        blob(0, 0.08, wide * 0.6, 0.15, belly)
    gap, eye = rng.uniform(0.06, 0.16), rng.uniform(0.025, 0.08)
    for side in (-1, 1):
        if eye > 0.045:
            blob(side * gap, -0.05, eye, eye, (255, 255, 255))
        blob(side * gap, -0.05, eye / 2, eye / 2, (10, 10, 10))
    blob(0, 0.06, 0.04, 0.03, mix(colour, (160, 30, 30), 0.7))
    if rng.random() < 0.5:
        centre = int(x), int(y + 0.08 * size)
        cv2.ellipse(canvas, centre, (int(0.1 * size), int(0.07 * size)), 0, 10, 170, line, 1,
                    cv2.LINE_AA)  # fmt: skip


def _skyline(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    height, width = canvas.shape[:2]
    base, colour = rng.uniform(0.6, 1.0) * height, _accent(rng, p)
    x = 0.0
    while x < width:
        wide, tall = rng.uniform(0.03, 0.12) * width, rng.uniform(0.1, 0.5) * height
        tone = mix(colour, p.ground, rng.uniform(0, 0.5))
        top = int(base - tall)
        cv2.rectangle(canvas, (int(x), top), (int(x + wide), int(base)), tone, -1)
        if rng.random() < 0.3:
            roof = np.array([[x, top], [x + wide, top], [x + wide / 2, top - wide]], np.int32)
            cv2.fillConvexPoly(canvas, roof, tone, cv2.LINE_AA)
        if rng.random() < 0.5:
            lit = mix(tone, (255, 240, 170), 0.7)
            for wy in range(top + 4, int(base) - 3, 7):
                for wx in range(int(x) + 3, int(x + wide) - 3, 6):
                    if rng.random() < 0.5:
                        canvas[max(0, wy) : wy + 3, max(0, wx) : wx + 2] = lit
        x += wide * rng.uniform(0.9, 1.4)


def _mountains(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """Ridges behind each other, a sun or moon above: what photographs of nature look like small."""
    height, width = canvas.shape[:2]
    if rng.random() < 0.6:
        sun = int(rng.uniform(0.1, 0.9) * width), int(rng.uniform(0.05, 0.5) * height)
        tone = mix(p.second, (255, 235, 180), 0.8)
        cv2.circle(canvas, sun, int(rng.uniform(0.05, 0.2) * height), tone, -1, cv2.LINE_AA)
    colour, count = _accent(rng, p), int(rng.integers(2, 5))
    for ridge in range(count):
        points = int(rng.integers(4, 16))
        level = (0.35 + 0.55 * ridge / count) * height
        ys = level + rng.uniform(-0.2, 0.2, points) * height / (1 + ridge / 2)
        xs = np.linspace(0, width, points)
        if rng.random() < 0.5:  # hills rather than peaks
            fine = np.linspace(0, width, 60)
            ys, xs = np.interp(fine, xs, ys), fine
            ys = np.convolve(np.pad(ys, 5, mode="edge"), np.ones(11) / 11, "valid")
        outline = [*np.stack([xs, ys], -1), (width, height), (0, height)]
        tone = mix(mix(colour, p.second, 0.7), mix(colour, (0, 0, 0), 0.5), (ridge + 1) / count)
        cv2.fillPoly(canvas, [np.array(outline, np.int32)], tone, cv2.LINE_AA)


def _lights(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """Bokeh, stars, dots of a map."""
    height, width = canvas.shape[:2]
    kind = rng.random()
    if kind < 0.35:
        shine = np.zeros_like(canvas)
        for _ in range(int(rng.integers(10, 50))):
            at = int(rng.uniform(0, width)), int(rng.uniform(0, height))
            radius = int(rng.uniform(0.01, 0.12) * width)
            cv2.circle(shine, at, max(1, radius), mix((0, 0, 0), _accent(rng, p), 0.6), -1,
                       cv2.LINE_AA)  # fmt: skip
        canvas[...] = cv2.add(canvas, (shine * rng.uniform(0.3, 0.9)).astype(np.uint8))
    elif kind < 0.6:
        colour = _accent(rng, p)
        for _ in range(int(rng.integers(30, 200))):
            x, y = int(rng.uniform(0, width)), int(rng.uniform(0, height))
            canvas[y : y + 2, x : x + int(rng.integers(1, 3))] = colour
    else:  # continents of dots, or filled
        land = clouds(rng, (width, height), int(rng.integers(2, 5))) > rng.uniform(0.5, 0.65)
        colour = _accent(rng, p)
        if rng.random() < 0.6:
            step = int(rng.integers(4, 8))
            grid = np.zeros_like(land)
            grid[::step, ::step] = True
            grid = cv2.dilate(grid.astype(np.uint8), np.ones((2, 2), np.uint8)) > 0
            land = land & grid
        stamp(canvas, (land * 255).astype(np.uint8), 0, 0, colour, rng.uniform(0.2, 0.9))


def _splash(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """Paint: blots with drops around, or a broad brush."""
    height, width = canvas.shape[:2]
    for _ in range(int(rng.integers(1, 6))):
        x, y, size = _place(rng, canvas)
        colour = _accent(rng, p)
        if rng.random() < 0.5:
            angle = np.linspace(0, 2 * math.pi, 40, endpoint=False)
            reach = size / 3 * (1 + 0.5 * rng.standard_normal(40).clip(-1, 2))
            blot = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], -1)
            cv2.fillPoly(canvas, [blot.astype(np.int32)], colour, cv2.LINE_AA)
            for _ in range(12):
                at = int(x + rng.normal() * size / 2), int(y + rng.normal() * size / 2)
                cv2.circle(
                    canvas, at, int(rng.uniform(1, size / 14 + 1.5)), colour, -1, cv2.LINE_AA
                )
        else:
            start = rng.uniform(0, 1, 2) * (width, height)
            lean = rng.uniform(-0.6, 0.6)
            for hair in range(int(size / 3)):
                a = start + np.array([-math.sin(lean), math.cos(lean)]) * hair
                b = a + np.array([math.cos(lean), math.sin(lean)]) * size * rng.uniform(0.8, 1.5)
                tone = mix(colour, p.ground, rng.uniform(0, 0.35))
                cv2.line(canvas, tuple(a.astype(int).tolist()), tuple(b.astype(int).tolist()),
                         tone, 1, cv2.LINE_AA)  # fmt: skip


def _emblem(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """Rings, rosettes, stars, polygons: filled or as lines, large."""
    x, y, size = _place(rng, canvas)
    colour, thick = _accent(rng, p), -1 if rng.random() < 0.5 else int(rng.integers(1, 6))
    sides = int(rng.integers(3, 9))
    count, star = int(rng.integers(1, 9)), rng.random() < 0.4
    for number in range(count):
        radius = size / 2 * (1 - number / (count + 1))
        angle = rng.uniform(0, 0.3) + 2 * math.pi * np.arange(2 * sides) / (2 * sides)
        reach = np.where(np.arange(2 * sides) % 2, radius * (0.5 if star else 1), radius)
        points = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], -1)
        tone = mix(colour, p.second, number / count)
        if thick < 0:
            cv2.fillPoly(canvas, [points.astype(np.int32)], tone, cv2.LINE_AA)
        else:
            cv2.polylines(canvas, [points.astype(np.int32)], True, tone, thick, cv2.LINE_AA)


def _rosette(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """Curves of a spirograph."""
    x, y, size = _place(rng, canvas)
    t = np.linspace(0, 2 * math.pi * int(rng.integers(3, 9)), 900)
    a, b = rng.uniform(0.3, 0.7), rng.uniform(0.2, 0.6)
    k = rng.integers(3, 17) / rng.integers(1, 5)
    points = np.stack([np.cos(t) * a + np.cos(k * t) * b, np.sin(t) * a - np.sin(k * t) * b], -1)
    points = points / (a + b) * size / 2 + (x, y)
    cv2.polylines(canvas, [points.astype(np.int32)], True, _accent(rng, p), 1, cv2.LINE_AA)


def _lettering(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """A word or a sign so large that it is the picture."""
    height, width = canvas.shape[:2]
    colour, alpha = _accent(rng, p), rng.uniform(0.3, 1.0)
    tall = rng.uniform(0.2, 0.8) * height
    x, y = rng.uniform(-0.1, 0.5) * width, rng.uniform(0, 0.6) * height
    if rng.random() < 0.3:
        stamp(canvas, strokes(rng, int(rng.integers(1, 3)), int(tall)), x, y, colour, alpha)
    else:
        text = words(rng, 1)[: int(rng.integers(1, 9))]
        angle = rng.choice([0.0, 0.0, rng.uniform(-30, 30)])
        write(canvas, text, x, y, tall, colour, face(rng), angle=float(angle), alpha=alpha)


def _things(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """Many small shapes all over: hearts, drops, squares, confetti, icons."""
    height, width = canvas.shape[:2]
    count, kind = int(rng.integers(8, 60)), int(rng.integers(4))
    regular = rng.random() < 0.4
    for number in range(count):
        size = rng.uniform(0.02, 0.07) * width
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if regular:
            columns = max(2, math.isqrt(count))
            x = (number % columns + 0.5) * width / columns
            y = (number // columns + 0.5) * width / columns
            size = 0.3 * width / columns
        colour = _accent(rng, p)
        at = int(x), int(y)
        if kind == 0:
            cv2.circle(canvas, at, max(1, int(size)), colour, -1, cv2.LINE_AA)
        elif kind == 1:
            box = cv2.boxPoints(((x, y), (size, size * 1.6), rng.uniform(0, 90)))
            cv2.fillConvexPoly(canvas, box.astype(np.int32), colour, cv2.LINE_AA)
        elif kind == 2:  # hearts
            for side in (-1, 1):
                left = int(x + side * size * 0.35), at[1]
                cv2.circle(canvas, left, max(1, int(size * 0.42)), colour, -1, cv2.LINE_AA)
            tip = [[x - size * 0.75, y + 1], [x + size * 0.75, y + 1], [x, y + size]]
            cv2.fillConvexPoly(canvas, np.array(tip, np.int32), colour, cv2.LINE_AA)
        else:
            stamp(canvas, strokes(rng, 1, max(6, int(2 * size))), x - size, y - size, colour)


def _photo(rng: np.random.Generator, canvas: Canvas, p: Palette) -> None:
    """What photographs of things have: soft shading, texture, highlights on round bodies."""
    height, width = canvas.shape[:2]
    for _ in range(int(rng.integers(1, 4))):
        x, y, size = _place(rng, canvas)
        ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
        stretch = rng.uniform(0.5, 2)
        r = np.hypot((xs - x) / stretch, (ys - y) * stretch) / (size * 0.45)
        light = np.hypot((xs - x) / stretch + size * 0.15, (ys - y) * stretch + size * 0.15)
        shade = np.clip(1.15 - light / (size * 0.7), 0.1, 1.2)[..., None]
        colour = np.asarray(_accent(rng, p), np.float32)
        texture = 1 + 0.3 * (clouds(rng, (width, height), int(rng.integers(4, 24))) - 0.5)
        body = np.clip(
            colour * shade * texture[..., None] + 90 * np.maximum(shade - 0.95, 0), 0, 255
        )
        cover = np.clip((1 - r) * size / 6, 0, 1)[..., None]
        canvas[...] = canvas * (1 - cover) + body * cover


MOTIFS: tuple[Callable[[np.random.Generator, Canvas, Palette], None], ...] = (
    _flower, _tendrils, _creature, _creature, _skyline, _mountains, _lights, _splash, _emblem,
    _rosette, _lettering, _things, _photo,
)  # fmt: skip
