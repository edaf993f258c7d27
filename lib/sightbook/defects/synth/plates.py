"""Plates of machined metal with pits: the easiest surface, for a first look at a training."""

from __future__ import annotations

import math

import cv2
import numpy as np

from sightbook.defects.synth.fields import Field, Mask, as_field, cut
from sightbook.defects.synth.roads import expose
from sightbook.detection.labels.annotations import Box, Points, polygons_box

FINE = 4
"""Subpixels by which outlines are drawn, as a power of two."""


def draw_plate(
    rng: np.random.Generator, size: tuple[int, int], damaged: bool
) -> tuple[Mask, tuple[Box, ...]]:
    """A ground plate seen squarely.

    Args:
        rng: the only source of chance.
        size: (width, height) in pixels.
        damaged: whether there are pits.

    Returns:
        uint8 RGB ``[H, W, 3]`` and its pits, of which none touches another; none if none is
        wanted. Scratches and stains are sound.
    """
    canvas = _ground(rng, size)
    for _ in range(int(rng.poisson(1.5))):
        _scratch(canvas, rng, size)
    boxes: list[Box] = []
    light = rng.uniform(0, 2 * math.pi)
    for _ in range(int(rng.integers(1, 5)) if damaged else 0):
        outline = _outline(rng, size)
        x0, y0, x1, y1 = polygons_box((outline,))
        if any(
            x0 < b[2] and b[0] < x1 and y0 < b[3] and b[1] < y1 for b in (o.xyxy for o in boxes)
        ):
            continue
        _pit(canvas, rng, outline, light)
        boxes.append(Box("pit", (x0, y0, x1, y1), (outline,)))
    return expose(canvas, rng), tuple(boxes)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> Field:
    grey, cool = rng.uniform(105, 190), rng.normal(3, 5)
    colour = np.array([grey - cool, grey, grey + cool], np.float32)
    along = (rng.uniform(30, 80), 1.0)
    if rng.random() < 0.5:
        along = along[::-1]
    tone = 1 + rng.uniform(0.02, 0.06) * cut("grain", rng, size, along)
    tone += rng.uniform(0.01, 0.05) * cut("cloud", rng, size)
    return as_field((tone[..., None] * colour).astype(np.float32))


def _scratch(canvas: Field, rng: np.random.Generator, size: tuple[int, int]) -> None:
    ends = np.round(rng.uniform(-0.2, 1.2, (2, 2)) * size * 2**FINE).astype(int).tolist()
    line = np.zeros(size[::-1], np.uint8)
    cv2.line(line, ends[0], ends[1], 255, 1, cv2.LINE_AA, FINE)
    canvas *= 1 + rng.uniform(-0.25, 0.3) * (line[..., None] / np.float32(255))


def _outline(rng: np.random.Generator, size: tuple[int, int]) -> Points:
    """A roundish blob that lies in the picture as a whole, float32 ``[n, 2]``."""
    side = min(size)
    radius = side * math.exp(rng.uniform(math.log(0.04), math.log(0.15)))
    turns = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    reach = np.ones_like(turns)
    for wave in (2, 3, 5):
        reach += rng.normal(0, 0.12 / wave) * np.cos(wave * turns + rng.uniform(0, 2 * math.pi))
    stretch = math.exp(rng.normal(0, 0.2))
    points = radius * reach[:, None] * np.stack([np.cos(turns), np.sin(turns)], 1)
    points *= np.array([stretch, 1 / stretch])
    low, high = -points.min(0) + 1, np.array(size) - points.max(0) - 1
    return (points + rng.uniform(low, high)).astype(np.float32)


def _pit(canvas: Field, rng: np.random.Generator, outline: Points, light: float) -> None:
    """Dark and rough inside, bright where its rim faces the light; float32 RGB, in place."""
    height, width = canvas.shape[:2]
    inside = np.zeros((height, width), np.uint8)
    corners = np.round(outline * 2**FINE).astype(np.int32)
    cv2.fillPoly(inside, [corners], 255, cv2.LINE_AA, FINE)
    cover = as_field(cv2.GaussianBlur(inside, (0, 0), 0.8)) / np.float32(255)
    shift = max(1.0, 0.004 * width)
    matrix = np.array([[1, 0, shift * math.cos(light)], [0, 1, shift * math.sin(light)]])
    moved = as_field(cv2.warpAffine(cover, matrix, (width, height)))
    floor = rng.uniform(0.3, 0.6) * (1 + 0.2 * cut("rough", rng, (width, height)))
    canvas *= 1 - (cover * (1 - floor))[..., None]
    canvas *= 1 + rng.uniform(0.1, 0.4) * np.clip(moved - cover, 0, 1)[..., None]
