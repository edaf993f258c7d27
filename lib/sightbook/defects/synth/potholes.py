"""Holes in a surface: potholes of roads, spalls of concrete.

Each is shaped in the plane it lies in and then foreshortened. What makes it a hole and no stain is
its relief: the dark rim that the light does not reach, the lit lip across from it, and a ground of
another roughness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from sightbook.defects.synth.fields import Field, as_field, cut, smooth_step
from sightbook.defects.synth.views import View
from sightbook.detection.labels.annotations import XYXY, Points, polygons_box

FAINTEST = 11.0
"""Holes that change the picture by fewer grey levels on average are not seen: not drawn either."""

SMALLEST = 4
"""Holes lower or narrower than this many pixels cannot be told from grain: they are not drawn."""


@dataclass(frozen=True)
class Hole:
    """How a hole looks.

    Attributes:
        albedo: brightness of its ground, 1 = as the surface.
        tint: RGB added to its ground, grey levels.
        shadow: how dark the rim becomes, 0 to 1.
        lip: how bright the lit rim becomes, 0 to 1.
        rough: grey levels of the ground's roughness, as a share of the surface's brightness.
        torn: 0 for one hole, up to 1 for scattered pieces of one.
        streak: how much longer than high the torn pieces are.
        fray: how irregular the outline is.
        cover: opacity of the ground.
    """

    albedo: float
    tint: tuple[float, float, float]
    shadow: float
    lip: float
    rough: float
    torn: float
    streak: float
    fray: float
    cover: float


# How much of its kind: share, then ranges of albedo, warmth in grey levels, shadow, lip, roughness,
# torn, streak, cover.
Ranges = tuple[tuple[float, float], ...]
_ROAD: tuple[tuple[float, Ranges], ...] = (
    # deep: dark, with a hard shadow
    (0.25, ((0.5, 0.95), (-2, 10), (0.5, 0.85), (0.15, 0.5), (0.08, 0.22), (0, 0.25), (1, 1),
            (0.7, 1.0))),
    # worn to its bed: pale and earthy, hardly a shadow
    (0.3, ((1.05, 1.38), (-5, 28), (0.15, 0.6), (0.15, 0.5), (0.06, 0.2), (0, 0.5), (1, 3),
           (0.55, 1.0))),
    # shallow: the surface's own colour inside a dark arc
    (0.2, ((0.88, 1.1), (-2, 8), (0.35, 0.75), (0.05, 0.35), (0.03, 0.12), (0, 0), (1, 1),
           (0.3, 0.8))),
    # crumbling: scattered pieces, dark and pale
    (0.25, ((0.85, 1.28), (-4, 22), (0.4, 0.8), (0.25, 0.6), (0.1, 0.25), (0.5, 0.9), (1, 5),
            (0.6, 1.0))),
)  # fmt: skip
_CONCRETE: tuple[tuple[float, Ranges], ...] = (
    # broken aggregate
    (0.7, ((0.6, 1.1), (-2, 9), (0.3, 0.75), (0.1, 0.4), (0.08, 0.22), (0, 0.3), (1, 1),
           (0.7, 1.0))),
    # and with rust of the steel below
    (0.3, ((0.6, 1.1), (13, 31), (0.3, 0.75), (0.1, 0.4), (0.08, 0.22), (0, 0.3), (1, 1),
           (0.7, 1.0))),
)  # fmt: skip


def road_hole(rng: np.random.Generator) -> Hole:
    """Draw how a pothole of a road looks: deep, worn to its bed, shallow, or crumbling."""
    return _look(rng, _ROAD, fray=(0.2, 0.6))


def concrete_hole(rng: np.random.Generator) -> Hole:
    """Draw how a spall of concrete looks: broken aggregate, perhaps rusty."""
    return _look(rng, _CONCRETE, fray=(0.15, 0.5))


def _look(
    rng: np.random.Generator, kinds: tuple[tuple[float, Ranges], ...], fray: tuple[float, float]
) -> Hole:
    ranges = kinds[int(rng.choice(len(kinds), p=[share for share, _ in kinds]))][1]
    albedo, warm, shadow, lip, rough, torn, streak, cover = (
        float(rng.uniform(low, high)) for low, high in ranges
    )
    tint = warm, 0.25 * warm, -0.55 * warm
    return Hole(albedo, tint, shadow, lip, rough, torn, streak, float(rng.uniform(*fray)), cover)


def dig(
    canvas: Field,
    view: View,
    rng: np.random.Generator,
    centre: tuple[float, float],
    width: float,
    height: float,
    light: tuple[float, float],
    hole: Hole,
) -> tuple[Points, ...]:
    """Draw a hole into a picture.

    Args:
        canvas: float32 RGB ``[H, W, 3]``, grey levels; changed in place.
        view: says how the plane is foreshortened there.
        rng: the only source of chance.
        centre: (x, y) in pixels.
        width: about how wide, pixels.
        height: about how high, pixels.
        light: unit vector (x, y) in the picture from where the light comes.
        hole: how it looks.

    Returns:
        Its outlines in the picture, float32 ``[n, 2]`` each; none if nothing of it can be seen, and
        then nothing was drawn.
    """
    x0, y0 = round(centre[0] - 0.9 * width), round(centre[1] - 0.9 * height)
    patch = max(8, round(1.8 * width)), max(8, round(1.8 * height))
    across, along = view.scales(centre[1])
    detail = float(np.clip(72 / max(patch[0], 1), 0.6, 2.0))
    plane = (
        int(np.clip(patch[0] * detail, 32, 320)),
        int(np.clip(patch[1] * detail * min(across / along, 3.0), 32, 320)),
    )
    cover, shade, ground = _shape(rng, plane, light, hole)
    smaller = plane[0] > patch[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    cover, shade, ground = (
        as_field(cv2.resize(f, patch, interpolation=how)) for f in (cover, shade, ground)
    )

    frame_width, frame_height = view.size
    left, top = max(0, x0), max(view.top, y0)
    right, bottom = min(frame_width, x0 + patch[0]), min(frame_height, y0 + patch[1])
    if right - left < SMALLEST or bottom - top < SMALLEST:
        return ()
    part = np.s_[top - y0 : bottom - y0, left - x0 : right - x0]
    cover, shade, ground = cover[part], shade[part], ground[part]
    outlines = _outlines(cover, (left, top))
    if not outlines:
        return ()
    x0f, y0f, x1f, y1f = polygons_box(outlines)
    if min(x1f - x0f, y1f - y0f) < SMALLEST:
        return ()
    target = canvas[top:bottom, left:right]
    # the median: a hole that cuts paint shows no paint in its ground
    bed = np.median(target[::3, ::3], (0, 1)).astype(np.float32) * hole.albedo + np.array(
        hole.tint, np.float32
    )
    bed = bed * (1 + hole.rough * ground[..., None])
    opaque = (cover * hole.cover)[..., None]
    dug = (target + opaque * (bed - target)) * (1 + shade)[..., None]
    changed = np.abs(dug - target).mean(2)[cover > 0.35]
    # a hole in a dark road is seen by less than one in a light one
    if float(changed.mean()) < FAINTEST * (0.4 + float(target.mean()) / 200):
        return ()
    target[:] = dug
    return outlines


def _shape(
    rng: np.random.Generator, size: tuple[int, int], light: tuple[float, float], hole: Hole
) -> tuple[Field, Field, Field]:
    """Cover (0 to 1), shade (relative brightness) and roughness of a hole in its own plane."""
    width, height = size
    xs = np.linspace(-1.8, 1.8, width, dtype=np.float32)[None]
    ys = np.linspace(-1.8, 1.8, height, dtype=np.float32)[:, None]
    skew = np.float32(rng.normal(0, 0.25))
    power = rng.uniform(1.5, 2.3)
    radius = (np.abs(xs + skew * ys) ** power + np.abs(ys) ** power) ** np.float32(1 / power)
    coarse = max(width, height) / rng.uniform(90, 200)
    bumps = cut("cloud", rng, size, (coarse, coarse))
    fine = cut("rough", rng, size)
    inside = 1 - radius + hole.fray * bumps + 0.25 * hole.fray * fine
    if hole.torn > 0:
        step = max(width, height) / 130
        pieces = cut("rough", rng, size, (step * max(hole.streak, 1.0), step))
        soft = as_field(cv2.GaussianBlur(pieces, (0, 0), max(0.8, 0.012 * max(size))))
        soft = soft / max(float(soft.std()), 1e-6)
        inside = np.minimum(inside, 0.6 * (soft + 1.6 - 2.2 * hole.torn) + 0.5 * (inside - 0.3))
    # nothing may reach the patch's border, or it would end in a straight line
    inside -= 4 * np.clip(np.maximum(np.abs(xs), np.abs(ys)) - 1.35, 0, None)
    cover = smooth_step(inside, 0.0, 0.12)

    reach = 0.03 * max(size) * rng.uniform(0.6, 1.7)
    behind = _moved(cover, light[0] * reach, light[1] * reach)
    ahead = _moved(cover, -light[0] * reach, -light[1] * reach)
    # the rim towards the light throws its shadow inwards, the rim across from it is lit
    uneven = np.clip(0.75 + 0.6 * bumps, 0, 1.3)
    dark = cover * (1 - ahead) * uneven
    bright = (cover * (1 - behind)) * (1.3 - uneven)
    relief = as_field(cv2.GaussianBlur(fine, (0, 0), 0.9))
    inner = np.clip(relief - _moved(relief, 1.5 * light[0], 1.5 * light[1]), -1, 1)
    shade = -hole.shadow * dark + hole.lip * bright + 0.5 * hole.rough * cover * inner
    shade = np.maximum(as_field(cv2.GaussianBlur(shade, (0, 0), 0.8)), -0.9)
    return cover, shade, fine


def _moved(field: Field, dx: float, dy: float) -> Field:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
    size = field.shape[1], field.shape[0]
    return as_field(cv2.warpAffine(field, matrix, size, borderMode=cv2.BORDER_REPLICATE))


def _outlines(cover: Field, corner: tuple[int, int]) -> tuple[Points, ...]:
    """Outlines of what is covered, in the picture; specks are left out."""
    mask = (cover > 0.35).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return ()
    biggest = max(cv2.contourArea(c) for c in contours)
    outlines = []
    for contour in contours:
        if len(contour) < 3 or cv2.contourArea(contour) < max(3.0, 0.02 * biggest):
            continue
        points = cv2.approxPolyDP(contour, 0.6, True)[:, 0].astype(np.float32)
        if len(points) < 3:
            continue
        # contours run through the centres of pixels: move them to the pixels' outer edges
        middle = (points.max(0) + points.min(0)) / 2
        points += 0.5 + 0.5 * np.sign(points - middle)
        outlines.append(points + np.array(corner, np.float32))
    return tuple(outlines)


def pothole_size(rng: np.random.Generator, view: View, y: float) -> tuple[float, float]:
    """Draw (width, height) in pixels of a hole whose middle lies in row `y`.

    Survey pictures show holes of about 35 pixels (of 640) at any distance: the far ones that are
    noticed are the big ones.
    """
    across, along = view.scales(y)
    width = view.size[0] / 640 * math.exp(rng.normal(math.log(36), 0.65))
    if math.isinf(view.horizon):
        width *= 3.0
        long = math.exp(rng.normal(0, 0.35))
    else:
        # roads break along the wheels' tracks, so that many holes are longer than wide
        long = math.exp(rng.normal(0.2, 0.6))
        width = min(width, 1.6 * across)
    return width, float(np.clip(width * along / across * long, 6, 0.8 * view.size[1]))


def around(outlines: tuple[Points, ...], rng: np.random.Generator, size: tuple[int, int]) -> XYXY:
    """The box a person draws round a hole: up to two pixels (of 640) wider than it."""
    x0, y0, x1, y1 = polygons_box(outlines)
    width, height = size
    scale = min(1.0, max(size) / 640)
    a, b, c, d = (float(v) for v in np.rint(rng.integers(0, 3, 4) * scale))
    return max(0.0, x0 - a), max(0.0, y0 - b), min(float(width), x1 + c), min(float(height), y1 + d)


def light_from(rng: np.random.Generator) -> tuple[float, float]:
    """Where the light comes from in the picture; mostly from ahead, as far rims look dark."""
    angle = -math.pi / 2 + rng.normal(0, 0.8)
    return math.cos(angle), math.sin(angle)
