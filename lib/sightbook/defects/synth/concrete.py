"""Concrete seen squarely: joints, pores, formwork, stains, and its cracks and spalls."""

from __future__ import annotations

import math

import numpy as np

from sightbook.defects.synth import marks
from sightbook.defects.synth.fields import Field, Mask, as_field, at, cut, smooth_step
from sightbook.defects.synth.potholes import around, concrete_hole, dig, light_from
from sightbook.defects.synth.roads import expose
from sightbook.defects.synth.views import View, flat_view
from sightbook.detection.labels.annotations import Box, polygons_box


def draw_concrete(
    rng: np.random.Generator, size: tuple[int, int], damaged: bool
) -> tuple[Mask, tuple[Box, ...]]:
    """A piece of concrete.

    Args:
        rng: the only source of chance.
        size: (width, height) in pixels.
        damaged: whether there are cracks or spalls.

    Returns:
        uint8 RGB ``[H, W, 3]`` and its boxes, "crack" and "spall"; none if none is wanted.
    """
    view = flat_view(rng, size, (0.5, 4.0))
    canvas = _concrete(view, rng)
    wide, high = float(view.u[0, -1]), float(view.z[0, 0])
    for _ in range(int(rng.poisson(2.0))):
        marks.stain(canvas, view, rng, rng.uniform(-wide, wide), rng.uniform(0, high))
    boxes: list[Box] = []
    light = light_from(rng)
    if damaged:
        kinds = rng.choice(("crack", "spall"), int(rng.integers(1, 4)), p=(0.65, 0.35))
        for kind in kinds:
            for _ in range(4):
                box = (
                    _crack(canvas, view, rng)
                    if kind == "crack"
                    else _spall(canvas, view, rng, light)
                )
                if box is not None:
                    boxes.append(box)
                    break
    if rng.random() < 0.3:
        marks.shadows(canvas, rng)
    return expose(canvas, rng), tuple(boxes)


def _concrete(view: View, rng: np.random.Generator) -> Field:
    grey = rng.uniform(110, 205)
    warm = rng.normal(2, 6)
    colour = np.array([grey + warm, grey + 0.3 * warm, grey - warm], np.float32)
    xs = view.u
    ys = np.ascontiguousarray(np.broadcast_to(view.z, xs.shape))
    shift = rng.uniform(0, 1000, 6).astype(np.float32)
    clouds = at("cloud", xs * np.float32(120) + shift[0], ys * np.float32(120) + shift[1])
    runs = at("cloud", xs * np.float32(150) + shift[2], ys * np.float32(12) + shift[3])
    sand = at("rough", xs * np.float32(300) + shift[4], ys * np.float32(300) + shift[5])
    tone = 1 + rng.uniform(0.015, 0.07) * clouds + rng.uniform(0, 0.04) * runs
    tone += rng.uniform(0.005, 0.03) * sand
    tone += rng.uniform(0.003, 0.02) * cut("grain", rng, view.size)
    if rng.random() < 0.6:  # pores: where sand and clouds both dip deep
        tone -= rng.uniform(0.1, 0.5) * smooth_step(-sand, 2.6, 3.4)
    board = rng.uniform(0.12, 1.2)
    if rng.random() < 0.35:  # the boards of the formwork, or the slabs' joints
        along = np.abs(np.mod(xs + rng.uniform(0, board), board) - board / 2) * view.across
        tone -= rng.uniform(0.05, 0.4) * smooth_step(rng.uniform(1.0, 3.5) - along, 0.0, 1.0)
    if rng.random() < 0.25:
        across = np.abs(np.mod(ys + rng.uniform(0, 1), 1.4) - 0.7) * view.across
        tone -= rng.uniform(0.1, 0.5) * smooth_step(rng.uniform(1.0, 4.0) - across, 0.0, 1.0)
    return as_field(tone[..., None] * colour)


def _crack(canvas: Field, view: View, rng: np.random.Generator) -> Box | None:
    wide, high = float(view.u[0, -1]), float(view.z[0, 0])
    start = rng.uniform(-0.9, 0.9) * wide, rng.uniform(0.05, 0.95) * high
    length = min(wide, high) * math.exp(rng.normal(-0.1, 0.5))
    path = marks.crack_path(rng, start, rng.uniform(0, 2 * math.pi), length)
    scale = float(view.across[0, 0])
    pixels = math.exp(rng.uniform(math.log(1.0), math.log(5.0)))
    outlines = marks.crack(canvas, view, rng, path, pixels / scale, rng.uniform(0.35, 0.85))
    if not outlines:
        return None
    x0, y0, x1, y1 = polygons_box(outlines)
    size = np.array(view.size * 2, float)
    box = np.clip((x0, y0, x1 + 1, y1 + 1), 0, size)
    return Box("crack", (float(box[0]), float(box[1]), float(box[2]), float(box[3])), outlines)


def _spall(
    canvas: Field, view: View, rng: np.random.Generator, light: tuple[float, float]
) -> Box | None:
    width, height = view.size
    wide, high = np.exp(rng.normal(math.log(width * 0.11), 0.5, 2))
    centre = rng.uniform(0.05, 0.95) * width, rng.uniform(0.05, 0.95) * height
    outlines = dig(
        canvas, view, rng, centre, wide, min(high, 0.6 * height), light, concrete_hole(rng)
    )
    if not outlines:
        return None
    return Box("spall", around(outlines, rng, view.size), outlines)
